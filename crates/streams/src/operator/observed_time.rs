//! The largest timestamp that a windowed operator has seen, by which windows close and records are late.
//! Not the task's stream time. Invariant: it never goes back, and a commit carries it: after a restart late records are late
//! still (Kafka Streams begins at -1 again and takes them).

use crate::task::{Context, Wiring};
use crate::topology::Semantics;
use std::cell::Cell;

pub(crate) enum ObservedTime {
    /// In this mark of the commit.
    Kept(usize),
    /// As in Kafka Streams.
    Forgotten(Cell<i64>),
}

impl ObservedTime {
    /// That of an operator in front of `store`; `member` tells apart those of one cogroup.
    pub(crate) fn wire(wiring: &mut Wiring<'_>, store: usize, member: Option<usize>) -> Self {
        let topology = wiring.topology;
        if topology.settings.semantics == Semantics::Java {
            return Self::Forgotten(Cell::new(-1));
        }
        let name = &topology.stores[store].name;
        let mark = match member {
            None => format!("{name}.observed"),
            Some(member) => format!("{name}.observed.{member}"),
        };
        Self::Kept(wiring.marks.add(&mark))
    }

    /// The time by which windows close after a record of `timestamp`; -1 before the first. Behind repartition topics it is bounded
    /// by what all upstream tasks have reached.
    #[inline]
    pub(crate) fn advance(&self, ctx: &mut Context<'_>, timestamp: i64) -> i64 {
        let observed = self.observe(ctx, timestamp);
        ctx.state.closing.of(observed)
    }

    /// The largest timestamp seen, this one included.
    #[inline]
    pub(crate) fn observe(&self, ctx: &mut Context<'_>, timestamp: i64) -> i64 {
        match self {
            Self::Kept(mark) => {
                let time = ctx.state.marks.get(*mark);
                if timestamp > time {
                    ctx.state.marks.set(*mark, timestamp);
                }
                time.max(timestamp)
            }
            Self::Forgotten(time) => {
                time.set(time.get().max(timestamp));
                time.get()
            }
        }
    }

    /// The largest timestamp seen so far; -1 before the first.
    pub(crate) fn get(&self, ctx: &Context<'_>) -> i64 {
        match self {
            Self::Kept(mark) => ctx.state.marks.get(*mark),
            Self::Forgotten(time) => time.get(),
        }
    }
}

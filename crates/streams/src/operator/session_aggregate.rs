//! Aggregation by key and session (`KStreamSessionWindowAggregate`). Not windows that are known from the time alone.
//! Invariant: two sessions of a key are more than the gap apart: those that a record joins become one.

use super::encode_key;
use super::fold::Fold;
use super::row_list::{Asked, RowList};
use super::session_rows::{Session, SessionRows};
use super::{Closing, ObservedTime};
use crate::format::Codec;
use crate::task::{Context, ReceiveRecord, Scratch};
use crate::topology::Semantics;
use crate::window::SessionWindows;
use crate::{Record, Result};
use headwater_store::{KeyRange, session};
use std::cell::Cell;
use std::{rc::Rc, sync::Arc};

pub(crate) struct SessionAggregate<K, V, A, F> {
    pub(crate) key: Codec<K>,
    pub(crate) windows: SessionWindows,
    pub(crate) rows: SessionRows<K, A>,
    pub(crate) fold: Arc<F>,
    /// Records without a value are aggregated too; otherwise they are passed over.
    pub(crate) takes_tombstones: bool,
    pub(crate) observed: ObservedTime,
    pub(crate) closing: Option<Rc<Closing<K, A>>>,
    pub(crate) semantics: Semantics,
    pub(crate) key_bytes: Scratch,
    pub(crate) bounds: (Scratch, Scratch),
    pub(crate) list: Cell<RowList>,
    pub(crate) types: std::marker::PhantomData<fn(V)>,
}

impl<K, V, A, F> ReceiveRecord<K, V> for SessionAggregate<K, V, A, F>
where
    K: Clone + 'static,
    A: Clone + 'static,
    F: Fold<K, V, A>,
{
    fn receive_record(&self, ctx: &mut Context<'_>, mut record: Record<K, V>) -> Result<()> {
        let mut key_bytes = self.key_bytes.take();
        if !encode_key(&self.key, self.rows.topic(), &record.key, &mut key_bytes)? {
            ctx.drop_record();
            return Ok(());
        }
        let observed = self.observed.advance(ctx, record.timestamp);
        if self.closing.is_none() {
            self.rows.observe(ctx, observed);
        }
        if record.value.is_none() && !self.takes_tombstones {
            ctx.drop_record();
        } else {
            self.aggregate(ctx, &mut record, &mut key_bytes, observed)?;
        }
        self.key_bytes.give(key_bytes);
        if let Some(closing) = &self.closing {
            closing.emit(ctx, observed, &record.headers, record.position)?;
            // Last: what is not yet sent must not expire.
            self.rows.observe(ctx, observed);
        }
        Ok(())
    }
}

impl<K, V, A, F> SessionAggregate<K, V, A, F>
where
    K: Clone + 'static,
    A: Clone + 'static,
    F: Fold<K, V, A>,
{
    fn aggregate(
        &self,
        ctx: &mut Context<'_>,
        record: &mut Record<K, V>,
        key_bytes: &mut Vec<u8>,
        observed: i64,
    ) -> Result<()> {
        let timestamp = record.timestamp;
        let list = self.find(ctx, key_bytes, timestamp)?;
        let mut merged = Session {
            start: timestamp,
            end: timestamp,
        };
        let mut row = self.fold.initial();
        let mut same = None;
        for number in 0..list.len() {
            let (session, local) = parts(&list, number);
            let found = self.rows.decode(local)?;
            if session.start == timestamp && session.end == timestamp {
                same = self.old_of_same(&found);
            }
            row = self.fold.merge(&record.key, row, Some(found));
            merged.start = merged.start.min(session.start);
            merged.end = merged.end.max(session.end);
        }
        if merged.end < observed.saturating_sub(self.windows.close_ms()) {
            ctx.drop_record();
            self.list.set(list);
            return Ok(());
        }
        let plain = key_bytes.len();
        if merged.start != timestamp || merged.end != timestamp {
            same = None;
            for number in 0..list.len() {
                let (session, local) = parts(&list, number);
                let old = match self.rows.needs_old() {
                    true => Some(self.rows.decode(local)?),
                    false => None,
                };
                session.write(key_bytes, plain);
                self.put(ctx, record, key_bytes, session, None, old)?;
            }
        }
        self.list.set(list);
        let new = self.fold.add(&record.key, record.value.take(), row);
        merged.write(key_bytes, plain);
        self.put(ctx, record, key_bytes, merged, new, same)
    }

    /// The row before, of a session that stays as it is. Kafka Streams does not tell it to those downstream.
    fn old_of_same(&self, row: &A) -> Option<A> {
        let tells = self.semantics != Semantics::Java && self.rows.needs_old();
        tells.then(|| row.clone())
    }

    /// The key's sessions that a record of this time joins, by end.
    fn find(&self, ctx: &mut Context<'_>, key: &[u8], timestamp: i64) -> Result<RowList> {
        let earliest_end = timestamp.saturating_sub(self.windows.gap_ms);
        let latest_start = timestamp.saturating_add(self.windows.gap_ms);
        let (mut from, mut to) = (self.bounds.0.take(), self.bounds.1.take());
        session::key(key, 0, earliest_end.max(0), &mut from);
        session::key(key, i64::MAX, i64::MAX, &mut to);
        let joins = |bytes: &[u8]| {
            session::parse(bytes).is_some_and(|(found, start, end)| {
                found == key && end >= earliest_end && start <= latest_start
            })
        };
        let mut list = self.list.take();
        let asked = Asked {
            store: self.rows.store(),
            key: Some(key),
            range: KeyRange::inclusive(&from, &to),
            times: earliest_end.max(0)..=i64::MAX,
        };
        list.read(ctx, asked, joins)?;
        self.bounds.0.give(from);
        self.bounds.1.give(to);
        Ok(list)
    }

    fn put(
        &self,
        ctx: &mut Context<'_>,
        record: &Record<K, V>,
        key_bytes: &[u8],
        session: Session,
        new: Option<A>,
        old: Option<A>,
    ) -> Result<()> {
        let present = self.rows.put(ctx, record, key_bytes, session, new, old)?;
        if let Some(closing) = &self.closing {
            closing.written(key_bytes, present);
        }
        Ok(())
    }
}

fn parts(list: &RowList, number: usize) -> (Session, &[u8]) {
    let (key, local) = list.row(number);
    let (_, start, end) =
        session::parse(key).expect("only keys of sessions were taken into the list");
    (Session { start, end }, local)
}

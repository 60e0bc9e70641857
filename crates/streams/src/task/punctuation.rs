//! Punctuation: calls that a processor asked for, by stream time or by the wall clock. Not durable timers.
//! Invariant: missed intervals collapse into one call, as in Kafka Streams.

use super::Context;
use crate::Result;

/// Which clock drives a punctuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PunctuationKind {
    /// The largest timestamp the task has processed; aligned to the epoch, first when it becomes known.
    StreamTime,
    /// The wall clock; first after one interval.
    WallClock,
}

/// A call of [`crate::Processor::punctuate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Punctuation {
    /// The clock.
    pub kind: PunctuationKind,
    /// Its time, ms since the epoch.
    pub time: i64,
    /// The interval asked for, in ms; tells one schedule from another.
    pub interval_ms: i64,
}

/// A processor of the application behind its types.
pub(crate) trait Punctuate {
    fn open(&mut self, ctx: &mut Context<'_>, processor: usize) -> Result<()>;
    fn punctuate(&mut self, ctx: &mut Context<'_>, punctuation: Punctuation) -> Result<()>;
    fn close(&mut self, ctx: &mut Context<'_>) -> Result<()>;
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    pub(crate) processor: usize,
    pub(crate) kind: PunctuationKind,
    pub(crate) interval_ms: i64,
    pub(crate) next: i64,
}

impl Schedule {
    /// The schedule of a processor that asks at wall-clock time `now_ms`.
    pub(crate) fn new(
        processor: usize,
        kind: PunctuationKind,
        interval_ms: i64,
        now_ms: i64,
    ) -> Self {
        let next = match kind {
            PunctuationKind::StreamTime => 0,
            PunctuationKind::WallClock => now_ms + interval_ms,
        };
        Self {
            processor,
            kind,
            interval_ms,
            next,
        }
    }

    /// The call that is due at `time`, if any; moves on to the next.
    pub(crate) fn due(&mut self, time: i64) -> Option<Punctuation> {
        if time < self.next || time < 0 {
            return None;
        }
        let missed = (time - self.next) / self.interval_ms;
        self.next += (missed + 1) * self.interval_ms;
        Some(Punctuation {
            kind: self.kind,
            time,
            interval_ms: self.interval_ms,
        })
    }
}

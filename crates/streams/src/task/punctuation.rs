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
    fn open(&self, ctx: &mut Context<'_>, processor: usize) -> Result<()>;
    fn punctuate(&self, ctx: &mut Context<'_>, punctuation: Punctuation) -> Result<()>;
    fn close(&self, ctx: &mut Context<'_>) -> Result<()>;
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
            PunctuationKind::WallClock => now_ms.saturating_add(interval_ms),
        };
        Self {
            processor,
            kind,
            interval_ms,
            next,
        }
    }

    /// True when a call is due at `time`; an unknown time, -1, makes none due, nor does the end of time.
    #[inline]
    pub(crate) fn is_due(&self, time: i64) -> bool {
        time >= self.next && time >= 0 && self.next < i64::MAX
    }

    /// The call that is due at `time`; moves on to the first one after `time`.
    pub(crate) fn take(&mut self, time: i64) -> Punctuation {
        let missed = (time - self.next) / self.interval_ms;
        self.next = self
            .next
            .saturating_add((missed + 1).saturating_mul(self.interval_ms));
        Punctuation {
            kind: self.kind,
            time,
            interval_ms: self.interval_ms,
        }
    }
}

//! Timers in a processor's hands: set and cancelled. Not their calls, which the processor's node makes.
//! Invariant: a timer is known by clock, time and key; to set it twice is to set it once.

use super::StoreView;
use crate::Result;
use crate::dsl::Timers;
use crate::operator::process::timers::{SET, clock_number, write_row};
use crate::task::PunctuationKind;

impl<K> StoreView<'_, K, (), Timers> {
    /// Asks for a call of [`Processor::timer`](crate::Processor::timer) for `key` once `clock` has reached `at`, ms since the epoch;
    /// at the next turn if it has already. The timer survives restarts and moves with its task. A key may have several, of
    /// different times.
    pub fn set(&mut self, clock: PunctuationKind, at: i64, key: &K) -> Result<()> {
        let at = at.max(0);
        self.with_key(key, |view, key, row| {
            write_row(clock, at, key, row);
            view.write(row, Some(SET))?;
            let first = &mut view.ctx.state.store(view.store).first_timers[clock_number(clock)];
            *first = at.min(*first);
            Ok(())
        })
    }

    /// Takes a timer back; answers whether it was set and not yet called.
    pub fn cancel(&mut self, clock: PunctuationKind, at: i64, key: &K) -> Result<bool> {
        let at = at.max(0);
        self.with_key(key, |view, key, row| {
            write_row(clock, at, key, row);
            let is_set = view.ctx.holds(view.store, row)?;
            if is_set {
                view.write(row, None)?;
            }
            Ok(is_set)
        })
    }

    /// True while a timer is set.
    pub fn is_set(&mut self, clock: PunctuationKind, at: i64, key: &K) -> Result<bool> {
        let at = at.max(0);
        self.with_key(key, |view, key, row| {
            write_row(clock, at, key, row);
            view.ctx.holds(view.store, row)
        })
    }
}

//! When which store is checkpointed because of its age: one after the other, evenly over the interval, so that a worker never
//! stands still for all of them at once. Not for stores whose bytes are over their budget.
//! Invariant: each store has its turn once in an interval, if the worker comes by that often.

use std::time::Duration;

/// The turns of a worker's stores, by number.
pub(crate) struct CheckpointTurns {
    /// When the last turn was due.
    turned_at: Duration,
    next: usize,
}

impl CheckpointTurns {
    /// The first turn comes one share of the interval after `now`.
    pub(crate) fn new(now: Duration) -> Self {
        Self {
            turned_at: now,
            next: 0,
        }
    }

    /// The first store whose turn has come, and how many have; those behind the last one go on with the first.
    pub(crate) fn take(
        &mut self,
        now: Duration,
        interval: Duration,
        stores: usize,
    ) -> (usize, usize) {
        if stores == 0 {
            self.turned_at = now;
            return (0, 0);
        }
        let pace = interval / u32::try_from(stores).unwrap_or(u32::MAX);
        let passed = now.saturating_sub(self.turned_at);
        let turns = passed.as_nanos().checked_div(pace.as_nanos());
        let turns = turns.map_or(stores, |turns| usize::try_from(turns).unwrap_or(stores));
        if turns == 0 {
            return (0, 0);
        }
        self.turned_at = match turns < stores {
            true => self.turned_at + pace * turns as u32,
            false => now,
        };
        let first = self.next % stores;
        let turns = turns.min(stores);
        self.next = (first + turns) % stores;
        (first, turns)
    }
}

#[cfg(test)]
mod tests {
    use super::CheckpointTurns;
    use std::time::Duration;

    const INTERVAL: Duration = Duration::from_millis(100);

    #[track_caller]
    fn check(turns: &mut CheckpointTurns, now_ms: u64, stores: usize, expected: (usize, usize)) {
        let now = Duration::from_millis(now_ms);
        assert_eq!(turns.take(now, INTERVAL, stores), expected);
    }

    #[test]
    fn each_store_has_its_turn_once_in_an_interval() {
        let mut turns = CheckpointTurns::new(Duration::ZERO);
        check(&mut turns, 24, 4, (0, 0));
        check(&mut turns, 26, 4, (0, 1));
        check(&mut turns, 49, 4, (0, 0));
        check(&mut turns, 50, 4, (1, 1));
        check(&mut turns, 101, 4, (2, 2));
        check(&mut turns, 900, 4, (0, 4));
        check(&mut turns, 999, 0, (0, 0));
        check(&mut turns, 1_070, 3, (0, 2));
        check(&mut turns, 1_100, 3, (2, 1));
    }

    #[test]
    fn without_an_interval_all_have_it_each_time() {
        let mut turns = CheckpointTurns::new(Duration::ZERO);
        for _ in 0..3 {
            assert_eq!(turns.take(Duration::ZERO, Duration::ZERO, 5), (0, 5));
        }
    }
}

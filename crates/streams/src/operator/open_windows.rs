//! Which windows are still open, in the order in which they will close: the earliest of them in memory, the rest only as rows of
//! the store. Not the rows. Invariant: every open window before `beyond` is in memory, and none from there on.

use std::collections::BTreeSet;

/// Memory for the open windows of one operator of a task. Those that close later are looked up in the store once the earlier
/// ones have closed, with one pass over it each time.
const OPEN_BYTES_MAX: usize = 64 << 20;
/// What an entry takes besides its bytes: its place in the tree and its allocation.
const ENTRY_BYTES: usize = 48;

/// Entries begin with eight bytes of time, by which windows close.
pub(crate) struct OpenWindows {
    entries: BTreeSet<Box<[u8]>>,
    bytes: usize,
    bytes_max: usize,
    /// The first entry there was no room for.
    beyond: Option<Box<[u8]>>,
}

impl Default for OpenWindows {
    fn default() -> Self {
        Self::bounded(OPEN_BYTES_MAX)
    }
}

impl OpenWindows {
    fn bounded(bytes_max: usize) -> Self {
        Self {
            entries: BTreeSet::new(),
            bytes: 0,
            bytes_max,
            beyond: None,
        }
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Self::bounded(self.bytes_max);
    }

    /// A window was opened, or goes on.
    pub(crate) fn insert(&mut self, entry: &[u8]) {
        if self.is_beyond(entry) || self.entries.contains(entry) {
            return;
        }
        self.bytes += entry.len() + ENTRY_BYTES;
        self.entries.insert(entry.into());
        // One always stays, so that each pass over the store finds something.
        while self.bytes > self.bytes_max && self.entries.len() > 1 {
            let last = self.entries.pop_last();
            self.bytes -= last.as_ref().map_or(0, |last| last.len() + ENTRY_BYTES);
            self.beyond = last;
        }
    }

    /// A window is no more.
    pub(crate) fn remove(&mut self, entry: &[u8]) {
        if self.entries.remove(entry) {
            self.bytes -= entry.len() + ENTRY_BYTES;
        }
    }

    /// Takes the first window out whose time is not after `to`.
    pub(crate) fn pop_until(&mut self, to: i64) -> Option<Box<[u8]>> {
        if time(self.entries.first()?) > to {
            return None;
        }
        let first = self.entries.pop_first()?;
        self.bytes -= first.len() + ENTRY_BYTES;
        Some(first)
    }

    /// From which entry on the store must be read, since windows there have a time not after `to` and none before is left; all that
    /// is found there is to be inserted.
    pub(crate) fn read_from(&mut self, to: i64) -> Option<Box<[u8]>> {
        let is_due = self.entries.is_empty() && time(self.beyond.as_ref()?) <= to;
        self.beyond.take_if(|_| is_due)
    }

    fn is_beyond(&self, entry: &[u8]) -> bool {
        self.beyond
            .as_ref()
            .is_some_and(|beyond| *entry >= **beyond)
    }
}

fn time(entry: &[u8]) -> i64 {
    let time = entry.first_chunk().expect("an entry begins with a time");
    i64::from_be_bytes(*time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(time: i64, key: u64) -> Vec<u8> {
        [time.to_be_bytes(), key.to_be_bytes()].concat()
    }

    /// Windows open and go at random, and close with time; all that close do so in order and once, whatever there is room for.
    #[test]
    fn windows_close_in_order_with_any_bound_of_memory() {
        for room in [1, 2, 3, 10, 1000] {
            let mut open = OpenWindows::bounded(room * (16 + ENTRY_BYTES));
            let mut rows: BTreeSet<Vec<u8>> = BTreeSet::new();
            let mut random = 7_u64;
            for now in 0..400_i64 {
                for _ in 0..5 {
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let one = entry(now + (random >> 33) as i64 % 50, (random >> 50) % 3);
                    if random >> 62 == 0 {
                        rows.remove(&one);
                        open.remove(&one);
                    } else {
                        rows.insert(one.clone());
                        open.insert(&one);
                    }
                    assert!(
                        open.entries.len() <= room,
                        "{} in {room}",
                        open.entries.len()
                    );
                }
                let mut closed = Vec::new();
                loop {
                    while let Some(first) = open.pop_until(now) {
                        closed.push(first.into_vec());
                    }
                    let Some(from) = open.read_from(now) else {
                        break;
                    };
                    let rest = rows.iter().filter(|row| ***row >= *from);
                    rest.for_each(|row| open.insert(row));
                }
                let later = rows.split_off(&entry(now + 1, 0));
                let expected: Vec<_> = std::mem::replace(&mut rows, later).into_iter().collect();
                assert_eq!(closed, expected, "at {now} with room for {room}");
            }
        }
    }
}

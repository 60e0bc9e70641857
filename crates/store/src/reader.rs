//! Committed state for other threads: point reads as of now, range reads and snapshots as of one commit. Never overlays.
//! Invariant: everything a snapshot answers was true at its commit number; segments beyond retention are the exception.

use crate::{
    Direction, Error, KeyRange, ReadBytes, Result, Visit,
    committed::{Committed, Shared},
    index::hash,
    scan::{Chunk, CommittedScan, Query},
};
use std::{
    ops::RangeInclusive,
    sync::{Arc, RwLockReadGuard},
};

/// Committed state of a store, from any thread. Point reads are of the newest commit; each range read is of one commit.
#[derive(Clone)]
pub struct StoreReader {
    shared: Arc<Shared>,
}

impl StoreReader {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The number of commits so far.
    pub fn commit_number(&self) -> u64 {
        self.shared.read().commit
    }

    /// The changelog position of the committed state: the next offset to read.
    pub fn position(&self) -> Option<i64> {
        self.shared.read().position
    }

    /// Committed state as it is. While a snapshot lives, each commit saves what it overwrites.
    pub fn snapshot(&self) -> Snapshot {
        // Under the lock: no commit may pass between reading the number and announcing it.
        let committed = self.shared.read();
        self.shared.live.add(committed.commit);
        Snapshot {
            shared: self.shared.clone(),
            commit: committed.commit,
        }
    }
}

fn read_open(shared: &Shared) -> Result<RwLockReadGuard<'_, Committed>> {
    let committed = shared.read();
    if committed.engine.is_closed() {
        let message = "it is closed here; ask where its task runs".to_owned();
        return Err(Error::Refused {
            store: shared.name.clone(),
            message,
        });
    }
    Ok(committed)
}

impl ReadBytes for StoreReader {
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        read_open(&self.shared)?
            .get(hash(key), key, value)
            .map(|(found, _)| found)
    }

    fn scan(&self, range: KeyRange<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<()> {
        self.snapshot().scan(range, direction, visit)
    }

    fn scan_times(
        &self,
        range: KeyRange<'_>,
        times: RangeInclusive<i64>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        self.snapshot().scan_times(range, times, direction, visit)
    }

    fn name(&self) -> &str {
        &self.shared.name
    }

    fn horizon_ms(&self) -> i64 {
        self.shared.horizon_ms()
    }
}

/// Committed state as of one commit number. Held for too long it is given up, and reads say so.
pub struct Snapshot {
    shared: Arc<Shared>,
    commit: u64,
}

impl Snapshot {
    /// The commit this is a snapshot of.
    pub fn commit_number(&self) -> u64 {
        self.commit
    }
}

impl ReadBytes for Snapshot {
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        let committed = read_open(&self.shared)?;
        self.shared.check_readable(&committed, Some(self.commit))?;
        committed.get_at(self.commit, key, value)
    }

    fn scan(&self, range: KeyRange<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<()> {
        self.scan_times(range, i64::MIN..=i64::MAX, direction, visit)
    }

    fn scan_times(
        &self,
        range: KeyRange<'_>,
        times: RangeInclusive<i64>,
        direction: Direction,
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        drop(read_open(&self.shared)?);
        if range.is_empty() {
            return Ok(());
        }
        let query = Query {
            range,
            plain: None,
            times,
            direction,
            commit: Some(self.commit),
        };
        let mut scan = CommittedScan::start(&self.shared, query, Chunk::default())?;
        while let Some((key, value)) = scan.head() {
            if visit(key, value).is_break() {
                break;
            }
            scan.advance()?;
        }
        Ok(())
    }

    fn name(&self) -> &str {
        &self.shared.name
    }

    fn horizon_ms(&self) -> i64 {
        self.shared.horizon_ms()
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.shared.live.remove(self.commit);
    }
}

//! Committed state of one store, shared by its owner and its readers. Not the overlays: those are the owner's alone.
//! Invariant: only the owner changes it, and each change of a key is preceded by saving its old value while snapshots live.

use crate::{
    Budget, Error, Result, StoreOptions,
    budget::Usage,
    engine::segments::Segments,
    index::{append, hash},
    overlay::UNKNOWN,
    undo::{Live, Undo},
    write_back::WriteBack,
};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Bytes a store may use more or less than it reported: the shared counters are touched that seldom.
const REPORT_STEP_BYTES: usize = 16 << 10;

/// Committed state.
pub(crate) struct Committed {
    pub(crate) write_back: WriteBack,
    pub(crate) engine: Segments,
    pub(crate) undo: Undo,
    /// The number of commits so far.
    pub(crate) commit: u64,
    /// The next changelog offset to read.
    pub(crate) position: Option<i64>,
    pub(crate) stream_time_ms: i64,
    /// Grows whenever entries enter or leave the engine.
    pub(crate) generation: u64,
    reported: Usage,
}

/// Which layer answered a point read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// In this slot, if it is a key that can have one.
    WriteBack(u32),
    Engine,
}

/// Committed state behind its lock.
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) retention_ms: Option<i64>,
    state: RwLock<Committed>,
    pub(crate) live: Live,
    budget: Arc<Budget>,
}

impl Shared {
    pub(crate) fn new(options: &StoreOptions, engine: Segments, budget: Arc<Budget>) -> Self {
        budget.store_opened();
        let (tail_bytes, newer_from_ms) = (options.layout.tail_bytes(), engine.newer_from_ms());
        let state = Committed {
            write_back: WriteBack::new(tail_bytes, newer_from_ms),
            engine,
            undo: Undo::default(),
            commit: 0,
            position: None,
            stream_time_ms: -1,
            generation: 0,
            reported: Usage::default(),
        };
        Self {
            name: options.name.clone(),
            retention_ms: options.layout.retention_ms(),
            state: RwLock::new(state),
            live: Live::default(),
            budget,
        }
    }

    #[inline]
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Committed> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Committed> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Times before this are beyond retention.
    pub(crate) fn horizon_ms(&self) -> i64 {
        let retention_ms = self.retention_ms;
        retention_ms.map_or(i64::MIN, |retention_ms| {
            self.read().stream_time_ms.saturating_sub(retention_ms)
        })
    }

    /// Tells the budget what the caches use, and evicts when the process is over it.
    pub(crate) fn settle(&self, committed: &mut Committed) {
        self.report(committed);
        let excess = self.budget.excess_bytes(committed.usage());
        if excess > 0 {
            committed.write_back.evict(excess.max(REPORT_STEP_BYTES));
            self.report(committed);
        }
    }

    /// As [`Self::settle`], only when enough changed to matter.
    pub(crate) fn settle_if_due(&self, committed: &mut Committed) {
        let (usage, reported) = (committed.usage(), committed.reported);
        if usage.dirty_bytes.abs_diff(reported.dirty_bytes)
            + usage.clean_bytes.abs_diff(reported.clean_bytes)
            > REPORT_STEP_BYTES
        {
            self.settle(committed);
        }
    }

    fn report(&self, committed: &mut Committed) {
        let usage = committed.usage();
        self.budget.report(committed.reported, usage);
        committed.reported = usage;
    }

    /// An error when the snapshot of `commit` was given up.
    pub(crate) fn check_readable(&self, committed: &Committed, commit: Option<u64>) -> Result<()> {
        let Some(commit) = commit.filter(|&commit| !committed.undo.is_readable(commit)) else {
            return Ok(());
        };
        let message = format!(
            "the snapshot of commit {commit} was held for too long and is gone; take another"
        );
        Err(Error::Refused {
            store: self.name.clone(),
            message,
        })
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let reported = self.read().reported;
        self.budget.store_closed(reported);
    }
}

impl Committed {
    pub(crate) fn usage(&self) -> Usage {
        Usage {
            dirty_bytes: self.write_back.dirty_bytes(),
            clean_bytes: self.write_back.clean_bytes(),
        }
    }

    /// Copies the value into `value` (cleared first), and answers whether there is one and which layer knew.
    #[inline(always)]
    pub(crate) fn get(&self, hash: u32, key: &[u8], value: &mut Vec<u8>) -> Result<(bool, Layer)> {
        value.clear();
        if !self.engine.is_live(key) {
            return Ok((false, Layer::WriteBack(UNKNOWN)));
        }
        match self.write_back.get(hash, key) {
            Some(slot) => {
                let found = self.write_back.value(slot);
                append(value, found.unwrap_or_default());
                Ok((found.is_some(), Layer::WriteBack(slot)))
            }
            None if self.write_back.would_have(key) => Ok((false, Layer::Engine)),
            None => Ok((self.engine.get(key, value)?, Layer::Engine)),
        }
    }

    /// As [`Self::get`], at an earlier commit.
    pub(crate) fn get_at(&self, commit: u64, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        match self.undo.at(key, commit) {
            Some(old) => {
                value.clear();
                value.extend_from_slice(old.unwrap_or_default());
                Ok(old.is_some() && self.engine.is_live(key))
            }
            None => self.get(hash(key), key, value).map(|(found, _)| found),
        }
    }

    /// Saves the value that the commit with number `commit` replaces.
    pub(crate) fn save_old(
        &mut self,
        commit: u64,
        hash: u32,
        key: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Result<()> {
        if !self.undo.has(key, commit) {
            let (found, _) = self.get(hash, key, buffer)?;
            self.undo
                .save(key, commit, found.then_some(buffer.as_slice()));
        }
        Ok(())
    }
}

//! What a task holds besides its operators: stores, times, counters. Not the record cache, which its worker owns.
//! Invariant: stores are addressed by their number in the topology; those of other sub-topologies are absent.

use super::{
    ClosingTime, Context, Failed, Globals, JavaExpiry, Marks, Schedules, Update,
    dead_letter::Source, input::Input,
};
use crate::Semantics;
use crate::topology::{AskedFor, Kept, Topology};
use crate::{Headers, Position, Result};
use headwater_log::TaskId;
use headwater_store::{KeysAhead, Layout, RecordCache};
use headwater_world::Executor;
use std::{any::Any, rc::Rc, sync::Arc, task::Waker};

/// While the stores that an input asks are small, it is looked again after so many records.
const SMALL_RECORDS: u32 = 256;

/// Forwards the cached updates of one store downstream and into the store.
pub(crate) trait Flush {
    fn flush(&self, ctx: &mut Context<'_>, update: Update<'_>) -> Result<()>;
}

/// Writes what an operator has kept back to its store and changelog, before a commit; in the order of the stores, between the
/// flushes of their record caches.
pub(crate) trait BeforeCommit {
    fn before_commit(&self, ctx: &mut Context<'_>) -> Result<()>;
}

/// A store of a task with what the topology says about it.
pub(crate) struct StateStore {
    pub(crate) name: Arc<str>,
    pub(crate) bytes: headwater_store::Store,
    pub(crate) logged: bool,
    pub(crate) timestamped: bool,
    /// Its number in the worker's record cache.
    pub(crate) cache: Option<usize>,
    /// What is read goes into the record cache too: for plain keys, not for windows.
    pub(crate) caches_reads: bool,
    /// Updates of its record cache are being sent on.
    pub(crate) is_flushing: bool,
    /// The topic that formats are told: the changelog, also of a store that has none.
    pub(crate) topic: Arc<str>,
    pub(crate) kept: Kept,
    /// Keeps every value put under one key and start.
    pub(crate) duplicates: bool,
    /// Its operator says what time it has seen; a processor that writes it does not.
    pub(crate) observed: bool,
    /// The sequence number of the value put last, where duplicates are kept.
    pub(crate) sequence: u32,
    /// Keys that it evicts are deleted in the changelog too (`MemoryLRUCache.setWhenEldestRemoved`): those of plain stores only.
    pub(crate) logs_evicted: bool,
    pub(crate) formats: Arc<dyn Any + Send + Sync>,
    /// For windows: the largest time that the operators in front have all seen, which decides what may expire; -1 before the
    /// first.
    pub(crate) observed_time: i64,
    /// The operators in front, and what each has seen.
    pub(crate) observers: Vec<(usize, i64)>,
    /// What Kafka Streams' own store would hide; under its semantics only.
    pub(crate) java: Option<Box<JavaExpiry>>,
    /// The mark that keeps the observed time across restarts; none under Java's semantics, where it begins anew.
    pub(crate) observed_mark: Option<usize>,
    /// When the first timers are due, by clock, where the store holds timers.
    pub(crate) first_timers: [i64; 2],
    /// The observed time as of the last seal.
    pub(crate) sealed_time: i64,
}

impl StateStore {
    fn wants_warming(&self, cache: &RecordCache) -> bool {
        self.bytes.wants_warming() || self.cache.is_some_and(|slot| cache.wants_warming(slot))
    }

    fn warm(&self, mut keys: KeysAhead, asked: AskedFor, cache: &RecordCache) {
        if asked == AskedFor::Rows {
            if let Some(slot) = self.cache {
                cache.warm_plain(slot, &keys);
            }
            return self.bytes.warm_plain(&keys);
        }
        if let Some(slot) = self.cache {
            cache.warm(slot, &mut keys);
        }
        self.bytes.warm(&keys);
    }

    /// The value under `key` in the store itself, below the record cache.
    #[inline]
    pub(crate) fn get(
        &self,
        key: &[u8],
        value: &mut Vec<u8>,
    ) -> Result<bool, headwater_store::Error> {
        if self.is_plain() {
            return self.bytes.get(key, value);
        }
        if self.hides(key) || !self.bytes.get(key, value)? {
            return Ok(false);
        }
        self.kept.unpack(&self.name, value)?;
        Ok(true)
    }

    /// How much longer the kept bytes under `key` are than `value`, which was read there.
    pub(crate) fn read_overhead(
        &self,
        key: &[u8],
        value: &[u8],
    ) -> Result<usize, headwater_store::Error> {
        if self.kept != Kept::WithHeaders {
            return Ok(0);
        }
        let mut kept = Vec::new();
        self.bytes.get(key, &mut kept)?;
        Ok(kept.len().saturating_sub(value.len()))
    }

    /// It keeps values as operators write them, all of them.
    #[inline(always)]
    pub(crate) fn is_plain(&self) -> bool {
        self.kept == Kept::Whole && self.java.is_none()
    }

    /// Sets or deletes the value under `key` in the store itself.
    #[inline]
    pub(crate) fn set(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        headers: &Headers,
    ) -> Result<()> {
        if self.is_plain() {
            match value {
                Some(value) => self.bytes.put(key, value)?,
                None => self.bytes.delete(key)?,
            }
            return Ok(());
        }
        self.set_unplain(key, value, headers)
    }

    #[inline(never)]
    fn set_unplain(&mut self, key: &[u8], value: Option<&[u8]>, headers: &Headers) -> Result<()> {
        // Kafka Streams' store may throw away what it is given.
        let kept = match &mut self.java {
            // On disk a store of duplicates passes over deletions before it looks at their times.
            Some(java) if value.is_none() && self.duplicates && !java.is_in_memory() => true,
            Some(java) => java.write(key),
            None => true,
        };
        match value {
            Some(_) if !kept => {}
            Some(value) if self.kept == Kept::Whole => self.bytes.put(key, value)?,
            Some(value) => {
                let mut packed = Vec::new();
                self.bytes
                    .put(key, self.kept.pack(value, headers, &mut packed))?;
            }
            None => self.bytes.delete(key)?,
        }
        Ok(())
    }

    /// Operator `node` has seen `time`. Of several operators the slowest decides, so that none loses windows it still accepts.
    #[inline]
    pub(crate) fn observe(&mut self, node: usize, time: i64) {
        if let [(known, seen)] = self.observers.as_mut_slice()
            && *known == node
        {
            *seen = time;
            self.observed_time = time;
            return;
        }
        match self.observers.iter_mut().find(|(known, _)| *known == node) {
            Some((_, seen)) => *seen = time,
            None => self.observers.push((node, time)),
        }
        let slowest = self.observers.iter().map(|(_, seen)| *seen).min();
        self.observed_time = slowest.unwrap_or(-1);
    }

    /// Kafka Streams' store would not show this row, and its semantics hold.
    #[inline]
    pub(crate) fn hides(&self, key: &[u8]) -> bool {
        self.java.as_ref().is_some_and(|java| java.hides(key))
    }
}

/// Plain counters that the runtime publishes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Records taken from the inputs.
    pub processed: u64,
    /// Records that operators passed over: null keys, late records, tombstones where a value is needed.
    pub dropped: u64,
    /// Records that could not be decoded and were passed over by policy.
    pub bad: u64,
    /// Records that an operator failed on and passed over by policy.
    pub failed: u64,
    /// Records set aside under [`crate::OnError::Quarantine`].
    pub quarantined: u64,
    /// Punctuations run.
    pub punctuations: u64,
}

pub(crate) struct TaskState {
    pub(crate) id: TaskId,
    pub(crate) semantics: Semantics,
    pub(crate) stores: Vec<Option<StateStore>>,
    /// The global stores, which all tasks of a process read.
    pub(crate) globals: Globals,
    pub(crate) flushers: Vec<Option<Rc<dyn Flush>>>,
    /// By store.
    pub(crate) before_commit: Vec<Option<Rc<dyn BeforeCommit>>>,
    /// Runs the calls of operators that await, and is woken by their ends.
    pub(crate) executor: Option<(Arc<dyn Executor>, Waker)>,
    /// Named times that the commit carries.
    pub(crate) marks: Marks,
    /// The largest timestamp processed; -1 before the first.
    pub(crate) stream_time: i64,
    /// What bounds the time by which windows close.
    pub(crate) closing: ClosingTime,
    /// The task has said that it is idle, and has processed nothing since.
    pub(crate) said_idle: bool,
    /// The wall clock as of this step, ms since the epoch.
    pub(crate) now_ms: i64,
    pub(crate) counters: Counters,
    /// The operator that failed last; shared with the operators.
    pub(crate) failed: Failed,
    pub(crate) schedules: Schedules,
    pub(crate) commit_requested: bool,
    /// Names of the topology's source topics, by number.
    pub(crate) topics: Arc<[Arc<str>]>,
    /// The raw record at work; only where failures are sent to a topic.
    pub(crate) source: Option<Box<Source>>,
    /// Where the record was read whose update a flush sends on.
    pub(crate) flushing: Position,
    /// Buffers of processors' stores, lent for one read or write: key, value.
    pub(crate) buffers: (Vec<u8>, Vec<u8>),
    /// A value that was read only to see whether it is there.
    pub(crate) value: Vec<u8>,
}

impl TaskState {
    /// Fetches ahead what the next records of an input will ask for, and tells the input how many these are.
    #[inline(never)]
    pub(crate) fn warm(&self, input: &mut Input, cache: &RecordCache) {
        let mut announced = None;
        for number in 0..input.asks.len() {
            let (store, asked) = input.asks[number];
            let store = self.stores[store].as_ref();
            if let Some(store) = store.filter(|store| store.wants_warming(cache)) {
                let (keys, records) = input.keys_ahead(asked);
                store.warm(keys, asked, cache);
                announced = Some(records.saturating_sub(1) as u32);
            }
        }
        input.announced = announced.unwrap_or(SMALL_RECORDS);
    }

    /// Stores that expire go on with the time that their operators had seen before the restart, and so expire what they had
    /// expired before.
    pub(crate) fn remember_observed_times(&mut self, topology: &Topology) {
        if topology.settings.semantics == Semantics::Java {
            return;
        }
        for store in self.stores.iter_mut().flatten() {
            let expires = matches!(
                store.bytes.options().layout,
                Layout::Window { .. } | Layout::Session { .. }
            );
            if expires {
                let mark = self.marks.add(&format!("{}.observed", store.name));
                store.observed_mark = Some(mark);
                // The mark may be ahead of what upstream tasks have reached, and what they may still send must not expire.
                store.observed_time = self.closing.of(self.marks.get(mark));
            }
        }
    }

    /// What [`TaskState::remember_observed_times`] will read after a restart; before each commit.
    pub(crate) fn mark_observed_times(&mut self) {
        for store in self.stores.iter().flatten() {
            if let Some(mark) = store.observed_mark {
                let known = self.marks.get(mark);
                self.marks.set(mark, known.max(store.observed_time));
            }
        }
    }

    #[inline]
    pub(crate) fn store(&mut self, store: usize) -> &mut StateStore {
        self.stores[store]
            .as_mut()
            .expect("operators name only stores of their sub-topology")
    }
}

//! Rows that are held back, in the order in which they are due: by time, then by the bytes of their keys
//! (`InMemoryTimeOrderedKeyValueChangeBuffer`). The rows that are due first lie in memory; those beyond its bound only in the
//! store, which all of them reach with the next commit.
//! Not the rule by which they leave. Invariant: a spilled row is never due before one that is in memory and before `spilled_from`.

use super::row::{self, Origin, Row, Values};
use crate::task::{BeforeCommit, Context, Punctuate, Punctuation};
use crate::{Error, Result};
use headwater_log::{AppendRecord, HeadersRef};
use headwater_store::{Direction, KeyRange};
use rustc_hash::{FxHashMap, FxHashSet};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::{ops::ControlFlow, rc::Rc};

/// The header of a changelog's rows: `v` = 3.
const VERSION: HeadersRef<'static> = HeadersRef {
    count: 1,
    bytes: &[2, b'v', 2, 3],
};

/// The producer stamps the record, as Kafka Streams leaves it to do.
const NO_TIMESTAMP: i64 = -1;

/// Memory of a row besides its key and value: two map entries and three counted pointers, rounded up.
const ROW_OVERHEAD_BYTES: usize = 160;

type Key = Rc<[u8]>;

/// When a row is due.
type Due = (i64, Key);

#[derive(Default)]
struct Resident {
    time: i64,
    bytes: Vec<u8>,
    /// As [`Row::counted_len`].
    counted: usize,
}

pub(crate) struct Buffer {
    store: usize,
    memory_bytes_max: usize,
    held: RefCell<Held>,
}

#[derive(Default)]
struct Held {
    /// In memory.
    rows: FxHashMap<Key, Resident>,
    order: BTreeSet<Due>,
    memory_bytes: usize,
    /// Keys that the store does not yet have as they are, or still has although they have left.
    changed: FxHashSet<Key>,
    /// All rows, and what is counted for them.
    len: usize,
    counted: usize,
    spilled: usize,
    /// No spilled row is due before this.
    spilled_from: Option<Due>,
    /// A prior value while its row is rewritten.
    prior: Vec<u8>,
}

impl Buffer {
    pub(crate) fn new(store: usize, memory_bytes_max: usize) -> Self {
        Self {
            store,
            memory_bytes_max,
            held: RefCell::default(),
        }
    }

    /// How many rows it holds.
    pub(crate) fn len(&self) -> usize {
        self.held.borrow().len
    }

    /// What Kafka Streams counts for them, in bytes.
    pub(crate) fn counted(&self) -> usize {
        self.held.borrow().counted
    }

    /// Holds an update back. A row that is held already keeps its time and its prior value.
    pub(crate) fn put(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        time: i64,
        origin: &Origin<'_>,
        (old, new): (Option<&[u8]>, Option<&[u8]>),
    ) -> Result<()> {
        let held = &mut *self.held.borrow_mut();
        self.recall(held, ctx, key)?;
        match held.rows.get_mut(key) {
            Some(row) => {
                let prior = &mut held.prior;
                let kept = self.decode(ctx, &row.bytes)?.values.prior;
                let values = Values {
                    prior: kept.map(|kept| {
                        prior.clear();
                        prior.extend_from_slice(kept);
                        prior.as_slice()
                    }),
                    old,
                    new,
                };
                let before = row.bytes.len();
                row::encode(&mut row.bytes, origin, values, row.time);
                let counted = self.decode(ctx, &row.bytes)?.counted_len(key);
                held.memory_bytes = held.memory_bytes + row.bytes.len() - before;
                held.counted = held.counted + counted - row.counted;
                row.counted = counted;
                if !held.changed.contains(key) {
                    held.changed.insert(key.into());
                }
            }
            None => {
                let prior = old;
                let mut bytes = Vec::new();
                row::encode(&mut bytes, origin, Values { prior, old, new }, time);
                let counted = self.decode(ctx, &bytes)?.counted_len(key);
                let key: Key = key.into();
                held.len += 1;
                held.counted += counted;
                held.changed.insert(key.clone());
                held.admit(key, time, bytes, counted);
            }
        }
        self.spill(held, ctx)
    }

    /// The key of the row that is due first, if it is due at `time`, or `over` everything.
    pub(crate) fn first(&self, ctx: &mut Context<'_>, time: Option<i64>) -> Result<Option<Key>> {
        let held = &mut *self.held.borrow_mut();
        if held.len == 0 || time.is_some_and(|time| held.first_time() > time) {
            return Ok(None);
        }
        if let Some(from) = &held.spilled_from
            && held.order.first().is_none_or(|first| from < first)
        {
            self.refill(held, ctx)?;
        }
        let first = held.order.first();
        Ok(first
            .filter(|(due, _)| time.is_none_or(|time| *due <= time))
            .map(|(_, key)| key.clone()))
    }

    /// Shows the row of `key`, if it is held.
    pub(crate) fn with<T>(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        show: impl FnOnce(&Context<'_>, &Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let held = &mut *self.held.borrow_mut();
        self.recall(held, ctx, key)?;
        match held.rows.get(key) {
            Some(row) => Ok(Some(show(ctx, &self.decode(ctx, &row.bytes)?)?)),
            None => Ok(None),
        }
    }

    /// Lets a row go.
    pub(crate) fn remove(&self, key: &Key) {
        let held = &mut *self.held.borrow_mut();
        if let Some(row) = held.take(key) {
            held.len -= 1;
            held.counted -= row.counted;
            held.changed.insert(key.clone());
        }
    }

    fn decode<'b>(&self, ctx: &Context<'_>, bytes: &'b [u8]) -> Result<Row<'b>> {
        Row::decode(bytes).ok_or_else(|| damaged(ctx, self.store))
    }

    /// Brings the row of `key` back into memory if it was spilled.
    fn recall(&self, held: &mut Held, ctx: &mut Context<'_>, key: &[u8]) -> Result<()> {
        if held.spilled == 0 || held.rows.contains_key(key) || held.changed.contains(key) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        if ctx.state.store(self.store).bytes.get(key, &mut bytes)? {
            let row = self.decode(ctx, &bytes)?;
            let (time, counted) = (row.time, row.counted_len(key));
            held.admit(key.into(), time, bytes, counted);
            held.spilled -= 1;
            if held.spilled == 0 {
                held.spilled_from = None;
            }
        }
        Ok(())
    }

    /// Leaves to the store what is due last, until what is in memory is within its bound.
    fn spill(&self, held: &mut Held, ctx: &mut Context<'_>) -> Result<()> {
        while held.memory_bytes > self.memory_bytes_max && held.order.len() > 1 {
            let Some(due) = held.order.last().cloned() else {
                break;
            };
            let Some(row) = held.take(&due.1) else { break };
            if held.changed.remove(&due.1) {
                write(ctx, self.store, &due.1, Some(&row.bytes))?;
            }
            held.spilled += 1;
            if held.spilled_from.as_ref().is_none_or(|from| due < *from) {
                held.spilled_from = Some(due);
            }
        }
        Ok(())
    }

    /// Reads the spilled rows that are due first back into memory, up to half of its bound: one scan of the store for as many
    /// rows as that holds, instead of a second index on disk.
    fn refill(&self, held: &mut Held, ctx: &mut Context<'_>) -> Result<()> {
        let (mut taken, mut left) = (BTreeMap::<Due, (Vec<u8>, usize)>::new(), None::<Due>);
        let (mut memory, mut damage) = (0, false);
        let store = &ctx.state.store(self.store).bytes;
        store.scan(KeyRange::ALL, Direction::Forward, &mut |key, bytes| {
            if held.rows.contains_key(key) || held.changed.contains(key) {
                return ControlFlow::Continue(());
            }
            let Some(row) = Row::decode(bytes) else {
                damage = true;
                return ControlFlow::Break(());
            };
            let due: Due = (row.time, key.into());
            if left.as_ref().is_some_and(|left| due > *left) {
                return ControlFlow::Continue(());
            }
            memory += memory_of(key, bytes);
            taken.insert(due, (bytes.to_vec(), row.counted_len(key)));
            while memory > self.memory_bytes_max / 2 && taken.len() > 1 {
                if let Some((due, (bytes, _))) = taken.pop_last() {
                    memory -= memory_of(&due.1, &bytes);
                    left = Some(due);
                }
            }
            ControlFlow::Continue(())
        })?;
        if damage {
            return Err(damaged(ctx, self.store));
        }
        held.spilled = held.spilled.saturating_sub(taken.len());
        held.spilled_from = left;
        for ((time, key), (bytes, counted)) in taken {
            held.admit(key, time, bytes, counted);
        }
        self.spill(held, ctx)
    }

    /// Counts what the store holds and reads back what is due first.
    fn restore(&self, ctx: &mut Context<'_>) -> Result<()> {
        let held = &mut *self.held.borrow_mut();
        *held = Held::default();
        let mut damage = false;
        let store = &ctx.state.store(self.store).bytes;
        store.scan(
            KeyRange::ALL,
            Direction::Forward,
            &mut |key, bytes| match Row::decode(bytes) {
                Some(row) => {
                    held.len += 1;
                    held.counted += row.counted_len(key);
                    ControlFlow::Continue(())
                }
                None => {
                    damage = true;
                    ControlFlow::Break(())
                }
            },
        )?;
        if damage {
            return Err(damaged(ctx, self.store));
        }
        held.spilled = held.len;
        self.refill(held, ctx)
    }
}

impl Held {
    /// The least time at which a row may be due.
    fn first_time(&self) -> i64 {
        let first = self.order.first().map_or(i64::MAX, |(time, _)| *time);
        let spilled = self.spilled_from.as_ref();
        first.min(spilled.map_or(i64::MAX, |(time, _)| *time))
    }

    fn admit(&mut self, key: Key, time: i64, bytes: Vec<u8>, counted: usize) {
        self.memory_bytes += memory_of(&key, &bytes);
        self.order.insert((time, key.clone()));
        let row = Resident {
            time,
            bytes,
            counted,
        };
        self.rows.insert(key, row);
    }

    /// Takes a row out of memory.
    fn take(&mut self, key: &Key) -> Option<Resident> {
        let row = self.rows.remove(key)?;
        self.order.remove(&(row.time, key.clone()));
        self.memory_bytes -= memory_of(key, &row.bytes);
        Some(row)
    }
}

fn memory_of(key: &[u8], bytes: &[u8]) -> usize {
    ROW_OVERHEAD_BYTES + key.len() + bytes.len()
}

fn damaged(ctx: &Context<'_>, store: usize) -> Error {
    let store = ctx.state.stores[store].as_ref();
    let store = store.map_or("", |store| &store.name);
    Error::Store(headwater_store::Error::Format {
        store: store.into(),
        message: "it holds a row that is no suppressed record of Kafka Streams 2.6 or later; let the application that wrote it \
                  end what it holds back, or reset the store's changelog"
            .into(),
    })
}

/// Writes a row, or that it has left, to the store and its changelog.
fn write(ctx: &mut Context<'_>, store: usize, key: &[u8], value: Option<&[u8]>) -> Result<()> {
    let state = ctx.state.store(store);
    match value {
        Some(value) => state.bytes.put(key, value)?,
        None => state.bytes.delete(key)?,
    }
    if state.logged {
        let record = AppendRecord {
            timestamp: NO_TIMESTAMP,
            key: Some(key),
            value,
            headers: value.map_or(HeadersRef::NONE, |_| VERSION),
        };
        let partition = ctx.state.id.partition;
        ctx.output.changelog(store, partition, &record)?;
    }
    Ok(())
}

/// What has changed since the last commit, in the order of the keys' bytes: Kafka Streams writes it in none.
impl BeforeCommit for Buffer {
    fn before_commit(&self, ctx: &mut Context<'_>) -> Result<()> {
        let held = &mut *self.held.borrow_mut();
        let mut changed: Vec<Key> = held.changed.drain().collect();
        changed.sort_unstable();
        for key in changed {
            let row = held.rows.get(&key);
            write(ctx, self.store, &key, row.map(|row| row.bytes.as_slice()))?;
        }
        Ok(())
    }
}

impl Punctuate for Buffer {
    fn open(&self, ctx: &mut Context<'_>, _: usize) -> Result<()> {
        self.restore(ctx)
    }

    fn punctuate(&self, _: &mut Context<'_>, _: Punctuation) -> Result<()> {
        Ok(())
    }

    fn close(&self, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}

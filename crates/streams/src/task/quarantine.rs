//! Quarantine: records of a key that an operator failed on are set aside in a store, in order, while all other keys go on.
//! Not a dead-letter topic, whose records are gone from the application: these are processed later, still in order.
//! Invariant: while a record of a key is set aside, later ones of that key are set aside behind it.
//!
//! ```text
//! failure --> the commit is aborted --> the record comes again, is set aside, and its key is held
//! restart, or a request to replay --> the key's records in order --> released, or held again by the next failure
//! ```

use super::{Context, Task};
use crate::topology::{OnError, Topology};
use crate::{Error, Result};
use headwater_log::batch::BatchBuilder;
use headwater_log::{AppendRecord, Chunk, ChunkCursor, Offset, RecordRef, Slot, TopicPartition};
use headwater_store::{Direction, KeyRange};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;
use std::ops::{Bound, ControlFlow};

/// The records of one key that are set aside.
#[derive(Clone, Copy, Debug)]
struct Held {
    records: u64,
    /// They are to be processed again.
    replays: bool,
}

/// What a task has set aside.
pub(crate) struct Quarantine {
    store: usize,
    /// By topic and key, as [`prefix`] writes them.
    keys: FxHashMap<Vec<u8>, Held>,
    /// Records that failed since the worker began: they are set aside without another try.
    poisoned: BTreeSet<(TopicPartition, Offset)>,
    /// The record that is being processed again.
    at: Option<(TopicPartition, Offset)>,
}

impl Quarantine {
    /// That of a sub-topology with these stores, if the policy asks for one.
    pub(crate) fn new(topology: &Topology, stores: &[usize]) -> Option<Self> {
        if topology.settings.on_error != OnError::Quarantine {
            return None;
        }
        let own = |store: &&usize| topology.stores[**store].name.starts_with(STORE_PREFIX);
        Some(Self {
            store: *stores.iter().find(own)?,
            keys: FxHashMap::default(),
            poisoned: BTreeSet::new(),
            at: None,
        })
    }

    /// True when a record must not be processed now.
    fn holds(&self, partition: &TopicPartition, record: &RecordRef<'_>) -> bool {
        if self.keys.is_empty() && self.poisoned.is_empty() {
            return false;
        }
        self.poisoned.contains(&(partition.clone(), record.offset))
            || record.key.is_some()
                && self
                    .keys
                    .contains_key(&prefix(&partition.topic, record.key))
    }
}

/// What the names of the stores begin with; the number of the sub-topology follows.
pub(crate) const STORE_PREFIX: &str = "headwater-quarantine-";

/// Records set aside, for people who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedRecord {
    /// Where it was read.
    pub partition: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// True once it is to be processed again.
    pub replays: bool,
}

/// `topic length (2) | topic | has key (1) | key length (4) | key`.
fn prefix(topic: &str, key: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(7 + topic.len() + key.map_or(0, <[u8]>::len));
    bytes.extend_from_slice(&(topic.len() as u16).to_be_bytes());
    bytes.extend_from_slice(topic.as_bytes());
    bytes.push(u8::from(key.is_some()));
    let key = key.unwrap_or_default();
    bytes.extend_from_slice(&(key.len() as u32).to_be_bytes());
    bytes.extend_from_slice(key);
    bytes
}

/// Topic, key and offset of a stored record.
fn parse(stored: &[u8]) -> Option<(&str, Option<&[u8]>, Offset)> {
    let (len, rest) = stored.split_first_chunk::<2>()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
    let ([has_key], rest) = rest.split_first_chunk::<1>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let (key, offset) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    let offset = i64::from_be_bytes(offset.try_into().ok()?);
    let topic = std::str::from_utf8(topic).ok()?;
    Some((topic, (*has_key == 1).then_some(key), offset))
}

impl Task {
    /// Records that failed since the worker began; before [`Task::open`].
    pub fn set_poisoned(&mut self, poisoned: &BTreeSet<(TopicPartition, Offset)>) {
        if let Some(quarantine) = &mut self.quarantine {
            quarantine.poisoned.clone_from(poisoned);
        }
    }

    /// Processes again what is set aside, key by key.
    pub fn replay_quarantined(&mut self) {
        if let Some(quarantine) = &mut self.quarantine {
            quarantine.poisoned.clear();
            quarantine
                .keys
                .values_mut()
                .for_each(|held| held.replays = true);
        }
    }

    /// What is set aside, in the order of topic, key and offset.
    pub fn quarantined(&self) -> Result<Vec<QuarantinedRecord>> {
        let mut records = Vec::new();
        let Some(quarantine) = &self.quarantine else {
            return Ok(records);
        };
        let store = &self.state.stores[quarantine.store];
        let store = store.as_ref().expect("a task has the stores of its part");
        store
            .bytes
            .scan(KeyRange::ALL, Direction::Forward, &mut |stored, _| {
                if let Some((topic, key, offset)) = parse(stored) {
                    let held = quarantine.keys.get(&stored[..stored.len() - 8]);
                    records.push(QuarantinedRecord {
                        partition: TopicPartition::new(topic, self.state.id.partition),
                        offset,
                        key: key.map(<[u8]>::to_vec),
                        replays: held.is_some_and(|held| held.replays),
                    });
                }
                ControlFlow::Continue(())
            })?;
        Ok(records)
    }

    /// Learns from the restored store which keys are held: those that failed in this worker's time stay so, others are tried again.
    pub(super) fn open_quarantine(&mut self) -> Result<()> {
        let records = self.quarantined()?;
        let Some(quarantine) = &mut self.quarantine else {
            return Ok(());
        };
        quarantine.keys.clear();
        for record in records {
            let key = prefix(&record.partition.topic, record.key.as_deref());
            let failed = quarantine
                .poisoned
                .contains(&(record.partition, record.offset));
            let held = quarantine.keys.entry(key).or_insert(Held {
                records: 0,
                replays: true,
            });
            held.records += 1;
            held.replays &= !failed;
        }
        Ok(())
    }

    /// The error of a failure while a record was processed, as the worker takes it: it aborts, and the record comes again.
    pub(super) fn poison(&mut self, error: Error, input: Option<usize>) -> Error {
        let Some(quarantine) = &mut self.quarantine else {
            return error;
        };
        let at = quarantine.at.take().or_else(|| {
            let input = &self.inputs[input?];
            Some((input.partition.clone(), input.position - 1))
        });
        match (at, &error) {
            (Some((partition, offset)), Error::Processor { .. } | Error::BadData { .. }) => {
                Error::Poisoned {
                    partition,
                    offset,
                    reason: error.to_string(),
                }
            }
            _ => error,
        }
    }

    /// Processes the next record that is to be tried again; false when there is none.
    pub(super) fn replay_one(&mut self, ctx: ReplayContext<'_>) -> Result<bool> {
        let Some(quarantine) = &mut self.quarantine else {
            return Ok(false);
        };
        let mut replays = quarantine.keys.iter().filter(|(_, held)| held.replays);
        let Some(key) = replays.next().map(|(key, _)| key.clone()) else {
            return Ok(false);
        };
        let mut ctx = Context {
            state: &mut self.state,
            cache: ctx.cache,
            output: ctx.output,
        };
        let Some((stored, batch)) = first(&mut ctx, quarantine.store, &key)? else {
            quarantine.keys.remove(&key);
            return Ok(true);
        };
        let Some((topic, _, offset)) = parse(&stored) else {
            return Ok(false);
        };
        let partition = TopicPartition::new(topic, ctx.state.id.partition);
        quarantine.at = Some((partition.clone(), offset));
        let mut cursor = ChunkCursor::new(chunk(&partition, offset, batch));
        let index = self
            .inputs
            .iter()
            .position(|input| input.partition == partition);
        if let (Some(index), Some(record)) = (index, cursor.next_record()?) {
            let feed = &*self.feeds[index];
            let timestamp = feed.timestamp(&record, self.inputs[index].partition_time);
            let (topic, partition) = (self.inputs[index].topic, ctx.state.id.partition);
            feed.feed(&mut ctx, &record, timestamp, topic, partition)?;
        }
        quarantine.at = None;
        ctx.write(quarantine.store, &stored, None, ctx.state.now_ms)?;
        if let Some(held) = quarantine.keys.get_mut(&key) {
            held.records -= 1;
            if held.records == 0 {
                quarantine.keys.remove(&key);
            }
        }
        Ok(true)
    }
}

/// What a replay needs of the worker.
pub(super) struct ReplayContext<'a> {
    pub(super) cache: &'a mut headwater_store::RecordCache,
    pub(super) output: &'a mut dyn super::Output,
}

/// Sets a record aside if its key is held, or if it failed before; true when it did.
#[inline]
pub(super) fn set_aside(
    quarantine: &mut Option<Quarantine>,
    ctx: &mut Context<'_>,
    partition: &TopicPartition,
    record: &RecordRef<'_>,
) -> Result<bool> {
    let Some(quarantine) = quarantine else {
        return Ok(false);
    };
    if !quarantine.holds(partition, record) {
        return Ok(false);
    }
    let mut stored = prefix(&partition.topic, record.key);
    let failed = quarantine
        .poisoned
        .contains(&(partition.clone(), record.offset));
    let held = quarantine.keys.entry(stored.clone()).or_insert(Held {
        records: 0,
        replays: true,
    });
    held.records += 1;
    held.replays &= !failed;
    stored.extend_from_slice(&record.offset.to_be_bytes());
    let mut batch = BatchBuilder::default();
    batch.append(&AppendRecord {
        timestamp: record.timestamp,
        key: record.key,
        value: record.value,
        headers: record.headers,
    });
    ctx.write(
        quarantine.store,
        &stored,
        Some(&batch.finish()),
        record.timestamp,
    )?;
    ctx.state.counters.quarantined += 1;
    Ok(true)
}

/// The oldest record under a key.
fn first(ctx: &mut Context<'_>, store: usize, key: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut end = key.to_vec();
    end.extend_from_slice(&i64::MAX.to_be_bytes());
    let range = KeyRange {
        from: Bound::Included(key),
        to: Bound::Included(&end),
    };
    let mut found = None;
    let store = &ctx.state.store(store).bytes;
    store.scan(range, Direction::Forward, &mut |stored, batch| {
        // A longer key may lie between: its bytes are no offset.
        if stored.len() == key.len() + 8 {
            found = Some((stored.to_vec(), batch.to_vec()));
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    })?;
    Ok(found)
}

fn chunk(partition: &TopicPartition, offset: Offset, mut bytes: Vec<u8>) -> Chunk {
    headwater_log::batch::set_base_offset(&mut bytes, offset);
    Chunk {
        partition: partition.clone(),
        slot: Slot(0),
        position: offset,
        next_offset: offset + 1,
        end_offset: offset + 1,
        bytes,
        aborted: Vec::new(),
    }
}

//! A live subscription, of all partitions on whatever instances: the state, then what changes of it. Not a log of every change: who is
//! slow is told the latest value, once. Invariant: a value is at least as new as every value of its key that was told before, and no
//! change is lost but by saying so ([`Change::Restated`]).
//!
//! ```text
//! of each partition:  where is its feed? --> state, page by page --> changes since then --+
//!                          ^                                              ^______________|
//!                          +---- too slow, or another owner: told anew ---+
//! ```
//!
//! Nothing is pushed, and nothing is queued here but one answer: the owner's ring of changed keys is the buffer, and its limit is the
//! limit. A single key needs no ring: its owner is told what is known, and answers once that is no longer true.

use crate::kept::{Kept, mark};
use crate::step::{Source, Stage, Step};
use crate::watched::Change;
use crate::wire::{Cursor, Span};
use crate::{Blob, Error, Result, Table};
use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;

/// Watches of an instance at a time; one more is refused.
pub const WATCHES_MAX: usize = 2_000;
/// Bytes of keys and values after which the answers of all partitions end, together; and of one partition at least and at most.
const ANSWERS_BYTES_MAX: usize = 4 << 20;
const ANSWER_BYTES_MIN: usize = 16 << 10;
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Entries of one page of state.
const STATE_ENTRIES_MAX: usize = 1_000;

type Asking = Pin<Box<dyn Future<Output = Result<Step>> + Send>>;

struct Shard {
    partition: u32,
    stage: Stage,
    /// Of windows: those before this time are known to be gone.
    gone_before_ms: Option<i64>,
    asking: Option<Asking>,
}

enum Told {
    Restated(u32),
    Entry(u32, Blob, Option<Blob>),
    Gone(u32, i64),
    Live,
}

/// A subscription ([`Table::watch`]). Dropped, it ends.
pub struct Watch<K, V> {
    table: Table<K, V>,
    span: Span,
    /// The one key that is watched.
    key: Option<Blob>,
    good_for: String,
    shards: Vec<Shard>,
    /// The one that is looked at first: each in turn.
    first: usize,
    is_live: bool,
    told: VecDeque<Told>,
    /// Why no more is told.
    over: Option<Error>,
    _permit: OwnedSemaphorePermit,
}

impl<K: 'static, V: 'static> Watch<K, V> {
    pub(crate) fn new(
        table: &Table<K, V>,
        span: Span,
        key: Option<Blob>,
        partitions: Vec<u32>,
        known: Kept,
    ) -> Result<Self> {
        let permit = table.queries.watch_permit().ok_or_else(|| {
            Error::Overloaded(format!("{WATCHES_MAX} watches are open on this instance"))
        })?;
        let good_for = table.good_for(&span);
        let of_one = ANSWERS_BYTES_MAX / partitions.len().max(1);
        let (mark, mut cursors) = match known {
            Kept::Key(mark) => (Some(mark), BTreeMap::new()),
            Kept::Ranges(cursors) => (None, cursors),
        };
        let is_key = key.is_some();
        // Who goes on from a position is told once more.
        let gone_before_ms = table.drops_windows().then_some(0);
        let shards = partitions.into_iter().map(|partition| Shard {
            partition,
            stage: match is_key {
                true => Stage::Look(mark),
                false => Stage::Changes(cursors.remove(&partition)),
            },
            gone_before_ms,
            asking: None,
        });
        Ok(Self {
            table: table.clone(),
            key,
            good_for,
            shards: shards.collect(),
            first: 0,
            span: Span {
                entries_max: STATE_ENTRIES_MAX,
                bytes_max: of_one.clamp(ANSWER_BYTES_MIN, ANSWER_BYTES_MAX),
                ..span
            },
            is_live: false,
            told: VecDeque::new(),
            over: None,
            _permit: permit,
        })
    }

    /// What is next. Dropping it before it is ready loses nothing. [`Error::Store`] while [`Watch::is_over`] is false is about one entry,
    /// which the formats of the table cannot read; every other error is the last.
    pub async fn next(&mut self) -> Result<Change<K, V>> {
        loop {
            if let Some(told) = self.told.pop_front() {
                return self.decode(told);
            }
            if let Some(error) = &self.over {
                return Err(error.clone());
            }
            let (at, step) = std::future::poll_fn(|cx| self.poll_shards(cx)).await;
            match step {
                Ok(step) => self.take(at, step),
                Err(error) => self.over = Some(error),
            }
        }
    }

    /// True once nothing more is told.
    pub fn is_over(&self) -> bool {
        self.over.is_some()
    }

    /// Where the subscriber is after what it was told last; `None` where it cannot go on from there: in the middle of an answer, and with
    /// some hundreds of partitions. Good until the owner has forgotten: 65,536 changes of a partition, a minute without a question, a
    /// move. Of a single key, good for ever.
    pub fn position(&self) -> Option<String> {
        if !self.told.is_empty() {
            return None;
        }
        let mut cursors: BTreeMap<u32, Cursor> = BTreeMap::new();
        for shard in &self.shards {
            match &shard.stage {
                Stage::Changes(Some(cursor)) => {
                    cursors.insert(shard.partition, *cursor);
                }
                Stage::Await(value) => return Kept::Key(mark(value.as_ref())).text(&self.good_for),
                Stage::Look(Some(mark)) => return Kept::Key(*mark).text(&self.good_for),
                _ => {}
            }
        }
        Kept::Ranges(cursors).text(&self.good_for)
    }

    fn poll_shards(&mut self, cx: &mut Context<'_>) -> Poll<(usize, Result<Step>)> {
        let count = self.shards.len();
        for at in (0..count).map(|it| (self.first + it) % count) {
            let shard = &mut self.shards[at];
            let asking = shard.asking.get_or_insert_with(|| {
                let source = Source {
                    queries: self.table.queries.clone(),
                    place: self.table.place.clone(),
                    store: self.table.name.clone(),
                    partition: shard.partition,
                    span: self.span.clone(),
                    key: self.key.clone(),
                    gone_before_ms: shard.gone_before_ms,
                };
                Box::pin(source.step(shard.stage.clone()))
            });
            if let Poll::Ready(step) = asking.as_mut().poll(cx) {
                shard.asking = None;
                self.first = at + 1;
                return Poll::Ready((at, step));
            }
        }
        Poll::Pending
    }

    fn take(&mut self, at: usize, step: Step) {
        let shard = &mut self.shards[at];
        let partition = shard.partition;
        shard.stage = step.stage;
        if step.is_restated {
            self.is_live = false;
            self.told.push_back(Told::Restated(partition));
        }
        if self.table.is_of_duplicates(&step.entries) {
            let why = "watch: it keeps several values under one key and time";
            self.over = Some(self.table.refused(why));
            return;
        }
        let entries = step.entries.into_iter();
        let entries = entries.map(|(key, value)| Told::Entry(partition, key, value));
        self.told.extend(entries);
        if let Some(before_ms) = step.gone_before_ms {
            self.shards[at].gone_before_ms = Some(before_ms);
            // Of a state that is told anew they are not in it.
            if !step.is_restated {
                self.told.push_back(Told::Gone(partition, before_ms));
            }
        }
        if !self.is_live && self.shards.iter().all(|shard| shard.stage.is_live()) {
            self.is_live = true;
            self.told.push_back(Told::Live);
        }
    }

    fn decode(&self, told: Told) -> Result<Change<K, V>> {
        Ok(match told {
            Told::Restated(partition) => Change::Restated { partition },
            Told::Live => Change::Live,
            Told::Gone(partition, before_ms) => Change::Gone {
                partition,
                before_ms,
            },
            Told::Entry(partition, key, value) => Change::Entry {
                partition,
                key: self.table.decode_row_key(&key.0)?,
                value: value
                    .map(|value| self.table.decode_row(&value.0))
                    .transpose()?,
            },
        })
    }
}

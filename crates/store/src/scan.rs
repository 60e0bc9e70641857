//! Range reads over committed state, a chunk at a time. Not a snapshot: the owner reads while nothing commits, other
//! threads read through a snapshot.
//! Invariant: no lock is held while the caller looks at an entry, so that it may read the same store.

use crate::{
    Direction, KeyRange, PlainKey, Result,
    committed::{Committed, Shared},
    engine::Cursor,
};
use std::{
    cmp::Ordering,
    ops::{Bound, RangeInclusive},
};

/// Entries of the first chunk: most range reads of windows and sessions end within it.
const FIRST_CHUNK_ENTRIES: usize = 16;

/// Entries of later chunks grow up to this.
const CHUNK_ENTRIES_MAX: usize = 1024;

/// Bytes at which a chunk ends early.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// Memory that is kept for the next scan.
const IDLE_BYTES_MAX: usize = 16 << 10;

/// What a range read asks for.
pub(crate) struct Query<'a> {
    pub(crate) range: KeyRange<'a>,
    /// The only key asked for, with which both bounds begin.
    pub(crate) plain: Option<PlainKey<'a>>,
    pub(crate) times: RangeInclusive<i64>,
    pub(crate) direction: Direction,
    /// The commit to read at; `None` reads the newest.
    pub(crate) commit: Option<u64>,
}

/// Copied entries, in the order of the query.
#[derive(Default)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// Start and lengths of key and value.
    entries: Vec<(usize, usize, usize)>,
    /// True when the range has no entries after these.
    complete: bool,
}

impl Chunk {
    fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.complete = false;
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.entries
            .push((self.bytes.len(), key.len(), value.len()));
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(value);
    }

    fn get(&self, at: usize) -> Option<(&[u8], &[u8])> {
        let &(start, key_len, value_len) = self.entries.get(at)?;
        Some(self.bytes[start..start + key_len + value_len].split_at(key_len))
    }
}

/// How `a` and `b` follow each other in `direction`.
pub(crate) fn compare(direction: Direction, a: &[u8], b: &[u8]) -> Ordering {
    match direction {
        Direction::Forward => a.cmp(b),
        Direction::Backward => b.cmp(a),
    }
}

/// Where a range read stands in the engine.
struct EngineHead {
    /// None when the engine has no more entries.
    cursor: Option<Box<dyn Cursor>>,
    /// The checkpoint the cursor was opened after; entries move into the engine with the next.
    generation: u64,
}

impl EngineHead {
    fn open(committed: &Committed, query: &Query<'_>) -> Result<Self> {
        let is_above = query.plain.is_some() && query.commit.is_none();
        let cursor = match is_above && committed.write_back.is_complete_from(*query.times.start()) {
            true => None,
            false => (committed.engine).cursor(query.range, &query.times, query.direction)?,
        };
        let mut head = Self {
            cursor,
            generation: committed.generation,
        };
        head.advance()?;
        Ok(head)
    }

    #[inline]
    fn get(&self) -> Option<(&[u8], Option<&[u8]>)> {
        let cursor = self.cursor.as_ref()?;
        Some((cursor.key(), Some(cursor.value())))
    }

    #[inline]
    fn advance(&mut self) -> Result<()> {
        if let Some(cursor) = &mut self.cursor
            && !cursor.advance()?
        {
            self.cursor = None;
        }
        Ok(())
    }
}

/// Fills `chunk` with the first entries of the query: engine, then write-back cache, then saved old values over it.
fn collect(
    committed: &Committed,
    query: &Query<'_>,
    engine: &mut EngineHead,
    limit: usize,
    chunk: &mut Chunk,
) -> Result<()> {
    chunk.clear();
    let direction = query.direction;
    let mut dirty = committed
        .write_back
        .range(query.range, query.plain, direction)
        .peekable();
    let mut undone = query.commit.map(|commit| {
        committed
            .undo
            .range(query.range, direction, commit)
            .peekable()
    });
    while chunk.entries.len() < limit && chunk.bytes.len() < CHUNK_BYTES_MAX {
        let dirty_head = dirty.peek().map(|&slot| {
            (
                committed.write_back.key(slot),
                committed.write_back.value(slot),
            )
        });
        let undo_head = undone.as_mut().and_then(|undone| undone.peek().copied());
        let engine_head = engine.get();
        // Later candidates win over earlier ones with the same key.
        let mut first = engine_head;
        for candidate in [dirty_head, undo_head].into_iter().flatten() {
            if first.is_none_or(|(key, _)| compare(direction, candidate.0, key).is_le()) {
                first = Some(candidate);
            }
        }
        let Some((key, value)) = first else {
            chunk.complete = true;
            return Ok(());
        };
        let has_key =
            |head: Option<(&[u8], Option<&[u8]>)>| head.is_some_and(|(head, _)| head == key);
        let (in_engine, in_dirty, in_undo) = (
            has_key(engine_head),
            has_key(dirty_head),
            has_key(undo_head),
        );
        if let Some(value) = value
            && query.plain.is_none_or(|plain| plain.owns(key))
            && committed.engine.is_live(key)
        {
            chunk.push(key, value);
        }
        if in_engine {
            engine.advance()?;
        }
        if in_dirty {
            dirty.next();
        }
        if in_undo && let Some(undone) = &mut undone {
            undone.next();
        }
    }
    Ok(())
}

/// The committed entries of a query, one after the other.
pub(crate) struct CommittedScan<'a> {
    shared: &'a Shared,
    query: Query<'a>,
    engine: EngineHead,
    chunk: Chunk,
    at: usize,
    limit: usize,
}

impl<'a> CommittedScan<'a> {
    /// Reads the first chunk into the memory of `chunk`. The range must not be empty.
    pub(crate) fn start(shared: &'a Shared, query: Query<'a>, mut chunk: Chunk) -> Result<Self> {
        let committed = shared.read();
        shared.check_readable(&committed, query.commit)?;
        let limit = FIRST_CHUNK_ENTRIES;
        let mut engine = EngineHead::open(&committed, &query)?;
        collect(&committed, &query, &mut engine, limit, &mut chunk)?;
        Ok(Self {
            shared,
            query,
            engine,
            chunk,
            at: 0,
            limit,
        })
    }

    /// The memory, for another scan.
    pub(crate) fn into_chunk(self) -> Chunk {
        match self.chunk.bytes.capacity() <= IDLE_BYTES_MAX {
            true => self.chunk,
            false => Chunk::default(),
        }
    }

    /// The current entry.
    pub(crate) fn head(&self) -> Option<(&[u8], &[u8])> {
        self.chunk.get(self.at)
    }

    /// Goes to the next entry.
    pub(crate) fn advance(&mut self) -> Result<()> {
        self.at += 1;
        if self.at < self.chunk.entries.len() || self.chunk.complete {
            return Ok(());
        }
        let Some((last, _)) = self.chunk.get(self.at - 1) else {
            return Ok(());
        };
        let last = last.to_vec();
        let mut rest = Query {
            times: self.query.times.clone(),
            ..self.query
        };
        match self.query.direction {
            Direction::Forward => rest.range.from = Bound::Excluded(&last),
            Direction::Backward => rest.range.to = Bound::Excluded(&last),
        }
        self.limit = (self.limit * 2).min(CHUNK_ENTRIES_MAX);
        self.at = 0;
        let committed = self.shared.read();
        self.shared.check_readable(&committed, rest.commit)?;
        if rest.range.is_empty() {
            self.chunk.clear();
            self.chunk.complete = true;
            return Ok(());
        }
        if self.engine.generation != committed.generation {
            self.engine = EngineHead::open(&committed, &rest)?;
        }
        collect(
            &committed,
            &rest,
            &mut self.engine,
            self.limit,
            &mut self.chunk,
        )
    }
}

//! The engine in memory: a `BTreeMap`, and the reference the disk engine is compared with. With a directory it keeps an
//! image there through `world`'s disk, so that simulated crashes find what a checkpoint promised. Not for large images:
//! each checkpoint writes all of it.
//! Invariant: the image is the map as of the last `write` that returned.

use super::{Cursor, Engine, Entries, file};
use crate::{Direction, Error, KeyRange, Result};
use headwater_world::Disk;
use std::{
    collections::BTreeMap,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

/// Entries a cursor copies at a time.
const CHUNK_ENTRIES: usize = 64;

const IMAGE: &str = "image";

type Map = BTreeMap<Vec<u8>, Vec<u8>>;

#[derive(Default)]
struct State {
    map: Map,
    meta: Option<Vec<u8>>,
    bytes: u64,
}

/// An engine in memory.
pub(crate) struct MemoryEngine {
    state: Arc<RwLock<State>>,
    image: Option<(Arc<dyn Disk>, PathBuf)>,
}

impl MemoryEngine {
    /// Opens an engine, with an image in `dir` if there is one.
    pub(crate) fn open(dir: Option<(&Arc<dyn Disk>, &Path)>) -> Result<Self> {
        let mut state = State::default();
        if let Some((disk, dir)) = dir {
            file::create_dir(&**disk, dir)?;
            if let Some(bytes) = file::read(&**disk, dir, IMAGE)? {
                state = decode(&bytes).ok_or_else(|| Error::Corrupt {
                    path: dir.join(IMAGE),
                    message: "its entries cannot be read".to_owned(),
                })?;
            }
        }
        Ok(Self {
            state: Arc::new(RwLock::new(state)),
            image: dir.map(|(disk, dir)| (disk.clone(), dir.to_owned())),
        })
    }
}

impl Engine for MemoryEngine {
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        value.clear();
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let found = state.map.get(key);
        value.extend_from_slice(found.map_or(&[], |found| found));
        Ok(found.is_some())
    }

    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>> {
        Ok(Box::new(MemoryCursor {
            state: self.state.clone(),
            from: range.from.map(<[u8]>::to_vec),
            to: range.to.map(<[u8]>::to_vec),
            direction,
            chunk: Vec::new(),
            next: 0,
            ended: false,
        }))
    }

    fn write(&self, entries: &mut Entries<'_>, meta: Option<&[u8]>) -> Result<()> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in entries {
            let before = match value {
                Some(value) => {
                    state.bytes += (key.len() + value.len()) as u64;
                    state.map.insert(key.to_vec(), value.to_vec())
                }
                None => state.map.remove(key),
            };
            state.bytes -= before.map_or(0, |before| (key.len() + before.len()) as u64);
        }
        if let Some(meta) = meta {
            state.meta = Some(meta.to_vec());
        }
        match &self.image {
            Some((disk, dir)) => file::replace(&**disk, dir, IMAGE, encode(&state)),
            None => Ok(()),
        }
    }

    fn meta(&self) -> Result<Option<Vec<u8>>> {
        Ok(self
            .state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .meta
            .clone())
    }

    fn size_bytes(&self) -> u64 {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
    }

    fn close(&self) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::default();
    }
}

fn encode(state: &State) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(state.bytes as usize + 8 * state.map.len() + 64);
    let mut push = |part: &[u8]| {
        bytes.extend((part.len() as u32).to_be_bytes());
        bytes.extend_from_slice(part);
    };
    push(state.meta.as_deref().unwrap_or_default());
    for (key, value) in &state.map {
        push(key);
        push(value);
    }
    bytes
}

fn decode(mut bytes: &[u8]) -> Option<State> {
    let meta = take_part(&mut bytes)?;
    let mut state = State {
        meta: (!meta.is_empty()).then(|| meta.to_vec()),
        ..State::default()
    };
    while !bytes.is_empty() {
        let (key, value) = (take_part(&mut bytes)?, take_part(&mut bytes)?);
        state.bytes += (key.len() + value.len()) as u64;
        state.map.insert(key.to_vec(), value.to_vec());
    }
    Some(state)
}

fn take_part<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    let (part, rest) = rest.split_at_checked(u32::from_be_bytes(*len) as usize)?;
    *bytes = rest;
    Some(part)
}

/// Copies a chunk at a time, so that no lock is held between two steps.
struct MemoryCursor {
    state: Arc<RwLock<State>>,
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    direction: Direction,
    chunk: Vec<(Vec<u8>, Vec<u8>)>,
    /// One past the entry gone to.
    next: usize,
    ended: bool,
}

impl MemoryCursor {
    fn fill(&mut self) {
        self.chunk.clear();
        self.next = 0;
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let bounds = KeyRange {
            from: self.from.as_ref().map(Vec::as_slice),
            to: self.to.as_ref().map(Vec::as_slice),
        };
        if bounds.is_empty() {
            self.ended = true;
            return;
        }
        let mut entries = state.map.range::<[u8], _>((bounds.from, bounds.to));
        let mut step = || match self.direction {
            Direction::Forward => entries.next(),
            Direction::Backward => entries.next_back(),
        };
        while self.chunk.len() < CHUNK_ENTRIES {
            match step() {
                Some((key, value)) => self.chunk.push((key.clone(), value.clone())),
                None => break,
            }
        }
        self.ended = self.chunk.len() < CHUNK_ENTRIES;
        if let Some((last, _)) = self.chunk.last() {
            let past = Bound::Excluded(last.clone());
            match self.direction {
                Direction::Forward => self.from = past,
                Direction::Backward => self.to = past,
            }
        }
    }
}

impl Cursor for MemoryCursor {
    fn advance(&mut self) -> Result<bool> {
        if self.next == self.chunk.len() && !self.ended {
            self.fill();
        }
        let more = self.next < self.chunk.len();
        self.next += usize::from(more);
        Ok(more)
    }

    fn key(&self) -> &[u8] {
        &self.chunk[self.next - 1].0
    }

    fn value(&self) -> &[u8] {
        &self.chunk[self.next - 1].1
    }
}

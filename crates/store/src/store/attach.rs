//! How a store is opened and meets its changelog: what is kept, what is thrown away, and what the operator is told.
//! Not the rules themselves: those are in `checkpoint.rs`.
//! Invariant: state is thrown away only if a changelog can bring it back.

use super::{Counters, Store};
use crate::{
    Attach, Budget, CheckpointSource, Direction, Error, KeyRange, Layout, Result, StoreOptions,
    checkpoint::refusal,
    committed::Shared,
    engine::{file::remove_dir, segments::Segments},
    index::hash,
    lru::Lru,
    overlay::{Overlay, UNKNOWN},
};
use headwater_world::World;
use std::{
    cell::{Cell, RefCell},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
};

impl Store {
    /// Opens a store, with what its directory holds.
    ///
    /// Damaged state, or state of another layout or format, is removed if the store has a changelog ([`Self::attach`] then
    /// says why), and is an error otherwise.
    pub fn open(
        options: StoreOptions,
        dir: Option<&Path>,
        budget: &Arc<Budget>,
        world: &World,
    ) -> Result<Self> {
        options.check()?;
        let mut wiped = None;
        let (engine, stored) = match Segments::open(&options, dir, budget, world) {
            Err(error @ (Error::Corrupt { .. } | Error::Format { .. }))
                if options.changelog.is_some() =>
            {
                wiped = Some(error.to_string());
                if let Some(dir) = dir {
                    remove_dir(&*world.disk, dir)?;
                }
                Segments::open(&options, dir, budget, world)?
            }
            opened => opened?,
        };
        let lru = match options.layout {
            Layout::Lru { entries_max } => Some(RefCell::new(Lru::new(entries_max))),
            _ => None,
        };
        let shared = Shared::new(&options, engine, budget.clone());
        shared.write().position = stored.as_ref().and_then(|stored| stored.position);
        let mut store = Self {
            expires: options.layout.retention_ms().is_some(),
            options,
            shared: Arc::new(shared),
            open: Overlay::default(),
            pending: Overlay::default(),
            sealed: false,
            open_time_ms: -1,
            pending_time_ms: -1,
            topic_id: stored.as_ref().map_or(0, |stored| stored.topic_id),
            note: stored
                .as_ref()
                .map_or_else(Vec::new, |stored| stored.note.clone()),
            stored,
            begun_at: None,
            wiped,
            clock: world.clock.clone(),
            budget: budget.clone(),
            lru,
            counters: Counters::default(),
            buffer: Vec::new(),
            below: Cell::new((0, UNKNOWN)),
            chunk: Cell::default(),
        };
        store.reconcile_lru();
        Ok(store)
    }

    /// Compares the stored checkpoint with the changelog as it is, once, before anything is restored.
    ///
    /// The state is refused only if its kind, format or changelog differ, its position is not in the changelog any more, or
    /// it is older than the changelog keeps deletions while there is something left to read.
    pub fn attach(&mut self, source: &CheckpointSource) -> Attach {
        self.topic_id = source.topic_id;
        let stored = self.stored.as_ref();
        let refused =
            stored.and_then(|stored| refusal(stored, source, self.options.delete_retention_ms));
        if refused.is_some()
            && let Err(error) = self.wipe()
        {
            // The directory could not be emptied. Reading and writing it will fail as well, and that error stops the task.
            self.stored = None;
            return Attach::Wiped {
                reason: error.to_string(),
            };
        }
        if self.stored.is_none() {
            self.begun_at = Some(source.log_start);
        }
        if let Some(reason) = self.wiped.take().or(refused) {
            return Attach::Wiped { reason };
        }
        let position = self.checkpoint_position().unwrap_or(source.log_start);
        self.shared.write().position = Some(position);
        Attach::Resume { position }
    }

    /// Makes the LRU list fit what the store holds: after opening, an abort or a wipe. Keys it did not know become the eldest.
    pub(super) fn reconcile_lru(&mut self) {
        let Layout::Lru { entries_max } = self.options.layout else {
            return;
        };
        let mut held = Vec::new();
        // A store that cannot be read has nothing to evict; the next read reports the error.
        let _ = self.scan(KeyRange::ALL, Direction::Forward, &mut |key, _| {
            held.push((hash(key), key.to_vec()));
            ControlFlow::Continue(())
        });
        let Some(known) = self.lru.take().map(|lru| lru.into_inner().keys()) else {
            return;
        };
        let mut lru = Lru::new(entries_max);
        let is_held = |key: &Vec<u8>| held.binary_search_by(|(_, other)| other.cmp(key)).is_ok();
        let (old, gone): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, key)| is_held(key));
        drop(gone);
        for (hash, key) in held.iter().chain(&old) {
            let _ = lru.insert(*hash, key);
        }
        self.lru = Some(RefCell::new(lru));
    }
}

//! Random operations against a plain map, for each layout and engine. A failure prints its seed.

use super::{commit, options};
use crate::{
    Budget, Direction, EngineKind, KeyRange, Layout, ReadBytes, Snapshot, Store,
    routing::Routing,
    session,
    suite::{all, get},
    window,
};
use headwater_world::{Random, SeededRandom, World};
use std::{
    collections::BTreeMap,
    ops::{Bound, ControlFlow},
    path::Path,
    sync::Arc,
};

type Map = BTreeMap<Vec<u8>, Vec<u8>>;
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

struct Model {
    committed: Map,
    pending: Option<Changes>,
    open: Changes,
    position: i64,
    checkpoint: (Map, Option<i64>),
    first_live: i64,
    stream_time_ms: i64,
    snapshots: Vec<(Snapshot, Map)>,
}

fn apply(map: &mut Map, changes: &Changes) {
    for (key, value) in changes {
        match value {
            Some(value) => map.insert(key.clone(), value.clone()),
            None => map.remove(key),
        };
    }
}

impl Model {
    fn visible(&self) -> Map {
        let mut map = self.committed.clone();
        apply(&mut map, self.pending.as_ref().unwrap_or(&Changes::new()));
        apply(&mut map, &self.open);
        map
    }
}

struct Run {
    seed: u64,
    random: SeededRandom,
    layout: Layout,
    engine: EngineKind,
    dir: tempfile::TempDir,
    budget: Arc<Budget>,
    model: Model,
}

impl Run {
    fn new(seed: u64, layout: Layout, engine: EngineKind) -> Self {
        let model = Model {
            committed: Map::new(),
            pending: None,
            open: Changes::new(),
            position: 0,
            checkpoint: (Map::new(), None),
            first_live: i64::MIN,
            stream_time_ms: -1,
            snapshots: Vec::new(),
        };
        let (dir, budget) = (tempfile::tempdir().unwrap(), Budget::new(4_000, 16_000));
        Self {
            seed,
            random: SeededRandom::new(seed),
            layout,
            engine,
            dir,
            budget,
            model,
        }
    }

    fn open(&self) -> Store {
        let dir: Option<&Path> = Some(self.dir.path());
        Store::open(
            options(self.layout.clone(), self.engine),
            dir,
            &self.budget,
            &World::real(),
        )
        .unwrap()
    }

    fn key(&self) -> Vec<u8> {
        let names: [&[u8]; 6] = [b"", b"a", b"a\0", b"ab", b"b", b"\xff\xff"];
        let name = names[self.random.below(6) as usize];
        let time_ms = self.random.below(40) as i64 * 25;
        let mut key = Vec::new();
        match self.layout {
            Layout::Window { .. } => {
                window::key(name, time_ms, self.random.below(2) as u32, &mut key)
            }
            Layout::Session { .. } => session::key(name, time_ms / 2, time_ms, &mut key),
            _ => key = [name, &[self.random.below(12) as u8]].concat(),
        }
        key
    }

    fn value(&self) -> Vec<u8> {
        let byte = self.random.next_u64() as u8;
        vec![byte; self.random.below(60) as usize]
    }

    fn is_live(&self, key: &[u8]) -> bool {
        let routing = Routing::new(&self.layout);
        !routing.is_segmented() || routing.segment_of(key, "").unwrap() >= self.model.first_live
    }

    fn expire(&mut self) {
        let routing = Routing::new(&self.layout);
        if !routing.is_segmented() {
            return;
        }
        self.model.first_live = self
            .model
            .first_live
            .max(routing.first_live(self.model.stream_time_ms));
        let first_live = self.model.first_live;
        let live = |key: &Vec<u8>| routing.segment_of(key, "").unwrap() >= first_live;
        self.model.committed.retain(|key, _| live(key));
        self.model.open.retain(|key, _| live(key));
        self.model.checkpoint.0.retain(|key, _| live(key));
        if let Some(pending) = &mut self.model.pending {
            pending.retain(|key, _| live(key));
        }
        for (_, map) in &mut self.model.snapshots {
            map.retain(|key, _| live(key));
        }
    }

    fn write(&mut self, store: &mut Store) {
        let key = self.key();
        let value = (self.random.below(4) > 0).then(|| self.value());
        match &value {
            Some(value) => store.put(&key, value).unwrap(),
            None => store.delete(&key).unwrap(),
        }
        if self.is_live(&key) {
            self.model.open.insert(key, value);
        }
    }

    fn restore(&mut self, store: &mut Store) {
        // Only while nothing is uncommitted, as the runtime does.
        if self.model.pending.is_some() || !self.model.open.is_empty() {
            return;
        }
        for _ in 0..self.random.below(5) {
            let (key, value) = (self.key(), self.value());
            let value = (!value.is_empty()).then_some(value);
            store.restore(&key, value.as_deref()).unwrap();
            if self.is_live(&key) {
                apply(&mut self.model.committed, &Changes::from([(key, value)]));
            }
        }
        self.model.position += 1;
        store.set_position(self.model.position);
    }

    fn commit(&mut self, store: &mut Store) {
        if let Some(pending) = self.model.pending.take() {
            self.model.position += 1;
            store.commit(Some(self.model.position)).unwrap();
            apply(&mut self.model.committed, &pending);
        }
    }

    fn reopen(&mut self, store: Store) -> Store {
        self.model.snapshots.clear();
        drop(store);
        let store = self.open();
        let (map, position) = self.model.checkpoint.clone();
        self.model.committed = map;
        self.model.pending = None;
        self.model.open.clear();
        (self.model.first_live, self.model.stream_time_ms) = (i64::MIN, -1);
        assert_eq!(store.position(), position, "seed {}", self.seed);
        self.model.position = position.unwrap_or(0);
        store
    }

    fn check(&self, store: &Store) {
        let (visible, seed) = (self.model.visible(), self.seed);
        let key = self.key();
        assert_eq!(
            get(store, &key),
            visible.get(&key).cloned(),
            "seed {seed}, key {key:?}"
        );
        assert_eq!(
            get(&store.reader(), &key),
            self.model.committed.get(&key).cloned(),
            "seed {seed}, key {key:?}"
        );
        let (a, b) = (self.key(), self.key());
        let bound = |key, kind| match kind {
            0 => Bound::Included(key),
            1 => Bound::Excluded(key),
            _ => Bound::Unbounded,
        };
        let range = KeyRange {
            from: bound(&a[..], self.random.below(3)),
            to: bound(&b[..], self.random.below(3)),
        };
        let backward = self.random.below(2) == 1;
        let direction = if backward {
            Direction::Backward
        } else {
            Direction::Forward
        };
        let expected = |map: &Map| {
            let mut entries: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
            if !range.is_empty() {
                let inside = map.range::<[u8], _>((range.from, range.to));
                entries.extend(inside.map(|(key, value)| (key.clone(), value.clone())));
            }
            if backward {
                entries.reverse();
            }
            entries
        };
        assert_eq!(
            all(store, range, direction),
            expected(&visible),
            "seed {seed}, {range:?}"
        );
        assert_eq!(
            all(&store.reader(), range, direction),
            expected(&self.model.committed),
            "seed {seed}, {range:?}"
        );
        for (snapshot, map) in &self.model.snapshots {
            assert_eq!(
                all(snapshot, range, direction),
                expected(map),
                "seed {seed}, snapshot, {range:?}"
            );
            assert_eq!(
                get(snapshot, &key),
                map.get(&key).cloned(),
                "seed {seed}, snapshot, {key:?}"
            );
        }
    }

    /// A fetch by time finds what a look at every window finds, whichever segments it may leave out.
    fn check_fetch(&self, store: &Store) {
        if !matches!(self.layout, Layout::Window { .. }) {
            return;
        }
        let (from_ms, to_ms) = (
            self.random.below(1_000) as i64,
            self.random.below(1_000) as i64,
        );
        for (store, map) in [
            (store as &dyn ReadBytes, self.model.visible()),
            (&store.reader(), self.model.committed.clone()),
        ] {
            let mut found = Vec::new();
            let mut visit = |name: &[u8], start_ms: i64, seq: u32, _: &[u8]| {
                assert_eq!(name, b"ab");
                found.push((start_ms, seq));
                ControlFlow::Continue(())
            };
            window::fetch(store, b"ab", from_ms, to_ms, Direction::Forward, &mut visit).unwrap();
            let windows = map
                .keys()
                .filter_map(|key| window::parse(key))
                .filter(|(name, ..)| *name == b"ab");
            let wanted = windows.map(|(_, start_ms, seq)| (start_ms, seq));
            let wanted: Vec<_> = wanted
                .filter(|(start_ms, _)| (from_ms..=to_ms).contains(start_ms))
                .collect();
            assert_eq!(
                found, wanted,
                "seed {}, fetch {from_ms} to {to_ms}",
                self.seed
            );
        }
    }

    /// A read of one key shows what a look at every entry shows of it, whichever of other keys it leaves out.
    fn check_key(&self, store: &Store) {
        let tail_bytes = match self.layout {
            Layout::Window { .. } => window::SUFFIX_BYTES,
            Layout::Session { .. } => session::SUFFIX_BYTES,
            _ => return,
        };
        let (a, b) = (self.key(), self.key());
        let name = &a[..a.len() - tail_bytes];
        let b = [name, &b[b.len() - tail_bytes..]].concat();
        let backward = self.random.below(2) == 1;
        let direction = [Direction::Forward, Direction::Backward][usize::from(backward)];
        let range = KeyRange::inclusive(&a, &b);
        let of_name = |key: &[u8]| key.len() == a.len() && key.starts_with(name);
        let mut found = Vec::new();
        let mut visit = |key: &[u8], value: &[u8]| {
            if of_name(key) {
                found.push((key.to_vec(), value.to_vec()));
            }
            ControlFlow::Continue(())
        };
        let times = i64::MIN..=i64::MAX;
        store
            .scan_key(name, range, times, direction, &mut visit)
            .unwrap();
        let mut wanted: Vec<_> = self.model.visible().into_iter().collect();
        wanted.retain(|(key, _)| of_name(key) && (&a..=&b).contains(&key));
        if backward {
            wanted.reverse();
        }
        assert_eq!(found, wanted, "seed {}, {range:?}", self.seed);
    }

    fn step(&mut self, mut store: Store) -> Store {
        match self.random.below(100) {
            0..50 => self.write(&mut store),
            50..60 if self.model.pending.is_none() => {
                store.seal();
                self.model.pending = Some(std::mem::take(&mut self.model.open));
            }
            50..70 => self.commit(&mut store),
            70..73 => {
                store.abort();
                self.model.pending = None;
                self.model.open.clear();
            }
            73..78 => {
                store.checkpoint().unwrap();
                let position = store.position();
                self.model.checkpoint = (self.model.committed.clone(), position);
            }
            78..81 => self.restore(&mut store),
            81..84 if self.model.snapshots.len() < 3 => {
                self.model
                    .snapshots
                    .push((store.reader().snapshot(), self.model.committed.clone()));
            }
            84..86 if !self.model.snapshots.is_empty() => drop(self.model.snapshots.swap_remove(0)),
            86 if self.random.below(3) == 0 => return self.reopen(store),
            87 => {
                let time_ms = self.random.below(1_300) as i64;
                self.model.stream_time_ms = self.model.stream_time_ms.max(time_ms);
                store.advance(time_ms).unwrap();
                self.expire();
            }
            _ => {
                self.check(&store);
                self.check_fetch(&store);
                self.check_key(&store);
            }
        }
        store
    }
}

fn run(layout: Layout, engine: EngineKind, seeds: u64, steps: usize) {
    for seed in 0..seeds {
        let mut run = Run::new(seed, layout.clone(), engine);
        let mut store = run.open();
        for _ in 0..steps {
            store = run.step(store);
        }
        run.commit(&mut store);
        store.abort();
        run.model.open.clear();
        commit(&mut store, run.model.position);
        run.check(&store);
    }
}

const WINDOWS: Layout = Layout::Window {
    retention_ms: 300,
    segment_interval_ms: 100,
};
const SESSIONS: Layout = Layout::Session {
    retention_ms: 300,
    segment_interval_ms: 100,
};

#[test]
fn random_operations_agree_with_a_map_in_memory() {
    for layout in [Layout::KeyValue, WINDOWS, SESSIONS] {
        run(layout, EngineKind::Memory, 60, 600);
    }
}

#[test]
fn random_operations_agree_with_a_map_on_disk() {
    for layout in [Layout::KeyValue, WINDOWS, SESSIONS] {
        run(layout, EngineKind::Disk, 6, 600);
    }
}

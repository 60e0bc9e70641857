//! Stores: the suite at each layer, then commits, readers, checkpoints, layouts.

mod crash;
mod damage;
mod founding;
mod layout;
mod model;

use super::Store;
use crate::{
    Attach, Budget, ByteStore, CheckpointSource, Direction, EngineKind, Error, KEYS_AHEAD_MAX,
    KeyRange, KeysAhead, Layout, ReadBytes, StoreOptions, session,
    suite::{self, Subject, all, get},
};
use headwater_world::World;
use std::{ops::ControlFlow, path::Path, sync::Arc};

fn options(layout: Layout, engine: EngineKind) -> StoreOptions {
    let changelog = Some("app-store-changelog".to_owned());
    StoreOptions {
        layout,
        engine,
        changelog,
        ..StoreOptions::named("store")
    }
}

fn open_in(dir: &Path, layout: Layout, budget: &Arc<Budget>) -> Store {
    Store::open(
        options(layout, EngineKind::Disk),
        Some(dir),
        budget,
        &World::real(),
    )
    .unwrap()
}

fn in_memory(layout: Layout) -> Store {
    let budget = Budget::new(1 << 20, 1 << 20);
    Store::open(
        options(layout, EngineKind::Memory),
        None,
        &budget,
        &World::real(),
    )
    .unwrap()
}

fn source(log_start: i64, log_end: i64) -> CheckpointSource {
    let now_ms = World::real().clock.now_ms();
    CheckpointSource {
        topic: "app-store-changelog".to_owned(),
        topic_id: 7,
        log_start,
        log_end,
        now_ms,
    }
}

fn commit(store: &mut Store, position: i64) {
    store.seal();
    store.commit(Some(position)).unwrap();
}

#[derive(Clone, Copy, PartialEq)]
enum Depth {
    Open,
    Pending,
    Committed,
    Checkpoint,
    Reopened,
}

struct Layered {
    store: Option<Store>,
    depth: Depth,
    engine: EngineKind,
    dir: tempfile::TempDir,
    budget: Arc<Budget>,
}

impl Layered {
    fn new(depth: Depth, engine: EngineKind) -> Self {
        let (dir, budget) = (
            tempfile::tempdir().unwrap(),
            Budget::new(64 << 10, 64 << 10),
        );
        let mut layered = Self {
            store: None,
            depth,
            engine,
            dir,
            budget,
        };
        layered.reopen();
        layered
    }

    fn reopen(&mut self) {
        self.store = None;
        let options = options(Layout::KeyValue, self.engine);
        let store = Store::open(options, Some(self.dir.path()), &self.budget, &World::real());
        self.store = Some(store.unwrap());
    }
}

impl Subject for Layered {
    fn store(&mut self) -> &mut dyn ByteStore {
        self.store.as_mut().unwrap()
    }

    fn sink(&mut self) {
        let store = self.store.as_mut().unwrap();
        match self.depth {
            Depth::Open => return,
            Depth::Pending => {
                // One overlay may be pending: what was sealed before is committed first.
                store.commit(None).unwrap();
                return store.seal();
            }
            _ => commit(store, 1),
        }
        if self.depth != Depth::Committed {
            store.checkpoint().unwrap();
        }
        if self.depth == Depth::Reopened {
            self.reopen();
        }
    }
}

#[test]
fn a_store_passes_the_suite_at_each_layer_of_each_engine() {
    for engine in [EngineKind::Memory, EngineKind::Disk] {
        for depth in [
            Depth::Open,
            Depth::Pending,
            Depth::Committed,
            Depth::Checkpoint,
            Depth::Reopened,
        ] {
            suite::run(|| Layered::new(depth, engine));
        }
    }
}

#[test]
fn an_abort_drops_both_overlays_and_nothing_else() {
    let mut store = in_memory(Layout::KeyValue);
    store.put(b"k", b"committed").unwrap();
    commit(&mut store, 5);
    store.put(b"k", b"pending").unwrap();
    store.seal();
    store.put(b"k", b"open").unwrap();
    assert_eq!(get(&store, b"k").as_deref(), Some(&b"open"[..]));
    store.abort();
    assert_eq!(get(&store, b"k").as_deref(), Some(&b"committed"[..]));
    assert_eq!(store.position(), Some(5));
}

#[test]
fn announcing_keys_changes_nothing_that_can_be_read_or_counted() {
    let mut store = in_memory(Layout::KeyValue);
    assert!(!store.wants_warming(), "empty");
    let key = |number: u32| number.to_be_bytes();
    for number in 0..10_000 {
        store.put(&key(number), b"committed").unwrap();
    }
    commit(&mut store, 5);
    assert!(store.wants_warming());
    for number in 0..20_000 {
        match number % 3 {
            0 => store.put(&key(number), b"open").unwrap(),
            1 => store.delete(&key(number)).unwrap(),
            _ => {}
        }
    }
    let (rows, stats) = (
        all(&store, KeyRange::ALL, Direction::Forward),
        store.stats(),
    );
    let mut numbers = (0..30_000).step_by(7);
    while numbers.len() > 0 {
        let mut keys = KeysAhead::default();
        numbers
            .by_ref()
            .take(KEYS_AHEAD_MAX)
            .for_each(|number| keys.push(&key(number)));
        store.warm(&keys);
    }
    assert_eq!(store.stats(), stats);
    assert_eq!(all(&store, KeyRange::ALL, Direction::Forward), rows);
}

#[test]
fn announcing_plain_keys_and_changes_changes_nothing_either() {
    let mut store = in_memory(Layout::Session {
        retention_ms: 1 << 40,
        segment_interval_ms: 1 << 30,
    });
    let plain = |number: i64| (number % 3_000).to_be_bytes();
    let key = |number: i64| {
        let mut key = Vec::new();
        // Up to seven sessions of a key.
        let end = number / 3_000 * 10;
        session::key(&plain(number), end, end, &mut key);
        key
    };
    let read = |store: &Store, number: i64| {
        let (mut from, mut to, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        session::key(&plain(number), 0, 0, &mut from);
        session::key(&plain(number), i64::MAX, i64::MAX, &mut to);
        let range = KeyRange::inclusive(&from, &to);
        let times = 0..=i64::MAX;
        let mut visit = |key: &[u8], value: &[u8]| {
            rows.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        let forward = Direction::Forward;
        (store.scan_key(&plain(number), range, times, forward, &mut visit)).unwrap();
        rows
    };
    for number in 0..15_000 {
        store.put(&key(number), b"committed").unwrap();
    }
    commit(&mut store, 5);
    for number in (0..21_000).step_by(2) {
        store.put(&key(number), b"pending").unwrap();
    }
    store.seal();
    for number in (0..21_000).step_by(5) {
        store.delete(&key(number)).unwrap();
    }
    let before: Vec<_> = (0..3_000).map(|number| read(&store, number)).collect();
    let stats = store.stats();
    for first in (0..4_000_i64).step_by(KEYS_AHEAD_MAX) {
        let numbers = || first..first + KEYS_AHEAD_MAX as i64;
        let mut keys = KeysAhead::default();
        numbers().for_each(|number| keys.push(&plain(number)));
        store.warm_plain(&keys);
        let changes: Vec<_> = numbers().map(key).collect();
        store.warm_changes(changes.iter().map(Vec::as_slice));
    }
    assert_eq!(store.stats(), stats);
    let after: Vec<_> = (0..3_000).map(|number| read(&store, number)).collect();
    assert_eq!(after, before);
}

#[test]
fn readers_see_commits_only_and_snapshots_stand_still() {
    let mut store = in_memory(Layout::KeyValue);
    let reader = store.reader();
    store.put(b"a", b"1").unwrap();
    assert_eq!(get(&reader, b"a"), None);
    commit(&mut store, 1);
    let snapshot = reader.snapshot();
    store.put(b"a", b"2").unwrap();
    store.put(b"b", b"2").unwrap();
    commit(&mut store, 2);
    store.checkpoint().unwrap();
    store.delete(b"a").unwrap();
    commit(&mut store, 3);
    assert_eq!(
        all(&snapshot, KeyRange::ALL, Direction::Forward),
        [(b"a".to_vec(), b"1".to_vec())]
    );
    assert_eq!(get(&snapshot, b"b"), None);
    assert_eq!((snapshot.commit_number(), reader.commit_number()), (1, 3));
    assert_eq!(
        all(&reader, KeyRange::ALL, Direction::Forward),
        [(b"b".to_vec(), b"2".to_vec())]
    );
}

#[test]
fn a_visitor_may_read_the_store_it_visits() {
    let mut store = in_memory(Layout::KeyValue);
    for key in 0..100_u8 {
        store.put(&[key], &[key]).unwrap();
    }
    commit(&mut store, 1);
    store.checkpoint().unwrap();
    let mut inner = 0;
    let mut visit = |key: &[u8], _: &[u8]| {
        assert_eq!(get(&store, key).as_deref(), Some(key));
        inner += all(&store, KeyRange::inclusive(key, key), Direction::Forward).len();
        ControlFlow::Continue(())
    };
    store
        .scan(KeyRange::ALL, Direction::Forward, &mut visit)
        .unwrap();
    assert_eq!(inner, 100);
}

#[test]
fn readers_run_beside_commits_and_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget::new(64 << 10, 64 << 10);
    let mut store = open_in(dir.path(), Layout::KeyValue, &budget);
    let reader = store.reader();
    std::thread::scope(|scope| {
        let writer = scope.spawn(move || {
            // Every commit writes the same number under all keys.
            for round in 0..200_u32 {
                for key in 0..50_u8 {
                    store.put(&[key; 20], &round.to_be_bytes()).unwrap();
                }
                commit(&mut store, i64::from(round));
                if round % 20 == 0 {
                    store.checkpoint().unwrap();
                }
            }
            store
        });
        while !writer.is_finished() {
            let entries = all(&reader, KeyRange::ALL, Direction::Forward);
            assert!(entries.is_empty() || entries.len() == 50);
            assert!(
                entries.iter().all(|(_, value)| *value == entries[0].1),
                "a scan mixes commits"
            );
        }
    });
    let mut value = Vec::new();
    assert!(matches!(
        crate::ReadBytes::get(&reader, &[1; 20], &mut value),
        Err(Error::Refused { .. })
    ));
}

#[test]
fn a_checkpoint_is_resumed_if_the_changelog_still_fits() {
    let check = |source: CheckpointSource, expected: Result<i64, &str>| {
        let dir = tempfile::tempdir().unwrap();
        let budget = Budget::new(1 << 20, 1 << 20);
        let mut store = open_in(dir.path(), Layout::KeyValue, &budget);
        let fresh = CheckpointSource {
            log_start: 3,
            log_end: 20,
            ..self::source(0, 0)
        };
        assert_eq!(store.attach(&fresh), Attach::Resume { position: 3 });
        store.put(b"k", b"v").unwrap();
        commit(&mut store, 10);
        store.checkpoint().unwrap();
        drop(store);
        let mut store = open_in(dir.path(), Layout::KeyValue, &budget);
        assert_eq!(store.checkpoint_position(), Some(10));
        let attach = store.attach(&source);
        match (&attach, expected) {
            (Attach::Resume { position }, Ok(wanted)) => assert_eq!(*position, wanted),
            (Attach::Wiped { reason }, Err(wanted)) => assert!(reason.contains(wanted), "{reason}"),
            _ => panic!("{attach:?} is not {expected:?}"),
        }
        assert_eq!(get(&store, b"k").is_some(), expected.is_ok());
        assert_eq!(store.position().is_some(), expected.is_ok());
    };
    let day_ms = 86_400_000;
    check(source(0, 20), Ok(10));
    check(source(10, 10), Ok(10));
    check(source(11, 20), Err("outside of changelog"));
    check(source(0, 9), Err("outside of changelog"));
    check(
        CheckpointSource {
            topic_id: 8,
            ..source(0, 20)
        },
        Err("created again"),
    );
    check(
        CheckpointSource {
            topic_id: 0,
            ..source(0, 20)
        },
        Ok(10),
    );
    check(
        CheckpointSource {
            topic: "other".to_owned(),
            ..source(0, 20)
        },
        Err("not \"other\""),
    );
    let later = source(0, 0).now_ms + day_ms + 60_000;
    check(
        CheckpointSource {
            now_ms: later,
            ..source(0, 20)
        },
        Err("deleted keys would come back"),
    );
    check(
        CheckpointSource {
            now_ms: later,
            ..source(0, 10)
        },
        Ok(10),
    );
}

#[test]
fn another_layout_or_format_wipes_a_store_with_a_changelog_and_refuses_one_without() {
    let windows = Layout::Window {
        retention_ms: 1_000,
        segment_interval_ms: 500,
    };
    for (first, second) in [
        (Layout::KeyValue, windows.clone()),
        (windows, Layout::KeyValue),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let budget = Budget::new(1 << 20, 1 << 20);
        let mut store = open_in(dir.path(), first.clone(), &budget);
        store.put(&[0; 20], b"v").unwrap();
        commit(&mut store, 1);
        store.checkpoint().unwrap();
        drop(store);
        let bare = StoreOptions {
            changelog: None,
            ..options(second.clone(), EngineKind::Disk)
        };
        assert!(matches!(
            Store::open(bare, Some(dir.path()), &budget, &World::real()),
            Err(Error::Format { .. })
        ));
        let mut store = open_in(dir.path(), second.clone(), &budget);
        assert!(matches!(store.attach(&source(0, 20)), Attach::Wiped { .. }));
        store.put(&[0; 20], b"v").unwrap();
        commit(&mut store, 1);
        store.checkpoint().unwrap();
        drop(store);
        let newer = StoreOptions {
            format_version: 2,
            ..options(second, EngineKind::Disk)
        };
        let mut store = Store::open(newer, Some(dir.path()), &budget, &World::real()).unwrap();
        assert!(
            matches!(store.attach(&source(0, 20)), Attach::Wiped { reason } if reason.contains("format 1"))
        );
    }
}

#[test]
fn dirty_entries_stay_and_clean_ones_go_when_the_budget_is_full() {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget::new(100_000, 1 << 20);
    let mut store = open_in(dir.path(), Layout::KeyValue, &budget);
    for round in 0..30_u32 {
        for key in 0..100_u32 {
            store
                .put(&(round * 100 + key).to_be_bytes(), &[1; 50])
                .unwrap();
        }
        commit(&mut store, i64::from(round));
        assert!(
            budget.write_back_bytes() < 150_000,
            "{} bytes",
            budget.write_back_bytes()
        );
        if store.needs_checkpoint() {
            store.checkpoint().unwrap();
        }
    }
    assert!(store.stats().checkpoints > 2);
    assert_eq!(all(&store, KeyRange::ALL, Direction::Forward).len(), 3_000);
    for key in 0..3_000_u32 {
        assert!(get(&store, &key.to_be_bytes()).is_some());
    }
    let stats = store.stats();
    assert!(
        stats.engine_gets > 1_000 && stats.clean_bytes < 100_000,
        "{stats:?}"
    );
    drop(store);
    assert_eq!(budget.write_back_bytes(), 0);
}

#[test]
fn a_store_that_is_wiped_restores_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget::new(1 << 20, 1 << 20);
    let mut store = open_in(dir.path(), Layout::KeyValue, &budget);
    store.put(b"k", b"v").unwrap();
    commit(&mut store, 4);
    store.checkpoint().unwrap();
    store.put(b"k", b"open").unwrap();
    store.wipe().unwrap();
    assert_eq!(
        (
            get(&store, b"k"),
            store.position(),
            store.checkpoint_position()
        ),
        (None, None, None)
    );
    store.restore(b"k", Some(b"restored")).unwrap();
    store.restore(b"gone", None).unwrap();
    store.set_position(2);
    store.checkpoint().unwrap();
    drop(store);
    let store = open_in(dir.path(), Layout::KeyValue, &budget);
    assert_eq!(
        (get(&store, b"k").as_deref(), store.position()),
        (Some(&b"restored"[..]), Some(2))
    );
}

#[test]
fn too_long_keys_are_refused_with_the_limit() {
    let mut store = in_memory(Layout::KeyValue);
    let error = store
        .put(&vec![0; crate::KEY_BYTES_MAX + 1], b"")
        .unwrap_err();
    assert!(error.to_string().contains("65534"), "{error}");
}

//! Stores: the suite at each layer, then commits, readers, checkpoints, layouts.

mod crash;
mod damage;
mod model;

use super::Store;
use crate::{
    Attach, Budget, ByteStore, CheckpointSource, Direction, EngineKind, Error, KeyRange, Layout,
    StoreOptions, session,
    suite::{self, Subject, all, get},
    versioned, window,
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
fn windows_of_a_key_are_fetched_by_time_whatever_other_keys_look_like() {
    let mut store = in_memory(Layout::Window {
        retention_ms: 10_000,
        segment_interval_ms: 1_000,
    });
    let mut bytes = Vec::new();
    let mut put = |store: &mut Store, key: &[u8], start_ms: i64| {
        window::key(key, start_ms, 0, &mut bytes);
        store.put(&bytes, &start_ms.to_be_bytes()).unwrap();
    };
    for start_ms in [0, 999, 1_000, 2_500, 9_000] {
        put(&mut store, b"k", start_ms);
    }
    for other in [&b"k\0"[..], b"k\0\0\0\0\0\0\x03\xe8", b"ka", b"", b"j"] {
        put(&mut store, other, 1_000);
    }
    let starts = |store: &Store, from_ms: i64, to_ms: i64, direction: Direction| {
        let mut starts = Vec::new();
        let mut visit = |key: &[u8], start_ms: i64, seq: u32, _: &[u8]| {
            assert_eq!((key, seq), (&b"k"[..], 0));
            starts.push(start_ms);
            ControlFlow::Continue(())
        };
        window::fetch(store, b"k", from_ms, to_ms, direction, &mut visit).unwrap();
        starts
    };
    for _ in 0..3 {
        assert_eq!(
            starts(&store, i64::MIN, i64::MAX, Direction::Forward),
            [0, 999, 1_000, 2_500, 9_000]
        );
        assert_eq!(
            starts(&store, 999, 2_500, Direction::Backward),
            [2_500, 1_000, 999]
        );
        assert_eq!(starts(&store, 1_001, 2_499, Direction::Forward), [0; 0]);
        commit(&mut store, 1);
        store.checkpoint().unwrap();
    }
    let mut count = 0;
    let mut visit = |_: &[u8], _: i64, _: u32, _: &[u8]| {
        count += 1;
        ControlFlow::Continue(())
    };
    window::fetch_all(&store, 1_000, 1_000, Direction::Forward, &mut visit).unwrap();
    assert_eq!(count, 6);
}

#[test]
fn expired_segments_go_as_a_whole_and_writes_to_them_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget::new(1 << 20, 1 << 20);
    let layout = Layout::Window {
        retention_ms: 1_000,
        segment_interval_ms: 500,
    };
    let mut store = open_in(dir.path(), layout.clone(), &budget);
    store.attach(&source(0, 20));
    let key = |start_ms: i64| {
        let mut bytes = Vec::new();
        window::key(b"k", start_ms, 0, &mut bytes);
        bytes
    };
    for start_ms in [0, 499, 500, 999, 1_000, 1_600] {
        store.put(&key(start_ms), b"v").unwrap();
    }
    commit(&mut store, 6);
    store.checkpoint().unwrap();
    assert_eq!(store.stats().segments, 4);
    assert_eq!(store.advance(1_499).unwrap(), 0);
    assert_eq!(store.advance(1_500).unwrap(), 1);
    assert_eq!(all(&store, KeyRange::ALL, Direction::Forward).len(), 4);
    store.put(&key(300), b"late").unwrap();
    assert_eq!((get(&store, &key(300)), store.stats().expired), (None, 1));
    assert_eq!(store.advance(1_400).unwrap(), 0);
    drop(store);
    let mut store = open_in(dir.path(), layout, &budget);
    assert_eq!(store.attach(&source(0, 20)), Attach::Resume { position: 6 });
    assert_eq!(all(&store, KeyRange::ALL, Direction::Backward).len(), 4);
    assert!(matches!(
        store.put(b"short", b""),
        Err(Error::Format { .. })
    ));
}

#[test]
fn sessions_are_found_by_overlap() {
    let mut store = in_memory(Layout::Session {
        retention_ms: 100_000,
        segment_interval_ms: 1_000,
    });
    let mut bytes = Vec::new();
    for (key, start_ms, end_ms) in [
        (&b"k"[..], 0, 100),
        (b"k", 500, 1_500),
        (b"k", 5_000, 5_000),
        (b"k2", 500, 1_500),
    ] {
        session::key(key, start_ms, end_ms, &mut bytes);
        store.put(&bytes, b"v").unwrap();
    }
    let find = |store: &Store, earliest_end_ms: i64, latest_start_ms: i64| {
        let mut found = Vec::new();
        let mut visit = |key: &[u8], start_ms: i64, end_ms: i64, _: &[u8]| {
            assert_eq!(key, b"k");
            found.push((start_ms, end_ms));
            ControlFlow::Continue(())
        };
        session::find(store, b"k", earliest_end_ms, latest_start_ms, &mut visit).unwrap();
        found
    };
    for _ in 0..3 {
        assert_eq!(
            find(&store, -50, i64::MAX),
            [(0, 100), (500, 1_500), (5_000, 5_000)]
        );
        assert_eq!(find(&store, 101, 499), []);
        assert_eq!(find(&store, 101, 500), [(500, 1_500)]);
        assert_eq!(find(&store, 1_501, 9_999), [(5_000, 5_000)]);
        commit(&mut store, 1);
        store.checkpoint().unwrap();
    }
}

#[test]
fn versions_hold_from_their_timestamp_to_the_next() {
    // Every order of these writes ends in the same history.
    let writes: [(i64, Option<&[u8]>); 5] = [
        (10, Some(b"a")),
        (20, None),
        (30, Some(b"c")),
        (40, Some(b"d")),
        (25, Some(b"b")),
    ];
    for seed in 0..120_usize {
        let mut order: Vec<usize> = (0..writes.len()).collect();
        let mut rest = seed;
        for at in (1..order.len()).rev() {
            order.swap(at, rest % (at + 1));
            rest /= at + 1;
        }
        let mut store = in_memory(Layout::Versioned {
            history_retention_ms: 1_000,
        });
        for &at in &order {
            versioned::put(&mut store, b"k", writes[at].1, writes[at].0).unwrap();
            versioned::put(&mut store, b"kk", Some(b"other"), writes[at].0).unwrap();
            if seed % 2 == 0 {
                commit(&mut store, 1);
                store.checkpoint().unwrap();
            }
        }
        let as_of = |ms: i64| versioned::get_as_of(&store, b"k", ms).unwrap();
        let value = |ms: i64| as_of(ms).map(|version| version.value);
        let found = [5, 10, 19, 20, 24, 25, 29, 30, 40, 99].map(value);
        let wanted = [
            None,
            Some("a"),
            Some("a"),
            None,
            None,
            Some("b"),
            Some("b"),
            Some("c"),
            Some("d"),
            Some("d"),
        ];
        assert_eq!(
            found,
            wanted.map(|value| value.map(|value| value.as_bytes().to_vec())),
            "order {order:?}"
        );
        assert_eq!(as_of(12).unwrap().valid_to_ms, Some(20), "order {order:?}");
        assert_eq!(
            versioned::get(&store, b"k").unwrap().unwrap().valid_from_ms,
            40
        );
        let mut between = Vec::new();
        let mut visit = |version: versioned::Version| {
            between.push(version.valid_from_ms);
            ControlFlow::Continue(())
        };
        versioned::get_between(&store, b"k", 15, 35, &mut visit).unwrap();
        assert_eq!(between, [10, 25, 30]);
    }
}

#[test]
fn versions_older_than_the_history_are_refused_and_forgotten() {
    let mut store = in_memory(Layout::Versioned {
        history_retention_ms: 6_000,
    });
    let put = |store: &mut Store, value: Option<&[u8]>, ms: i64| {
        versioned::put(store, b"k", value, ms).unwrap()
    };
    assert_eq!(put(&mut store, Some(b"a"), 1_000), versioned::Put::Latest);
    assert_eq!(put(&mut store, Some(b"b"), 5_000), versioned::Put::Latest);
    assert_eq!(
        put(&mut store, Some(b"x"), 2_000),
        versioned::Put::Until(5_000)
    );
    assert_eq!(put(&mut store, Some(b"c"), 20_000), versioned::Put::Latest);
    assert_eq!(
        put(&mut store, Some(b"late"), 13_999),
        versioned::Put::Expired
    );
    assert_eq!(versioned::get_as_of(&store, b"k", 4_000).unwrap(), None);
    assert_eq!(
        versioned::get_as_of(&store, b"k", 14_000)
            .unwrap()
            .unwrap()
            .value,
        b"b"
    );
    assert_eq!(put(&mut store, None, 20_000), versioned::Put::Latest);
    assert_eq!(versioned::get(&store, b"k").unwrap(), None);
    assert_eq!(
        versioned::get_as_of(&store, b"k", 19_999)
            .unwrap()
            .unwrap()
            .value,
        b"b"
    );
}

#[test]
fn an_lru_store_gives_up_the_key_used_longest_ago() {
    let mut store = in_memory(Layout::Lru { entries_max: 3 });
    for key in [b"a", b"b", b"c"] {
        store.put(key, key).unwrap();
    }
    assert!(get(&store, b"a").is_some());
    store.put(b"d", b"d").unwrap();
    assert_eq!(store.take_evicted(), [b"b".to_vec()]);
    assert_eq!(get(&store, b"b"), None);
    commit(&mut store, 1);
    store.put(b"e", b"e").unwrap();
    assert_eq!(store.take_evicted(), [b"c".to_vec()]);
    store.abort();
    assert_eq!(all(&store, KeyRange::ALL, Direction::Forward).len(), 3);
    store.put(b"f", b"f").unwrap();
    assert_eq!(store.take_evicted().len(), 1);
    assert_eq!(all(&store, KeyRange::ALL, Direction::Forward).len(), 3);
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

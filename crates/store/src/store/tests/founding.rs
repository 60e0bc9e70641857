//! Stores without rows leave next to nothing on disk, and the first row founds an engine that is there as a whole or not at all.
#![allow(
    clippy::disallowed_methods,
    reason = "tests look into directories, kill processes and wait"
)]

use super::{commit, open_in, options, source};
use crate::{
    Attach, Budget, Direction, EngineKind, Error, KeyRange, Layout, Result, Store, StoreOptions,
    engine::{Engine, disk::DiskEngine},
    suite::{all, get},
    window,
};
use headwater_world::{CrashMode, Random, SeededRandom, SimulatedDisk, World};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

/// Names the directory, and tells this binary to be the process that is killed.
const VICTIM_DIR: &str = "HEADWATER_STORE_FOUNDING_DIR";

const WINDOWS: Layout = Layout::Window {
    retention_ms: 1 << 40,
    segment_interval_ms: 100,
};

fn budget() -> Arc<Budget> {
    Budget::new(1 << 20, 1 << 20)
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
    names.sort();
    names
}

fn key(number: i64) -> Vec<u8> {
    let mut key = Vec::new();
    window::key(b"k", number, 0, &mut key);
    key
}

fn entries(store: &Store) -> Vec<(Vec<u8>, Vec<u8>)> {
    all(store, KeyRange::ALL, Direction::Forward)
}

/// Reads a changelog whose only row is deleted again, up to `position`.
fn restore_nothing(store: &mut Store, position: i64) {
    store.restore(&key(1), Some(b"v")).unwrap();
    store.restore(&key(1), None).unwrap();
    store.set_position(position);
}

#[test]
fn a_store_without_rows_makes_no_file() {
    for layout in [
        Layout::KeyValue,
        Layout::Lru { entries_max: 10 },
        WINDOWS,
        Layout::Versioned {
            history_retention_ms: 1_000,
        },
    ] {
        let (root, budget) = (tempfile::tempdir().unwrap(), budget());
        let dir = root.path().join("0_1").join("store");
        for _ in 0..3 {
            let mut store = open_in(&dir, layout.clone(), &budget);
            assert_eq!(store.attach(&source(3, 9)), Attach::Resume { position: 3 });
            commit(&mut store, 3);
            store.checkpoint().unwrap();
            assert_eq!(store.checkpoint_position(), Some(3));
            if !matches!(layout, Layout::Versioned { .. }) {
                assert_eq!(get(&store, &key(1)), None);
            }
            assert_eq!(entries(&store), []);
            assert_eq!(store.stats().disk_bytes, 0);
            store.wipe().unwrap();
            drop(store);
            assert_eq!(names(root.path()), [""; 0]);
        }
    }
}

#[test]
fn a_changelog_of_deleted_rows_is_not_read_again() {
    for (layout, file) in [(Layout::KeyValue, "empty"), (WINDOWS, "checkpoint")] {
        let (dir, budget) = (tempfile::tempdir().unwrap(), budget());
        for position in [20, 30] {
            let mut store = open_in(dir.path(), layout.clone(), &budget);
            store.attach(&source(3, position));
            restore_nothing(&mut store, position);
            store.checkpoint().unwrap();
            assert_eq!(entries(&store), []);
            drop(store);
            assert_eq!(names(dir.path()), [file]);
            let mut store = open_in(dir.path(), layout.clone(), &budget);
            let attach = store.attach(&source(3, 40));
            assert_eq!(attach, Attach::Resume { position });
            assert_eq!(entries(&store), []);
        }
        // What is not in the changelog any more, or in another one, is as suspicious as ever.
        let mut store = open_in(dir.path(), layout.clone(), &budget);
        assert!(matches!(
            store.attach(&source(31, 40)),
            Attach::Wiped { .. }
        ));
        assert_eq!(store.checkpoint_position(), None);
    }
}

#[test]
fn the_first_row_founds_the_engine_and_ends_the_file() {
    let (dir, budget) = (tempfile::tempdir().unwrap(), budget());
    let mut store = open_in(dir.path(), Layout::KeyValue, &budget);
    let reader = store.reader();
    restore_nothing(&mut store, 5);
    store.checkpoint().unwrap();
    store.put(&key(2), b"row").unwrap();
    store.delete(&key(3)).unwrap();
    commit(&mut store, 7);
    let snapshot = reader.snapshot();
    store.checkpoint().unwrap();
    assert_eq!(names(dir.path()), ["tree"]);
    store.delete(&key(2)).unwrap();
    commit(&mut store, 8);
    store.checkpoint().unwrap();
    assert_eq!(entries(&store), []);
    assert_eq!(
        all(&snapshot, KeyRange::ALL, Direction::Forward),
        [(key(2), b"row".to_vec())]
    );
    drop((snapshot, reader, store));
    // The tree stays once it is there, whatever is in it.
    let mut store = open_in(dir.path(), Layout::KeyValue, &budget);
    assert_eq!((store.position(), entries(&store)), (Some(8), Vec::new()));
    assert!(store.stats().disk_bytes > 0);
    store.wipe().unwrap();
    assert!(!dir.path().exists());
    restore_nothing(&mut store, 9);
    store.checkpoint().unwrap();
    assert_eq!(names(dir.path()), ["empty"]);
}

#[test]
fn a_store_without_rows_still_has_a_layout_and_a_note() {
    let (dir, budget) = (tempfile::tempdir().unwrap(), budget());
    let open = |layout: Layout| {
        let bare = StoreOptions {
            changelog: None,
            ..options(layout, EngineKind::Disk)
        };
        Store::open(bare, Some(dir.path()), &budget, &World::real())
    };
    let mut store = open(Layout::KeyValue).unwrap();
    store.set_note(b"where its topics were".to_vec());
    store.checkpoint().unwrap();
    drop(store);
    assert!(matches!(open(WINDOWS), Err(Error::Format { .. })));
    assert_eq!(
        open(Layout::KeyValue).unwrap().note(),
        b"where its topics were"
    );
    fs::write(dir.path().join("empty"), b"rubbish").unwrap();
    assert!(open(Layout::KeyValue).is_err_and(|error| error.is_corrupt()));
}

#[test]
fn directories_that_were_founded_at_opening_open_as_before() {
    let (dir, budget) = (tempfile::tempdir().unwrap(), budget());
    let tree = dir.path().join("tree");
    fs::create_dir_all(&tree).unwrap();
    drop(DiskEngine::open(&tree, &budget).unwrap());
    // A tree without metadata was never written; what lies beside it may be older than what it lost.
    let mut store = open_in(&dir.path().join("other"), Layout::KeyValue, &budget);
    restore_nothing(&mut store, 5);
    store.checkpoint().unwrap();
    drop(store);
    fs::rename(dir.path().join("other/empty"), dir.path().join("empty")).unwrap();
    fs::remove_dir(dir.path().join("other")).unwrap();
    let mut store = open_in(dir.path(), Layout::KeyValue, &budget);
    assert_eq!(store.position(), None);
    assert_eq!(names(dir.path()), ["tree"]);
    assert_eq!(store.attach(&source(0, 9)), Attach::Resume { position: 0 });
    store.put(&key(1), b"row").unwrap();
    commit(&mut store, 9);
    store.checkpoint().unwrap();
    drop(store);
    assert_eq!(names(dir.path()), ["tree"]);
    let store = open_in(dir.path(), Layout::KeyValue, &budget);
    assert_eq!((store.position(), entries(&store).len()), (Some(9), 1));
}

/// The states of [`live`] by their positions.
fn rows_at(position: i64) -> Vec<(Vec<u8>, Vec<u8>)> {
    let rows = match position {
        10 => 0..40,
        20 => 30..70,
        _ => 0..0,
    };
    rows.map(|number| (key(number), vec![7; 100])).collect()
}

/// A life from nothing over an empty checkpoint to the founding and one checkpoint more; tells each that returned.
fn live(store: &mut Store, mut confirm: impl FnMut(i64)) -> Result<()> {
    store.attach(&source(0, 20));
    restore_nothing(store, 5);
    store.checkpoint()?;
    confirm(5);
    for position in [10, 20] {
        for (key, _) in rows_at(position - 10) {
            store.delete(&key)?;
        }
        for (key, value) in rows_at(position) {
            store.put(&key, &value)?;
        }
        commit(store, position);
        store.checkpoint()?;
        confirm(position);
    }
    Ok(())
}

/// A store after a crash: at a checkpoint not before `confirmed`, and after a replay from there at the end.
#[track_caller]
fn check_found(store: &mut Store, confirmed: i64, layout: &Layout, context: &str) {
    let position = store.position().unwrap_or(0);
    assert!(position >= confirmed, "{context}: {position} < {confirmed}");
    if *layout == Layout::KeyValue {
        assert_eq!(
            entries(store),
            rows_at(position),
            "{context}: at {position}"
        );
    }
    for end in [10, 20].into_iter().filter(|end| *end > position) {
        for (key, _) in rows_at(end - 10) {
            store.restore(&key, None).unwrap();
        }
        for (key, value) in rows_at(end) {
            store.restore(&key, Some(&value)).unwrap();
        }
        store.set_position(end);
    }
    assert_eq!(entries(store), rows_at(20), "{context}: from {position}");
    store.checkpoint().unwrap();
    assert_eq!(store.checkpoint_position(), Some(20), "{context}");
}

#[test]
fn a_crash_at_each_write_of_the_founding_leaves_the_checkpoint_before_it() {
    for layout in [Layout::KeyValue, WINDOWS] {
        let budget = budget();
        let open = |world: &World| {
            let options = options(layout.clone(), EngineKind::Memory);
            Store::open(options, Some(Path::new("/state/store")), &budget, world)
        };
        let mut write = 0;
        loop {
            write += 1;
            let disk = Arc::new(SimulatedDisk::new());
            let simulation = World::simulated_on(Arc::clone(&disk), write);
            disk.fail_after_writes(write);
            let mut confirmed = 0;
            let mut store = open(&simulation.world).unwrap();
            let lived = live(&mut store, |position| confirmed = position);
            let torn = (0..20).map(|seed| CrashMode::Torn { seed });
            for mode in [CrashMode::KeepAll, CrashMode::LoseUnsynced]
                .into_iter()
                .chain(torn)
            {
                let restarted = simulation.restart(mode, write);
                let mut store = open(&restarted.world).unwrap();
                let context = format!("{layout:?}, write {write}, {mode:?}");
                assert_eq!(store.take_wiped(), None, "{context}");
                check_found(&mut store, confirmed, &layout, &context);
                drop(store);
                let store = open(&restarted.world).unwrap();
                assert_eq!(entries(&store), rows_at(20), "{context}, opened again");
            }
            if lived.is_ok() {
                break;
            }
        }
        assert!(write > 15, "{layout:?}: only {write} writes were tried");
    }
}

/// Founds stores until it is killed. Prints the number of each with its position once a checkpoint of it has returned.
#[test]
fn founding_victim() {
    let Ok(dir) = std::env::var(VICTIM_DIR) else {
        return;
    };
    let budget = budget();
    for number in 0.. {
        let dir = Path::new(&dir).join(number.to_string());
        let mut store = open_in(&dir, Layout::KeyValue, &budget);
        live(&mut store, |position| println!("at {number} {position}")).unwrap();
    }
}

#[test]
fn a_process_killed_while_it_founds_stores_leaves_the_checkpoints_before() {
    let random = SeededRandom::new(7);
    for round in 0..25 {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::tests::founding::founding_victim", "--exact"])
            .args(["--nocapture", "--test-threads=1"])
            .env(VICTIM_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut confirmed = Vec::new();
        let mut read = |line: &str| {
            let line = line.split_once("at ").map(|(_, line)| line);
            let Some((number, position)) = line.and_then(|line| line.split_once(' ')) else {
                return;
            };
            if let (Ok(number), Ok(position)) = (number.parse::<usize>(), position.parse()) {
                confirmed.resize(number + 1, 0);
                confirmed[number] = position;
            }
        };
        // The first lines tell that it runs; then it lives for less than a store takes.
        for _ in 0..1 + random.below(6) {
            read(&lines.next().unwrap().unwrap());
        }
        std::thread::sleep(Duration::from_micros(random.below(15_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines {
            read(&line.unwrap());
        }
        let budget = budget();
        for number in 0..=confirmed.len() {
            let dir = dir.path().join(number.to_string());
            let mut store = open_in(&dir, Layout::KeyValue, &budget);
            let context = format!("round {round}, store {number}");
            assert_eq!(store.take_wiped(), None, "{context}");
            let confirmed = confirmed.get(number).copied().unwrap_or(0);
            check_found(&mut store, confirmed, &Layout::KeyValue, &context);
            drop(store);
            let mut left = names(&dir);
            left.retain(|name| name != "empty.tmp"); // replaced by the next one, if one is written
            assert_eq!(left, ["tree"], "{context}");
        }
    }
}

#[test]
fn trees_made_of_copied_files_are_trees() {
    let (dir, budget) = (tempfile::tempdir().unwrap(), budget());
    let path = |number: u8| dir.path().join(number.to_string());
    let bytes =
        |number: u8| ["v0", "current"].map(|name| fs::read(path(number).join(name)).unwrap());
    for number in 0..3 {
        fs::create_dir(path(number)).unwrap();
        let engine = DiskEngine::create(&path(number), &budget).unwrap();
        assert_eq!(engine.meta().unwrap(), None);
        assert_eq!(bytes(number), bytes(0));
    }
    for number in 0..3 {
        // Opened as if killed before the first write, then written and opened once more.
        let engine = DiskEngine::open(&path(number), &budget).unwrap();
        let mut value = Vec::new();
        assert!(!engine.get(b"k", &mut value).unwrap());
        engine
            .write(
                &mut [(&b"k"[..], Some(&[number][..]))].into_iter(),
                Some(b"meta"),
            )
            .unwrap();
        drop(engine);
        let engine = DiskEngine::open(&path(number), &budget).unwrap();
        assert!(engine.get(b"k", &mut value).unwrap());
        assert_eq!(
            (value, engine.meta().unwrap()),
            (vec![number], Some(b"meta".to_vec()))
        );
    }
}

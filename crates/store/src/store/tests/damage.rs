//! Bits flipped and files cut in the disk engine's directory: an error, a wipe or the right data, never a panic or a lie.
#![allow(
    clippy::disallowed_methods,
    reason = "tests damage files, kill processes and wait"
)]

use super::{commit, open_in, options, source};
use crate::{
    Attach, Budget, Direction, EngineKind, Error, KeyRange, Layout, ReadBytes, Result, Store,
    window,
};
use headwater_world::{Random, SeededRandom, World};
use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

fn files_in(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_in(&path, files)
        } else {
            files.push(path)
        }
    }
    files.sort();
}

fn fill(dir: &Path, layout: &Layout) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut store = open_in(dir, layout.clone(), &Budget::new(1 << 20, 1 << 20));
    let mut map = BTreeMap::new();
    for round in 0..3 {
        for number in 0..400_i64 {
            let mut key = Vec::new();
            window::key(b"k", number, 0, &mut key);
            let value = [round; 64].to_vec();
            store.put(&key, &value).unwrap();
            map.insert(key, value);
        }
        store.attach(&source(0, 10));
        commit(&mut store, i64::from(round) + 1);
        store.checkpoint().unwrap();
    }
    map
}

fn read_all(store: &Store, expected: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<()> {
    let mut value = Vec::new();
    for (key, wanted) in expected {
        assert!(
            store.get(key, &mut value)?,
            "a key is missing without an error"
        );
        assert_eq!(value, *wanted, "a value is wrong without an error");
    }
    let mut count = 0;
    let mut visit = |_: &[u8], _: &[u8]| {
        count += 1;
        ControlFlow::Continue(())
    };
    ReadBytes::scan(store, KeyRange::ALL, Direction::Forward, &mut visit)?;
    assert_eq!(
        count,
        expected.len(),
        "a scan misses entries without an error"
    );
    Ok(())
}

/// Damages one file and reads everything; answers whether anybody noticed.
fn damage_and_read(seed: u64, layout: &Layout) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let expected = fill(dir.path(), layout);
    let random = SeededRandom::new(seed);
    let mut files = Vec::new();
    files_in(dir.path(), &mut files);
    let file = &files[random.below(files.len() as u64) as usize];
    let mut bytes = fs::read(file).unwrap();
    match random.below(4) {
        0 => bytes.truncate(random.below(bytes.len() as u64) as usize),
        1 => fs::remove_file(file).unwrap(),
        _ => {
            let at = random.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1 << random.below(8);
        }
    }
    if fs::exists(file).unwrap() {
        fs::write(file, &bytes).unwrap();
    }
    println!("seed {seed}: {}", file.display());
    let budget = Budget::new(1 << 20, 1 << 20);
    let mut store = open_in(dir.path(), layout.clone(), &budget);
    if let Attach::Wiped { reason } = store.attach(&source(0, 10)) {
        println!("  wiped: {reason}");
        assert_eq!(store.position(), None);
        return true;
    }
    if store.position() != Some(3) {
        // A store without any metadata is a new one; an older position must not be believed.
        assert_eq!(
            store.position(),
            Some(0),
            "the position went back without an error"
        );
        return true;
    }
    match read_all(&store, &expected) {
        Ok(()) => false,
        Err(error) => {
            println!("  {error}");
            assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
            store.wipe().unwrap();
            store.put(&[1; 20], b"again").unwrap();
            commit(&mut store, 1);
            store.checkpoint().unwrap();
            true
        }
    }
}

#[test]
fn damage_is_noticed_or_harmless() {
    for layout in [
        Layout::KeyValue,
        Layout::Window {
            retention_ms: 1 << 40,
            segment_interval_ms: 200,
        },
    ] {
        let noticed = (0..120)
            .filter(|&seed| damage_and_read(seed, &layout))
            .count();
        assert!(noticed > 40, "only {noticed} of 120 damages were noticed");
    }
}

#[test]
fn a_damaged_store_without_a_changelog_is_an_error_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    fill(dir.path(), &Layout::KeyValue);
    let current = dir.path().join("tree").join("current");
    fs::write(&current, b"rubbish").unwrap();
    let bare = crate::StoreOptions {
        changelog: None,
        ..options(Layout::KeyValue, EngineKind::Disk)
    };
    let budget = Budget::new(1 << 20, 1 << 20);
    let opened = Store::open(bare, Some(dir.path()), &budget, &World::real());
    assert!(opened.is_err_and(|error| error.is_corrupt()));
    assert!(fs::exists(&current).unwrap());
}

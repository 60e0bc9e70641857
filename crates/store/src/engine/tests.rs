//! The engines against the suite, and what only engines promise.

use super::{Engine, disk::DiskEngine, memory::MemoryEngine};
use crate::{
    Budget, ByteStore, Direction, KeyRange, ReadBytes, Result, Visit,
    suite::{self, Subject},
};
use headwater_world::{Disk, SimulatedDisk, World};
use std::{path::Path, sync::Arc};

/// An engine as a store: each write is a checkpoint.
struct Direct {
    engine: Box<dyn Engine>,
    _dir: Option<tempfile::TempDir>,
}

impl ReadBytes for Direct {
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool> {
        self.engine.get(key, value)
    }

    fn scan(&self, range: KeyRange<'_>, direction: Direction, visit: &mut Visit<'_>) -> Result<()> {
        if range.is_empty() {
            return Ok(());
        }
        let mut cursor = self.engine.cursor(range, direction)?;
        while cursor.advance()? {
            if visit(cursor.key(), cursor.value()).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl ByteStore for Direct {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.engine
            .write(&mut [(key, Some(value))].into_iter(), Some(b"meta"))
    }

    fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.engine.write(&mut [(key, None)].into_iter(), None)
    }
}

impl Subject for Direct {
    fn store(&mut self) -> &mut dyn ByteStore {
        self
    }

    fn sink(&mut self) {}
}

fn on_disk() -> Direct {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget::new(1 << 20, 1 << 20);
    // The second tree of a process is made of what the first was, as nearly all are.
    let engine = ["first", "tree"].map(|name| {
        let path = dir.path().join(name);
        World::real().disk.create_dir_all(&path).unwrap();
        DiskEngine::create(&path, &budget).unwrap()
    });
    let [_, engine] = engine;
    Direct {
        engine: Box::new(engine),
        _dir: Some(dir),
    }
}

#[test]
fn the_memory_engine_passes_the_suite() {
    suite::run(|| Direct {
        engine: Box::new(MemoryEngine::open(None).unwrap()),
        _dir: None,
    });
}

#[test]
fn the_disk_engine_passes_the_suite_but_for_the_many_single_writes() {
    // One table for each of 5,003 writes would take minutes; stores above the engine cover that check.
    suite::run_small(on_disk);
}

#[test]
fn metadata_and_entries_change_together_and_survive_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget::new(1 << 20, 1 << 20);
    for round in 0..20_u32 {
        let engine = DiskEngine::open(&dir.path().join("tree"), &budget).unwrap();
        let meta = round.checked_sub(1).map(|last| last.to_be_bytes().to_vec());
        assert_eq!(engine.meta().unwrap(), meta, "round {round}");
        let mut value = Vec::new();
        for key in 0..round {
            assert_eq!(
                engine.get(&key.to_be_bytes(), &mut value).unwrap(),
                key % 3 != 0,
                "round {round}, key {key}"
            );
        }
        // The key of this round, and a rewrite of all before: those divisible by three go.
        let keys: Vec<[u8; 4]> = (0..=round).map(u32::to_be_bytes).collect();
        let stamp = round.to_be_bytes();
        let mut entries = keys
            .iter()
            .enumerate()
            .map(|(at, key)| (&key[..], (at % 3 != 0).then_some(&stamp[..])));
        engine.write(&mut entries, Some(&stamp)).unwrap();
    }
}

#[test]
fn an_image_survives_on_any_disk() {
    let disk: Arc<dyn Disk> = Arc::new(SimulatedDisk::new());
    let dir = Path::new("/state/store");
    let engine = MemoryEngine::open(Some((&disk, dir))).unwrap();
    engine
        .write(
            &mut [(&b"a"[..], Some(&b"1"[..])), (b"b", None)].into_iter(),
            Some(b"meta"),
        )
        .unwrap();
    drop(engine);
    let engine = MemoryEngine::open(Some((&disk, dir))).unwrap();
    let mut value = Vec::new();
    assert!(engine.get(b"a", &mut value).unwrap());
    assert_eq!(
        (value.as_slice(), engine.meta().unwrap().as_deref()),
        (&b"1"[..], Some(&b"meta"[..]))
    );
}

#[test]
fn compaction_keeps_what_is_newest_and_gives_space_back() {
    let mut direct = on_disk();
    let value = vec![1_u8; 10_000];
    for round in 0..60_u8 {
        let keys: Vec<[u8; 1]> = (0..100).map(|key| [key]).collect();
        let mut entries = keys.iter().map(|key| {
            (
                &key[..],
                (round < 59 || key[0] % 2 == 0).then_some(&value[..]),
            )
        });
        direct.engine.write(&mut entries, Some(&[round])).unwrap();
    }
    assert_eq!(
        suite::all(&direct, KeyRange::ALL, Direction::Forward).len(),
        50
    );
    direct.engine.close();
    assert!(
        direct.engine.size_bytes() < 20 * 1_000_000,
        "{} bytes left of 60 MB written",
        direct.engine.size_bytes()
    );
    direct.put(b"k", b"v").unwrap();
    assert_eq!(direct.engine.meta().unwrap().as_deref(), Some(&b"meta"[..]));
}

//! The crash model and the fault switches. Not the contract of [`Disk`]: see the conformance suite beside the trait.
//! Invariant: each test states what a real power cut may or may not do.

use super::{CrashMode, SimulatedDisk};
use crate::{Disk, File, OpenMode};
use std::{
    collections::BTreeSet,
    io::{ErrorKind, Result},
    path::Path,
};

const LOSE: CrashMode = CrashMode::LoseUnsynced;

fn path(path: &str) -> &Path {
    Path::new(path)
}

fn create(disk: &SimulatedDisk, name: &str, content: &[u8]) -> Box<dyn File> {
    let file = disk.open(path(name), OpenMode::CreateNew).unwrap();
    file.write_all_at(content, 0).unwrap();
    file
}

/// A disk with one durable file.
fn durable(name: &str, content: &[u8]) -> (SimulatedDisk, Box<dyn File>) {
    let disk = SimulatedDisk::new();
    let file = create(&disk, name, content);
    file.sync().unwrap();
    disk.sync_dir(path("/")).unwrap();
    (disk, file)
}

fn torn(disk: &SimulatedDisk, seeds: u64) -> impl Iterator<Item = SimulatedDisk> {
    (0..seeds).map(|seed| disk.crash(CrashMode::Torn { seed }))
}

#[track_caller]
fn check(disk: &SimulatedDisk, name: &str, expected: Option<&[u8]>) {
    let found = disk.contents(path(name)).ok();
    assert_eq!(found.as_deref(), expected, "{name}");
}

#[track_caller]
fn check_kind<T>(result: Result<T>, kind: ErrorKind) {
    assert_eq!(result.map(drop).unwrap_err().kind(), kind);
}

#[test]
fn a_power_cut_loses_writes_that_were_not_synced() {
    let (disk, file) = durable("a", b"abc");
    file.write_all_at(b"XYZ...", 0).unwrap();
    check(&disk.crash(LOSE), "a", Some(b"abc"));
    file.sync().unwrap();
    check(&disk.crash(LOSE), "a", Some(b"XYZ..."));
}

#[test]
fn a_synced_file_without_a_synced_name_is_lost() {
    let disk = SimulatedDisk::new();
    create(&disk, "a", b"abc").sync().unwrap();
    check(&disk.crash(LOSE), "a", None);
    disk.sync_dir(path("/")).unwrap();
    check(&disk.crash(LOSE), "a", Some(b"abc"));
}

#[test]
fn a_synced_name_without_synced_data_is_an_empty_file() {
    let disk = SimulatedDisk::new();
    create(&disk, "a", b"abc");
    disk.sync_dir(path("/")).unwrap();
    check(&disk.crash(LOSE), "a", Some(b""));
}

#[test]
fn a_created_directory_needs_a_sync_of_its_parent() {
    let disk = SimulatedDisk::new();
    disk.create_dir_all(path("/a/b")).unwrap();
    create(&disk, "/a/b/file", b"abc").sync().unwrap();
    disk.sync_dir(path("/a/b")).unwrap();
    disk.sync_dir(path("/a")).unwrap();
    assert!(!disk.crash(LOSE).exists(path("/a")).unwrap());
    disk.sync_dir(path("/")).unwrap();
    check(&disk.crash(LOSE), "/a/b/file", Some(b"abc"));
}

#[test]
fn an_unsynced_truncation_is_undone_and_a_synced_one_is_not() {
    let (disk, file) = durable("a", b"abc");
    file.set_len(1).unwrap();
    check(&disk.crash(LOSE), "a", Some(b"abc"));
    file.sync().unwrap();
    check(&disk.crash(LOSE), "a", Some(b"a"));
}

#[test]
fn an_unsynced_removal_brings_the_file_back() {
    let (disk, file) = durable("a", b"abc");
    drop(file);
    disk.remove_file(path("a")).unwrap();
    check(&disk.crash(LOSE), "a", Some(b"abc"));
    disk.sync_dir(path("/")).unwrap();
    check(&disk.crash(LOSE), "a", None);
}

#[test]
fn an_unsynced_rename_leaves_both_old_names() {
    let (disk, _file) = durable("old", b"old");
    create(&disk, "new", b"new").sync().unwrap();
    disk.sync_dir(path("/")).unwrap();
    disk.rename(path("new"), path("old")).unwrap();
    let image = disk.crash(LOSE);
    check(&image, "old", Some(b"old"));
    check(&image, "new", Some(b"new"));
    disk.sync_dir(path("/")).unwrap();
    let image = disk.crash(LOSE);
    check(&image, "old", Some(b"new"));
    check(&image, "new", None);
}

#[test]
fn a_replacing_rename_leaves_the_old_or_the_new_content_whatever_tears() {
    let (disk, _file) = durable("current", b"old");
    create(&disk, "temporary", b"new").sync().unwrap();
    disk.rename(path("temporary"), path("current")).unwrap();
    let mut seen = BTreeSet::new();
    for image in torn(&disk, 100) {
        seen.insert(image.contents(path("current")).unwrap());
    }
    assert_eq!(seen, BTreeSet::from([b"new".to_vec(), b"old".to_vec()]));
}

#[test]
fn a_rename_between_directories_is_in_both_or_in_neither() {
    let disk = SimulatedDisk::new();
    disk.create_dir_all(path("/from")).unwrap();
    disk.create_dir_all(path("/to")).unwrap();
    disk.sync_dir(path("/")).unwrap();
    create(&disk, "/from/a", b"a").sync().unwrap();
    disk.sync_dir(path("/from")).unwrap();
    create(&disk, "/from/b", b"b");
    disk.rename(path("/from/a"), path("/to/a")).unwrap();
    for image in torn(&disk, 200) {
        let names = [path("/from/a"), path("/to/a")];
        let present = names.map(|name| image.exists(name).unwrap());
        assert_eq!(
            present.iter().filter(|there| **there).count(),
            1,
            "{present:?}"
        );
    }
    // What `from` saw before the rename comes along with it.
    disk.sync_dir(path("/to")).unwrap();
    let image = disk.crash(LOSE);
    check(&image, "/from/a", None);
    check(&image, "/from/b", Some(b""));
    check(&image, "/to/a", Some(b"a"));
}

#[test]
fn unsynced_names_survive_as_a_prefix_in_order() {
    let disk = SimulatedDisk::new();
    for name in ["a", "b", "c"] {
        create(&disk, name, b"");
    }
    let mut counts = BTreeSet::new();
    for image in torn(&disk, 200) {
        let names = image.list(path("/")).unwrap();
        let all = ["a", "b", "c"].map(std::path::PathBuf::from);
        assert_eq!(names, all[..names.len()]);
        counts.insert(names.len());
    }
    assert_eq!(counts, BTreeSet::from([0, 1, 2, 3]));
}

#[test]
fn a_torn_crash_never_harms_what_was_synced() {
    let (disk, file) = durable("a", &[7; 2000]);
    file.write_all_at(&[9; 3000], 2000).unwrap();
    file.write_all_at(&[8; 10], 5000).unwrap();
    for image in torn(&disk, 300) {
        let content = image.contents(path("a")).unwrap();
        assert!(content.len() >= 2000 && content.len() <= 5010);
        assert!(content[..2000].iter().all(|byte| *byte == 7));
        assert!(content[2000..].iter().all(|byte| [0, 8, 9].contains(byte)));
    }
}

#[test]
fn a_torn_write_is_kept_lost_cut_zeroed_or_scattered() {
    let (disk, file) = durable("a", b"");
    file.write_all_at(&[9; 2048], 0).unwrap();
    let mut seen = BTreeSet::new();
    for image in torn(&disk, 300) {
        let content = image.contents(path("a")).unwrap();
        let written = content.iter().filter(|byte| **byte == 9).count();
        let leading = content.iter().take_while(|byte| **byte == 9).count();
        seen.insert(match (content.len(), written) {
            (0, 0) => "lost",
            (2048, 2048) => "kept",
            (2048, 0) => "all zeroes",
            _ if leading < written => "scattered",
            (2048, _) => "cut, rest zero",
            (len, _) if len % 512 == 0 => "cut at a sector",
            _ => "cut at a byte",
        });
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
}

#[test]
fn a_later_write_may_survive_an_earlier_one() {
    let (disk, file) = durable("a", b"..");
    file.write_all_at(b"1", 0).unwrap();
    file.write_all_at(b"2", 1).unwrap();
    let seen: BTreeSet<_> = torn(&disk, 200)
        .map(|image| image.contents(path("a")).unwrap())
        .collect();
    let all = [b"..", b"1.", b".2", b"12"].map(|content| content.to_vec());
    // A cut one-byte write is a lost one, and a lost part inside the file is not zeroed.
    assert_eq!(seen, BTreeSet::from(all));
}

#[test]
fn the_same_seed_tears_the_same_way() {
    let (disk, file) = durable("a", b"");
    file.write_all_at(&[9; 5000], 0).unwrap();
    for seed in 0..20 {
        let image = || disk.crash(CrashMode::Torn { seed }).contents(path("a"));
        assert_eq!(image().unwrap(), image().unwrap());
    }
}

#[test]
fn a_killed_process_leaves_its_page_cache_still_unsynced() {
    let (disk, file) = durable("a", b"abc");
    file.write_all_at(b"XYZ", 0).unwrap();
    create(&disk, "b", b"b");
    let image = disk.crash(CrashMode::KeepAll);
    check(&image, "a", Some(b"XYZ"));
    check(&image, "b", Some(b"b"));
    let second = image.crash(LOSE);
    check(&second, "a", Some(b"abc"));
    check(&second, "b", None);
}

#[test]
fn a_crash_image_is_a_disk_of_its_own() {
    let (disk, file) = durable("a", b"abc");
    let image = disk.crash(CrashMode::KeepAll);
    file.write_all_at(b"X", 0).unwrap();
    check(&image, "a", Some(b"abc"));
    let other = image.open(path("a"), OpenMode::ReadWrite).unwrap();
    other.write_all_at(b"Y", 0).unwrap();
    check(&disk, "a", Some(b"Xbc"));
}

#[test]
fn a_lock_does_not_survive_a_crash() {
    let disk = SimulatedDisk::new();
    let _lock = disk.lock(path("lock")).unwrap();
    let image = disk.crash(CrashMode::KeepAll);
    let _again = image.lock(path("lock")).unwrap();
    check_kind(disk.lock(path("lock")), ErrorKind::WouldBlock);
}

/// Each call here is one mutation, except the first, which is two.
fn scenario(disk: &SimulatedDisk) -> Result<()> {
    disk.create_dir_all(path("/a/b"))?;
    let file = disk.open(path("/a/f"), OpenMode::ReadWrite)?;
    file.write_all_at(b"abc", 0)?;
    file.set_len(2)?;
    file.sync()?;
    disk.rename(path("/a/f"), path("/a/g"))?;
    disk.sync_dir(path("/a"))?;
    disk.remove_file(path("/a/g"))?;
    disk.remove_dir_all(path("/a"))
}

#[test]
fn each_change_is_counted_and_reads_are_not() {
    let disk = SimulatedDisk::new();
    scenario(&disk).unwrap();
    // The last call removes `b` and `a`.
    assert_eq!(disk.mutations(), 11);
    let (disk, file) = durable("a", b"abc");
    let before = disk.mutations();
    disk.open(path("a"), OpenMode::ReadWrite).unwrap();
    disk.lock(path("a")).unwrap();
    disk.list(path("/")).unwrap();
    disk.create_dir_all(path("/")).unwrap();
    file.read_exact_at(&mut [0; 3], 0).unwrap();
    check_kind(disk.remove_file(path("absent")), ErrorKind::NotFound);
    assert_eq!(disk.mutations(), before);
}

#[test]
fn a_scenario_can_crash_at_each_of_its_changes() {
    let whole = SimulatedDisk::new();
    scenario(&whole).unwrap();
    for n in 1..=whole.mutations() {
        let disk = SimulatedDisk::new();
        disk.fail_after_writes(n);
        let error = scenario(&disk).unwrap_err();
        assert_eq!(error.to_string(), "simulated crash", "at {n}");
        assert_eq!(disk.mutations(), n);
    }
    let disk = SimulatedDisk::new();
    disk.fail_after_writes(whole.mutations() + 1);
    scenario(&disk).unwrap();
}

#[test]
fn a_crashed_process_does_nothing_more_and_its_image_is_healthy() {
    let (disk, file) = durable("a", b"abc");
    disk.fail_after_writes(2);
    file.write_all_at(b"X", 0).unwrap();
    assert!(file.write_all_at(b"Y", 1).is_err());
    assert!(file.read_exact_at(&mut [0], 0).is_err());
    assert!(file.sync().is_err());
    assert!(disk.exists(path("a")).is_err());
    assert!(disk.open(path("a"), OpenMode::Read).is_err());
    let image = disk.crash(CrashMode::KeepAll);
    check(&image, "a", Some(b"Xbc"));
    create(&image, "b", b"b");
}

#[test]
fn a_full_disk_keeps_the_part_that_fits_and_overwrites_still_work() {
    let (disk, file) = durable("a", b"abc");
    disk.set_capacity_bytes(Some(5));
    check_kind(file.write_all_at(b"1234", 3), ErrorKind::StorageFull);
    check(&disk, "a", Some(b"abc12"));
    file.write_all_at(b"ABCDE", 0).unwrap();
    check_kind(file.set_len(6), ErrorKind::StorageFull);
    let other = create(&disk, "b", b"");
    check_kind(other.write_all_at(b"x", 0), ErrorKind::StorageFull);
    drop(file);
    disk.remove_file(path("a")).unwrap();
    other.write_all_at(b"12345", 0).unwrap();
    disk.set_capacity_bytes(None);
    other.write_all_at(b"6", 5).unwrap();
}

#[test]
fn a_read_only_disk_refuses_every_change_and_serves_reads() {
    let (disk, file) = durable("file", b"abc");
    disk.set_read_only(true);
    check_kind(file.write_all_at(b"x", 0), ErrorKind::ReadOnlyFilesystem);
    check_kind(scenario(&disk), ErrorKind::ReadOnlyFilesystem);
    let reopened = disk.open(path("file"), OpenMode::ReadWrite);
    check_kind(reopened, ErrorKind::ReadOnlyFilesystem);
    check_kind(disk.lock(path("file")), ErrorKind::ReadOnlyFilesystem);
    disk.open(path("file"), OpenMode::Read).unwrap();
    check(&disk, "file", Some(b"abc"));
    disk.set_read_only(false);
    file.write_all_at(b"x", 0).unwrap();
}

#[test]
fn a_write_whose_sync_failed_is_lost_although_a_later_sync_succeeds() {
    let (disk, file) = durable("a", b"abc");
    file.write_all_at(b"X", 0).unwrap();
    disk.fail_syncs(1);
    assert!(file.sync().is_err());
    file.write_all_at(b"Z", 2).unwrap();
    file.sync().unwrap();
    check(&disk, "a", Some(b"XbZ"));
    check(&disk.crash(LOSE), "a", Some(b"abZ"));
}

#[test]
fn damage_is_durable() {
    let (disk, file) = durable("/a", b"abc");
    create(&disk, "/b", b"b");
    disk.flip_bit(path("a"), 1, 0).unwrap();
    disk.delete(path("b")).unwrap();
    assert_eq!(disk.paths(), [path("/a")]);
    check(&disk.crash(LOSE), "a", Some(b"acc"));
    disk.truncate(path("a"), 1).unwrap();
    check(&disk.crash(LOSE), "a", Some(b"a"));
    assert_eq!(file.len().unwrap(), 1);
    check_kind(disk.flip_bit(path("a"), 1, 0), ErrorKind::InvalidInput);
    check_kind(disk.flip_bit(path("a"), 0, 8), ErrorKind::InvalidInput);
    check_kind(disk.delete(path("b")), ErrorKind::NotFound);
}

#[test]
fn a_write_at_a_wild_position_is_refused_without_memory() {
    let (_disk, file) = durable("a", b"");
    for position in [u64::MAX, 1 << 40] {
        check_kind(file.write_all_at(b"x", position), ErrorKind::FileTooLarge);
    }
    check_kind(file.set_len(u64::MAX), ErrorKind::FileTooLarge);
}

#[test]
fn removed_files_are_forgotten_once_nothing_needs_them() {
    let (disk, file) = durable("a", b"abc");
    disk.remove_file(path("a")).unwrap();
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(disk.lock_drive().medium.nodes.len(), 2);
    drop(file);
    disk.sync_dir(path("/")).unwrap();
    assert_eq!(disk.lock_drive().medium.nodes.len(), 1);
}

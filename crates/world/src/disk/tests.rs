//! The contract of [`Disk`] as tests, run on the real disk and the simulated one. Not about crashes: only the model can crash.
//! Invariant: a test sees nothing but the trait and an empty directory.

use super::{Disk, File, OpenMode};
use crate::{SimulatedDisk, World};
use std::{
    io::{ErrorKind, Result},
    path::{Path, PathBuf},
};

macro_rules! conformance {
    ($($name:ident)*) => {
        mod real_disk {
            use super::*;
            $(#[test] fn $name() {
                let directory = tempfile::tempdir().unwrap();
                super::$name(&*World::real().disk, directory.path());
            })*
        }
        mod simulated_disk {
            use super::*;
            $(#[test] fn $name() {
                let disk = SimulatedDisk::new();
                disk.create_dir_all(Path::new("/work")).unwrap();
                super::$name(&disk, Path::new("/work"));
            })*
        }
    };
}

conformance! {
    what_is_written_is_read_back
    a_write_past_the_end_leaves_zeroes_before_it
    a_write_in_the_middle_changes_only_its_bytes
    a_read_past_the_end_is_an_unexpected_eof
    an_empty_read_or_write_does_nothing_anywhere
    set_len_cuts_and_extends_with_zeroes
    two_handles_see_one_file
    open_modes_differ_in_what_they_demand
    a_file_opened_for_reading_is_not_written
    a_directory_is_not_opened_as_a_file
    a_file_is_not_created_in_an_absent_directory
    names_below_a_file_do_not_exist
    list_is_sorted_and_holds_names_only
    directories_are_created_with_parents_and_twice
    a_directory_is_not_created_over_a_file
    a_rename_replaces_the_target
    a_rename_moves_a_directory_with_its_content
    a_rename_follows_the_rules_of_the_kernel
    an_open_file_survives_its_rename_and_removal
    removal_of_an_absent_file_is_an_error
    removal_of_a_directory_takes_everything_below
    a_lock_is_exclusive_until_dropped
    a_lock_keeps_the_content_of_its_file
    sync_succeeds_on_files_and_directories
}

#[track_caller]
fn check_kind<T>(result: Result<T>, kind: ErrorKind) {
    match result {
        Ok(_) => panic!("expected {kind:?}, not success"),
        Err(error) => assert_eq!(error.kind(), kind, "{error}"),
    }
}

fn create(disk: &dyn Disk, path: &Path, content: &[u8]) -> Box<dyn File> {
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    file.write_all_at(content, 0).unwrap();
    file
}

fn content(file: &dyn File) -> Vec<u8> {
    let mut buffer = vec![0; file.len().unwrap() as usize];
    file.read_exact_at(&mut buffer, 0).unwrap();
    buffer
}

fn content_at(disk: &dyn Disk, path: &Path) -> Vec<u8> {
    content(&*disk.open(path, OpenMode::Read).unwrap())
}

fn what_is_written_is_read_back(disk: &dyn Disk, root: &Path) {
    let file = create(disk, &root.join("a"), b"hello");
    assert_eq!(content(&*file), b"hello");
    assert_eq!(content_at(disk, &root.join("a")), b"hello");
    assert_eq!(file.len().unwrap(), 5);
    assert!(!file.is_empty().unwrap());
}

fn a_write_past_the_end_leaves_zeroes_before_it(disk: &dyn Disk, root: &Path) {
    let file = create(disk, &root.join("a"), b"ab");
    file.write_all_at(b"z", 4).unwrap();
    assert_eq!(content(&*file), b"ab\0\0z");
}

fn a_write_in_the_middle_changes_only_its_bytes(disk: &dyn Disk, root: &Path) {
    let file = create(disk, &root.join("a"), b"abcdef");
    file.write_all_at(b"XY", 2).unwrap();
    assert_eq!(content(&*file), b"abXYef");
}

fn a_read_past_the_end_is_an_unexpected_eof(disk: &dyn Disk, root: &Path) {
    let file = create(disk, &root.join("a"), b"abc");
    let mut buffer = [0; 2];
    file.read_exact_at(&mut buffer, 1).unwrap();
    for position in [2, 3, 1 << 40] {
        check_kind(
            file.read_exact_at(&mut buffer, position),
            ErrorKind::UnexpectedEof,
        );
    }
}

fn an_empty_read_or_write_does_nothing_anywhere(disk: &dyn Disk, root: &Path) {
    let file = disk.open(&root.join("a"), OpenMode::CreateNew).unwrap();
    file.read_exact_at(&mut [], 7).unwrap();
    file.write_all_at(&[], 7).unwrap();
    assert!(file.is_empty().unwrap());
}

fn set_len_cuts_and_extends_with_zeroes(disk: &dyn Disk, root: &Path) {
    let file = create(disk, &root.join("a"), b"abcdef");
    file.set_len(2).unwrap();
    assert_eq!(content(&*file), b"ab");
    file.set_len(4).unwrap();
    assert_eq!(content(&*file), b"ab\0\0");
}

fn two_handles_see_one_file(disk: &dyn Disk, root: &Path) {
    let writer = create(disk, &root.join("a"), b"");
    let reader = disk.open(&root.join("a"), OpenMode::Read).unwrap();
    writer.write_all_at(b"late", 0).unwrap();
    assert_eq!(content(&*reader), b"late");
}

fn open_modes_differ_in_what_they_demand(disk: &dyn Disk, root: &Path) {
    let path = root.join("a");
    check_kind(disk.open(&path, OpenMode::Read), ErrorKind::NotFound);
    let file = disk.open(&path, OpenMode::ReadWrite).unwrap();
    file.write_all_at(b"kept", 0).unwrap();
    check_kind(
        disk.open(&path, OpenMode::CreateNew),
        ErrorKind::AlreadyExists,
    );
    let again = disk.open(&path, OpenMode::ReadWrite).unwrap();
    assert_eq!(content(&*again), b"kept");
}

fn a_file_opened_for_reading_is_not_written(disk: &dyn Disk, root: &Path) {
    create(disk, &root.join("a"), b"abc");
    let file = disk.open(&root.join("a"), OpenMode::Read).unwrap();
    assert!(file.write_all_at(b"x", 0).is_err());
    assert!(file.set_len(0).is_err());
    assert_eq!(content(&*file), b"abc");
}

fn a_directory_is_not_opened_as_a_file(disk: &dyn Disk, root: &Path) {
    check_kind(disk.open(root, OpenMode::Read), ErrorKind::IsADirectory);
    check_kind(
        disk.open(root, OpenMode::ReadWrite),
        ErrorKind::IsADirectory,
    );
}

fn a_file_is_not_created_in_an_absent_directory(disk: &dyn Disk, root: &Path) {
    let path = root.join("absent/a");
    check_kind(disk.open(&path, OpenMode::ReadWrite), ErrorKind::NotFound);
    check_kind(disk.lock(&path).map(drop), ErrorKind::NotFound);
    check_kind(disk.list(&root.join("absent")), ErrorKind::NotFound);
    check_kind(disk.sync_dir(&root.join("absent")), ErrorKind::NotFound);
    assert!(!disk.exists(&path).unwrap());
}

fn names_below_a_file_do_not_exist(disk: &dyn Disk, root: &Path) {
    create(disk, &root.join("a"), b"");
    let below = root.join("a/b");
    assert!(!disk.exists(&below).unwrap());
    check_kind(disk.open(&below, OpenMode::Read), ErrorKind::NotADirectory);
    check_kind(disk.list(&root.join("a")), ErrorKind::NotADirectory);
    check_kind(disk.sync_dir(&root.join("a")), ErrorKind::NotADirectory);
}

fn list_is_sorted_and_holds_names_only(disk: &dyn Disk, root: &Path) {
    for name in ["b", "a", "c"] {
        create(disk, &root.join(name), b"");
    }
    disk.create_dir_all(&root.join("ab/deep")).unwrap();
    let names = ["a", "ab", "b", "c"].map(PathBuf::from);
    assert_eq!(disk.list(root).unwrap(), names);
}

fn directories_are_created_with_parents_and_twice(disk: &dyn Disk, root: &Path) {
    for _ in 0..2 {
        disk.create_dir_all(&root.join("a/b/c")).unwrap();
    }
    assert!(disk.exists(&root.join("a/b/c")).unwrap());
    assert_eq!(
        disk.list(&root.join("a/b/c")).unwrap(),
        Vec::<PathBuf>::new()
    );
}

fn a_directory_is_not_created_over_a_file(disk: &dyn Disk, root: &Path) {
    create(disk, &root.join("a"), b"");
    check_kind(
        disk.create_dir_all(&root.join("a")),
        ErrorKind::AlreadyExists,
    );
    check_kind(
        disk.create_dir_all(&root.join("a/b")),
        ErrorKind::NotADirectory,
    );
}

fn a_rename_replaces_the_target(disk: &dyn Disk, root: &Path) {
    create(disk, &root.join("new"), b"new");
    create(disk, &root.join("old"), b"old");
    disk.rename(&root.join("new"), &root.join("old")).unwrap();
    assert_eq!(content_at(disk, &root.join("old")), b"new");
    assert!(!disk.exists(&root.join("new")).unwrap());
}

fn a_rename_moves_a_directory_with_its_content(disk: &dyn Disk, root: &Path) {
    disk.create_dir_all(&root.join("a/b")).unwrap();
    disk.create_dir_all(&root.join("c")).unwrap();
    create(disk, &root.join("a/b/file"), b"moved");
    disk.rename(&root.join("a/b"), &root.join("c/d")).unwrap();
    assert_eq!(content_at(disk, &root.join("c/d/file")), b"moved");
    assert_eq!(disk.list(&root.join("a")).unwrap(), Vec::<PathBuf>::new());
}

fn a_rename_follows_the_rules_of_the_kernel(disk: &dyn Disk, root: &Path) {
    disk.create_dir_all(&root.join("full/below")).unwrap();
    disk.create_dir_all(&root.join("empty")).unwrap();
    create(disk, &root.join("file"), b"file");
    let rename = |from: &str, to: &str| disk.rename(&root.join(from), &root.join(to));
    rename("file", "file").unwrap();
    check_kind(rename("absent", "file"), ErrorKind::NotFound);
    check_kind(rename("file", "absent/file"), ErrorKind::NotFound);
    check_kind(rename("file", "empty"), ErrorKind::IsADirectory);
    check_kind(rename("empty", "file"), ErrorKind::NotADirectory);
    check_kind(rename("empty", "full"), ErrorKind::DirectoryNotEmpty);
    check_kind(rename("full", "full/below/full"), ErrorKind::InvalidInput);
    rename("full", "empty").unwrap();
    assert!(disk.exists(&root.join("empty/below")).unwrap());
}

fn an_open_file_survives_its_rename_and_removal(disk: &dyn Disk, root: &Path) {
    let file = create(disk, &root.join("a"), b"still here");
    disk.rename(&root.join("a"), &root.join("b")).unwrap();
    disk.remove_file(&root.join("b")).unwrap();
    disk.sync_dir(root).unwrap();
    assert!(!disk.exists(&root.join("b")).unwrap());
    file.write_all_at(b"S", 0).unwrap();
    file.sync().unwrap();
    assert_eq!(content(&*file), b"Still here");
}

fn removal_of_an_absent_file_is_an_error(disk: &dyn Disk, root: &Path) {
    check_kind(disk.remove_file(&root.join("a")), ErrorKind::NotFound);
    create(disk, &root.join("a"), b"");
    disk.remove_file(&root.join("a")).unwrap();
    check_kind(disk.remove_file(&root.join("a")), ErrorKind::NotFound);
}

fn removal_of_a_directory_takes_everything_below(disk: &dyn Disk, root: &Path) {
    disk.create_dir_all(&root.join("a/b")).unwrap();
    create(disk, &root.join("a/b/file"), b"");
    create(disk, &root.join("file"), b"");
    disk.remove_dir_all(&root.join("a")).unwrap();
    disk.remove_dir_all(&root.join("a")).unwrap();
    assert!(!disk.exists(&root.join("a")).unwrap());
    check_kind(
        disk.remove_dir_all(&root.join("file")),
        ErrorKind::NotADirectory,
    );
    assert_eq!(disk.list(root).unwrap(), [PathBuf::from("file")]);
}

fn a_lock_is_exclusive_until_dropped(disk: &dyn Disk, root: &Path) {
    let path = root.join("lock");
    let lock = disk.lock(&path).unwrap();
    check_kind(disk.lock(&path).map(drop), ErrorKind::WouldBlock);
    let other = disk.lock(&root.join("other")).unwrap();
    drop(lock);
    let again = disk.lock(&path).unwrap();
    drop((again, other));
    assert!(disk.exists(&path).unwrap());
}

fn a_lock_keeps_the_content_of_its_file(disk: &dyn Disk, root: &Path) {
    let file = create(disk, &root.join("lock"), b"pid 7");
    let _lock = disk.lock(&root.join("lock")).unwrap();
    file.write_all_at(b"8", 4).unwrap();
    assert_eq!(content_at(disk, &root.join("lock")), b"pid 8");
}

fn sync_succeeds_on_files_and_directories(disk: &dyn Disk, root: &Path) {
    let file = create(disk, &root.join("a"), b"abc");
    file.sync().unwrap();
    disk.sync_dir(root).unwrap();
    assert_eq!(content_at(disk, &root.join("a")), b"abc");
}

//! Random calls on the real disk and the simulated one side by side. Not about crashes or faults.
//! Invariant: both give the same answers, errors by kind, and end as the same tree.

use super::{Disk, File, OpenMode};
use crate::{CrashMode, Random, SeededRandom, SimulatedDisk, World};
use std::{
    io::{ErrorKind, Result},
    path::{Path, PathBuf},
};

const SEEDS: u64 = 100;
const CALLS: usize = 120;

/// Few names, so that calls meet: each may be a file, a directory or absent.
const PATHS: [&str; 9] = ["a", "b", "a/a", "a/b", "b/a", "a/a/a", "b/a/b", "c", "c/a"];

/// One disk with the files a run holds open.
struct Side<'a> {
    disk: &'a dyn Disk,
    root: PathBuf,
    open: Vec<Option<Box<dyn File>>>,
}

/// What a call answered, as text that compares.
fn answer(result: Result<String>) -> String {
    result.unwrap_or_else(|error| format!("{:?}", error.kind()))
}

impl Side<'_> {
    /// Makes the call that `random` chooses; both sides draw the same numbers.
    fn call(&mut self, random: &SeededRandom) -> String {
        let kind = random.below(14);
        let path = self.root.join(PATHS[random.below(9) as usize]);
        let other = self.root.join(PATHS[random.below(9) as usize]);
        let slot = random.below(4) as usize;
        let (position, len) = (random.below(40), random.below(20) as usize);
        let byte = b'a' + random.below(26) as u8;
        let disk = self.disk;
        let done = |()| String::from("done");
        let result = match kind {
            0..3 => {
                let modes = [OpenMode::Read, OpenMode::ReadWrite, OpenMode::CreateNew];
                disk.open(&path, modes[kind as usize]).map(|file| {
                    self.open[slot] = Some(file);
                    String::from("open")
                })
            }
            3 => disk.list(&path).map(|names| format!("{names:?}")),
            4 => disk.create_dir_all(&path).map(done),
            5 | 6 => disk.rename(&path, &other).map(done),
            7 => disk.remove_file(&path).map(done),
            8 if len < 4 => disk.remove_dir_all(&path).map(done),
            8 => disk.sync_dir(&path).map(done),
            9 => disk.exists(&path).map(|there| there.to_string()),
            _ => match &self.open[slot] {
                None => Ok(String::from("closed")),
                Some(file) => on_file(&**file, kind, position, &vec![byte; len]),
            },
        };
        answer(result)
    }

    fn tree(&self, dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for name in self.disk.list(&self.root.join(dir)).unwrap() {
            let path = dir.join(name);
            match self.disk.open(&self.root.join(&path), OpenMode::Read) {
                Ok(file) => {
                    let mut content = vec![0; file.len().unwrap() as usize];
                    file.read_exact_at(&mut content, 0).unwrap();
                    found.push((path, content));
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::IsADirectory);
                    found.push((path.clone(), Vec::new()));
                    found.extend(self.tree(&path));
                }
            }
        }
        found
    }
}

fn on_file(file: &dyn File, kind: u64, position: u64, bytes: &[u8]) -> Result<String> {
    // The kernel has other words for writes to a file opened for reading; that they fail is enough.
    let refused = |error: std::io::Error| std::io::Error::other(error);
    match kind {
        10 => file
            .write_all_at(bytes, position)
            .map(|()| String::from("written"))
            .map_err(refused),
        11 => file
            .set_len(position)
            .map(|()| String::from("cut"))
            .map_err(refused),
        12 => file.sync().map(|()| String::from("synced")),
        _ => {
            let mut buffer = vec![0; bytes.len()];
            file.read_exact_at(&mut buffer, position)?;
            Ok(format!("{} {buffer:?}", file.len()?))
        }
    }
}

#[test]
fn the_simulated_disk_answers_as_the_real_one() {
    for seed in 0..SEEDS {
        let directory = tempfile::tempdir().unwrap();
        let real = World::real().disk;
        let simulated = SimulatedDisk::new();
        let side = |disk, root: &Path| Side {
            disk,
            root: root.to_owned(),
            open: (0..4).map(|_| None).collect(),
        };
        let mut expected = side(&*real, directory.path());
        let mut found = side(&simulated, Path::new("/"));
        let (first, second) = (SeededRandom::new(seed), SeededRandom::new(seed));
        for call in 0..CALLS {
            let answers = (expected.call(&first), found.call(&second));
            assert_eq!(answers.0, answers.1, "seed {seed}, call {call}");
        }
        let tree = expected.tree(Path::new(""));
        assert_eq!(tree, found.tree(Path::new("")), "seed {seed}");
        check_images(&simulated, &tree, seed);
    }
}

/// A kill changes nothing; once everything is synced, neither does any power cut.
fn check_images(disk: &SimulatedDisk, tree: &[(PathBuf, Vec<u8>)], seed: u64) {
    let as_tree = |disk: &SimulatedDisk| {
        let root = PathBuf::from("/");
        let open = Vec::new();
        Side { disk, root, open }.tree(Path::new(""))
    };
    let image = disk.crash(CrashMode::KeepAll);
    assert_eq!(as_tree(&image), tree, "seed {seed}");
    image.sync_dir(Path::new("/")).unwrap();
    for (path, _) in tree {
        let path = Path::new("/").join(path);
        match image.open(&path, OpenMode::Read) {
            Ok(file) => file.sync().unwrap(),
            Err(_) => image.sync_dir(&path).unwrap(),
        }
    }
    assert_eq!(as_tree(&image.crash(CrashMode::LoseUnsynced)), tree);
    assert_eq!(as_tree(&image.crash(CrashMode::Torn { seed })), tree);
    // Whatever tears, the image is a tree that can be walked and written.
    let torn = disk.crash(CrashMode::Torn { seed });
    as_tree(&torn);
    torn.create_dir_all(Path::new("/fresh")).unwrap();
}

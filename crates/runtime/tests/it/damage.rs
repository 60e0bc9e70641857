//! State on a real disk whose files are damaged between two runs: the store comes back from its changelog.
//! Not a damaged log: the log's own tests have that. Invariant: a damaged store is restored, never trusted and never fatal.
#![allow(clippy::disallowed_methods, reason = "the test damages real files")]

use crate::application::{RECORDS, expected, load, topology};
use headwater_log::Log;
use headwater_log::embedded::EmbeddedLog;
use headwater_runtime::{Listener, Running, Settings, start};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(30);

struct Silent;

impl Listener for Silent {
    fn notice(&self, _: &str) {}
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path))
        } else {
            found.push(path)
        }
    }
    found.sort();
    found
}

fn run(log: &Arc<dyn Log>, settings: &Settings) -> Running {
    start(Arc::into_inner(topology()).unwrap(), log, settings.clone()).unwrap()
}

/// The sums must be those of the whole input.
fn check(running: &Running, what: &str) {
    running
        .caught_up(WAIT)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let wanted = &expected().tables["app-sums-changelog"];
    let sums = running.view::<u64, i64>("sums").unwrap().all().unwrap();
    let found = sums
        .iter()
        .map(|(key, sum)| (key.to_be_bytes().into(), sum.to_be_bytes().into()));
    assert_eq!(
        &found.collect::<crate::application::Table>(),
        wanted,
        "{what}"
    );
}

#[test]
fn a_damaged_store_is_restored_from_its_changelog() {
    let dir = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = EmbeddedLog::open_default(dir.path().join("log")).unwrap();
    let settings = Settings {
        commit_interval_ms: 5,
        listener: Arc::new(Silent),
        ..Settings::in_dir(dir.path().join("state"))
    };
    load(&*log, &settings).unwrap();
    let running = run(&log, &settings);
    check(&running, "undisturbed");
    running.stop(WAIT).unwrap();
    let state = dir.path().join("state");
    let damaged: Vec<PathBuf> = files(&state)
        .into_iter()
        .filter(|path| path.metadata().unwrap().len() > 0)
        .collect();
    assert!(damaged.len() > 5, "only {damaged:?} for {RECORDS} records");
    for path in damaged {
        let Ok(mut bytes) = std::fs::read(&path) else {
            continue;
        };
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        std::fs::write(&path, bytes).unwrap();
        let running = run(&log, &settings);
        check(&running, &path.display().to_string());
        running.stop(WAIT).unwrap();
    }
}

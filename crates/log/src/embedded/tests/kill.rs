//! A child process commits in a loop and is killed. Not a power cut: the page cache survives.
//! Invariant checked: what the child saw answered is there, whole transactions only, and no lock is left behind.

use super::kit::{Session, partition, topic};
use crate::embedded::{EmbeddedOptions, verify};
use headwater_world::World;
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

const CHILD: &str = "HEADWATER_KILL_TEST_DIR";
const RUNS: u64 = 10;

fn options() -> EmbeddedOptions {
    EmbeddedOptions {
        journal_file_bytes_max: 20_000,
        segment_bytes: 5000,
        maintenance_interval_ms: 5,
        ..EmbeddedOptions::default()
    }
}

/// Commits one record to each of two partitions and the position, and says so, until it is killed.
#[test]
fn child_that_commits_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else {
        return;
    };
    let mut session = Session::open(dir.as_ref(), &World::real(), options()).unwrap();
    let _ = session.create(&[topic("t", 2, &[])]);
    let mut next = session.read(&partition("t", 0), 0).unwrap().len() as i64;
    loop {
        for number in 0..2 {
            session.append(
                &partition("t", number),
                None,
                Some(&format!("value {next}")),
                next,
            );
        }
        next += 1;
        session.commit(&[(partition("t", 0), next)]).unwrap();
        println!("answered {next}");
    }
}

#[test]
fn a_killed_process_loses_nothing_it_was_told() {
    if std::env::var(CHILD).is_ok() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut total = 0;
    for run in 0..RUNS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "--nocapture",
                "embedded::tests::kill::child_that_commits_until_it_is_killed",
            ])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut answered = 0;
        let wanted = total + 20 + run * 13;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let Some((_, number)) = line
                .as_ref()
                .ok()
                .and_then(|line| line.rsplit_once("answered "))
            else {
                continue;
            };
            answered = number.parse().unwrap();
            if answered == wanted {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(
            answered >= wanted,
            "run {run}: the child stopped at {answered}"
        );
        let mut session = Session::open(dir.path(), &World::real(), options()).unwrap();
        let lines = session.read(&partition("t", 0), 0).unwrap();
        total = lines.len() as u64;
        // One commit may have been under way when the kill came, unanswered.
        assert!(
            total == answered || total == answered + 1,
            "run {run}: {total} of {answered}"
        );
        assert_eq!(session.read(&partition("t", 1), 0).unwrap(), lines);
        assert_eq!(
            session.committed().unwrap(),
            [(partition("t", 0), total as i64)]
        );
        for (offset, line) in lines.iter().enumerate() {
            assert_eq!(
                line,
                &(offset as i64, None, Some(format!("value {offset}")))
            );
        }
        drop(session);
        assert!(verify(dir.path(), World::real()).unwrap().is_sound());
    }
}

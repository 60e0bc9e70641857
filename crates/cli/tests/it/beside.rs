//! Commands beside an application that holds the log and writes without pause. Not what they print in peace.
//! Invariant: a reading command never fails, never disturbs, and shows whole commits only.

use crate::fixture::{TIME_MS, loaded, open, run, spawn, word_count};
use std::{
    io::{BufRead, BufReader},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

/// Ends the writer also where the test fails: its scope waits for it.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn every_command_reads_while_an_application_writes() {
    let dir = loaded();
    let log = open(dir.path());
    let running = headwater::start(word_count("word-count"), &log).unwrap();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = log.source_writer("loader", "more").unwrap();
            for position in 1.. {
                if ended.load(Ordering::Acquire) {
                    break;
                }
                let (key, line) = (format!("{position}"), "the fox".to_owned());
                writer.append("lines", &key, &line, TIME_MS).unwrap();
                writer.commit(position).unwrap();
            }
        });
        let ending = Ending(&ended);
        let mut failures = Vec::new();
        for _ in 0..10 {
            for arguments in [
                &["topics"][..],
                &["describe", "lines"],
                &["tail", "counts", "--from", "start"],
                &["groups"],
                &["lag"],
                &["verify"],
            ] {
                let ended = run(dir.path(), arguments);
                // What the log tells on standard error of an entry that is being written is no failure.
                if ended.code != Some(0) {
                    failures.push(format!("{arguments:?}: {}{}", ended.out, ended.err));
                }
            }
        }
        drop(ending);
        assert!(failures.is_empty(), "{failures:#?}");
    });
    let members = run(dir.path(), &["groups"]).out;
    let holder = format!("Members are known to process {} (", std::process::id());
    assert!(members.contains(&holder), "{members}");
    assert!(!running.failed());
    running.stop(Duration::from_secs(60)).unwrap();
}

#[test]
fn tail_follows_what_is_committed() {
    let dir = loaded();
    let log = open(dir.path());
    let arguments = ["tail", "lines", "--from", "end", "--follow", "--count", "3"];
    let mut tail = spawn(dir.path(), &arguments);
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    // Waits until the command has looked: what is committed before is not shown.
    std::thread::sleep(Duration::from_secs(1));
    let mut writer = log.source_writer("loader", "more").unwrap();
    for (position, word) in ["one", "two", "three"].into_iter().enumerate() {
        let (key, line) = ("a".to_owned(), word.to_owned());
        writer.append("lines", &key, &line, TIME_MS).unwrap();
        writer.commit(position as u64 + 1).unwrap();
        let line = lines.next().unwrap().unwrap();
        assert!(line.ends_with(&format!("a  {word}")), "{line}");
    }
    assert!(lines.next().is_none());
    assert!(tail.wait().unwrap().success());
}

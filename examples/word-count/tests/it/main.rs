//! The program over texts of its own. Not its parts, which have tests beside them.
//! Invariant: the counts are compared with a plain loop.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test at the rim: it starts processes and writes files, and fails by a panic"
)]

use headwater_broker::{Cluster, Options, is_usable};
use std::{cmp::Reverse, collections::BTreeMap, fs, path::Path, process::Command};
use tempfile::TempDir;

#[track_caller]
fn run(dir: &Path, file: &Path) -> Result<String, String> {
    run_with(dir, file, &[])
}

#[track_caller]
fn run_with(dir: &Path, file: &Path, more: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_word-count"));
    let output = command.arg(file).arg("--data").arg(dir.join("data"));
    let output = output.args(more).output().unwrap();
    let (out, err) = (
        String::from_utf8(output.stdout),
        String::from_utf8(output.stderr),
    );
    if output.status.success() {
        Ok(out.unwrap())
    } else {
        Err(err.unwrap())
    }
}

fn expected(text: &str) -> String {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(word, count)| (Reverse(*count), word.clone()));
    counts.truncate(20);
    let line = |(word, count): &(String, u64)| format!("{count:>8}  {word}\n");
    counts.iter().map(line).collect()
}

#[test]
fn a_text_is_counted_once_and_read_on_when_it_grows() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("text.txt");
    let mut text = include_str!("../../../../ARCHITECTURE.md").to_owned();
    fs::write(&file, &text).unwrap();
    assert_eq!(run(dir.path(), &file).unwrap(), expected(&text));
    assert_eq!(
        run(dir.path(), &file).unwrap(),
        expected(&text),
        "counted twice"
    );
    text.push_str("one more line\r\nand The The The the end");
    fs::write(&file, &text).unwrap();
    assert_eq!(run(dir.path(), &file).unwrap(), expected(&text));
    // Another file over the same directory adds to it.
    let other = dir.path().join("other.txt");
    fs::write(&other, "zebra zebra\n".repeat(5_000)).unwrap();
    let both = format!("{text}\n{}", "zebra zebra\n".repeat(5_000));
    assert_eq!(run(dir.path(), &other).unwrap(), expected(&both));
}

#[test]
fn a_text_that_lost_what_was_counted_is_refused() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("text.txt");
    fs::write(&file, "some words\n").unwrap();
    run(dir.path(), &file).unwrap();
    fs::write(&file, "some\n").unwrap();
    let error = run(dir.path(), &file).unwrap_err();
    assert!(
        error.contains("has changed: 11 bytes of it were counted before"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let dir = TempDir::new().unwrap();
    let error = run(dir.path(), Path::new("no-such.txt")).unwrap_err();
    assert!(
        error.contains("word-count: cannot read no-such.txt"),
        "{error}"
    );
}

#[test]
fn on_kafka_the_counts_are_those_of_the_embedded_log() {
    if !is_usable("word-count on a real broker") {
        return;
    }
    let cluster = Cluster::start(&Options::default()).unwrap();
    let servers = cluster.bootstrap();
    let kafka = ["--kafka", servers.as_str()];
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("text.txt");
    let mut text = include_str!("../../../../ARCHITECTURE.md").to_owned();
    for _ in 0..2 {
        fs::write(&file, &text).unwrap();
        let found = run_with(dir.path(), &file, &kafka).unwrap();
        assert_eq!(found, expected(&text));
        text.push_str("one more line\r\nand The The The the end\n");
    }
}

//! What the job answers, and that a second start neither repeats nor loses anything. Not kills: see `kill`.
//! Invariant: each test has a directory of its own.

use crate::expected;
use crate::program::{Job, run};
use std::{fs, process::Command, thread::sleep, time::Duration};
use tempfile::TempDir;

#[test]
fn the_result_is_that_of_a_plain_loop_and_stays_so_over_the_same_directory() {
    let dir = TempDir::new().unwrap();
    let expected = expected::summary(1);
    assert_eq!(expected["purchases"], 69_659);
    assert_eq!(expected["customers"], 23_570);
    assert_eq!(expected["cds"], 167_881);
    assert_eq!(expected["cents"], 250_031_563);
    let (result, first) = run(dir.path(), &[]);
    assert_eq!(result, expected);
    assert_eq!(first["appended_records"], 69_659 + 23_570);
    assert_eq!(first["processed_purchases"], 69_659);
    let (result, again) = run(dir.path(), &[]);
    assert_eq!(result, expected);
    assert_eq!(again["appended_records"], 0);
    assert_eq!(again["processed_purchases"], 0);
}

#[test]
fn further_repetitions_go_on_from_what_is_there() {
    let dir = TempDir::new().unwrap();
    let (result, _) = run(dir.path(), &["--workers", "2"]);
    assert_eq!(result, expected::summary(1));
    let arguments = ["--repeat", "3", "--workers", "2", "--cache-bytes", "0"];
    let (result, second) = run(dir.path(), &arguments);
    assert_eq!(result, expected::summary(3));
    assert_eq!(second["appended_records"], 2 * 69_659);
    assert_eq!(second["processed_purchases"], 2 * 69_659);
    let (result, _) = run(dir.path(), &[]);
    assert_eq!(
        result,
        expected::summary(3),
        "what is there is not taken back"
    );
}

#[test]
fn a_job_that_is_asked_to_stop_ends_cleanly_and_goes_on_with_the_next_start() {
    let dir = TempDir::new().unwrap();
    let phases = dir.path().join("phases");
    let arguments = [
        "--json",
        "--repeat",
        "4",
        "--commit-interval-ms",
        "5",
        "--phases",
    ];
    let job = Job::start(
        dir.path(),
        &[&arguments[..], &[phases.to_str().unwrap()]].concat(),
    );
    while !fs::read_to_string(&phases).is_ok_and(|text| text.contains("commit")) {
        sleep(Duration::from_millis(1));
    }
    let mut stop = Command::new("kill");
    stop.arg("-TERM").arg(job.id().to_string());
    assert!(stop.status().unwrap().success());
    let end = job.wait();
    assert!(end.status.success(), "{}", end.err);
    assert!(end.out.is_empty(), "stopped too late: {}", end.out);
    assert!(end.err.contains("goes on where it stopped"), "{}", end.err);
    let (result, run) = run(dir.path(), &["--repeat", "4"]);
    assert_eq!(result, expected::summary(4));
    assert_eq!(
        run["restored_records"], 0,
        "a clean end leaves nothing to restore"
    );
}

#[test]
fn an_input_that_cannot_be_read_is_refused_with_its_line() {
    let dir = TempDir::new().unwrap();
    let input = dir.path().join("input.txt");
    fs::write(
        &input,
        "heading\n00001 19970101 1 11.77\n00001 1997 1 11.77\n",
    )
    .unwrap();
    let end = Job::start(dir.path(), &["--input", input.to_str().unwrap()]).wait();
    assert!(!end.status.success());
    assert!(
        end.err.contains("line 3: '1997' is no day of the calendar"),
        "{}",
        end.err
    );
}

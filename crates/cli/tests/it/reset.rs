//! `headwater reset`: the plan, the refusal, the deed. Not a crash in the middle of it.
//! Invariant: after a reset a second run counts the same words anew.

use crate::fixture::{check, check_error, counts, directory, json, open, wait_until, word_count};
use serde_json::json;
use std::time::Duration;

const PLAN: &str = "\
set      lines-0 to offset 0
set      lines-1 to offset 0
delete   topic word-count-word-counts-changelog
delete   topic word-count-word-counts-repartition
remove   DIR/state/word-count
";

#[test]
fn a_dry_run_changes_nothing_and_a_reset_does_what_it_said() {
    let dir = directory();
    let data = dir.path();
    for _ in 0..2 {
        let expected = format!("{PLAN}nothing was changed\n");
        check(data, &["reset", "word-count", "--dry-run"], &expected);
    }
    check(
        data,
        &["reset", "word-count", "--yes"],
        &format!("{PLAN}done\n"),
    );
    let expected = "\
GROUP       TOPIC  PARTITION  COMMITTED  END  LAG
word-count  lines          0          0    3    3
word-count  lines          1          0    1    1
word-count  total          -          -    -    4
";
    check(data, &["lag"], expected);
    let log = open(data);
    let running = headwater::start(word_count("word-count"), &log).unwrap();
    wait_until(&running, || running.records() >= 4 + 7);
    running.stop(Duration::from_secs(60)).unwrap();
    drop(log);
    assert_eq!(counts(data), ["end 2", "fox 2", "quick 1", "the 2"]);
}

#[test]
fn positions_are_set_where_asked() {
    let dir = directory();
    for (to, expected) in [
        ("earliest", [0, 0]),
        ("latest", [3, 1]),
        ("time:1700000002000", [2, 0]),
        ("offset:2", [2, 1]),
    ] {
        let plan = json(
            dir.path(),
            &["reset", "word-count", "--dry-run", "--to", to],
        );
        let position = |partition: usize| json!({ "topic": "lines", "partition": partition, "offset": expected[partition] });
        assert_eq!(plan["positions"], json!([position(0), position(1)]), "{to}");
        assert_eq!(plan["done"], false);
    }
}

#[test]
fn nothing_happens_unconfirmed_unknown_or_beside_a_holder() {
    let dir = directory();
    let data = dir.path();
    let unconfirmed =
        "headwater: not confirmed, and no terminal to ask at; see --dry-run, then give --yes";
    check_error(data, &["reset", "word-count"], 1, unconfirmed);
    let unknown = "headwater: nothing is known of application 'word' in DIR; there is word-count";
    check_error(data, &["reset", "word", "--yes"], 1, unknown);
    let elsewhere = "headwater: '..' is no application id";
    check_error(data, &["reset", "..", "--yes"], 1, elsewhere);
    let log = open(data);
    let refused = crate::fixture::run(data, &["reset", "word-count", "--yes"]);
    let holder = format!("headwater: DIR is open in process {} (", std::process::id());
    assert!(refused.err.starts_with(&holder), "{}", refused.err);
    assert!(refused.err.contains("; stop it before the reset"));
    assert_eq!((refused.code, refused.err.lines().count()), (Some(1), 1));
    let planned = crate::fixture::run(data, &["reset", "word-count", "--dry-run"]);
    assert_eq!(planned.out, format!("{PLAN}nothing was changed\n"));
    assert!(planned.err.contains("stop it before the reset"));
    drop(log);
    assert_eq!(counts(data), ["end 2", "fox 2", "quick 1", "the 2"]);
}

#[test]
fn the_topics_of_an_application_with_a_longer_name_are_left_alone() {
    let dir = directory();
    let log = open(dir.path());
    let running = headwater::start(word_count("word"), &log).unwrap();
    wait_until(&running, || running.records() >= 4 + 7);
    running.stop(Duration::from_secs(60)).unwrap();
    drop(log);
    let plan = json(dir.path(), &["reset", "word", "--yes"]);
    let own = ["word-word-counts-changelog", "word-word-counts-repartition"];
    assert_eq!(plan["topics"], json!(own));
    let groups = json(dir.path(), &["groups"]);
    assert_eq!(groups[1]["group"], "word-count");
    assert_eq!(groups[1]["partitions_committed"], 4);
}

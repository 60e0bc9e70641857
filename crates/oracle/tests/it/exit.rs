//! How `headwater-oracle live run` ends, for scripts that look at its exit status and its line. Not what it computes meanwhile.
//! Invariant: 0 is a run that did what it was asked to, 1 one that did not, 2 a command line that asks for nothing that could be run.

use crate::fire::CASE;
use headwater_broker::{Cluster, is_usable};
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Nobody listens there.
const NOWHERE: &str = "127.0.0.1:1";

fn run(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater-oracle"));
    let output = command.args(words).stdin(Stdio::null()).output();
    output.expect("our own program starts")
}

/// `live run` of a case on a cluster.
fn live(cluster: &Cluster, case: &str, state: &Path, id: &str, more: &[&str]) -> Output {
    let servers = cluster.bootstrap();
    let mut words = vec!["live", "run", case, "--kafka", &servers];
    words.extend(["--application-id", id, "--state-dir"]);
    let state = state.join(id).display().to_string();
    words.push(&state);
    words.extend(more);
    run(&words)
}

/// The exit status, the one line of standard output and standard error.
fn told(output: &Output) -> (Option<i32>, Value, String) {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = serde_json::from_str(&text);
    let line = line.unwrap_or_else(|error| panic!("{error}: {text}\n{errors}"));
    (output.status.code(), line, errors)
}

#[track_caller]
fn refused(words: &[&str], why: &str) {
    let output = run(words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {errors}");
    assert!(errors.contains(why), "{words:?}: no '{why}' in: {errors}");
    assert!(output.stdout.is_empty(), "{words:?}");
}

#[test]
fn a_bad_command_line_ends_with_2_and_says_what_is_wrong() {
    let id = ["--application-id", "exit"];
    let place = ["--kafka", NOWHERE, "--state-dir", "/nowhere"];
    let whole = [&["live", "run", CASE][..], &id, &place].concat();
    let with = |more: &[&'static str]| [&whole[..], more].concat();
    refused(&["live"], "live what?");
    refused(&["live", "walk", CASE], "live walk is the judge's");
    refused(&["live", "run", "no-such-case.json"], "--kafka is needed");
    refused(&["live", "run", CASE], "--kafka is needed");
    let without_id = [&["live", "run", CASE][..], &place].concat();
    refused(&without_id, "--application-id is needed");
    refused(&with(&["--fast", "yes"]), "no option --fast");
    refused(&with(&["--seconds"]), "--seconds needs a value");
    refused(&with(&["--seconds", "soon"]), "--seconds soon");
    refused(&with(&["--seconds", "-1"]), "--seconds -1");
    refused(&with(&["--set", "novalue"]), "--set wants KEY=VALUE");
    let other = [&["live", "run", "no-such-case.json"][..], &id, &place].concat();
    refused(&other, "no-such-case.json");
}

#[test]
fn a_run_that_does_not_reach_the_end_it_was_to_ends_with_1_and_one_that_had_none_with_0() {
    if !is_usable("exits of live run") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let cluster = crate::shared_broker();
    crate::topics::create(cluster, &["events", "counts", "balances"], 1);
    let folder = tempfile::tempdir().expect("a folder for state");
    // At the end is who has been there for two seconds.
    let late = ["--to-end", "--seconds", "1"];
    let output = live(cluster, CASE, folder.path(), "late", &late);
    let (code, line, errors) = told(&output);
    assert_eq!(code, Some(1), "{line} {errors}");
    assert_eq!(line["state"], "stopped", "{line} {errors}");
    assert!(
        errors.contains("not at the end after --seconds"),
        "{errors}"
    );
    // The same without an end to reach did what it was asked to.
    let output = live(cluster, CASE, folder.path(), "timed", &["--seconds", "1"]);
    let (code, line, errors) = told(&output);
    assert_eq!(code, Some(0), "{line} {errors}");
    assert_eq!(line["state"], "stopped", "{line} {errors}");
    assert_eq!(line["application_id"], "timed");
}

/// Far longer than the failure takes: a run that does not fail ends all the same, and then otherwise.
const PATIENCE_S: &str = "120";

#[test]
fn a_run_whose_processor_fails_says_so_in_its_line_and_ends_with_1() {
    if !is_usable("a processor that fails") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let cluster = crate::shared_broker();
    crate::topics::create(cluster, &["fails.in", "fails.out"], 1);
    let folder = tempfile::tempdir().expect("a folder for state");
    let case = folder.path().join("case.json");
    let nodes = json!([
        {"id": "s", "op": "stream", "topics": ["fails.in"], "key": "string", "value": "string"},
        {"id": "m", "op": "map_values", "from": "s", "value_fn": "fail_if:bad"},
        {"op": "to", "from": "m", "topic": "fails.out"},
    ]);
    let text = json!({"name": "fails", "config": {}, "nodes": nodes, "input": []}).to_string();
    std::fs::write(&case, text).expect("a folder of ours");
    produce(cluster, "fails.in", "k\tgood\nk\tbad\n");
    let case = case.display().to_string();
    let terms = [
        "--guarantee",
        "exactly_once_v2",
        "--to-end",
        "--seconds",
        PATIENCE_S,
    ];
    let output = live(cluster, &case, folder.path(), "fails", &terms);
    let (code, line, errors) = told(&output);
    assert_eq!(code, Some(1), "{line} {errors}");
    assert_eq!(line["state"], "error", "{line} {errors}");
    assert_eq!(line["application_id"], "fails");
    assert_eq!(line["error"]["stage"], "run", "{line}");
    for said in [&line["error"]["message"].to_string(), &errors] {
        assert!(said.contains("failed on bad"), "{line} {errors}");
    }
}

fn produce(cluster: &Cluster, topic: &str, lines: &str) {
    let mut kcat = Command::new("kcat");
    kcat.args(["-b", &cluster.bootstrap(), "-P", "-t", topic, "-K", "\t"]);
    let mut kcat = kcat.stdin(Stdio::piped()).spawn().expect("kcat");
    let mut input = kcat.stdin.take().expect("it was asked for");
    input.write_all(lines.as_bytes()).expect("kcat reads");
    drop(input);
    assert!(kcat.wait().expect("a process of ours").success());
}

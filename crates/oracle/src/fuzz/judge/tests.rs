//! What is done when the judge ends before its batch. Not Kafka Streams: a program that prints what a judge prints, and ends where
//! a case says so. Invariant: a case behind one that ended the judge is heard.

use super::Judge;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Takes the cases of a folder in order; `ends` ends it in the midst of a line, of `fails` it says nothing.
const PROGRAM: &str = r#"#!/bin/sh
for file in "$2"/*.json; do
    if grep -q ends "$file"; then printf '{"name'; exit 1; fi
    grep -q fails "$file" || { cat "$file"; echo; }
done
"#;

#[track_caller]
fn check(says: &[&str], expected: &[bool]) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("judge");
    fs::write(&program, PROGRAM).expect("a program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it may run");
    let judge = Judge {
        program,
        folder: folder.path().to_owned(),
    };
    let name = |at: usize| json!(format!("case {at}"));
    let case = |(at, says): (usize, &&str)| json!({"name": name(at), "says": says});
    let cases: Vec<Value> = says.iter().enumerate().map(case).collect();
    let hearing = judge.hear(&cases).expect("the program starts");
    let verdicts = hearing.verdicts().expect("verdicts");
    let verdict = |(at, heard): (usize, &bool)| heard.then(|| cases[at].clone());
    let expected: Vec<_> = expected.iter().enumerate().map(verdict).collect();
    assert_eq!(verdicts, expected);
}

#[test]
fn cases_behind_one_that_ends_the_judge_are_heard() {
    check(
        &["", "ends", "", "", "ends", ""],
        &[true, false, true, true, false, true],
    );
    check(&["ends", "fails", "", "ends"], &[false, false, true, false]);
}

#[test]
fn a_case_without_a_result_ends_nothing() {
    check(
        &["fails", "", "fails", "", "fails", "fails"],
        &[false, true, false, true, false, false],
    );
}

#[test]
fn a_judge_that_gives_no_result_at_all_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let judge = Judge {
        program: "/bin/false".into(),
        folder: folder.path().to_owned(),
    };
    let cases = vec![json!({"name": "a"}); 5];
    let heard = judge.hear(&cases).expect("the program starts").verdicts();
    assert!(heard.is_err());
}

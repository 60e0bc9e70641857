//! Random cases with the results that Kafka Streams gave for them, for machines without the judge: `cargo xtask oracle record`
//! makes them. Not the corpus. Invariant: every recorded case is equal, or on the list of those that are not yet.

use super::folder;
use headwater_oracle::{Case, difference, fuzz::recorded, run};
use serde_json::Value;
use std::{collections::BTreeSet, fs};

const LIST: &str = "recorded/open.txt";
const CASES_MIN: usize = 200;

/// With `HEADWATER_BLESS=1` cases that have become equal are taken off the list.
#[test]
fn every_recorded_case_is_equal_or_listed() {
    let list = folder().join(LIST);
    let text = fs::read_to_string(&list).expect("the list is there");
    let mut listed: BTreeSet<String> = text.lines().map(str::to_owned).collect();
    let (mut count, mut findings) = (0, Vec::new());
    for entry in fs::read_dir(folder().join("recorded")).expect("the recorded cases are there") {
        let file = entry.expect("a readable folder").path();
        if file.extension().is_none_or(|ending| ending != "gz") {
            continue;
        }
        for (case, expected) in recorded::read(&file).expect("a recorded file can be read") {
            count += 1;
            let name = case["name"].as_str().expect("a case has a name").to_owned();
            match outcome(&case, &expected) {
                Ok(()) if listed.remove(&name) => eprintln!("{name} is equal: bless the list"),
                Err(difference) if !listed.contains(&name) => {
                    findings.push(format!("{name} differs\n{difference}"));
                }
                _ => {}
            }
        }
    }
    if std::env::var_os("HEADWATER_BLESS").is_some() {
        let lines: String = listed.iter().map(|name| format!("{name}\n")).collect();
        fs::write(list, lines).expect("the list can be written");
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(count >= CASES_MIN, "recorded cases have been lost");
}

fn outcome(case: &Value, expected: &Value) -> Result<(), String> {
    let case = Case::of(case).map_err(|refusal| refusal.to_string())?;
    let actual = run(&case).map_err(|refusal| refusal.to_string())?;
    difference(expected, &actual).map_or(Ok(()), |difference| Err(difference.to_string()))
}

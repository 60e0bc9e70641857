//! The corpus: every case with the result that Kafka Streams 4.3.1 gave for it, and the list of those not yet equal.
//! Not the judge: `cases/*.out.json` is never written by us. Invariant: the list only shrinks.
#![allow(
    clippy::disallowed_methods,
    reason = "tests read case files; nothing here is ever simulated"
)]

mod away;
mod closed_java;
mod exit;
mod failover;
mod fire;
mod idle;
mod instance;
mod old_broker;
mod recorded;
mod rolling;
mod runtime;
mod secrets;
mod takeover;
mod topics;
mod whole_application;
mod woken;
mod workers;

use headwater_broker::{Cluster, Listener, Options};
use headwater_oracle::{Case, difference, run};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock};

/// Tests with clusters run one after the other: side by side they measure each other's patience.
static CLUSTERS: Mutex<()> = Mutex::new(());

fn one_cluster_at_a_time() -> MutexGuard<'static, ()> {
    CLUSTERS
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// A broker for all tests that neither end it nor need it for themselves, each with topics of its own, under
/// [`one_cluster_at_a_time`]. It has a listener for proxies, and dies with the test process.
fn shared_broker() -> &'static Cluster {
    static BROKER: OnceLock<Cluster> = OnceLock::new();
    BROKER.get_or_init(|| {
        // Members are soon told what happens.
        let options = Options::default()
            .listen(Listener::Proxied)
            .set("group.streams.min.heartbeat.interval.ms", 200)
            .set("group.streams.heartbeat.interval.ms", 300);
        Cluster::start(&options).expect("a broker starts")
    })
}

/// As [`one_cluster_at_a_time`], for Kafka Streams and ours in streams groups; without what that needs it says so, for `what`.
fn one_cluster_with_java(what: &str) -> Option<MutexGuard<'static, ()>> {
    let is_usable = headwater_broker::has_streams_groups(what)
        && headwater_broker::is_usable(what)
        && takeover::java::is_usable(what);
    is_usable.then(one_cluster_at_a_time)
}

const LIST: &str = "unsupported.txt";
const CASES_MIN: usize = 243;

/// With `HEADWATER_BLESS=1`, as `cargo xtask bless` sets it, cases that have become equal are taken off the list.
#[test]
fn every_case_is_equal_or_listed() {
    // Functions of cases panic on purpose.
    std::panic::set_hook(Box::new(|_| {}));
    let mut listed = listed();
    let mut findings = Vec::new();
    let cases = cases();
    for case in &cases {
        let name = case.file_stem().expect("a case file").to_string_lossy();
        match (outcome(case), listed.contains(&*name)) {
            (Ok(()), false) | (Err(_), true) => {}
            (Ok(()), true) => {
                findings.push(format!("{name} is equal: take it off {LIST}"));
                listed.remove(&*name);
            }
            (Err(difference), false) => findings.push(format!("{name} differs\n{difference}")),
        }
    }
    let _ = std::panic::take_hook();
    if std::env::var_os("HEADWATER_BLESS").is_some() {
        let lines: String = listed.iter().map(|name| format!("{name}\n")).collect();
        fs::write(folder().join(LIST), lines).expect("the list can be written");
        findings.retain(|finding| !finding.contains(" is equal"));
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert!(cases.len() >= CASES_MIN, "the corpus has lost cases");
}

fn outcome(file: &Path) -> Result<(), String> {
    let case = Case::of(&read(file)).map_err(|refusal| refusal.to_string())?;
    let result = run(&case).map_err(|refusal| refusal.to_string())?;
    match difference(&read(&file.with_extension("out.json")), &result) {
        None => Ok(()),
        Some(difference) => Err(difference.to_string()),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).into()
}

fn listed() -> BTreeSet<String> {
    let text = fs::read_to_string(folder().join(LIST)).expect("the list is there");
    text.lines().map(str::to_owned).collect()
}

fn cases() -> Vec<PathBuf> {
    // Differences that random cases found stay as cases.
    let folders = ["cases", "kept"].map(|name| fs::read_dir(folder().join(name)));
    let entries = folders
        .into_iter()
        .flat_map(|entries| entries.expect("the corpus is there"));
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| {
            let name = path.to_string_lossy();
            name.ends_with(".json") && !name.ends_with(".out.json")
        })
        .collect();
    cases.sort();
    cases
}

fn read(file: &Path) -> Value {
    let text = fs::read_to_string(file).expect("a case has its result beside it");
    serde_json::from_str(&text).expect("case files are JSON")
}

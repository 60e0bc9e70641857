//! A whole application behind a login: what it says when the password is wrong, and that it never says the password. Not each mechanism
//! and mistake: `kafka` asks a broker about those. Invariant: all that the process prints is looked through, whatever it ends with.

use crate::fire::CASE;
use headwater_broker::{Cluster, Listener, Options, USERS, is_usable};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How soon a person must know.
const TOLD_WITHIN: Duration = Duration::from_secs(10);
/// How long a machine that is busy may take to start a process.
const STARTED_WITHIN: Duration = Duration::from_secs(20);
const WRONG: &str = "hunter2-is-not-it";

/// Starts an application that logs in with this password, ends it after a while or once it says `awaited`, and answers what it said
/// and whether it said that in time.
fn said(cluster: &Cluster, mechanism: &str, password: &str, awaited: &str) -> (String, bool) {
    let folder = tempfile::tempdir().expect("a folder for state");
    let (user, _) = USERS[0];
    let module = match mechanism {
        "PLAIN" => "org.apache.kafka.common.security.plain.PlainLoginModule",
        _ => "org.apache.kafka.common.security.scram.ScramLoginModule",
    };
    let login =
        format!("sasl.jaas.config={module} required username=\"{user}\" password=\"{password}\";");
    let output = folder.path().join("output");
    let file = std::fs::File::create(&output).expect("a file for output");
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater-oracle"));
    let servers = cluster.bootstrap_of(Listener::SaslPlaintext);
    command.args(["live", "run", CASE, "--kafka", &servers]);
    command.args([
        "--application-id",
        &format!("secrets-{mechanism}"),
        "--guarantee",
        "exactly_once_v2",
    ]);
    command.arg("--state-dir").arg(folder.path().join("state"));
    let mechanism = format!("sasl.mechanism={mechanism}");
    for setting in ["security.protocol=SASL_PLAINTEXT", &mechanism, &login] {
        command.args(["--set", setting]);
    }
    let errors = file.try_clone().expect("a file twice");
    command.env("RUST_BACKTRACE", "1").stdin(Stdio::null());
    let mut child = (command.stdout(file).stderr(errors).spawn()).expect("our own program starts");
    let begun = Instant::now();
    let mut text = String::new();
    while !text.contains(awaited) && begun.elapsed() < TOLD_WITHIN + STARTED_WITHIN {
        thread::sleep(Duration::from_millis(50));
        text = std::fs::read_to_string(&output).unwrap_or_default();
    }
    // What comes behind it is looked through, too.
    thread::sleep(Duration::from_secs(2));
    let _ = child.kill();
    child.wait().expect("a process of ours");
    let all = std::fs::read_to_string(&output).unwrap_or_default();
    (all, text.contains(awaited))
}

#[test]
fn a_wrong_password_is_told_soon_and_no_password_is_ever_told() {
    if !is_usable("a whole application behind a login") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let options = Options::default().listen(Listener::SaslPlaintext);
    let cluster = Cluster::start(&options).expect("a broker starts");
    crate::topics::create(&cluster, &["events", "counts", "balances"], 1);
    let (_, right) = USERS[0];
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let (text, told) = said(&cluster, mechanism, WRONG, "refused the login");
        assert!(told, "{mechanism}: {text}");
        assert!(text.contains("sasl.jaas.config"), "no way out: {text}");
        assert!(!text.contains(WRONG), "{text}");
        let (text, runs) = said(&cluster, mechanism, right, "active 0_0");
        assert!(runs, "{mechanism}: {text}");
        assert!(!text.contains(right), "{text}");
    }
}

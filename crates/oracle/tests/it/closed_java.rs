//! From a classic group of Kafka Streams to a streams group of ours under the same id. Kafka Streams that is closed as its users close it
//! does not leave a classic group: its member counts until its session is over. Not a living member: that one is refused in the end.
//! Invariant: who waits says for what, and then nothing is lost or doubled.

use crate::instance::{Application, Notices, TASKS, WAIT, until};
use crate::takeover::java;
use headwater_broker::{Cluster, Options, is_usable};
use std::sync::Arc;
use std::time::Instant;

const ID: &str = "closed-java";
const SENTENCES: usize = 400;
/// Long enough that ours comes before its end, on a machine that is busy.
const SESSION: &[&str] = &["--set", "session.timeout.ms=12000"];

#[test]
fn ours_waits_for_the_session_of_a_closed_kafka_streams_and_goes_on_in_a_streams_group() {
    const WHAT: &str = "a streams group after a classic one of Kafka Streams";
    if !is_usable(WHAT) || !java::is_usable(WHAT) {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let cluster = Cluster::start(&Options::default()).expect("a broker starts");
    let folder = tempfile::tempdir().expect("a folder for state");
    let mut application = Application::new(&cluster, folder.path(), ID, "classic");
    let mut theirs = application.java(&[SESSION, &["--leave", "no"]].concat());
    theirs.until_running();
    application.load(SENTENCES);
    application.must_be_exact();
    theirs.stop();

    application.speak("streams");
    let notices = Arc::<Notices>::default();
    let begun = Instant::now();
    let ours = application.ours(None, &notices);
    application.load(SENTENCES);
    let has_all = || ours.running_tasks() == TASKS;
    until("all tasks", has_all, || format!("{:?}", notices.all()));
    let waited = begun.elapsed().as_secs_f64();
    let told = notices.all();
    let is_why = |it: &String| it.contains(ID) && it.contains("members of another protocol");
    assert!(told.iter().any(is_why), "{told:?}");
    application.must_be_exact();
    ours.stop(WAIT).expect("it ends well");
    println!("all tasks {waited:.1} s after the start, a session is 12 s");
}

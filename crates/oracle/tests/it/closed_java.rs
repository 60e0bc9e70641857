//! From a classic group of Kafka Streams to a streams group of ours under the same id. Kafka Streams that is closed as its users close it
//! does not leave a classic group: its member counts until its session is over. Who waits less than that, or for a living member, is
//! refused in the end. Not the waiting of members alone: that is tested in `kafka`.
//! Invariant: who waits says for what, and then nothing is lost or doubled.

use crate::instance::{Application, Notices, TASKS, WAIT, until};
use std::sync::Arc;
use std::time::Instant;

const ID: &str = "closed-java";
const SENTENCES: usize = 400;
/// Long enough that ours comes before its end, on a machine that is busy.
const SESSION: &[&str] = &["--set", "session.timeout.ms=12000"];

#[test]
fn ours_waits_for_the_session_of_a_closed_kafka_streams_and_goes_on_in_a_streams_group() {
    let Some(_one) =
        crate::one_cluster_with_java("a streams group after a classic one of Kafka Streams")
    else {
        return;
    };
    let cluster = crate::shared_broker();
    let folder = tempfile::tempdir().expect("a folder for state");
    let mut application = Application::new(cluster, folder.path(), ID, "classic");
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

/// Theirs is far longer than ours and what is waited beyond it, so that a busy machine does not close the gap between the two.
const LONG_SESSION: &[&str] = &["--set", "session.timeout.ms=60000"];
const SHORT: (&str, &str) = ("session.timeout.ms", "6000");
const LONG: (&str, &str) = ("session.timeout.ms", "60000");

#[test]
fn a_session_of_kafka_streams_longer_than_ours_is_refused_with_the_way_out_which_leads_out() {
    let Some(_one) =
        crate::one_cluster_with_java("a streams group after a longer session of Kafka Streams")
    else {
        return;
    };
    let cluster = crate::shared_broker();
    let folder = tempfile::tempdir().expect("a folder for state");
    let mut application = Application::new(cluster, folder.path(), "long-session", "classic");
    let mut theirs = application.java(&[LONG_SESSION, &["--leave", "no"]].concat());
    theirs.until_running();
    application.load(SENTENCES);
    application.must_be_exact();
    theirs.stop();

    application.speak("streams");
    let begun = Instant::now();
    let notices = Arc::<Notices>::default();
    let ours = application.ours_with(None, &notices, &[SHORT]);
    until(
        "a refusal",
        || ours.failed(),
        || format!("{:?}", notices.all()),
    );
    let refused = begun.elapsed().as_secs_f64();
    let error = ours.stop(WAIT).expect_err("it is refused").to_string();
    for said in [
        "after 11000 ms",
        "session.timeout.ms (6000)",
        "set session.timeout.ms here to theirs",
    ] {
        assert!(error.contains(said), "{said}: {error}");
    }

    let notices = Arc::<Notices>::default();
    let ours = application.ours_with(None, &notices, &[LONG]);
    application.load(SENTENCES);
    let has_all = || ours.running_tasks() == TASKS;
    until("all tasks", has_all, || format!("{:?}", notices.all()));
    application.must_be_exact();
    ours.stop(WAIT).expect("it ends well");
    println!(
        "refused after {refused:.1} s; with their session as ours, all tasks {:.1} s after the first start",
        begun.elapsed().as_secs_f64()
    );
}

//! An application that ends as a whole because one of its instances asks for it (KIP-671): ours among themselves in both group protocols,
//! ours and Kafka Streams in one streams group, both ways. Not the members alone: those are tested in `kafka`. Invariant: what was
//! written while it fell is counted exactly once by whoever starts later.

use crate::instance::{Application, Notices, POISON, TASKS, WAIT, until};
use headwater::Running;
use headwater_broker::{has_streams_groups, is_usable};
use std::sync::Arc;

const SENTENCES: usize = 400;

#[test]
fn an_instance_of_ours_ends_all_of_ours_in_either_protocol() {
    if !is_usable("the end of a whole application") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let cluster = crate::shared_broker();
    let folder = tempfile::tempdir().expect("a folder for state");
    for protocol in ["streams", "classic"] {
        if protocol == "streams" && !has_streams_groups("the end of a whole application") {
            continue;
        }
        println!("{protocol}");
        let mut application = Application::new(cluster, folder.path(), protocol, protocol);
        let notices = Arc::default();
        let one = application.ours(Some(POISON), &notices);
        until_all(&one);
        let other = application.ours(None, &notices);
        until_shared(&[&one, &other]);
        application.load(SENTENCES);
        application.poison();
        until_failed(&[&one, &other], &notices);
        must_say(one, "is poison");
        must_say(other, "asked the whole application to stop");
        goes_on(&mut application);
    }
}

#[test]
fn ours_and_kafka_streams_end_each_other_in_one_streams_group() {
    let Some(_one) =
        crate::one_cluster_with_java("the end of an application of Kafka Streams and us")
    else {
        return;
    };
    let cluster = crate::shared_broker();
    let folder = tempfile::tempdir().expect("a folder for state");
    let shutdown = ["--uncaught", "SHUTDOWN_APPLICATION"];

    println!("ours asks");
    let mut application = Application::new(cluster, folder.path(), "ours-asks", "streams");
    let notices = Arc::default();
    let ours = application.ours(Some(POISON), &notices);
    until_all(&ours);
    let mut theirs = application.java(&shutdown);
    theirs.until_running();
    until_shared(&[&ours]);
    application.load(SENTENCES);
    application.poison();
    until_failed(&[&ours], &notices);
    must_say(ours, "is poison");
    let status = theirs.ended();
    let output = theirs.output();
    assert!(!status.success(), "{output}");
    // It has no poison of its own: only the group can have told it.
    assert!(output.contains("ours-asks is ERROR"), "{output}");
    assert!(!output.contains(POISON), "{output}");
    let why = "requested a shutdown for the entire application";
    assert!(output.contains(why), "{output}");
    goes_on(&mut application);

    println!("Kafka Streams asks");
    let mut application = Application::new(cluster, folder.path(), "java-asks", "streams");
    let notices = Arc::default();
    let ours = application.ours(None, &notices);
    until_all(&ours);
    let mut theirs = application.java(&[&shutdown[..], &["--poison", POISON]].concat());
    theirs.until_running();
    until_shared(&[&ours]);
    application.load(SENTENCES);
    application.poison();
    until_failed(&[&ours], &notices);
    // Also who: in the coordinator's words.
    must_say(
        ours,
        "asked the whole application to stop: Streams group member",
    );
    let status = theirs.ended();
    let output = theirs.output();
    assert!(
        !status.success() && output.contains("is poison"),
        "{output}"
    );
    goes_on(&mut application);
}

/// So that having less, later, means to have handed something over.
#[track_caller]
fn until_all(first: &Running) {
    let has_all = || first.running_tasks() == TASKS;
    until("all tasks", has_all, || first.running_tasks().to_string());
}

/// Each has a part and none has all.
#[track_caller]
fn until_shared(instances: &[&Running]) {
    let tasks = || instances.iter().map(|it| it.running_tasks());
    let is_shared = || tasks().all(|tasks| (1..TASKS).contains(&tasks));
    until("a share for each", is_shared, || {
        format!("{:?}", tasks().collect::<Vec<_>>())
    });
}

#[track_caller]
fn until_failed(instances: &[&Running], notices: &Notices) {
    let has_failed = || instances.iter().all(|it| it.failed());
    until("the end of ours", has_failed, || {
        format!("{:?}", notices.all())
    });
}

#[track_caller]
fn must_say(ended: Running, why: &str) {
    let error = ended.stop(WAIT).expect_err("it has failed");
    assert!(error.to_string().contains(why), "{error:?}");
}

/// Whoever starts later is not concerned, and has the rest to do.
#[track_caller]
fn goes_on(application: &mut Application<'_>) {
    let running = application.ours(None, &Arc::default());
    application.must_be_exact();
    running.stop(WAIT).expect("it ends well");
}

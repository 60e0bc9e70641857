//! `headwater reset --kafka`, beside `kafka-streams-application-reset.sh` over a twin. Not the refusals of a directory.
//! Invariant: positions and topics are read by Kafka's own tools.

use super::judge::{Java, program};
use super::{WAIT, cluster, json, kafka, out, refused, run, start, wait_until, write};
use headwater::log::{ClientOptions, GroupEvent, Log, Membership, Subtopology};
use headwater_broker::Cluster;
use std::{collections::BTreeSet, path::Path};
use tempfile::TempDir;

/// After a reset an application of ours counts the same words anew, also with another topology in its group.
pub(super) fn words_begin_anew(cluster: &Cluster, dir: &Path) {
    let state = dir.to_str().unwrap();
    let plan = format!(
        "set      lines-0 to offset 0\nset      lines-1 to offset 0\n\
         delete   topic words-word-counts-changelog\ndelete   topic words-word-counts-repartition\n\
         remove   {state}/words\n"
    );
    let reset = ["reset", "words", "--state-dir", state];
    let dry = out(cluster, &[&reset[..], &["--dry-run"]].concat());
    assert_eq!(dry, format!("{plan}nothing was changed\n"));
    assert!(topics(cluster).contains("words-word-counts-changelog"));
    let done = out(cluster, &[&reset[..], &["--yes"]].concat());
    assert_eq!(done, format!("{plan}done\n"));
    assert!(!topics(cluster).iter().any(|it| it.starts_with("words-")));
    assert_eq!(positions(cluster, "words"), ["lines 0 0", "lines 1 0"]);
    let running = start(cluster, "words", "lines", dir);
    wait_until("words are counted anew", || running.records() >= 11);
    running.stop(WAIT).unwrap();
    let counts = out(cluster, &["tail", "counts", "--from", "start"]);
    let foxes = counts.lines().filter(|line| line.contains("  fox  "));
    let foxes: Vec<_> = foxes.map(|it| it.rsplit(' ').next().unwrap()).collect();
    assert_eq!(
        foxes.last(),
        Some(&"2"),
        "begun anew, not counted on: {counts}"
    );
}

#[test]
fn a_reset_of_a_java_application_equals_kafkas_own_tool() {
    let (Some(cluster), Some(program)) = (cluster(), program()) else {
        return;
    };
    let keys: Vec<String> = (0..20).map(|it| format!("k{}", it % 7)).collect();
    let records: Vec<_> = keys.iter().map(|key| (key.as_str(), "x")).collect();
    write(cluster, "in", &records);
    write(cluster, "other", &records[..5]);
    for topic in ["out", "between"] {
        create(cluster, topic);
    }
    let dir = TempDir::new().unwrap();
    let apps = [
        ("ours", "classic"),
        ("java", "classic"),
        ("kip1071", "streams"),
    ];
    let running =
        apps.map(|(id, protocol)| Java::start(&program, cluster, id, protocol, dir.path()));
    for (id, _) in apps {
        wait_until("tasks of Java are told", || is_stable(cluster, id));
        let state = json(cluster, &["state", id]);
        assert_eq!(state["tasks"][0]["holders"][0]["role"], "active", "{state}");
        refused(
            cluster,
            &["reset", id, "--dry-run"],
            &format!("application '{id}' is running ("),
        );
    }
    running.into_iter().for_each(Java::stop);
    for id in ["ours", "java"] {
        create(cluster, &format!("{id}-x-subscription-registration-topic"));
        create(
            cluster,
            &format!("{id}-KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-0000000012-topic"),
        );
        create(cluster, &format!("{id}-of-a-user"));
    }
    positions_are_those_of_the_tool(cluster, dir.path());
    let left = |id: &str| -> BTreeSet<String> {
        let topics = topics(cluster).into_iter();
        let prefix = format!("{id}-");
        topics
            .filter_map(|it| it.strip_prefix(&prefix).map(str::to_owned))
            .collect()
    };
    assert_eq!(left("ours"), left("java"));
    assert_eq!(left("ours"), BTreeSet::from(["of-a-user".to_owned()]));
    streams_group_is_reset(cluster, &program, dir.path());
}

/// Every way to say where inputs continue, ours over one group and the tool's over its twin.
fn positions_are_those_of_the_tool(cluster: &Cluster, dir: &Path) {
    let file = dir.join("plan.csv");
    std::fs::write(&file, "in,0,1\nin,1,99\n").unwrap();
    let file = file.to_str().unwrap();
    for (to, theirs) in [
        ("shift:-3", &["--shift-by", "-3"][..]),
        ("earliest", &["--to-earliest"]),
        ("offset:2", &["--to-offset", "2"]),
        (
            "time:2023-11-14T22:13:24.000",
            &["--to-datetime", "2023-11-14T22:13:24.000"],
        ),
        (
            "time:2123-11-14T22:13:24.000",
            &["--to-datetime", "2123-11-14T22:13:24.000"],
        ),
        ("duration:PT1H", &["--by-duration", "PT1H"]),
        (&format!("file:{file}"), &["--from-file", file]),
        ("latest", &["--to-latest"]),
        ("shift:-4", &["--shift-by", "-4"]),
    ] {
        let inputs = ["--input-topics", "in", "--intermediate-topics", "between"];
        out(
            cluster,
            &[&["reset", "ours", "--yes", "--to", to], &inputs[..]].concat(),
        );
        let java = [&["--application-id", "java"], &inputs[..], theirs].concat();
        cluster.tool("streams-reset", &java).unwrap();
        let ours = positions(cluster, "ours");
        assert_eq!(ours, positions(cluster, "java"), "{to}");
        assert_eq!(ours.len(), 4, "two partitions of two topics: {ours:?}");
    }
}

/// A group of KIP-1071, which Kafka's own tool sets positions in but leaves with its old topology. Only named inputs are set.
fn streams_group_is_reset(cluster: &Cluster, program: &Path, dir: &Path) {
    let plan = json(
        cluster,
        &["reset", "kip1071", "--yes", "--input-topics", "other"],
    );
    assert_eq!(plan["positions"].as_array().map(Vec::len), Some(2));
    assert_eq!(plan["kept"].as_array().map(Vec::len), Some(2), "{plan}");
    let positions = positions(cluster, "kip1071");
    assert_eq!(positions.len(), 4, "{positions:?}");
    assert!(positions.contains(&"other 0 0".to_owned()), "{positions:?}");
    assert!(!positions.contains(&"in 0 0".to_owned()), "{positions:?}");
    out(cluster, &["reset", "kip1071", "--yes"]);
    let java = Java::start(program, cluster, "kip1071", "streams", &dir.join("again"));
    wait_until("it runs again", || is_stable(cluster, "kip1071"));
    let begun_anew = || json(cluster, &["lag", "kip1071"])[0]["lag"].as_i64() <= Some(8);
    wait_until("it reads from the beginning", begun_anew);
    java.stop();
}

/// A member that was killed stays in its group until its session ends, 45 s by default.
#[test]
fn a_group_whose_member_is_dead_is_reset_by_force_only() {
    let Some(cluster) = cluster() else { return };
    for protocol in ["streams", "classic"] {
        let application = format!("dead-{protocol}");
        let input = format!("{application}-in");
        write(cluster, &input, &[("a", "b"); 4]);
        die(cluster, protocol, &application, &input);
        let reset = ["reset", &application, "--input-topics", &input, "--yes"];
        let running = format!("application '{application}' is running (");
        refused(cluster, &reset, &running);
        let before = positions(cluster, &application);
        assert!(before.iter().all(|it| it.ends_with(" -")), "{before:?}");
        out(cluster, &[&reset[..], &["--force"]].concat());
        let set = [format!("{input} 0 0"), format!("{input} 1 0")];
        assert_eq!(positions(cluster, &application), set);
    }
}

/// Joins as a member and is gone without a word.
fn die(cluster: &Cluster, protocol: &str, application: &str, input: &str) {
    let kafka = kafka(cluster).with("group.protocol", protocol).unwrap();
    let mut client = Log::client(&kafka, ClientOptions::default()).unwrap();
    let membership = Membership {
        group: application.into(),
        member: "m".into(),
        process: "p".into(),
        worker: 1,
        subtopologies: vec![Subtopology {
            source_topics: vec![input.into()],
            ..Subtopology::default()
        }],
        dialect: "".into(),
        standby_replicas: None,
        session_timeout_ms: 45_000,
        rebalance_timeout_ms: 60_000,
        endpoint: None,
    };
    client.join(membership).unwrap();
    let begun = std::time::Instant::now();
    loop {
        assert!(begun.elapsed() < WAIT, "it is not a member");
        client.poll();
        match client.group_event() {
            Some(GroupEvent::Assigned(list)) if list.active.len() == 2 => break,
            Some(_) => {}
            None => std::thread::sleep(std::time::Duration::from_millis(5)),
        }
    }
}

#[test]
fn a_reset_refuses_what_is_misspelt() {
    let Some(cluster) = cluster() else { return };
    write(cluster, "misspelt", &[("a", "b")]);
    let (code, _, err) = run(cluster, &["reset", "nobody", "--yes"]);
    assert_eq!(code, Some(1));
    assert!(
        err.contains("nothing is known of application 'nobody'"),
        "{err}"
    );
    let inputs = ["reset", "nobody", "--yes", "--input-topics", "mispelt"];
    refused(cluster, &inputs, "mispelt");
    let internal = ["reset", "nobody", "--yes", "--internal-topics", "misspelt"];
    refused(
        cluster,
        &internal,
        "'misspelt' is no internal topic of application 'nobody'",
    );
}

fn create(cluster: &Cluster, topic: &str) {
    let arguments = ["--create", "--topic", topic, "--partitions", "2"];
    cluster.tool("topics", &arguments).unwrap();
}

fn is_stable(cluster: &Cluster, id: &str) -> bool {
    let groups = json(cluster, &["groups"]);
    let mut groups = groups.as_array().unwrap().iter();
    // Both threads, and the input committed.
    groups.any(|it| {
        let is_idle =
            it["partitions_committed"].as_u64() >= Some(2) && it["lag"].as_i64() <= Some(8);
        it["group"] == id && it["state"] == "Stable" && it["members"] == 2 && is_idle
    })
}

fn topics(cluster: &Cluster) -> BTreeSet<String> {
    let listed = cluster.tool("topics", &["--list"]).unwrap();
    listed.lines().map(str::to_owned).collect()
}

/// `topic partition position` of a group without members, by Kafka's tool.
fn positions(cluster: &Cluster, group: &str) -> Vec<String> {
    let described = cluster
        .tool("groups", &["--describe", "--group", group])
        .unwrap();
    let rows = described
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let rows = rows.filter(|row| row.first() == Some(&group) && row.len() > 3);
    let mut rows: Vec<String> = rows.map(|row| row[1..4].join(" ")).collect();
    rows.sort();
    rows
}

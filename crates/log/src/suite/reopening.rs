//! Behaviours of logs that survive their process. Not run for others: their harness cannot reopen.
//! Invariant: what a receipt promised is there after the log was opened anew.

use super::{
    Harness,
    kit::{Kit, end_of, position},
};

/// With offsets, positions and all.
pub fn committed_records_and_positions_survive(harness: &dyn Harness) {
    let group = Kit::new(harness).name("group");
    let (partition, rows) = {
        let kit = Kit::new(harness);
        let mut client = kit.client_and_topic("t", 2);
        let partition = kit.at("t", 1);
        client.write(&partition, &["a", "b"]);
        client.add(&partition, "c");
        client.commit_with(position(&group, &partition, 2)).unwrap();
        let rows = kit.read_all(&partition);
        (partition, rows)
    };
    let Some(log) = harness.reopen() else {
        return;
    };
    let kit = Kit::of(harness, log);
    let mut client = kit.client("writer");
    assert_eq!(kit.read_all(&partition), rows);
    assert_eq!(client.positions(&group)[&partition].offset, 2);
    let end = end_of(&client.write(&partition, &["d"]), &partition);
    let markers = end - (rows[2].offset + 2);
    assert!(
        markers == 0 || harness.is_distributed() && markers > 0,
        "{markers}"
    );
    assert_eq!(kit.texts(&partition), ["a", "b", "c", "d"]);
}

/// A checkpoint of a store names the topic's id.
pub fn topics_keep_identity_and_settings(harness: &dyn Harness) {
    let topic = {
        let kit = Kit::new(harness);
        let mut client = kit.client("admin");
        let topic = kit.topic("t", 3, &[("cleanup.policy", "compact")]);
        client.done(crate::Request::CreateTopics(vec![topic]));
        kit.describe(&mut client, "t").unwrap()
    };
    let Some(log) = harness.reopen() else {
        return;
    };
    let kit = Kit::of(harness, log);
    let mut client = kit.client("admin");
    assert_eq!(kit.describe(&mut client, "t"), Some(topic));
}

/// Neither what was open nor what was aborted.
pub fn what_was_not_committed_does_not_survive(harness: &dyn Harness) {
    let partition = {
        let kit = Kit::new(harness);
        let mut client = kit.client_and_topic("t", 1);
        let partition = kit.at("t", 0);
        client.write(&partition, &["a"]);
        client.add(&partition, "never");
        client.done(crate::Request::Abort);
        client.add(&partition, "never");
        client.pump();
        partition
    };
    let Some(log) = harness.reopen() else {
        return;
    };
    let kit = Kit::of(harness, log);
    let mut client = kit.client("writer");
    client.write(&partition, &["b"]);
    assert_eq!(kit.texts(&partition), ["a", "b"]);
}

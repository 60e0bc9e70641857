//! A partition whose new leader never had what the old one gave out: an unclean election. Not what an application does about it.
//! Invariant: who says the epoch of what it read last is told where the histories part, whatever was written since.

use headwater_broker::{Cluster, Options, is_usable};
use headwater_kafka::Kafka;
use headwater_log::{
    AppendRecord, ChunkCursor, Client, ClientOptions, CommitRequest, Error, Guarantee, HeadersRef,
    Log, Offset, Request, Slot, TopicPartition, call,
};
use headwater_world::World;
use std::time::{Duration, Instant};

const TOPIC: &str = "parted";
const DEADLINE: Duration = Duration::from_secs(120);

/// A writer and reader of the one partition.
struct Session {
    client: Box<dyn Client>,
    slot: Slot,
}

impl Session {
    fn new(cluster: &Cluster) -> Self {
        let kafka = Kafka::at(&cluster.bootstrap()).expect("an address");
        let options = ClientOptions {
            guarantee: Guarantee::AtLeastOnce,
            ..ClientOptions::default()
        };
        let mut client = kafka.client(options).expect("a client");
        let slot = client.slot(&TopicPartition::new(TOPIC, 0));
        Self { client, slot }
    }

    fn write(&mut self, values: std::ops::Range<u32>) {
        for value in values {
            let record = AppendRecord {
                timestamp: 1,
                key: None,
                value: Some(&value.to_be_bytes()),
                headers: HeadersRef::NONE,
            };
            self.client.append(self.slot, &record).expect("room");
        }
        let commit = Request::Commit(CommitRequest::default());
        let clock = World::real().clock;
        call(&mut *self.client, &*clock, commit, 120_000).expect("it is written");
    }

    /// The next chunk, or what is wrong with the position.
    fn next(&mut self) -> Result<ChunkCursor, Error> {
        let begin = Instant::now();
        loop {
            match self.client.fetch() {
                Ok(Some(chunk)) => return Ok(ChunkCursor::new(chunk)),
                Ok(None) => assert!(begin.elapsed() < DEADLINE, "nothing came"),
                Err(error @ Error::OffsetOutOfRange { .. }) => return Err(error),
                Err(error) => assert!(begin.elapsed() < DEADLINE, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The epoch of the last record before `end`, having read from 0 to there.
    fn epoch_at(&mut self, end: Offset) -> Option<i32> {
        self.client.read_from(self.slot, 0);
        loop {
            let mut cursor = self.next().expect("records");
            while cursor.next_record().expect("sound bytes").is_some() {}
            if cursor.chunk().next_offset >= end {
                return cursor.leader_epoch_before(end);
            }
        }
    }
}

/// Elects whoever lives, though it lacks records.
fn elect_unclean(cluster: &Cluster) {
    let arguments = [
        "--election-type",
        "unclean",
        "--topic",
        TOPIC,
        "--partition",
        "0",
    ];
    let begin = Instant::now();
    loop {
        let described = cluster.tool("topics", &["--describe", "--topic", TOPIC]);
        if described.is_ok_and(|text| text.contains("Leader: 3")) {
            return;
        }
        assert!(begin.elapsed() < DEADLINE, "node 3 does not lead");
        // An error says that there is nothing to elect yet.
        let _ = cluster.tool("leader-election", &arguments);
    }
}

#[test]
fn a_reader_behind_an_unclean_election_is_told_where_the_histories_part() {
    if !is_usable("a reader behind an unclean election") {
        return;
    }
    let options = Options::nodes(3).set("broker.session.timeout.ms", 6_000);
    let cluster = Cluster::start(&options).expect("three brokers");
    let create = ["--create", "--topic", TOPIC, "--replica-assignment", "2:3"];
    let settings = [
        "--config",
        "min.insync.replicas=1",
        "--config",
        "unclean.leader.election.enable=true",
    ];
    (cluster.tool("topics", &[&create[..], &settings].concat())).expect("a topic");
    let mut session = Session::new(&cluster);
    session.write(0..5);
    cluster.kill(2).expect("the follower runs");
    session.write(5..10);
    let epoch = session.epoch_at(10);
    assert!(epoch.is_some_and(|epoch| epoch >= 0), "{epoch:?}");
    cluster.kill(1).expect("the leader runs");
    cluster.restart(2).expect("the follower comes back");
    elect_unclean(&cluster);
    session.write(100..107);

    // Without an epoch the position looks sound: five records that were never read are passed over.
    let mut session = Session::new(&cluster);
    session.client.read_from(session.slot, 10);
    let mut cursor = session.next().expect("records of the other history");
    let record = cursor
        .next_record()
        .expect("sound bytes")
        .expect("a record");
    assert_eq!(record.value, Some(&105_u32.to_be_bytes()[..]));

    session.client.read_behind(session.slot, 10, epoch);
    let error = session.next().err();
    assert!(
        matches!(
            error,
            Some(Error::OffsetOutOfRange {
                offset: 10,
                end: 5,
                ..
            })
        ),
        "{error:?}"
    );
    session.client.read_behind(session.slot, 5, epoch);
    let mut cursor = session.next().expect("what both histories share ends at 5");
    let record = cursor
        .next_record()
        .expect("sound bytes")
        .expect("a record");
    assert_eq!(record.value, Some(&100_u32.to_be_bytes()[..]));
}

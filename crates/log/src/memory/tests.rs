//! Tests of what only the memory log does: faults, freezing, open transactions, compaction on demand.
//! The contract it shares with every log is in the suite. Invariant: a test that draws numbers names its seed when it fails.

mod faults;
mod groups;
mod suite;
mod transactions;
mod upkeep;

use super::{Faults, MemoryLog};
use crate::{
    AppendRecord, ChunkCursor, Client, ClientOptions, CommitRequest, CommittedOffset, Completion,
    Guarantee, Log, NewTopic, OffsetSpec, Request, Response, Result, Ticket, TopicPartition,
};
use headwater_world::{Simulation, World};
use std::{sync::Arc, time::Duration};

/// A log in a world that the test moves.
struct Scene {
    simulation: Simulation,
    log: Arc<MemoryLog>,
}

impl Scene {
    fn new(faults: Faults) -> Self {
        let simulation = World::simulated(1);
        let log = MemoryLog::with_faults(&simulation.world, faults);
        Self { simulation, log }
    }

    /// A scene with topic `t` of one partition, and then these faults.
    fn with_topic(faults: Faults) -> Self {
        let calm = Faults {
            kafka_like: faults.kafka_like,
            ..Faults::default()
        };
        let scene = Self::new(calm);
        let mut client = scene.client("admin");
        scene.ask(&mut *client, create("t")).unwrap();
        drop(client);
        scene.log.set_faults(faults);
        scene
    }

    fn client(&self, id: &str) -> Box<dyn Client> {
        self.client_as(id, Guarantee::ExactlyOnce)
    }

    fn client_as(&self, id: &str, guarantee: Guarantee) -> Box<dyn Client> {
        let options = ClientOptions {
            client_id: id.into(),
            guarantee,
            transactional_id: Some(id.into()),
            ..ClientOptions::default()
        };
        self.log.client(options).unwrap()
    }

    fn advance(&self, ms: u64) {
        self.simulation.clock.advance(Duration::from_millis(ms));
    }

    /// Polls until this ticket ends, 1 ms a poll.
    fn wait(&self, client: &mut dyn Client, ticket: Ticket) -> Result<Response> {
        for _ in 0..100_000 {
            match client.poll() {
                Some(Completion {
                    ticket: done,
                    result,
                }) if done == ticket => return result,
                Some(_) => {}
                None => self.advance(1),
            }
        }
        panic!("no completion");
    }

    fn ask(&self, client: &mut dyn Client, request: Request) -> Result<Response> {
        let ticket = client.submit(request);
        self.wait(client, ticket)
    }

    fn look_up(&self, spec: OffsetSpec) -> i64 {
        let mut client = self.log.client(ClientOptions::default()).unwrap();
        match self.ask(&mut *client, Request::Offsets(vec![(t(), spec)])) {
            Ok(Response::Offsets(offsets)) => offsets[0].1,
            other => panic!("{other:?}"),
        }
    }

    /// What a committed reader finds in `t`: offsets and values.
    fn read(&self) -> Vec<(i64, String)> {
        let mut client = self.log.client(ClientOptions {
            guarantee: Guarantee::ExactlyOnce,
            ..ClientOptions::default()
        });
        let client = client.as_mut().unwrap();
        let slot = client.slot(&t());
        client.read_from(slot, self.look_up(OffsetSpec::Start));
        let mut rows = Vec::new();
        while let Some(chunk) = client.fetch().unwrap() {
            let mut cursor = ChunkCursor::new(chunk);
            while let Some(record) = cursor.next_record().unwrap() {
                let value = String::from_utf8_lossy(record.value.unwrap_or(b"-"));
                rows.push((record.offset, value.into_owned()));
            }
        }
        rows
    }

    fn values(&self) -> Vec<String> {
        self.read().into_iter().map(|(_, value)| value).collect()
    }

    fn position(&self) -> Option<i64> {
        let mut client = self.log.client(ClientOptions::default()).unwrap();
        let request = Request::CommittedOffsets {
            group: "g".into(),
            partitions: None,
        };
        match self.ask(&mut *client, request) {
            Ok(Response::Committed(positions)) => positions.first().map(|(_, at)| at.offset),
            other => panic!("{other:?}"),
        }
    }
}

fn t() -> TopicPartition {
    TopicPartition::new("t", 0)
}

fn create(name: &str) -> Request {
    Request::CreateTopics(vec![NewTopic {
        name: name.into(),
        partitions: 1,
        config: Default::default(),
    }])
}

fn add(client: &mut dyn Client, value: &str) {
    add_pair(client, value, Some(value));
}

fn add_pair(client: &mut dyn Client, key: &str, value: Option<&str>) {
    let slot = client.slot(&t());
    let record = AppendRecord {
        timestamp: 1,
        key: Some(key.as_bytes()),
        value: value.map(str::as_bytes),
        ..AppendRecord::default()
    };
    client.append(slot, &record).unwrap();
}

/// A commit of position `offset` of `t` for group `g`.
fn commit(offset: i64) -> Request {
    Request::Commit(CommitRequest {
        group: Some("g".into()),
        member: None,
        offsets: vec![(t(), CommittedOffset::at(offset))],
    })
}

#[test]
fn without_faults_everything_is_done_at_the_next_poll() {
    for kafka_like in [false, true] {
        let scene = Scene::with_topic(Faults {
            kafka_like,
            ..Faults::default()
        });
        let mut client = scene.client("a");
        add(&mut *client, "a");
        let tickets = [
            client.submit(commit(1)),
            client.submit(Request::ListGroups),
            client.submit(Request::Settle),
        ];
        let done: Vec<_> = std::iter::from_fn(|| client.poll()).collect();
        assert_eq!(done.iter().map(|it| it.ticket).collect::<Vec<_>>(), tickets);
        assert!(done.iter().all(|it| it.result.is_ok()), "{done:?}");
        assert_eq!(scene.values(), ["a"]);
    }
}

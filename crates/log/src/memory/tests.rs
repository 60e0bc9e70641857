//! Tests of what only the memory log does: faults, freezing, open transactions, compaction on demand.
//! The contract it shares with every log is in the suite. Invariant: each test that draws numbers prints its seed.

use super::{Faults, MemoryLog};
mod suite;

use crate::{
    AppendRecord, Client, ClientOptions, CommitRequest, Guarantee, Log, NewTopic, Request,
    Response, TopicPartition, call,
};
use headwater_world::{Simulation, World};
use std::sync::Arc;

fn open(faults: Faults) -> (Simulation, Arc<MemoryLog>) {
    let simulation = World::simulated(1);
    let log = MemoryLog::with_faults(&simulation.world, faults);
    (simulation, log)
}

fn client(log: &MemoryLog, id: &str) -> Box<dyn Client> {
    log.client(ClientOptions {
        client_id: id.into(),
        guarantee: Guarantee::ExactlyOnce,
        transactional_id: Some(id.into()),
        ..ClientOptions::default()
    })
    .unwrap()
}

fn create(client: &mut dyn Client, simulation: &Simulation, name: &str) {
    let topic = NewTopic {
        name: name.into(),
        partitions: 1,
        config: Default::default(),
    };
    let request = Request::CreateTopics(vec![topic]);
    call(client, &*simulation.clock, request, 0).unwrap();
}

#[test]
fn a_commit_is_done_at_the_next_poll() {
    for kafka_like in [false, true] {
        let (simulation, log) = open(Faults {
            kafka_like,
            ..Faults::default()
        });
        let mut client = client(&log, "a");
        create(&mut *client, &simulation, "t");
        let slot = client.slot(&TopicPartition::new("t", 0));
        client.append(slot, &AppendRecord::default()).unwrap();
        let ticket = client.submit(Request::Commit(CommitRequest::default()));
        let done = client.poll().unwrap();
        assert_eq!(done.ticket, ticket);
        let Ok(Response::Receipt(receipt)) = done.result else {
            panic!("{:?}", done.result)
        };
        assert_eq!(receipt.ends, [(TopicPartition::new("t", 0), 1)]);
    }
}

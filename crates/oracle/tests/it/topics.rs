//! Topics that a test needs, made by our own client in one request. Not by Kafka's tool: that is a Java machine for each topic.
//! Invariant: they are there when this returns.

use headwater::Kafka;
use headwater::log::{ClientOptions, Log, NewTopic, Request, call};
use headwater::world::World;
use headwater_broker::Cluster;

/// On a machine that is busy.
const CALL_MS_MAX: u64 = 60_000;

pub(crate) fn create(cluster: &Cluster, names: &[&str], partitions: u32) {
    let kafka = Kafka::at(&cluster.bootstrap()).expect("an address");
    let client = kafka.client(ClientOptions::default());
    let mut client = client.expect("a client");
    let topics = names.iter().map(|name| NewTopic {
        name: (*name).to_owned(),
        partitions,
        config: [].into(),
    });
    let request = Request::CreateTopics(topics.collect());
    let clock = World::real().clock;
    call(&mut *client, &*clock, request, CALL_MS_MAX).expect("topics");
}

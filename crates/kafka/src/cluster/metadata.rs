//! What Metadata said last: brokers, topics, leaders. Not the asking.
//! Invariant: a leader of an older epoch never replaces a newer one of the same topic.

use super::{NodeId, address};
use crate::protocol::{
    ErrorCode, Uuid,
    metadata::{MetadataResponse, MetadataResponseTopic},
};
use crate::settings::address::Address;
use std::{collections::HashMap, sync::Arc};

/// The broker that leads a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Leader {
    pub(crate) node: NodeId,
    pub(crate) epoch: i32,
}

#[derive(Clone, Copy, Debug)]
struct Partition {
    leader: Leader,
    is_stale: bool,
}

#[derive(Debug)]
struct Topic {
    id: Uuid,
    partitions: Vec<Partition>,
}

/// The cache.
pub(super) struct Metadata {
    cluster_id: Option<String>,
    bootstrap: Vec<Address>,
    brokers: HashMap<NodeId, Address>,
    topics: HashMap<Arc<str>, Topic>,
    names: HashMap<Uuid, Arc<str>>,
    errors: HashMap<Arc<str>, ErrorCode>,
}

const NOBODY: Leader = Leader {
    node: -1,
    epoch: -1,
};

impl Metadata {
    pub(super) fn new(bootstrap: &[Address]) -> Self {
        Self {
            cluster_id: None,
            bootstrap: bootstrap.to_vec(),
            brokers: HashMap::new(),
            topics: HashMap::new(),
            names: HashMap::new(),
            errors: HashMap::new(),
        }
    }

    /// Takes over an answer. Another cluster than before is refused: its offsets and epochs mean something else.
    pub(super) fn take_over(&mut self, response: &MetadataResponse) -> Result<(), String> {
        if let (Some(known), Some(told)) = (&self.cluster_id, &response.cluster_id)
            && known != told
        {
            return Err(format!(
                "the brokers now belong to cluster {told}, not {known}; restart the client if that is meant"
            ));
        }
        self.cluster_id = response.cluster_id.clone().or(self.cluster_id.take());
        if !response.brokers.is_empty() {
            self.brokers = response
                .brokers
                .iter()
                .filter_map(|broker| Some((broker.node_id, address(&broker.host, broker.port)?)))
                .collect();
        }
        for topic in &response.topics {
            if let Some(name) = &topic.name {
                self.take_topic(name, topic);
            }
        }
        Ok(())
    }

    fn take_topic(&mut self, name: &str, told: &MetadataResponseTopic) {
        let name: Arc<str> = name.into();
        if told.error_code.is_ok() {
            self.errors.remove(&name);
        } else {
            self.errors.insert(name.clone(), told.error_code);
            if told.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
                self.forget(&name);
            }
            return;
        }
        let before = self
            .topics
            .remove(&name)
            .filter(|before| before.id == told.topic_id);
        let mut partitions = before.map_or_else(Vec::new, |before| before.partitions);
        for partition in &told.partitions {
            let Ok(index) = usize::try_from(partition.partition_index) else {
                continue;
            };
            // Partitions come in any order; the answer's size bounds how far one can lie out.
            if index >= told.partitions.len() {
                continue;
            }
            if index >= partitions.len() {
                partitions.resize(
                    index + 1,
                    Partition {
                        leader: NOBODY,
                        is_stale: true,
                    },
                );
            }
            let leader = Leader {
                node: partition.leader_id,
                epoch: partition.leader_epoch,
            };
            let entry = &mut partitions[index];
            if leader.epoch >= entry.leader.epoch || leader.epoch < 0 {
                *entry = Partition {
                    leader,
                    is_stale: leader.node < 0,
                };
            }
        }
        partitions.truncate(told.partitions.len());
        if !told.topic_id.is_zero() {
            self.names.insert(told.topic_id, name.clone());
        }
        let id = told.topic_id;
        self.topics.insert(name, Topic { id, partitions });
    }

    fn forget(&mut self, name: &str) {
        if let Some(topic) = self.topics.remove(name) {
            self.names.remove(&topic.id);
        }
    }

    /// Begins again from the bootstrap servers.
    pub(super) fn forget_brokers(&mut self) {
        self.brokers.clear();
        self.cluster_id = None;
    }

    pub(super) fn found(&mut self, node: NodeId, host: &str, port: i32) -> bool {
        match address(host, port) {
            Some(address) if node >= 0 && self.brokers.get(&node) != Some(&address) => {
                self.brokers.insert(node, address);
                true
            }
            _ => false,
        }
    }

    pub(super) fn brokers(&self) -> Vec<NodeId> {
        self.brokers.keys().copied().collect()
    }

    pub(super) fn bootstrap(&self) -> Vec<NodeId> {
        (NodeId::MIN..).take(self.bootstrap.len()).collect()
    }

    pub(super) fn address(&self, node: NodeId) -> Option<Address> {
        if let Some(address) = self.brokers.get(&node) {
            return Some(address.clone());
        }
        let index = usize::try_from(node.checked_sub(NodeId::MIN)?).ok()?;
        self.bootstrap.get(index).cloned()
    }

    pub(super) fn leader(&self, topic: &str, partition: u32) -> Option<Leader> {
        let partition = self.topics.get(topic)?.partitions.get(partition as usize)?;
        (!partition.is_stale).then_some(partition.leader)
    }

    pub(super) fn stale(&mut self, topic: &str, partition: u32) {
        if let Some(partition) = self.partition(topic, partition) {
            partition.is_stale = true;
        }
    }

    pub(super) fn moved(&mut self, topic: &str, partition: u32, node: NodeId, epoch: i32) {
        let is_known = self.brokers.contains_key(&node);
        if let Some(partition) = self.partition(topic, partition)
            && epoch > partition.leader.epoch
        {
            *partition = Partition {
                leader: Leader { node, epoch },
                is_stale: !is_known,
            };
        }
    }

    fn partition(&mut self, topic: &str, partition: u32) -> Option<&mut Partition> {
        let topic = self.topics.get_mut(topic)?;
        topic.partitions.get_mut(partition as usize)
    }

    pub(super) fn partitions(&self, topic: &str) -> Option<u32> {
        u32::try_from(self.topics.get(topic)?.partitions.len()).ok()
    }

    pub(super) fn error(&self, topic: &str) -> Option<ErrorCode> {
        self.errors.get(topic).copied()
    }

    pub(super) fn id(&self, topic: &str) -> Option<Uuid> {
        let id = self.topics.get(topic)?.id;
        (!id.is_zero()).then_some(id)
    }
}

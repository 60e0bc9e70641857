//! What a leader's answer means for each partition it was asked about. Not the asking. Invariant: an answer to a position that
//! is not the partition's any more changes nothing.

use super::{
    Asked, Fetcher,
    cut::{Uncut, cut},
};
use crate::{
    client::shared::Arrival,
    protocol::{
        ErrorCode,
        fetch::{FetchResponse, PartitionData},
    },
};
use headwater_log::{Error, Offset};
use std::rc::Rc;

impl Fetcher {
    pub(super) fn take(self: &Rc<Self>, response: FetchResponse, asked: &[Asked]) {
        for node in &response.node_endpoints {
            self.cluster.found(node.node_id, &node.host, node.port);
        }
        let mut answered = vec![false; asked.len()];
        for topic in response.responses {
            for partition in topic.partitions {
                let found = asked.iter().position(|it| {
                    it.wanted.topic_id == topic.topic_id
                        && it.wanted.partition == partition.partition_index
                });
                if let Some(index) = found {
                    answered[index] = true;
                    self.take_partition(&asked[index], partition);
                }
            }
        }
        // Of partitions without news an incremental answer says nothing.
        let mut state = self.state.borrow_mut();
        for (asked, _) in asked.iter().zip(answered).filter(|(_, answered)| !answered) {
            if let Some(reading) = state.readings.get_mut(&asked.slot)
                && reading.generation == asked.generation
            {
                reading.is_at_end = true;
            }
        }
    }

    fn take_partition(self: &Rc<Self>, asked: &Asked, data: PartitionData) {
        let is_current = self
            .state
            .borrow()
            .readings
            .get(&asked.slot)
            .is_some_and(|it| {
                it.generation == asked.generation && it.position == asked.wanted.offset
            });
        if !is_current {
            return;
        }
        let (topic, partition) = (&asked.wanted.topic, asked.wanted.partition as u32);
        let leader = &data.current_leader;
        if leader.leader_epoch >= 0 {
            self.cluster
                .moved(topic, partition, leader.leader_id, leader.leader_epoch);
        }
        match data.error_code {
            ErrorCode::NONE if data.diverging_epoch.epoch >= 0 => {
                // What was read last is not in the leader's log any more.
                let error = Error::OffsetOutOfRange {
                    partition: headwater_log::TopicPartition::new(topic.clone(), partition),
                    offset: asked.wanted.offset,
                    start: data.log_start_offset.max(0),
                    end: data.diverging_epoch.end_offset,
                };
                self.give_up(asked.slot, asked.generation, error);
            }
            ErrorCode::NONE => self.take_records(asked, data),
            ErrorCode::OFFSET_OUT_OF_RANGE => self.resolve(asked),
            ErrorCode::TOPIC_AUTHORIZATION_FAILED => {
                let error = Error::Invalid(format!(
                    "the principal may not Read topic '{topic}': {}",
                    data.error_code
                ));
                self.give_up(asked.slot, asked.generation, error);
            }
            code if code.is_retriable() => {
                self.cluster.stale(topic, partition);
                self.wait(asked, true);
            }
            code => {
                let error = Error::Invalid(format!("reading {topic}-{partition}: {code}"));
                self.give_up(asked.slot, asked.generation, error);
            }
        }
    }

    fn take_records(&self, asked: &Asked, data: PartitionData) {
        let end = match self.committed_only {
            true => data.last_stable_offset,
            false => data.high_watermark,
        };
        let name = self.state.borrow().readings[&asked.slot].name.clone();
        let records = data.records.unwrap_or_default();
        let uncut = Uncut {
            partition: &name,
            slot: asked.slot,
            position: asked.wanted.offset,
            end_offset: end,
            records: &records,
            aborted: data.aborted_transactions.filter(|_| self.committed_only),
            chunk_bytes_max: self.chunk_bytes_max,
        };
        let cut = match cut(uncut, |bytes| self.shared.spare_chunk(bytes)) {
            Ok(cut) => cut,
            Err(error) => {
                self.give_up(asked.slot, asked.generation, error);
                return;
            }
        };
        self.tell_end(asked, end);
        {
            let mut state = self.state.borrow_mut();
            let Some(reading) = state.readings.get_mut(&asked.slot) else {
                return;
            };
            reading.is_at_end = cut.chunks.is_empty();
            reading.position = cut.position;
            reading.last_epoch = cut.last_epoch.unwrap_or(reading.last_epoch);
            reading.attempt = 0;
            reading.not_before = None;
        }
        if !cut.chunks.is_empty() {
            let arrivals = cut.chunks.into_iter().map(Arrival::Chunk).collect();
            self.shared.arrived(asked.slot, asked.generation, arrivals);
        }
    }

    /// Before the chunks: else a reader could stand at an end that is not the end any more.
    fn tell_end(&self, asked: &Asked, end: Offset) {
        let mut state = self.state.borrow_mut();
        if let Some(reading) = state.readings.get_mut(&asked.slot)
            && reading.end != end
            && end >= 0
        {
            reading.end = end;
            drop(state);
            self.shared.ends_at(asked.slot, asked.generation, end);
        }
    }
}

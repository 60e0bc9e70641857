//! Whether everything that an application reads is consumed and committed. Not the application's own view of itself.
//! Invariant: committed offsets are asked for first; what they caused was written before them, so the ends read afterwards include it.

use super::broken;
use crate::Refusal;
use headwater::log::{
    ChunkCursor, Client, ClientOptions, Guarantee, Log, Offset, OffsetSpec, Request, Response, call,
};
use headwater::world::Clock;
use headwater::{Kafka, TopicPartition, Topology};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// ms that one question may take.
const CALL_MS_MAX: u64 = 30_000;
/// Markers and aborted records between a committed offset and the end are read past within this time.
const READ_DEADLINE: Duration = Duration::from_secs(2);

pub(super) struct End {
    client: Box<dyn Client>,
    clock: Arc<dyn Clock>,
    group: Arc<str>,
    topics: BTreeSet<String>,
    /// From a committed offset to an end, where no record lies between.
    clean: BTreeMap<TopicPartition, (Offset, Offset)>,
}

impl End {
    pub(super) fn new(
        kafka: &Kafka,
        topology: &Topology,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Refusal> {
        // Committed records only; it writes nothing, so it needs no transactional id.
        let options = ClientOptions {
            client_id: format!("{}-end", topology.application()),
            guarantee: Guarantee::ExactlyOnce,
            ..ClientOptions::default()
        };
        let parts = topology.membership();
        let external = parts.iter().flat_map(|part| part.source_topics.clone());
        let internal = parts.iter().flat_map(|part| &part.repartition_sources);
        let internal = internal.map(|topic| topic.name.clone());
        Ok(Self {
            client: kafka.client(options).map_err(broken)?,
            clock,
            group: topology.application().into(),
            topics: external.chain(internal).collect(),
            clean: BTreeMap::new(),
        })
    }

    pub(super) fn is_reached(&mut self) -> Result<bool, Refusal> {
        let wanted = self.topics.iter().cloned().collect();
        let Response::Topics(known) = self.ask(Request::DescribeTopics(Some(wanted)))? else {
            return Err(broken("no description of topics"));
        };
        if known.len() < self.topics.len() {
            return Ok(false);
        }
        let partitions = known.iter().flat_map(|topic| {
            let name = topic.name.to_string();
            (0..topic.partitions).map(move |partition| TopicPartition::new(name.clone(), partition))
        });
        let partitions: Vec<_> = partitions.collect();
        let committed = self.committed()?;
        let first = self.offsets(&partitions, OffsetSpec::Start)?;
        let last = self.offsets(&partitions, OffsetSpec::End)?;
        let stable = self.offsets(&partitions, OffsetSpec::Stable)?;
        for partition in partitions {
            let at = committed.get(&partition).copied().unwrap_or(0);
            let at = at.max(first[&partition]);
            let end = last[&partition];
            if at >= end {
                continue;
            }
            if stable[&partition] < end || self.has_record(&partition, at, end)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Between a committed offset and the end there may be transaction markers and aborted records, which nobody commits.
    fn has_record(
        &mut self,
        partition: &TopicPartition,
        from: Offset,
        to: Offset,
    ) -> Result<bool, Refusal> {
        if self.clean.get(partition) == Some(&(from, to)) {
            return Ok(false);
        }
        let slot = self.client.slot(partition);
        self.client.read_from(slot, from);
        let until = self.clock.elapsed() + READ_DEADLINE;
        let mut position = from;
        let mut has_record = false;
        while position < to && !has_record {
            self.client.poll();
            match self.client.fetch().map_err(broken)? {
                Some(chunk) => {
                    position = chunk.next_offset;
                    let mut cursor = ChunkCursor::new(chunk);
                    has_record = cursor.next_record().map_err(broken)?.is_some();
                }
                None => {
                    has_record = self.clock.elapsed() > until;
                    std::thread::park_timeout(Duration::from_millis(1));
                }
            }
        }
        self.client.stop_reading(slot);
        if !has_record {
            self.clean.insert(partition.clone(), (from, to));
        }
        Ok(has_record)
    }

    fn committed(&mut self) -> Result<BTreeMap<TopicPartition, Offset>, Refusal> {
        let request = Request::CommittedOffsets {
            group: Arc::clone(&self.group),
            partitions: None,
        };
        match self.ask(request)? {
            Response::Committed(found) => {
                let found = found.into_iter();
                Ok(found.map(|(name, found)| (name, found.offset)).collect())
            }
            _ => Err(broken("no committed offsets")),
        }
    }

    fn offsets(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<BTreeMap<TopicPartition, Offset>, Refusal> {
        let wanted = partitions.iter().map(|partition| (partition.clone(), spec));
        match self.ask(Request::Offsets(wanted.collect()))? {
            Response::Offsets(found) => Ok(found.into_iter().collect()),
            _ => Err(broken("no offsets")),
        }
    }

    fn ask(&mut self, request: Request) -> Result<Response, Refusal> {
        call(&mut *self.client, &*self.clock, request, CALL_MS_MAX).map_err(broken)
    }
}

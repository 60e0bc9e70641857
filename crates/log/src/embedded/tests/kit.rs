//! What the tests share: a log on a disk, and one-line commits and reads. Not a second client: everything goes through the trait.
//! Invariant: helpers panic on a wrong answer, with the place of their caller.

use crate::{
    AppendRecord, ChunkCursor, Client, ClientOptions, CommitRequest, CommittedOffset, Log,
    NewTopic, Offset, OffsetSpec, Receipt, Request, Response, Result, TopicConfig, TopicPartition,
    call,
    embedded::{EmbeddedLog, EmbeddedOptions},
};
use headwater_world::World;
use std::sync::Arc;

pub(super) const DIR: &str = "/log";

/// A record as tests compare it: offset, key, value.
pub(super) type Line = (Offset, Option<String>, Option<String>);

pub(super) struct Session {
    pub(super) log: Arc<EmbeddedLog>,
    pub(super) client: Box<dyn Client>,
    world: World,
}

pub(super) fn partition(topic: &str, number: u32) -> TopicPartition {
    TopicPartition::new(topic, number)
}

pub(super) fn topic(name: &str, partitions: u32, config: &[(&str, &str)]) -> NewTopic {
    let config: TopicConfig = config
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()))
        .collect();
    NewTopic {
        name: name.into(),
        partitions,
        config,
    }
}

impl Session {
    pub(super) fn open(
        dir: &std::path::Path,
        world: &World,
        options: EmbeddedOptions,
    ) -> Result<Self> {
        let log = EmbeddedLog::open(dir, world.clone(), options)?;
        Self::of(log, world)
    }

    pub(super) fn of(log: Arc<EmbeddedLog>, world: &World) -> Result<Self> {
        let client = log.client(ClientOptions::default())?;
        Ok(Self {
            log,
            client,
            world: world.clone(),
        })
    }

    pub(super) fn ask(&mut self, request: Request) -> Result<Response> {
        // A simulated clock stands still: a question without an answer would wait for ever.
        call(&mut *self.client, &*self.world.clock, request, 30_000)
    }

    pub(super) fn create(&mut self, topics: &[NewTopic]) -> Result<()> {
        self.ask(Request::CreateTopics(topics.to_vec())).map(|_| ())
    }

    pub(super) fn append(
        &mut self,
        name: &TopicPartition,
        key: Option<&str>,
        value: Option<&str>,
        timestamp: i64,
    ) {
        let slot = self.client.slot(name);
        let record = AppendRecord {
            timestamp,
            key: key.map(str::as_bytes),
            value: value.map(str::as_bytes),
            ..AppendRecord::default()
        };
        self.client.append(slot, &record).unwrap();
    }

    pub(super) fn commit(&mut self, offsets: &[(TopicPartition, Offset)]) -> Result<Receipt> {
        let request = CommitRequest {
            group: Some("app".into()),
            member: None,
            offsets: offsets
                .iter()
                .map(|(name, offset)| (name.clone(), CommittedOffset::at(*offset)))
                .collect(),
        };
        match self.ask(Request::Commit(request))? {
            Response::Receipt(receipt) => Ok(receipt),
            other => panic!("{other:?}"),
        }
    }

    /// Everything from `position` to the end, and nothing but an error else.
    pub(super) fn read(&mut self, name: &TopicPartition, position: Offset) -> Result<Vec<Line>> {
        let slot = self.client.slot(name);
        self.client.read_from(slot, position);
        let text =
            |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let mut lines = Vec::new();
        while let Some(chunk) = self.client.fetch()? {
            let mut cursor = ChunkCursor::new(chunk);
            while let Some(record) = cursor.next_record()? {
                lines.push((record.offset, text(record.key), text(record.value)));
            }
            self.client.recycle(cursor.into_chunk());
        }
        self.client.stop_reading(slot);
        Ok(lines)
    }

    pub(super) fn offset(&mut self, name: &TopicPartition, spec: OffsetSpec) -> Result<Offset> {
        match self.ask(Request::Offsets(vec![(name.clone(), spec)]))? {
            Response::Offsets(offsets) => Ok(offsets[0].1),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn topics(&mut self) -> Result<Vec<String>> {
        match self.ask(Request::DescribeTopics(None))? {
            Response::Topics(topics) => {
                Ok(topics.iter().map(|topic| topic.name.to_string()).collect())
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn committed(&mut self) -> Result<Vec<(TopicPartition, Offset)>> {
        let request = Request::CommittedOffsets {
            group: "app".into(),
            partitions: None,
        };
        match self.ask(request)? {
            Response::Committed(found) => Ok(found
                .into_iter()
                .map(|(name, committed)| (name, committed.offset))
                .collect()),
            other => panic!("{other:?}"),
        }
    }
}

//! What the behaviours share: clients with names of their own, waiting by the harness's clock, records as text.
//! Not a second way to use a log: everything goes through the traits. Invariant: a wait ends by its deadline, with a panic that
//! says what was awaited.

use super::Harness;
use crate::{
    AppendRecord, ChunkCursor, Client, ClientOptions, CommitRequest, CommittedOffset, Error,
    Guarantee, Log, NewTopic, Offset, OffsetSpec, Receipt, Request, Response, Result, Slot, Ticket,
    TopicConfig, TopicInfo, TopicPartition,
};
use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::Arc,
};

/// ms that anything may take; on a real broker the slowest is creating a topic.
const WAIT_MS_MAX: u64 = 60_000;

/// Times that a commit's readers are looked at before they are left to themselves; Kafka takes 20 ms at worst.
const VISIBLE_TRIES_MAX: u32 = 100;

/// A log with its harness.
pub(super) struct Kit<'a> {
    pub(super) harness: &'a dyn Harness,
    pub(super) log: Arc<dyn Log>,
    prefix: String,
}

/// A client under test.
pub(super) struct Tested<'a> {
    client: Box<dyn Client>,
    harness: &'a dyn Harness,
    /// Completions that came while another was awaited.
    early: BTreeMap<Ticket, Result<Response>>,
}

impl Deref for Tested<'_> {
    type Target = dyn Client;
    fn deref(&self) -> &Self::Target {
        &*self.client
    }
}

impl DerefMut for Tested<'_> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut *self.client
    }
}

/// A record as the behaviours compare it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) offset: Offset,
    pub(super) timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Row {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.value.clone().unwrap()).unwrap()
    }
}

impl<'a> Kit<'a> {
    pub(super) fn new(harness: &'a dyn Harness) -> Self {
        Self::of(harness, harness.log())
    }

    pub(super) fn of(harness: &'a dyn Harness, log: Arc<dyn Log>) -> Self {
        let prefix = harness.prefix();
        Self {
            harness,
            log,
            prefix,
        }
    }

    pub(super) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn at(&self, topic: &str, partition: u32) -> TopicPartition {
        TopicPartition::new(self.name(topic), partition)
    }

    /// An exactly-once client.
    pub(super) fn client(&self, name: &str) -> Tested<'a> {
        self.client_with(name, |_| {})
    }

    pub(super) fn client_with(
        &self,
        name: &str,
        change: impl FnOnce(&mut ClientOptions),
    ) -> Tested<'a> {
        let mut options = ClientOptions {
            client_id: self.name(name),
            guarantee: Guarantee::ExactlyOnce,
            transactional_id: Some(self.name(name)),
            ..ClientOptions::default()
        };
        change(&mut options);
        Tested {
            client: self.log.client(options).unwrap(),
            harness: self.harness,
            early: BTreeMap::new(),
        }
    }

    /// A client with a topic made for it.
    pub(super) fn client_and_topic(&self, topic: &str, partitions: u32) -> Tested<'a> {
        let mut client = self.client("writer");
        self.create(&mut client, topic, partitions);
        client
    }

    pub(super) fn create(&self, client: &mut Tested<'_>, topic: &str, partitions: u32) {
        let topic = self.topic(topic, partitions, &[]);
        client.done(Request::CreateTopics(vec![topic]));
    }

    pub(super) fn topic(&self, name: &str, partitions: u32, config: &[(&str, &str)]) -> NewTopic {
        let config = config.iter();
        let config: TopicConfig = config
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        NewTopic {
            name: self.name(name),
            partitions,
            config,
        }
    }

    pub(super) fn describe(&self, client: &mut Tested<'_>, topic: &str) -> Option<TopicInfo> {
        match client.ask(Request::DescribeTopics(Some(vec![self.name(topic)]))) {
            Ok(Response::Topics(mut topics)) => topics.pop(),
            other => panic!("{other:?}"),
        }
    }

    /// All that a fresh committed reader finds from the start to the end.
    #[track_caller]
    pub(super) fn read_all(&self, partition: &TopicPartition) -> Vec<Row> {
        let mut reader = self.client_with("reader", |options| options.transactional_id = None);
        let start = reader.look_up(partition, OffsetSpec::Start);
        let end = reader.look_up(partition, OffsetSpec::Stable);
        reader.read_until(partition, start, end)
    }

    #[track_caller]
    pub(super) fn texts(&self, partition: &TopicPartition) -> Vec<String> {
        self.read_all(partition).iter().map(Row::text).collect()
    }
}

impl Tested<'_> {
    /// Polls until `wanted` finds something, letting time pass whenever it does not.
    #[track_caller]
    pub(super) fn until<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        for _ in 0..WAIT_MS_MAX {
            if let Some(found) = wanted(self) {
                return found;
            }
            self.harness.advance(1);
        }
        panic!("waited {WAIT_MS_MAX} ms for {what}");
    }

    /// Lets a little time pass.
    pub(super) fn pause(&self) {
        self.harness.advance(1);
    }

    #[track_caller]
    pub(super) fn wait(&mut self, ticket: Ticket) -> Result<Response> {
        self.until("a completion", |this| {
            while let Some(done) = this.client.poll() {
                let again = this.early.insert(done.ticket, done.result);
                assert!(again.is_none(), "{:?} ended twice", done.ticket);
            }
            this.early.remove(&ticket)
        })
    }

    #[track_caller]
    pub(super) fn ask(&mut self, request: Request) -> Result<Response> {
        let ticket = self.client.submit(request);
        self.wait(ticket)
    }

    #[track_caller]
    pub(super) fn done(&mut self, request: Request) {
        match self.ask(request) {
            Ok(Response::Done) => {}
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn refused(&mut self, request: Request) -> Error {
        match self.ask(request) {
            Err(error) => error,
            Ok(response) => panic!("{response:?}"),
        }
    }

    pub(super) fn at(&mut self, partition: &TopicPartition) -> Slot {
        self.client.slot(partition)
    }

    #[track_caller]
    pub(super) fn add(&mut self, partition: &TopicPartition, value: &str) {
        self.try_add(partition, value).unwrap();
    }

    pub(super) fn try_add(&mut self, partition: &TopicPartition, value: &str) -> Result<()> {
        let slot = self.at(partition);
        let record = AppendRecord {
            timestamp: 1_000,
            key: Some(value.as_bytes()),
            value: Some(value.as_bytes()),
            ..AppendRecord::default()
        };
        self.client.append(slot, &record)
    }

    #[track_caller]
    pub(super) fn commit(&mut self) -> Receipt {
        self.commit_with(CommitRequest::default()).unwrap()
    }

    #[track_caller]
    pub(super) fn commit_with(&mut self, request: CommitRequest) -> Result<Receipt> {
        let ticket = self.client.submit(Request::Commit(request));
        self.committed(ticket)
    }

    #[track_caller]
    pub(super) fn committed(&mut self, ticket: Ticket) -> Result<Receipt> {
        match self.wait(ticket)? {
            Response::Receipt(receipt) => {
                self.wait_until_visible(&receipt);
                Ok(receipt)
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn is_distributed(&self) -> bool {
        self.harness.is_distributed()
    }

    /// On a distributed log a receipt is decided and durable, and readers see it shortly after. Gives up without a word where
    /// another transaction holds readers back: whoever reads then finds out.
    #[track_caller]
    fn wait_until_visible(&mut self, receipt: &Receipt) {
        if !self.is_distributed() {
            return;
        }
        for (partition, end) in &receipt.ends {
            for _ in 0..VISIBLE_TRIES_MAX {
                if self.look_up(partition, OffsetSpec::Stable) >= *end {
                    break;
                }
                self.harness.advance(1);
            }
        }
    }

    /// Appends these values and commits them.
    #[track_caller]
    pub(super) fn write(&mut self, partition: &TopicPartition, values: &[&str]) -> Receipt {
        for value in values {
            self.add(partition, value);
        }
        self.commit()
    }

    #[track_caller]
    pub(super) fn look_up(&mut self, partition: &TopicPartition, spec: OffsetSpec) -> Offset {
        match self.ask(Request::Offsets(vec![(partition.clone(), spec)])) {
            Ok(Response::Offsets(offsets)) => {
                assert_eq!(offsets.len(), 1);
                assert_eq!(offsets[0].0, *partition);
                offsets[0].1
            }
            other => panic!("{other:?}"),
        }
    }

    /// Reads one partition from `position` until the reader stands at `end` or beyond.
    #[track_caller]
    pub(super) fn read_until(
        &mut self,
        partition: &TopicPartition,
        position: Offset,
        end: Offset,
    ) -> Vec<Row> {
        let slot = self.at(partition);
        self.client.read_from(slot, position);
        let mut at = position;
        let mut rows = Vec::new();
        while at < end {
            let chunk = self.until("records", |this| {
                this.pump();
                this.client.fetch().unwrap()
            });
            assert_eq!((&chunk.partition, chunk.slot), (partition, slot));
            assert_eq!(
                chunk.position, at,
                "a chunk continues where the one before ended"
            );
            assert!(chunk.next_offset > at, "a chunk moves the position");
            at = chunk.next_offset;
            rows.extend(walk(chunk));
        }
        self.client.stop_reading(slot);
        rows
    }

    /// Polls, and keeps completions for whoever asks.
    pub(super) fn pump(&mut self) {
        while let Some(done) = self.client.poll() {
            self.early.insert(done.ticket, done.result);
        }
    }

    #[track_caller]
    pub(super) fn positions(&mut self, group: &str) -> BTreeMap<TopicPartition, CommittedOffset> {
        let request = Request::CommittedOffsets {
            group: group.into(),
            partitions: None,
        };
        match self.ask(request) {
            Ok(Response::Committed(positions)) => positions.into_iter().collect(),
            other => panic!("{other:?}"),
        }
    }
}

/// The records of a chunk; their offsets must grow and lie inside it.
pub(super) fn walk(chunk: crate::Chunk) -> Vec<Row> {
    let range = chunk.position..chunk.next_offset;
    let mut rows: Vec<Row> = Vec::new();
    let mut cursor = ChunkCursor::new(chunk);
    while let Some(record) = cursor.next_record().unwrap() {
        assert!(
            range.contains(&record.offset),
            "{} in {range:?}",
            record.offset
        );
        assert!(rows.last().is_none_or(|last| last.offset < record.offset));
        rows.push(Row {
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record
                .headers
                .iter()
                .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
                .collect(),
        });
    }
    rows
}

/// Where a commit's receipt says that a partition ends.
pub(super) fn end_of(receipt: &Receipt, partition: &TopicPartition) -> Offset {
    let mut ends = receipt.ends.iter();
    ends.find(|(name, _)| name == partition).unwrap().1
}

/// A commit of one position.
pub(super) fn position(group: &str, partition: &TopicPartition, offset: Offset) -> CommitRequest {
    CommitRequest {
        group: Some(group.into()),
        member: None,
        offsets: vec![(partition.clone(), CommittedOffset::at(offset))],
    }
}

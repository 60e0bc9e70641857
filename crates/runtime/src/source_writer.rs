//! Brings records from a source that is no topic (a file, a database) into topics, exactly once: the source's position
//! is a record in a compacted internal topic, in the same commit as the records up to it.
//! Not a task: one thread drives it. Invariant: after any crash the position read back is that of the last record committed.

use crate::{Error, Result, Settings};
use headwater_log::{
    AppendRecord, ChunkCursor, Client, ClientOptions, CommitRequest, Guarantee, HeadersRef, Log,
    NewTopic, OffsetSpec, Receipt, Request, Response, Slot, TopicPartition, call,
    partition_for_key,
};
use headwater_streams::{Data, Headers};
use rustc_hash::FxHashMap;
use std::time::Duration;

/// How long one call to the log may take.
const CALL_MS_MAX: u64 = 30_000;

/// Appends records of one source to topics.
pub struct SourceWriter {
    settings: Settings,
    client: Box<dyn Client>,
    positions: TopicPartition,
    source: String,
    position: u64,
    receipt: Receipt,
    topics: FxHashMap<String, Vec<Slot>>,
    keyless: usize,
}

impl SourceWriter {
    /// Opens `source` of `application`. Its position is kept in topic `<application>-source-positions`, which is created
    /// where it is missing.
    pub fn open(
        log: &dyn Log,
        application: &str,
        source: &str,
        settings: &Settings,
    ) -> Result<Self> {
        let options = ClientOptions {
            client_id: format!("{application}-{source}"),
            guarantee: Guarantee::ExactlyOnce,
            transactional_id: Some(format!("{application}-source-{source}")),
            waker: Some(thread_waker()),
            ..ClientOptions::default()
        };
        let mut client = log.client(options)?;
        let topic = format!("{application}-source-positions");
        let config = [("cleanup.policy".to_owned(), "compact".to_owned())].into();
        let created = Request::CreateTopics(vec![NewTopic {
            name: topic.clone(),
            partitions: 1,
            config,
        }]);
        match call(&mut *client, &*settings.world.clock, created, CALL_MS_MAX) {
            Ok(_) | Err(headwater_log::Error::TopicExists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let positions = TopicPartition::new(topic, 0);
        let mut writer = Self {
            settings: settings.clone(),
            client,
            positions,
            source: source.into(),
            position: 0,
            receipt: Receipt::default(),
            topics: FxHashMap::default(),
            keyless: 0,
        };
        writer.position = writer.read_position()?;
        Ok(writer)
    }

    /// Where the source goes on: the position of the last commit, 0 at first.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What the last commit that took effect wrote: one past the last offset of each partition.
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// Creates `topic` with `partitions` unless it is there.
    pub fn ensure_topic(&mut self, topic: &str, partitions: u32) -> Result<()> {
        let request = Request::CreateTopics(vec![NewTopic {
            name: topic.into(),
            partitions,
            config: Default::default(),
        }]);
        match call(
            &mut *self.client,
            &*self.settings.world.clock,
            request,
            CALL_MS_MAX,
        ) {
            Ok(_) | Err(headwater_log::Error::TopicExists(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds a record; it becomes visible with the next [`SourceWriter::commit`].
    pub fn append<K: Data, V: Data>(
        &mut self,
        topic: &str,
        key: &K,
        value: &V,
        timestamp: i64,
    ) -> Result<()> {
        let (key_format, value_format) = (K::format(), V::format());
        let mut headers = Headers::default();
        let (mut key_bytes, mut value_bytes) = (Vec::new(), Vec::new());
        let error = |error| Error::Config(format!("topic '{topic}': {error}"));
        let has_key = !key_format.is_null(key);
        if has_key {
            key_format
                .encode(topic, &mut headers, key, &mut key_bytes)
                .map_err(error)?;
        }
        let has_value = !value_format.is_null(value);
        if has_value {
            value_format
                .encode(topic, &mut headers, value, &mut value_bytes)
                .map_err(error)?;
        }
        let record = AppendRecord {
            timestamp,
            key: has_key.then_some(&key_bytes),
            value: has_value.then_some(&value_bytes),
            headers: headers.as_ref(),
        };
        self.append_raw(topic, &record)
    }

    /// As [`SourceWriter::append`], in bytes.
    pub fn append_raw(&mut self, topic: &str, record: &AppendRecord<'_>) -> Result<()> {
        if !self.topics.contains_key(topic) {
            let partitions = self.count(topic)?;
            let slots = (0..partitions)
                .map(|partition| self.client.slot(&TopicPartition::new(topic, partition)))
                .collect();
            self.topics.insert(topic.into(), slots);
        }
        let slots = &self.topics[topic];
        let partition = match record.key {
            Some(key) => partition_for_key(key, slots.len() as u32) as usize,
            None => self.keyless % slots.len(),
        };
        Ok(self.client.append(slots[partition], record)?)
    }

    /// The partitions of a topic. A client may have to ask a broker, and answers unknown until it has heard.
    fn count(&mut self, topic: &str) -> Result<u32> {
        if let Some(partitions) = self.client.partitions(topic) {
            return Ok(partitions);
        }
        let clock = self.settings.world.clock.clone();
        let request = Request::DescribeTopics(Some(vec![topic.to_owned()]));
        match call(&mut *self.client, &*clock, request, CALL_MS_MAX)? {
            Response::Topics(topics) => match topics.first() {
                Some(topic) => Ok(topic.partitions),
                None => Err(headwater_log::Error::UnknownTopic(topic.into()).into()),
            },
            other => Err(Error::Config(format!("{other:?} is no answer to topics"))),
        }
    }

    /// Commits what was appended together with the position behind it. On an error the position is read anew from the log,
    /// so the caller continues at [`SourceWriter::position`].
    pub fn commit(&mut self, position: u64) -> Result<()> {
        let record = AppendRecord {
            timestamp: self.settings.world.clock.now_ms(),
            key: Some(self.source.as_bytes()),
            value: Some(&position.to_be_bytes()),
            headers: HeadersRef::NONE,
        };
        let slot = self.client.slot(&self.positions);
        self.client.append(slot, &record)?;
        self.keyless = self.keyless.wrapping_add(1);
        let commit = Request::Commit(CommitRequest::default());
        match call(
            &mut *self.client,
            &*self.settings.world.clock,
            commit,
            CALL_MS_MAX,
        ) {
            Ok(response) => {
                self.position = position;
                self.take_receipt(response);
                Ok(())
            }
            Err(error) if error.fate() == headwater_log::Fate::Retry => {
                let settled = call(
                    &mut *self.client,
                    &*self.settings.world.clock,
                    Request::Settle,
                    CALL_MS_MAX,
                )?;
                self.take_receipt(settled);
                self.position = self.read_position()?;
                if self.position == position {
                    Ok(())
                } else {
                    Err(error.into())
                }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn take_receipt(&mut self, response: Response) {
        if let Response::Receipt(receipt) = response {
            self.receipt = receipt;
        }
    }

    fn read_position(&mut self) -> Result<u64> {
        let clock = self.settings.world.clock.clone();
        let specs = vec![
            (self.positions.clone(), OffsetSpec::Start),
            (self.positions.clone(), OffsetSpec::Stable),
        ];
        let Response::Offsets(offsets) = call(
            &mut *self.client,
            &*clock,
            Request::Offsets(specs),
            CALL_MS_MAX,
        )?
        else {
            return Ok(0);
        };
        let (start, end) = (offsets[0].1, offsets[1].1);
        let slot = self.client.slot(&self.positions);
        let mut found = 0;
        let mut at = start;
        let deadline = clock.elapsed() + Duration::from_millis(CALL_MS_MAX);
        self.client.read_from(slot, start);
        while at < end {
            let Some(chunk) = self.client.fetch()? else {
                if clock.elapsed() >= deadline {
                    return Err(Error::TimedOut(format!("reading {}", self.positions)));
                }
                self.client.poll();
                std::thread::park_timeout(Duration::from_micros(200));
                continue;
            };
            at = chunk.next_offset;
            let mut cursor = ChunkCursor::new(chunk);
            while let Some(record) = cursor.next_record()? {
                if let (true, Some(Ok(bytes))) = (
                    record.key == Some(self.source.as_bytes()),
                    record.value.map(<[u8; 8]>::try_from),
                ) {
                    found = u64::from_be_bytes(bytes);
                }
            }
            self.client.recycle(cursor.into_chunk());
        }
        self.client.stop_reading(slot);
        Ok(found)
    }
}

/// A waker that unparks the thread that calls this.
pub(crate) fn thread_waker() -> std::task::Waker {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    std::sync::Arc::new(Unpark(std::thread::current())).into()
}

//! Appends single records to the log and answers when it has acknowledged them. Not a topology: what is written here comes from
//! outside. Invariant: a record is acknowledged once it is durable, or its sender hears that it may not be there.

use headwater::log::{
    AppendRecord, Client, ClientOptions, CommitRequest, Fate, Log, Receipt, Request, Response,
    call, call_deadline_default_ms, partition_for_key,
};
use headwater::query::Token;
use headwater::{Data, Headers, TopicPartition, world::World};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use tokio::sync::oneshot;

/// Records that wait to be appended.
const RECORDS_WAITING_MAX: usize = 10_000;
/// Records of one commit.
const RECORDS_PER_COMMIT_MAX: usize = 1_000;

/// Where a record went, and what a reader must have seen to have seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The partition.
    pub at: TopicPartition,
    /// One past the record, or past a later one of the same commit.
    pub end: i64,
}

impl Written {
    /// For reads that are to see it.
    pub fn token(&self) -> Token {
        [(self.at.clone(), self.end)].into_iter().collect()
    }
}

/// Why a record may not be in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Too many wait; it is not there.
    Overloaded,
    /// The log has not acknowledged it.
    Log(String),
}

struct Produce {
    topic: &'static str,
    key: Vec<u8>,
    value: Vec<u8>,
    done: oneshot::Sender<Result<Written, Error>>,
}

/// Sends records; those that come while the log is busy share the next commit. Cloned freely.
#[derive(Clone)]
pub struct Producer(SyncSender<Produce>);

impl Producer {
    /// A producer with a thread of its own, which ends with the last clone.
    pub fn start(log: Arc<dyn Log>) -> headwater::Result<Self> {
        let client = log.client(options())?;
        let (sender, requests) = sync_channel(RECORDS_WAITING_MAX);
        let worker = Worker {
            log,
            client,
            world: World::real(),
            partitions: HashMap::new(),
        };
        let named = std::thread::Builder::new().name("producer".into());
        named
            .spawn(move || worker.run(&requests))
            .map_err(|error| headwater::Error::System(format!("no thread: {error}")))?;
        Ok(Self(sender))
    }

    /// Appends a record with the types' own formats and waits until it is durable.
    pub async fn send<K: Data, V: Data>(
        &self,
        topic: &'static str,
        key: &K,
        value: &V,
    ) -> Result<Written, Error> {
        let (done, answer) = oneshot::channel();
        let produce = Produce {
            topic,
            key: encode(topic, key)?,
            value: encode(topic, value)?,
            done,
        };
        self.0.try_send(produce).map_err(|error| match error {
            TrySendError::Full(_) => Error::Overloaded,
            TrySendError::Disconnected(_) => ended(),
        })?;
        answer.await.unwrap_or_else(|_| Err(ended()))
    }
}

fn ended() -> Error {
    Error::Log("the producer has ended".into())
}

fn encode<T: Data>(topic: &str, value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    T::format()
        .encode(topic, &mut Headers::default(), value, &mut bytes)
        .map_err(|error| Error::Log(error.to_string()))?;
    Ok(bytes)
}

fn options() -> ClientOptions {
    ClientOptions {
        client_id: "orders-producer".into(),
        ..ClientOptions::default()
    }
}

struct Worker {
    log: Arc<dyn Log>,
    client: Box<dyn Client>,
    world: World,
    partitions: HashMap<&'static str, u32>,
}

impl Worker {
    fn run(mut self, requests: &Receiver<Produce>) {
        while let Ok(first) = requests.recv() {
            let mut batch = vec![first];
            while batch.len() < RECORDS_PER_COMMIT_MAX
                && let Ok(next) = requests.try_recv()
            {
                batch.push(next);
            }
            match self.write(&batch) {
                Ok(written) => {
                    for (produce, written) in batch.into_iter().zip(written) {
                        // Who asked may have gone.
                        let _ = produce.done.send(Ok(written));
                    }
                }
                Err(error) => self.refuse(batch, &error),
            }
        }
    }

    /// After a failure the client begins anew: what it still held is gone with it.
    fn refuse(&mut self, batch: Vec<Produce>, error: &headwater::log::Error) {
        for produce in batch {
            let _ = produce.done.send(Err(Error::Log(error.to_string())));
        }
        if let Ok(client) = self.log.client(options()) {
            self.client = client;
        }
    }

    fn write(&mut self, batch: &[Produce]) -> headwater::log::Result<Vec<Written>> {
        let timestamp = self.world.clock.now_ms();
        let mut places = Vec::with_capacity(batch.len());
        for produce in batch {
            let partitions = self.count(produce.topic)?;
            let partition = partition_for_key(&produce.key, partitions);
            let at = TopicPartition::new(produce.topic, partition);
            let slot = self.client.slot(&at);
            let record = AppendRecord {
                timestamp,
                key: Some(&produce.key),
                value: Some(&produce.value),
                headers: headwater::log::HeadersRef::NONE,
            };
            self.client.append(slot, &record)?;
            places.push(at);
        }
        let receipt = self.commit()?;
        let end = |at: &TopicPartition| {
            let found = receipt.ends.iter().find(|(known, _)| known == at);
            found.map_or(0, |(_, end)| *end)
        };
        let written = places.into_iter();
        Ok(written.map(|at| Written { end: end(&at), at }).collect())
    }

    fn commit(&mut self) -> headwater::log::Result<Receipt> {
        let commit = Request::Commit(CommitRequest::default());
        match self.ask(commit) {
            Ok(Response::Receipt(receipt)) => Ok(receipt),
            Ok(_) => Ok(Receipt::default()),
            Err(error) if error.fate() == Fate::Retry => match self.ask(Request::Settle) {
                Ok(Response::Receipt(receipt)) => Ok(receipt),
                Ok(_) => Err(error),
                Err(unsettled) => Err(unsettled),
            },
            Err(error) => Err(error),
        }
    }

    fn count(&mut self, topic: &'static str) -> headwater::log::Result<u32> {
        if let Some(partitions) = self.partitions.get(topic) {
            return Ok(*partitions);
        }
        let described = self.ask(Request::DescribeTopics(Some(vec![topic.into()])))?;
        let found = match described {
            Response::Topics(topics) => topics.first().map(|topic| topic.partitions),
            _ => None,
        };
        let partitions = found.ok_or_else(|| headwater::log::Error::UnknownTopic(topic.into()))?;
        self.partitions.insert(topic, partitions);
        Ok(partitions)
    }

    fn ask(&mut self, request: Request) -> headwater::log::Result<Response> {
        let clock = self.world.clock.clone();
        call(
            &mut *self.client,
            &*clock,
            request,
            call_deadline_default_ms(),
        )
    }
}

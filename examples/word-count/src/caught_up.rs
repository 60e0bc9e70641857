//! Tells when all that was appended is counted. Not a measure of time.
//! Invariant: a position is heard from the worker after its store took the commit over, so the store shows all before it.

use anyhow::{Result, bail};
use headwater::{
    Committed, EmbeddedLog, Listener, Running, TopicPartition,
    log::{ClientOptions, Error, Offset, OffsetSpec, Request, Response, call},
    world::World,
};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

/// How long one question to the log may take.
const CALL_MS_MAX: u64 = 30_000;

/// The positions that were committed, in this run and before it.
pub(crate) struct CaughtUp(Mutex<BTreeMap<TopicPartition, Offset>>);

impl CaughtUp {
    /// Begins with the positions of earlier runs; before the application is started.
    pub(crate) fn new(log: &EmbeddedLog) -> Result<Self> {
        let request = Request::CommittedOffsets {
            group: "word-count".into(),
            partitions: None,
        };
        let Response::Committed(offsets) = ask(log, request)? else {
            bail!("the log did not answer with committed offsets");
        };
        let known = offsets.into_iter();
        let known = known.map(|(partition, committed)| (partition, committed.offset));
        Ok(Self(Mutex::new(known.collect())))
    }

    /// True once all tasks run and have committed every partition they read to its end.
    pub(crate) fn is_reached(&self, log: &EmbeddedLog, running: &Running) -> Result<bool> {
        // Positions before ends: a task that stands at a later end has nothing more to write downstream.
        let positions = self.positions().clone();
        let topics = running.topology().source_topics();
        let mut client = log.client(ClientOptions::default())?;
        let (mut specs, mut tasks) = (Vec::new(), 0);
        for topic in topics {
            // Each part of this topology reads one topic, and has a task for each of its partitions.
            let Some(partitions) = client.partitions(topic) else {
                return Ok(false);
            };
            tasks += partitions as usize;
            let of_topic = (0..partitions).map(|partition| {
                (
                    TopicPartition::new(topic.clone(), partition),
                    OffsetSpec::Stable,
                )
            });
            specs.extend(of_topic);
        }
        let Response::Offsets(ends) = ask(log, Request::Offsets(specs))? else {
            bail!("the log did not answer with offsets");
        };
        let is_there = |(partition, end): &(TopicPartition, Offset)| {
            positions.get(partition).copied().unwrap_or(0) >= *end
        };
        Ok(running.running_tasks() >= tasks && ends.iter().all(is_there))
    }

    fn positions(&self) -> MutexGuard<'_, BTreeMap<TopicPartition, Offset>> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Listener for CaughtUp {
    fn committed(&self, commit: &Committed) {
        let committed = commit.positions.iter();
        let committed = committed.map(|(partition, at)| (partition.clone(), at.offset));
        self.positions().extend(committed);
    }
}

fn ask(log: &EmbeddedLog, request: Request) -> Result<Response, Error> {
    let mut client = log
        .client(ClientOptions::default())
        .map_err(|error| Error::Unavailable(error.to_string()))?;
    call(&mut *client, &*World::real().clock, request, CALL_MS_MAX)
}

//! Knows when the job is done: every partition the topology reads is processed and committed to its end.
//! Not a measure of time. Invariant: what counts as processed was heard from the worker itself, after its stores had taken
//! the commit over, so views show all of it.

use crate::phases::Phases;
use anyhow::{Result, bail};
use headwater::{
    Committed, EmbeddedLog, Listener, RestoreProgress, Running, TaskId, TopicPartition,
    log::{Client, ClientOptions, Error, Offset, OffsetSpec, Request, Response, call},
    world::World,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// How long one question to the log may take.
const CALL_MS_MAX: u64 = 30_000;
/// Notices kept between two looks.
const NOTICES_MAX: usize = 100;

/// Hears what the workers tell.
pub(crate) struct Ear {
    heard: Mutex<Heard>,
    phases: Arc<Phases>,
    application: String,
}

#[derive(Default)]
struct Heard {
    /// Committed input positions.
    positions: BTreeMap<TopicPartition, Offset>,
    /// Where the changelogs end, for the phases.
    changelogs: BTreeMap<TopicPartition, Offset>,
    notices: Vec<String>,
    commits: u64,
    restored: u64,
}

impl Ear {
    pub(crate) fn new(application: &str, phases: Arc<Phases>) -> Arc<Self> {
        Arc::new(Self {
            heard: Mutex::default(),
            phases,
            application: application.into(),
        })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes the notices since the last call.
    pub(crate) fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.heard().notices)
    }

    /// Changelog records that were read to restore stores.
    pub(crate) fn restored_records(&self) -> u64 {
        self.heard().restored
    }
}

impl Listener for Ear {
    fn restore_started(&self, progress: &RestoreProgress) {
        let RestoreProgress {
            task,
            store,
            start,
            end,
            ..
        } = progress;
        self.phases
            .enter(&format!("restore {task} {store} {start} {end}"));
    }

    fn restore_ended(&self, progress: &RestoreProgress) {
        let records = (progress.end - progress.start).max(0);
        let mut heard = self.heard();
        heard.restored += records as u64;
        heard
            .changelogs
            .insert(progress.changelog.clone(), progress.end);
        drop(heard);
        self.phases.enter(&format!(
            "restored {} {} {records}",
            progress.task, progress.store
        ));
    }

    fn committed(&self, commit: &Committed) {
        let mut heard = self.heard();
        heard.commits += 1;
        for (partition, committed) in &commit.positions {
            heard.positions.insert(partition.clone(), committed.offset);
        }
        if self.phases.wanted() {
            heard.changelogs.extend(commit.receipt.ends.iter().cloned());
            let number = heard.commits;
            drop(heard);
            self.phases.enter(&format!("commit {number}"));
        }
    }

    fn checkpointed(&self, task: TaskId, store: &str) {
        if self.phases.wanted() {
            let changelog = format!("{}-{store}-changelog", self.application);
            let changelog = TopicPartition::new(changelog, task.partition);
            let position = self.heard().changelogs.get(&changelog).copied();
            let position = position.unwrap_or(0);
            self.phases
                .enter(&format!("checkpoint {task} {store} {position}"));
        }
    }

    fn notice(&self, message: &str) {
        let mut heard = self.heard();
        if heard.notices.len() < NOTICES_MAX {
            heard.notices.push(message.into());
        }
    }
}

/// Compares what was processed with what the log holds.
pub(crate) struct Watch {
    client: Box<dyn Client>,
    world: World,
    ear: Arc<Ear>,
}

impl Watch {
    /// Begins from the positions that `application` committed in earlier runs; before it is started.
    pub(crate) fn new(log: &EmbeddedLog, application: &str, ear: Arc<Ear>) -> Result<Self> {
        let mut watch = Self {
            client: log.client(ClientOptions::default())?,
            world: World::real(),
            ear,
        };
        let request = Request::CommittedOffsets {
            group: application.into(),
            partitions: None,
        };
        match watch.call(request)? {
            Response::Committed(offsets) => {
                let known = offsets.into_iter();
                let known = known.map(|(partition, committed)| (partition, committed.offset));
                watch.ear.heard().positions.extend(known);
            }
            other => bail!("the log answered {other:?} when asked for committed offsets"),
        }
        Ok(watch)
    }

    /// Where each partition of `topics` ends; `None` while one of them does not exist.
    pub(crate) fn ends(
        &mut self,
        topics: &[&str],
    ) -> Result<Option<Vec<(TopicPartition, Offset)>>> {
        let mut specs = Vec::new();
        for topic in topics {
            let Some(partitions) = self.client.partitions(topic) else {
                return Ok(None);
            };
            specs.extend(
                (0..partitions)
                    .map(|partition| (TopicPartition::new(*topic, partition), OffsetSpec::Stable)),
            );
        }
        match self.call(Request::Offsets(specs)) {
            Ok(Response::Offsets(ends)) => Ok(Some(ends)),
            Ok(other) => bail!("the log answered {other:?} when asked for offsets"),
            Err(Error::UnknownTopic(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Sum of the committed positions in `topics`.
    pub(crate) fn processed(&self, topics: &[&str]) -> u64 {
        let heard = self.ear.heard();
        let of_topics = heard
            .positions
            .iter()
            .filter(|(partition, _)| topics.contains(&&*partition.topic));
        of_topics.map(|(_, position)| *position as u64).sum()
    }

    /// True once every task runs and everything is processed, given that nobody appends to the topics of the outside.
    pub(crate) fn is_done(&mut self, running: &Running) -> Result<bool> {
        // Positions before ends: a task whose positions equal later ends had nothing left to read, so it wrote nothing
        // more either, and what it wrote downstream is within those ends.
        let positions = self.ear.heard().positions.clone();
        let topology = running.topology();
        let topics: Vec<&str> = topology
            .source_topics()
            .iter()
            .map(|topic| &**topic)
            .collect();
        let Some(ends) = self.ends(&topics)? else {
            return Ok(false);
        };
        let mut tasks = 0;
        for part in topology.subtopologies() {
            let of_part = part
                .source_topics
                .iter()
                .filter_map(|number| self.client.partitions(topics[*number as usize]));
            tasks += of_part.max().unwrap_or(0) as usize;
        }
        let is_behind = |(partition, end): &(TopicPartition, Offset)| {
            positions.get(partition).copied().unwrap_or(0) < *end
        };
        Ok(running.running_tasks() >= tasks && !ends.iter().any(is_behind))
    }

    fn call(&mut self, request: Request) -> Result<Response, Error> {
        call(&mut *self.client, &*self.world.clock, request, CALL_MS_MAX)
    }
}

//! The log as commands look at it: of a directory, or of a Kafka cluster. Not for writing: a directory is opened for reading only.
//! Invariant: errors name the place, and what is there instead of what was asked for.

use crate::{holder::Holder, place::Place};
use anyhow::{Result, anyhow, bail};
use headwater::log::{
    Client, ClientOptions, CommittedOffset, Error, GroupInfo, Guarantee, Log, Offset, OffsetSpec,
    Request, Response, TopicInfo, TopicPartition, call, call_deadline_default_ms,
    embedded::PartitionFiles,
};
use headwater::{EmbeddedLog, world::World};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// Looks at a log whose owner writes without pause: under four writers every other one fails.
const LOOKS_MAX: usize = 20;
/// Names listed in an error.
const NAMES_MAX: usize = 10;

/// An open log with a client.
pub(crate) struct Data {
    /// Where there are files.
    embedded: Option<EmbeddedLog>,
    client: Box<dyn Client>,
    world: World,
    place: String,
    /// All topics, once they have been asked for.
    topics: Option<Vec<TopicInfo>>,
}

impl Data {
    /// Opens the log as it is at this moment.
    pub(crate) fn open(place: &Place) -> Result<Self> {
        let world = World::real();
        let options = ClientOptions {
            client_id: "headwater-cli".into(),
            ..ClientOptions::default()
        };
        let (embedded, client) = match place {
            Place::Dir(dir) => {
                let log = patiently(dir, || EmbeddedLog::open_read_only_in(world.clone(), dir));
                let log = log.map_err(|error| refused(dir, error))?;
                let options = ClientOptions {
                    guarantee: Guarantee::ExactlyOnce,
                    ..options
                };
                let client = log.client(options)?;
                (Some(log), client)
            }
            Place::Kafka(kafka) => (None, kafka.client(options)?),
        };
        Ok(Self {
            embedded,
            client,
            world,
            place: place.to_string(),
            topics: None,
        })
    }

    /// The client, for reading records.
    pub(crate) fn client(&mut self) -> &mut dyn Client {
        &mut *self.client
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn ask(&mut self, request: Request) -> Result<Response> {
        let deadline_ms = call_deadline_default_ms();
        Ok(call(
            &mut *self.client,
            &*self.world.clock,
            request,
            deadline_ms,
        )?)
    }

    /// All topics, by name, as they were when first asked for.
    pub(crate) fn topics(&mut self) -> Result<Vec<TopicInfo>> {
        if let Some(topics) = &self.topics {
            return Ok(topics.clone());
        }
        let topics = match self.ask(Request::DescribeTopics(None))? {
            Response::Topics(topics) => topics,
            other => bail!("{other:?} is no answer to topics"),
        };
        Ok(self.topics.insert(topics).clone())
    }

    /// Forgets what topics there were.
    pub(crate) fn look_again(&mut self) {
        self.topics = None;
    }

    /// One topic.
    pub(crate) fn topic(&mut self, name: &str) -> Result<TopicInfo> {
        let topics = self.topics()?;
        match topics.iter().find(|topic| *topic.name == *name) {
            Some(topic) => Ok(topic.clone()),
            None => bail!(
                "topic '{name}' does not exist in {}; there is {}",
                self.place,
                names(topics.iter().map(|topic| &*topic.name))
            ),
        }
    }

    /// The partitions of a topic with their files; `None` where the files are a broker's.
    pub(crate) fn files(&self, topic: &str) -> Result<Option<Vec<PartitionFiles>>> {
        let embedded = self.embedded.as_ref();
        Ok(embedded.map(|log| log.partition_files(topic)).transpose()?)
    }

    /// Positions in partitions, in the order asked.
    pub(crate) fn offsets(
        &mut self,
        partitions: &[TopicPartition],
        spec: OffsetSpec,
    ) -> Result<Vec<Offset>> {
        let specs = partitions.iter().map(|at| (at.clone(), spec)).collect();
        match self.ask(Request::Offsets(specs))? {
            Response::Offsets(offsets) => {
                Ok(offsets.into_iter().map(|(_, offset)| offset).collect())
            }
            other => bail!("{other:?} is no answer to offsets"),
        }
    }

    /// All groups, by name.
    pub(crate) fn groups(&mut self) -> Result<Vec<GroupInfo>> {
        match self.ask(Request::ListGroups)? {
            Response::Groups(groups) => Ok(groups),
            other => bail!("{other:?} is no answer to groups"),
        }
    }

    /// The groups, or the one named.
    pub(crate) fn groups_named(&mut self, name: Option<&str>) -> Result<Vec<GroupInfo>> {
        let mut groups = self.groups()?;
        let Some(name) = name else {
            return Ok(groups);
        };
        if !groups.iter().any(|group| *group.group == *name) {
            bail!(
                "group '{name}' does not exist in {}; there is {}",
                self.place,
                names(groups.iter().map(|group| &*group.group))
            );
        }
        groups.retain(|group| *group.group == *name);
        Ok(groups)
    }

    /// What a group has committed, by partition.
    pub(crate) fn committed(
        &mut self,
        group: &str,
    ) -> Result<Vec<(TopicPartition, CommittedOffset)>> {
        let request = Request::CommittedOffsets {
            group: group.into(),
            partitions: None,
        };
        match self.ask(request)? {
            Response::Committed(mut committed) => {
                committed.sort_by(|(a, _), (b, _)| a.cmp(b));
                Ok(committed)
            }
            other => bail!("{other:?} is no answer to committed offsets"),
        }
    }

    /// One past the last offset of each; those that are no more are left out.
    pub(crate) fn ends<'a>(
        &mut self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, Offset>> {
        let topics = self.topics()?;
        let counts: BTreeMap<Arc<str>, u32> = topics
            .into_iter()
            .map(|topic| (topic.name, topic.partitions))
            .collect();
        let is_there = |at: &&TopicPartition| {
            let count = counts.get(&at.topic);
            count.is_some_and(|count| at.partition < *count)
        };
        let mut there: Vec<TopicPartition> =
            partitions.into_iter().filter(is_there).cloned().collect();
        there.sort();
        there.dedup();
        let ends = self.offsets(&there, OffsetSpec::Stable)?;
        Ok(there.into_iter().zip(ends).collect())
    }
}

/// Looks again when a log seems damaged while its owner writes: files change between two reads of them.
pub(crate) fn patiently<T>(
    dir: &Path,
    look: impl Fn() -> headwater::Result<T>,
) -> headwater::Result<T> {
    for _ in 1..LOOKS_MAX {
        match look() {
            Err(headwater::Error::Log(Error::Corrupt { .. } | Error::Io { .. }))
                if Holder::of(dir) != Holder::Nobody => {}
            looked => return looked,
        }
    }
    look()
}

/// Why a log could not be opened for reading: nothing but a directory without a log makes that invalid.
pub(crate) fn refused(dir: &Path, error: headwater::Error) -> anyhow::Error {
    match error {
        headwater::Error::Log(Error::Invalid(_)) => anyhow!(
            "{} holds no log; name its directory with --data DIR",
            dir.display()
        ),
        error => error.into(),
    }
}

/// A few names in a row.
pub(crate) fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.len() {
        0 => "none".into(),
        count if count > NAMES_MAX => {
            format!(
                "{} and {} more",
                names[..NAMES_MAX].join(", "),
                count - NAMES_MAX
            )
        }
        _ => names.join(", "),
    }
}

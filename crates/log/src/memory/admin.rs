//! Requests about topics, positions and groups, answered from the state. Not commits: see [`super::request`].
//! Invariant: a refused request changed nothing, but for `CreateTopics`, where the topics before the refused one stay.

use super::state::{State, Topic};
use crate::{
    CommittedOffset, Error, GroupInfo, NewTopic, Offset, OffsetSpec, Request, Response, Result,
    TopicConfig, TopicId, TopicPartition,
};
use headwater_world::Random;
use std::{collections::BTreeMap, sync::Arc};

/// Partitions of one topic. Far above use, low enough to catch a wrong number.
const PARTITIONS_MAX: u32 = 100_000;

impl State {
    /// Answers a request; `None` when it has to wait. `committed_only` is the isolation of the client that asks.
    pub(super) fn answer(
        &mut self,
        request: &Request,
        committed_only: bool,
        random: &dyn Random,
    ) -> Option<Result<Response>> {
        if self.must_wait(request) {
            return None;
        }
        Some(match request {
            Request::DescribeTopics(names) => Ok(self.describe(names.as_deref())),
            Request::Offsets(wanted) => self.look_up(wanted, committed_only),
            Request::CommittedOffsets { group, partitions } => {
                Ok(self.committed(group, partitions.as_deref()))
            }
            Request::ListGroups => Ok(Response::Groups(self.list_groups())),
            change => self.change(change, random).map(|()| Response::Done),
        })
    }

    fn must_wait(&self, request: &Request) -> bool {
        let away = |name: &TopicPartition| !self.is_available(name);
        match request {
            Request::CommittedOffsets { group, .. } => self.has_open_offsets(group),
            Request::Offsets(wanted) => wanted.iter().any(|(name, _)| away(name)),
            Request::DeleteRecords(wanted) => wanted.iter().any(|(name, _)| away(name)),
            _ => false,
        }
    }

    fn change(&mut self, request: &Request, random: &dyn Random) -> Result<()> {
        self.news = true;
        match request {
            Request::CreateTopics(topics) => topics
                .iter()
                .try_for_each(|topic| self.create_topic(topic, random)),
            Request::DeleteTopics(names) => self.delete_topics(names),
            Request::AlterTopic { topic, config } => self.alter_topic(topic, config),
            Request::CreatePartitions { topic, partitions } => {
                self.create_partitions(topic, *partitions)
            }
            Request::SetOffsets { group, offsets } => self.set_offsets(group, offsets),
            Request::DeleteGroup(group) => {
                self.require_empty(group)?;
                self.positions.remove(group);
                Ok(())
            }
            Request::DeleteRecords(starts) => self.delete_records(starts),
            other => unreachable!("{other:?} is answered elsewhere"),
        }
    }

    pub(super) fn create_topic(&mut self, topic: &NewTopic, random: &dyn Random) -> Result<()> {
        check_name(&topic.name)?;
        check_config(&topic.name, &topic.config)?;
        if !(1..=PARTITIONS_MAX).contains(&topic.partitions) {
            return Err(Error::Invalid(format!(
                "topic '{}': {} partitions; use 1 to {PARTITIONS_MAX}",
                topic.name, topic.partitions
            )));
        }
        if self.topics.contains_key(topic.name.as_str()) {
            return Err(Error::TopicExists(topic.name.clone()));
        }
        let id = (u128::from(random.next_u64()) << 64) | u128::from(random.next_u64());
        let mut created = Topic {
            id: TopicId(id),
            config: topic.config.clone(),
            partitions: Vec::new(),
        };
        created
            .partitions
            .resize_with(topic.partitions as usize, Default::default);
        self.topics.insert(topic.name.as_str().into(), created);
        self.topics_version += 1;
        self.news = true;
        Ok(())
    }

    fn delete_topics(&mut self, names: &[String]) -> Result<()> {
        if let Some(name) = names
            .iter()
            .find(|name| !self.topics.contains_key(name.as_str()))
        {
            return Err(Error::UnknownTopic(name.clone()));
        }
        for name in names {
            self.topics.remove(name.as_str());
            // As on Kafka: a topic made anew under the name must not be read from old positions.
            for positions in self.positions.values_mut() {
                positions.retain(|partition, _| *partition.topic != **name);
            }
        }
        self.topics_version += 1;
        Ok(())
    }

    fn alter_topic(
        &mut self,
        name: &str,
        changes: &BTreeMap<String, Option<String>>,
    ) -> Result<()> {
        let topic = self.topics.get_mut(name);
        let topic = topic.ok_or_else(|| Error::UnknownTopic(name.to_owned()))?;
        let mut config = topic.config.clone();
        for (setting, value) in changes {
            match value {
                Some(value) => config.insert(setting.clone(), value.clone()),
                None => config.remove(setting),
            };
        }
        check_config(name, &config)?;
        topic.config = config;
        Ok(())
    }

    fn create_partitions(&mut self, name: &str, partitions: u32) -> Result<()> {
        let topic = self.topics.get_mut(name);
        let topic = topic.ok_or_else(|| Error::UnknownTopic(name.to_owned()))?;
        let known = topic.partitions.len();
        if partitions as usize <= known || partitions > PARTITIONS_MAX {
            return Err(Error::Invalid(format!(
                "topic '{name}' has {known} partitions; their number can only grow, up to {PARTITIONS_MAX}, not become {partitions}"
            )));
        }
        topic
            .partitions
            .resize_with(partitions as usize, Default::default);
        self.topics_version += 1;
        Ok(())
    }

    fn describe(&self, names: Option<&[String]>) -> Response {
        let wanted = |name: &str| names.is_none_or(|names| names.iter().any(|it| it == name));
        let topics = self.topics.iter().filter(|(name, _)| wanted(name));
        Response::Topics(topics.map(|(name, topic)| self.info(name, topic)).collect())
    }

    fn look_up(
        &self,
        wanted: &[(TopicPartition, OffsetSpec)],
        committed_only: bool,
    ) -> Result<Response> {
        let mut offsets = Vec::with_capacity(wanted.len());
        for (name, spec) in wanted {
            let partition = self.partition(name)?;
            let offset = match spec {
                OffsetSpec::Start => partition.start,
                OffsetSpec::Stable => partition.stable(),
                OffsetSpec::End => partition.end,
                OffsetSpec::AtTime(timestamp) => {
                    let limit = match committed_only {
                        true => partition.stable(),
                        false => partition.end,
                    };
                    partition.at_time(*timestamp, limit)
                }
            };
            offsets.push((name.clone(), offset));
        }
        Ok(Response::Offsets(offsets))
    }

    fn committed(&self, group: &str, partitions: Option<&[TopicPartition]>) -> Response {
        let positions = self.positions.get(group);
        let found: Vec<_> = match (positions, partitions) {
            (None, _) => Vec::new(),
            (Some(positions), None) => {
                let all = positions.iter();
                all.map(|(name, at)| (name.clone(), at.clone())).collect()
            }
            (Some(positions), Some(wanted)) => wanted
                .iter()
                .filter_map(|name| Some((name.clone(), positions.get(name)?.clone())))
                .collect(),
        };
        Response::Committed(found)
    }

    fn set_offsets(
        &mut self,
        group: &Arc<str>,
        offsets: &[(TopicPartition, Option<CommittedOffset>)],
    ) -> Result<()> {
        self.require_empty(group)?;
        for (name, _) in offsets {
            self.partition(name)?;
        }
        let positions = self.positions.entry(Arc::clone(group)).or_default();
        for (name, at) in offsets {
            match at {
                Some(at) => positions.insert(name.clone(), at.clone()),
                None => positions.remove(name),
            };
        }
        Ok(())
    }

    fn list_groups(&self) -> Vec<GroupInfo> {
        let empty = self.positions.keys().map(|group| GroupInfo {
            group: Arc::clone(group),
            members: Vec::new(),
        });
        let mut groups = self.coordinator.groups();
        groups.extend(empty.filter(|it| !self.coordinator.has_members(&it.group)));
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        groups
    }

    fn require_empty(&self, group: &str) -> Result<()> {
        match self.coordinator.has_members(group) {
            true => Err(Error::Invalid(format!(
                "group '{group}' has active members; stop them first"
            ))),
            false => Ok(()),
        }
    }

    fn delete_records(&mut self, starts: &[(TopicPartition, Offset)]) -> Result<()> {
        for (name, offset) in starts {
            let partition = self.partition(name)?;
            if !(0..=partition.end).contains(offset) {
                return Err(partition.out_of_range(name, *offset));
            }
        }
        for (name, offset) in starts {
            self.partition_mut(name)?.delete_before(*offset);
        }
        Ok(())
    }
}

/// Kafka's rule for topic names (`Topic.validate`).
fn check_name(name: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".." {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "topic name '{name}': use 1 to 249 of a-z A-Z 0-9 . _ -, and neither '.' nor '..'"
    )))
}

/// Settings have no effect here; their values are checked so that a test finds what a real log refuses.
fn check_config(topic: &str, config: &TopicConfig) -> Result<()> {
    for (name, value) in config {
        let is_sound = match name.as_str() {
            "cleanup.policy" => value
                .split(',')
                .all(|word| matches!(word.trim(), "compact" | "delete" | "")),
            "message.timestamp.type" => matches!(value.as_str(), "CreateTime" | "LogAppendTime"),
            "retention.ms" | "retention.bytes" => {
                value.trim().parse().is_ok_and(|number: i64| number >= -1)
            }
            "segment.bytes"
            | "segment.ms"
            | "delete.retention.ms"
            | "min.compaction.lag.ms"
            | "max.compaction.lag.ms"
            | "max.message.bytes"
            | "index.interval.bytes" => value.trim().parse().is_ok_and(|number: i64| number >= 0),
            "min.cleanable.dirty.ratio" => value
                .trim()
                .parse()
                .is_ok_and(|ratio: f64| (0.0..=1.0).contains(&ratio)),
            _ => true,
        };
        if !is_sound {
            return Err(Error::Invalid(format!(
                "topic '{topic}': '{value}' is no value of {name}"
            )));
        }
    }
    Ok(())
}

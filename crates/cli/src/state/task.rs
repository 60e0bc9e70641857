//! The tasks of a group put together from what its broker tells and from offsets. Not how they are shown.
//! Invariant: a task of the topology is there also when nobody holds it.

use super::ask::{Answers, Told};
use crate::data::Data;
use anyhow::Result;
use headwater::log::{Offset, OffsetSpec};
use headwater::{GroupDescription, MemberDescription, TaskId, Tasks, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

/// A task with all that is known of it.
pub(crate) struct Task {
    pub(crate) id: TaskId,
    pub(crate) holdings: Vec<Holding>,
    /// `None` where nobody tells what it reads.
    pub(crate) inputs: Option<Vec<Input>>,
    pub(crate) changelogs: Vec<Changelog>,
    /// `None` where nobody tells.
    pub(crate) has_stores: Option<bool>,
}

/// Who has it.
pub(crate) struct Holding {
    /// `active`, `standby` or `warmup`.
    pub(crate) role: &'static str,
    /// `-`, `coming` or `going`.
    pub(crate) change: &'static str,
    pub(crate) member: String,
    pub(crate) client: String,
    pub(crate) host: String,
    pub(crate) process: Option<String>,
    /// `application.server`, where told.
    pub(crate) endpoint: Option<String>,
    /// What the member's instance says itself.
    pub(crate) told: Option<Told>,
}

/// A partition it reads.
pub(crate) struct Input {
    pub(crate) partition: TopicPartition,
    pub(crate) committed: Option<Offset>,
    pub(crate) start: Offset,
    pub(crate) end: Offset,
}

/// The changelog of a store: first offset, and behind the last.
pub(crate) type Changelog = (TopicPartition, Offset, Offset);

impl Task {
    /// Offsets to go in all inputs; without a committed position, all that is held.
    pub(crate) fn lag(&self) -> Option<i64> {
        let inputs = self.inputs.as_ref()?.iter();
        let lag = |it: &Input| (it.end - it.committed.unwrap_or(it.start)).max(0);
        Some(inputs.map(lag).sum())
    }

    /// How much of its stores is restored, in percent; no broker tells it of one whose changelog holds anything.
    pub(crate) fn restored(&self) -> Option<u32> {
        (self.has_stores.is_some() && self.changelog_offsets() == 0).then_some(100)
    }

    /// Of one who has it: what its instance says, or what follows from its changelogs.
    pub(crate) fn restored_at(&self, holding: &Holding) -> Option<u32> {
        let told = holding.told.as_ref().and_then(|it| it.restored_percent);
        told.or_else(|| self.restored())
    }

    /// True where somebody's part of its stores is told by nobody.
    pub(crate) fn is_open(&self) -> bool {
        let has_stores = self.has_stores != Some(false);
        let is_orphan = !self.holdings.iter().any(|it| it.role == "active");
        let mut holdings = self.holdings.iter();
        has_stores
            && (is_orphan && self.restored().is_none()
                || holdings.any(|it| self.restored_at(it).is_none()))
    }

    /// Offsets that a store restored anew has to read.
    pub(crate) fn changelog_offsets(&self) -> i64 {
        let changelogs = self.changelogs.iter();
        changelogs.map(|(_, start, end)| (end - start).max(0)).sum()
    }
}

/// Puts beside each who has a task what the instance says of it.
pub(crate) fn fill_in(tasks: &mut [Task], answers: &Answers) {
    for task in tasks {
        let roles: Vec<&str> = task.holdings.iter().map(|it| it.role).collect();
        for holding in &mut task.holdings {
            let same = roles.iter().filter(|role| **role == holding.role);
            let (endpoint, is_only) = (holding.endpoint.as_deref(), same.count() == 1);
            let told = answers.told(endpoint, task.id, holding.role, is_only);
            holding.told = told.cloned();
        }
    }
}

/// What a task reads and keeps.
#[derive(Default)]
struct Topics {
    inputs: BTreeSet<TopicPartition>,
    changelogs: BTreeSet<TopicPartition>,
}

/// All tasks, in order.
pub(crate) fn tasks(data: &mut Data, group: &GroupDescription) -> Result<Vec<Task>> {
    let topics = topics(data, group)?;
    let is_told = group.topology.is_some();
    let of = |it: &Topics| {
        it.inputs
            .iter()
            .chain(&it.changelogs)
            .cloned()
            .collect::<Vec<_>>()
    };
    let partitions: BTreeSet<TopicPartition> = topics.values().flat_map(of).collect();
    let ends = data.ends(&partitions)?;
    let there: Vec<TopicPartition> = ends.keys().cloned().collect();
    let starts = data.offsets(&there, OffsetSpec::Start)?;
    let starts: BTreeMap<TopicPartition, Offset> = there.into_iter().zip(starts).collect();
    let committed = data.committed(&group.group)?.into_iter();
    let committed: BTreeMap<TopicPartition, Offset> =
        committed.map(|(at, it)| (at, it.offset)).collect();
    let span = |at: &TopicPartition| {
        let start = starts.get(at).copied().unwrap_or(0);
        (start, ends.get(at).copied().unwrap_or(0))
    };
    let mut tasks = Vec::with_capacity(topics.len());
    for (id, topics) in topics {
        let input = |at: &TopicPartition| {
            let (start, end) = span(at);
            Input {
                partition: at.clone(),
                committed: committed.get(at).copied(),
                start,
                end,
            }
        };
        let changelog = |at: &TopicPartition| {
            let (start, end) = span(at);
            (at.clone(), start, end)
        };
        let is_known = is_told || !topics.inputs.is_empty();
        tasks.push(Task {
            id,
            holdings: holdings(group, id),
            inputs: is_known.then(|| topics.inputs.iter().map(input).collect()),
            has_stores: is_told.then_some(!topics.changelogs.is_empty()),
            changelogs: topics.changelogs.iter().map(changelog).collect(),
        });
    }
    Ok(tasks)
}

/// Tasks of the topology, or without one those that somebody holds.
fn topics(data: &mut Data, group: &GroupDescription) -> Result<BTreeMap<TaskId, Topics>> {
    let mut tasks: BTreeMap<TaskId, Topics> = BTreeMap::new();
    let counts: BTreeMap<String, u32> = data
        .topics()?
        .into_iter()
        .map(|topic| (topic.name.to_string(), topic.partitions))
        .collect();
    for described in group.topology.iter().flatten() {
        let Ok(subtopology) = described.id.parse() else {
            continue;
        };
        let repartitions = described.repartition_sources.iter().map(|(it, _)| it);
        let changelogs = described.changelogs.iter().map(|(it, _)| it);
        let count = |topic: &String| counts.get(topic).copied().unwrap_or(0);
        let inputs: Vec<&String> = described.sources.iter().chain(repartitions).collect();
        let partitions = inputs.iter().map(|it| count(it)).max().unwrap_or(0);
        for partition in 0..partitions {
            let id = TaskId {
                subtopology,
                partition,
            };
            let task = tasks.entry(id).or_default();
            let inputs = inputs.iter().filter(|it| partition < count(it));
            let at = |topic: &String| TopicPartition::new(topic.as_str(), partition);
            task.inputs.extend(inputs.map(|it| at(it)));
            task.changelogs.extend(changelogs.clone().map(at));
        }
    }
    for member in &group.members {
        for tasks_of_member in member.tasks.iter().chain(&member.target) {
            for (_, ids) in by_role(tasks_of_member) {
                for id in ids {
                    tasks.entry(*id).or_default();
                }
            }
        }
        for (id, input) in &member.inputs {
            tasks.entry(*id).or_default().inputs.insert(input.clone());
        }
    }
    Ok(tasks)
}

fn by_role(tasks: &Tasks) -> [(&'static str, &[TaskId]); 3] {
    [
        ("active", &tasks.active),
        ("standby", &tasks.standby),
        ("warmup", &tasks.warmup),
    ]
}

fn holdings(group: &GroupDescription, id: TaskId) -> Vec<Holding> {
    let mut holdings = Vec::new();
    let roles = ["active", "standby", "warmup"];
    for (place, role) in roles.into_iter().enumerate() {
        for member in &group.members {
            let has = |tasks: &Option<Tasks>| {
                let tasks = tasks.as_ref();
                tasks.is_some_and(|tasks| by_role(tasks)[place].1.contains(&id))
            };
            let change = match (has(&member.tasks), has(&member.target)) {
                (true, true) => "-",
                (true, false) if member.target.is_none() => "-",
                (true, false) => "going",
                (false, true) => "coming",
                (false, false) => continue,
            };
            holdings.push(holding(member, role, change));
        }
    }
    holdings
}

fn holding(member: &MemberDescription, role: &'static str, change: &'static str) -> Holding {
    Holding {
        role,
        change,
        member: member.member.clone(),
        client: member.client_id.clone(),
        host: member.host.clone(),
        process: member.process.clone(),
        endpoint: member.endpoint.clone(),
        told: None,
    }
}

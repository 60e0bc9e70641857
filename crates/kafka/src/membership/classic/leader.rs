//! One round of a classic group's leader: who joined with what, what there is to share, who gets it.
//! Not the assignment's rules: those are the log crate's. Invariant: a member that cannot be understood, or runs another
//! topology, gets nothing and takes nothing from others.

use super::embedded::{Orders, Report, TaskNumber, TopicPartitions};
use super::hosts;
use crate::membership::topology::topology;
use crate::protocol::wire::{Field, Wire};
use crate::protocol::{
    join_group::JoinGroupResponseMember, sync_group::SyncGroupRequestAssignment,
};
use headwater_log::{
    Claim, Host, Lists, Membership, NewTopic, Result as LogResult, Subtopology, TaskId,
    TopicPartition, Topics, plan,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Times that topics which were just created may be found missing, each some ms apart, before the group is told to wait.
const CREATIONS_MAX: u32 = 50;

/// A member as the leader sees it.
#[derive(Clone, Debug)]
pub(super) struct Follower {
    id: String,
    /// Of a static member.
    instance: Option<String>,
    report: Result<Report, String>,
}

impl Follower {
    pub(super) fn new(member: &JoinGroupResponseMember) -> Self {
        Self {
            id: member.member_id.clone(),
            instance: member.group_instance_id.clone(),
            report: Report::decode(&member.metadata).map_err(|error| error.to_string()),
        }
    }
}

/// A round, from the join to the next.
#[derive(Clone, Debug)]
pub(super) struct Round {
    followers: Vec<Follower>,
    counts: BTreeMap<String, u32>,
    creations: u32,
    failure: Option<String>,
    planned: Result<BTreeMap<Arc<str>, Lists>, String>,
    topology_hash: i64,
    /// What static members were told in the round before, by their instance ids: one that was restarted since holds none of it.
    former: BTreeMap<String, Lists>,
    /// Of a round that began before its leader did: the hash of the counts that it was shared by, once that is known.
    resumed: Option<i64>,
}

/// Partition counts as they are, and what would have to be created.
struct Snapshot<'a> {
    counts: &'a BTreeMap<String, u32>,
    missing: Vec<NewTopic>,
}

impl Topics for Snapshot<'_> {
    fn partitions(&self, topic: &str) -> Option<u32> {
        self.counts.get(topic).copied()
    }
    fn create(&mut self, topic: NewTopic) -> LogResult<()> {
        self.missing.push(topic);
        Ok(())
    }
}

impl Round {
    /// `resumes`: the members have been told already, by this leader before it was restarted.
    pub(super) fn new(
        followers: Vec<Follower>,
        former: BTreeMap<String, Lists>,
        resumes: bool,
    ) -> Self {
        Self {
            followers,
            counts: BTreeMap::new(),
            creations: 0,
            failure: None,
            planned: match resumes {
                true => Ok(BTreeMap::new()),
                false => Err(String::new()),
            },
            topology_hash: 0,
            former,
            resumed: resumes.then_some(0),
        }
    }

    /// What the members were told by; true for a round that its leader has not shared itself.
    pub(super) fn resume(&mut self, counts_hash: i64) -> bool {
        let resumed = self.resumed.as_mut();
        resumed.map(|hash| *hash = counts_hash).is_some()
    }

    /// What static members are told, for the round after this one.
    pub(super) fn into_told(self) -> BTreeMap<String, Lists> {
        let Ok(planned) = self.planned else {
            return self.former;
        };
        let told = self.followers.into_iter().filter_map(|follower| {
            let lists = planned.get(follower.id.as_str())?.clone();
            Some((follower.instance?, lists))
        });
        told.collect()
    }

    /// The group waits for topics.
    pub(super) fn is_waiting(&self) -> bool {
        self.planned.is_err()
    }

    /// Counts are others than those the tasks were shared by.
    pub(super) fn counts_changed(&mut self, counts: &BTreeMap<String, u32>) -> bool {
        match self.resumed.take() {
            None => self.counts != *counts,
            Some(known) => {
                self.counts.clone_from(counts);
                ![0, hash_of_counts(counts)].contains(&known)
            }
        }
    }

    pub(super) fn creation_failed(&mut self, reason: String) {
        self.failure = Some(reason);
    }

    /// Shares the tasks; returns the internal topics to create first, and is called again then.
    pub(super) fn plan(
        &mut self,
        membership: &Membership,
        topology_hash: i64,
        counts: BTreeMap<String, u32>,
    ) -> Vec<NewTopic> {
        self.topology_hash = topology_hash;
        let claims = self.claims();
        let replicas = self
            .reports()
            .map(|(_, report)| report.standby_replicas)
            .max();
        let mut topics = Snapshot {
            counts: &counts,
            missing: Vec::new(),
        };
        let replicas = u32::try_from(replicas.unwrap_or(0)).unwrap_or(0);
        let mut planned = plan(&membership.subtopologies, &mut topics, replicas, &claims);
        let missing = topics.missing;
        if planned.is_ok() && !missing.is_empty() {
            let names: Vec<_> = missing.iter().map(|topic| topic.name.as_str()).collect();
            let names = names.join(", ");
            if let Some(failure) = self.failure.take() {
                planned = Err(format!("internal topics are missing: {names}: {failure}"));
            } else if self.creations >= CREATIONS_MAX {
                planned = Err(format!(
                    "internal topics were created and are not seen: {names}"
                ));
            } else {
                self.creations += 1;
                return missing;
            }
        }
        self.counts = counts;
        self.planned = planned;
        Vec::new()
    }

    /// Members that run the leader's topology.
    fn reports(&self) -> impl Iterator<Item = (&Follower, &Report)> {
        self.followers.iter().filter_map(|follower| {
            let report = follower.report.as_ref().ok()?;
            (report.topology_hash == self.topology_hash).then_some((follower, report))
        })
    }

    /// What a static member held before its restart: since then it has nothing.
    fn former_of(&self, follower: &Follower, report: &Report) -> Lists {
        let instance = follower.instance.as_ref();
        let former = instance.and_then(|instance| self.former.get(instance));
        former
            .filter(|_| report.generation == 0)
            .cloned()
            .unwrap_or_default()
    }

    /// Who holds what. Of two that claim a task the one of the later generation does: the other has missed its own eviction.
    fn claims(&self) -> Vec<Claim> {
        let mut latest: BTreeMap<TaskId, i32> = BTreeMap::new();
        for (_, report) in self.reports() {
            for task in from_numbers(&report.active) {
                let latest = latest.entry(task).or_default();
                *latest = report.generation.max(*latest);
            }
        }
        self.reports()
            .map(|(follower, report)| {
                let mut active = from_numbers(&report.active);
                active.retain(|task| latest.get(task) == Some(&report.generation));
                Claim {
                    member: follower.id.as_str().into(),
                    process: report.process.as_str().into(),
                    active,
                    standby: from_numbers(&report.standby),
                    former: self.former_of(follower, report),
                }
            })
            .collect()
    }

    /// Why nobody is to have anything any more, when a member says so.
    fn stopped(&self) -> Option<String> {
        let (_, report) = self.reports().find(|(_, report)| report.stops_group)?;
        let Report {
            member, process, ..
        } = report;
        Some(format!(
            "member '{member}' of process {process} has asked the whole application to stop"
        ))
    }

    /// Who answers for what: a member for what it is to hold, and for what it may still hold.
    fn hosts(&self) -> Vec<Host> {
        let lists = self.planned.as_ref().ok();
        let members = self.reports().zip(self.claims());
        Host::merged(members.filter_map(|((follower, report), claim)| {
            let endpoint = report.endpoint.clone()?.into();
            let listed = lists.and_then(|it| it.get(follower.id.as_str())).cloned();
            let (mut active, mut standby) = listed.unwrap_or_default();
            active.extend(claim.active);
            standby.extend(claim.standby);
            standby.retain(|task| !active.contains(task));
            Some(Host {
                endpoint,
                active,
                standby,
            })
        }))
    }

    /// What each member is to hear in this generation.
    pub(super) fn assignments(
        &self,
        generation: i32,
        subtopologies: &[Subtopology],
    ) -> Vec<SyncGroupRequestAssignment> {
        let nothing = Lists::default();
        let hosts = hosts::told(&self.hosts());
        let stopped = self.stopped();
        let claims = self.claims();
        let gives_up = |follower: &Follower, active: &[TaskId], standby: &[TaskId]| {
            let mut own = claims.iter().filter(|it| *it.member == *follower.id);
            own.any(|claim| {
                let is_listed = |task: &TaskId| active.contains(task) || standby.contains(task);
                !claim.active.iter().all(|task| active.contains(task))
                    || !claim.standby.iter().all(is_listed)
            })
        };
        let orders = |follower: &Follower| match &follower.report {
            Err(error) => refused(format!(
                "the group's leader cannot read this member's report: {error}"
            )),
            Ok(report) if report.topology_hash != self.topology_hash => refused(format!(
                "the topology of member '{}' differs from that of the group's leader; stop the others first",
                report.member
            )),
            Ok(_) if stopped.is_some() => refused(stopped.clone().unwrap_or_default()),
            Ok(_) => {
                let lists = self.planned.as_ref().ok();
                let (active, standby) = lists
                    .and_then(|it| it.get(follower.id.as_str()))
                    .unwrap_or(&nothing);
                Orders {
                    generation,
                    active: to_numbers(active),
                    standby: to_numbers(standby),
                    not_ready: self.planned.as_ref().err().cloned(),
                    refused: None,
                    hosts: hosts.clone(),
                    topology_hash: self.topology_hash,
                    counts_hash: hash_of_counts(&self.counts),
                    gives_up: gives_up(follower, active, standby),
                }
            }
        };
        self.followers
            .iter()
            .map(|follower| {
                let orders = orders(follower);
                let partitions = self.partitions(subtopologies, &orders.active);
                SyncGroupRequestAssignment {
                    member_id: follower.id.clone(),
                    assignment: orders.encode(partitions),
                }
            })
            .collect()
    }

    /// What the tasks read, for Kafka's tools.
    fn partitions(
        &self,
        subtopologies: &[Subtopology],
        tasks: &[TaskNumber],
    ) -> Vec<TopicPartitions> {
        let mut partitions: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
        for task in tasks {
            let part = subtopologies
                .iter()
                .find(|part| i64::from(part.id) == i64::from(task.subtopology));
            for topic in part.into_iter().flat_map(read_by) {
                let count = self.counts.get(topic).copied().unwrap_or(0);
                if u32::try_from(task.partition).is_ok_and(|partition| partition < count) {
                    partitions.entry(topic).or_default().push(task.partition);
                }
            }
        }
        let partitions = partitions.into_iter();
        partitions
            .map(|(topic, partitions)| TopicPartitions {
                topic: topic.to_owned(),
                partitions,
            })
            .collect()
    }
}

fn refused(reason: String) -> Orders {
    Orders {
        generation: 0,
        refused: Some(reason),
        ..Orders::default()
    }
}

fn read_by(part: &Subtopology) -> impl Iterator<Item = &str> {
    let repartitions = part
        .repartition_sources
        .iter()
        .map(|topic| topic.name.as_str());
    part.source_topics
        .iter()
        .map(String::as_str)
        .chain(repartitions)
}

/// The internal topics that would have to be created; none while sources are not there or do not fit each other.
pub(crate) fn missing(
    subtopologies: &[Subtopology],
    counts: &BTreeMap<String, u32>,
) -> Vec<NewTopic> {
    let mut topics = Snapshot {
        counts,
        missing: Vec::new(),
    };
    match plan(subtopologies, &mut topics, 0, &[]) {
        Ok(_) => topics.missing,
        Err(_) => Vec::new(),
    }
}

/// Every topic whose partitions matter.
pub(crate) fn topics(subtopologies: &[Subtopology]) -> Vec<String> {
    let changelogs = subtopologies.iter().flat_map(|part| &part.changelogs);
    let changelogs = changelogs.map(|topic| topic.name.as_str());
    let names: BTreeSet<_> = subtopologies
        .iter()
        .flat_map(read_by)
        .chain(changelogs)
        .collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Every topic that is read.
pub(super) fn sources(subtopologies: &[Subtopology]) -> Vec<String> {
    let names: BTreeSet<_> = subtopologies.iter().flat_map(read_by).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// The task that reads a partition; `None` for topics the topology does not read.
pub(super) fn task_of(subtopologies: &[Subtopology], partition: &TopicPartition) -> Option<TaskId> {
    let mut parts = subtopologies.iter();
    let part = parts.find(|part| read_by(part).any(|topic| topic == &*partition.topic))?;
    Some(TaskId {
        subtopology: part.id,
        partition: partition.partition,
    })
}

/// FNV-1a over all that members of a group must have in common, as a streams group would compare it.
pub(super) fn hash(subtopologies: &[Subtopology]) -> i64 {
    const WIRE: Wire = Wire {
        version: 0,
        flexible: true,
    };
    let mut bytes = Vec::new();
    topology(subtopologies, -1).put(WIRE, &mut bytes);
    fnv(&bytes)
}

fn fnv(bytes: &[u8]) -> i64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash as i64
}

/// Tells whether topics are as they were when tasks were shared.
fn hash_of_counts(counts: &BTreeMap<String, u32>) -> i64 {
    let lines = counts
        .iter()
        .map(|(topic, count)| format!("{topic} {count}\n"));
    fnv(lines.collect::<String>().as_bytes())
}

pub(super) fn to_numbers(tasks: &[TaskId]) -> Vec<TaskNumber> {
    let tasks = tasks.iter();
    tasks
        .map(|task| TaskNumber {
            subtopology: i32::try_from(task.subtopology).unwrap_or(i32::MAX),
            partition: i32::try_from(task.partition).unwrap_or(i32::MAX),
        })
        .collect()
}

pub(super) fn from_numbers(tasks: &[TaskNumber]) -> Vec<TaskId> {
    let tasks = tasks.iter().filter_map(|task| {
        Some(TaskId {
            subtopology: u32::try_from(task.subtopology).ok()?,
            partition: u32::try_from(task.partition).ok()?,
        })
    });
    tasks.collect()
}

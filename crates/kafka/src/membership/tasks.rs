//! The tasks of a member, as it holds them and as a coordinator writes them. Not whose they are.
//! Invariant: a list is in order and names no task twice.

use crate::protocol::streams_group_heartbeat::TaskIds;
use headwater_log::TaskId;
use std::collections::BTreeMap;

/// Tasks as a worker holds them or a coordinator lists them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tasks {
    pub(super) active: Vec<TaskId>,
    pub(super) standby: Vec<TaskId>,
}

impl Tasks {
    pub(super) fn is_empty(&self) -> bool {
        self.active.is_empty() && self.standby.is_empty()
    }

    /// True when `other` has each of them, in the same role.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        let has = |list: &[TaskId], task: &TaskId| list.binary_search(task).is_ok();
        self.active.iter().all(|task| has(&other.active, task))
            && self.standby.iter().all(|task| has(&other.standby, task))
    }
}

pub(super) fn sorted(tasks: &[TaskId]) -> Vec<TaskId> {
    let mut tasks = tasks.to_vec();
    tasks.sort_unstable();
    tasks
}

pub(super) fn to_wire(tasks: &[TaskId]) -> Vec<TaskIds> {
    let mut by_subtopology: BTreeMap<u32, Vec<i32>> = BTreeMap::new();
    for task in tasks {
        let partition = i32::try_from(task.partition).unwrap_or(i32::MAX);
        by_subtopology
            .entry(task.subtopology)
            .or_default()
            .push(partition);
    }
    let tasks = by_subtopology.into_iter();
    tasks
        .map(|(subtopology, partitions)| TaskIds {
            subtopology_id: subtopology.to_string(),
            partitions,
        })
        .collect()
}

/// Tasks of sub-topologies that are not ours cannot come: the coordinator assigns those of the topology that was sent.
pub(super) fn from_wire(tasks: &[TaskIds]) -> Vec<TaskId> {
    let mut ids: Vec<_> = tasks
        .iter()
        .filter_map(|ids| Some((ids.subtopology_id.parse().ok()?, &ids.partitions)))
        .flat_map(|(subtopology, partitions)| {
            let partitions = partitions.iter().filter_map(|id| u32::try_from(*id).ok());
            partitions.map(move |partition| TaskId {
                subtopology,
                partition,
            })
        })
        .collect();
    ids.sort_unstable();
    ids
}

//! What the coordinator knows of one member: what it was told, what it still holds, when it was last heard.
//! Not what it is to have: that is computed for all members at once. Invariant: what it was told last is among what it holds,
//! so that nothing on its way to the member is given to another.

use super::{Assignment, Host, MemberEpoch, Membership, TaskId, assign::Target};
use crate::MemberInfo;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

#[derive(Debug)]
pub(super) struct Refused {
    pub(super) heard: Duration,
    pub(super) session_timeout: Duration,
    pub(super) reason: String,
    pub(super) told: bool,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) membership: Membership,
    pub(super) heard: Duration,
    /// Epochs below are of an earlier life of the same id.
    pub(super) joined: MemberEpoch,
    pub(super) epoch: MemberEpoch,
    pub(super) target: Target,
    /// The last list it was told; `None` before the first.
    pub(super) told: Option<Target>,
    /// Its list is told though it did not change.
    pub(super) tell_again: bool,
    /// Active tasks told and not given up, each with the epoch at which it was told.
    pub(super) active: BTreeMap<TaskId, MemberEpoch>,
    pub(super) standby: BTreeSet<TaskId>,
    /// Since when it holds tasks that it was told to give up.
    pub(super) revoking: Option<Duration>,
    pub(super) not_ready_told: Option<String>,
    /// Whether it was last told that the group is mixed; `None` when that may not have arrived, or was forgotten.
    pub(super) mixed_told: Option<bool>,
    /// The coordinator's version when it was last told all there was to tell.
    pub(super) seen: Option<u64>,
}

impl Member {
    pub(super) fn new(now: Duration, epoch: MemberEpoch, membership: Membership) -> Self {
        Self {
            membership,
            heard: now,
            joined: epoch,
            epoch,
            target: Target::default(),
            told: None,
            tell_again: true,
            active: BTreeMap::new(),
            standby: BTreeSet::new(),
            revoking: None,
            not_ready_told: None,
            mixed_told: Some(false),
            seen: None,
        }
    }

    /// Makes `list` the member's list as of `epoch`.
    pub(super) fn take(&mut self, list: Target, epoch: MemberEpoch) -> Assignment {
        self.epoch = epoch;
        for task in &list.active {
            self.active.entry(*task).or_insert(epoch);
        }
        self.standby.extend(&list.standby);
        let assignment = Assignment {
            epoch,
            active: list.active.iter().copied().collect(),
            standby: list.standby.iter().copied().collect(),
        };
        self.told = Some(list);
        self.tell_again = false;
        assignment
    }

    /// Drops what is neither owned by the report nor in the last list (which the member may be about to open); true if anything.
    pub(super) fn release(&mut self, active: &[TaskId], standby: &[TaskId]) -> bool {
        let told = self.told.clone().unwrap_or_default();
        let before = self.active.len() + self.standby.len();
        self.active
            .retain(|task, _| active.contains(task) || told.active.contains(task));
        self.standby
            .retain(|task| standby.contains(task) || told.standby.contains(task));
        before != self.active.len() + self.standby.len()
    }

    pub(super) fn gives_up(&self) -> bool {
        let Some(told) = &self.told else {
            return false;
        };
        !self.active.keys().all(|task| told.active.contains(task))
            || !self.standby.is_subset(&told.standby)
    }

    /// What others may ask it for; `None` without an endpoint.
    pub(super) fn host(&self) -> Option<Host> {
        Some(Host {
            endpoint: self.membership.endpoint.clone()?,
            active: self.active.keys().copied().collect(),
            standby: self.standby.iter().copied().collect(),
        })
    }

    pub(super) fn info(&self) -> MemberInfo {
        MemberInfo {
            member: Arc::clone(&self.membership.member),
            epoch: self.epoch,
            tasks: self.active.keys().copied().collect(),
        }
    }
}

impl Refused {
    pub(super) fn new(now: Duration, membership: &Membership) -> Self {
        Self {
            heard: now,
            session_timeout: timeout(membership.session_timeout_ms),
            reason: format!(
                "the topology of member '{}' differs from that of the members of group '{}'; stop them first",
                membership.member, membership.group
            ),
            told: false,
        }
    }

    /// Of a member that `by` has stopped.
    pub(super) fn stopped(now: Duration, membership: &Membership, by: &str) -> Self {
        Self {
            reason: format!(
                "member '{by}' of group '{}' has asked the whole application to stop",
                membership.group
            ),
            ..Self::new(now, membership)
        }
    }
}

pub(super) fn timeout(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs())
}

pub(super) fn silence(silent: Duration) -> String {
    format!("it was silent for {} ms", silent.as_millis())
}

//! Groups of the embedded log: the coordinator, driven by clients and turns. Not durable: members join anew after a restart.
//! Invariant: assignments change only inside a turn, so that a commit is fenced by the epoch of the moment it is taken.

use super::{
    client::EmbeddedClient,
    core::{Core, Writer},
};
use crate::{
    Error, GroupEvent, GroupInfo, MemberEpoch, Membership, Result, TaskId, TopicPartition,
};
use std::{sync::Arc, time::Duration};

#[derive(Default)]
pub(super) struct Shared {}

#[derive(Default)]
pub(super) struct Member {}

impl Shared {
    pub(super) fn is_due(&self, _now: Duration) -> bool {
        false
    }
    pub(super) fn tick_ms(&self) -> u64 {
        100
    }
    pub(super) fn validate(
        &self,
        _group: &str,
        _member: &str,
        _epoch: MemberEpoch,
        _names: &[TopicPartition],
    ) -> Result<()> {
        Ok(())
    }
    pub(super) fn require_empty(&self, _group: &str) -> Result<()> {
        Ok(())
    }
    pub(super) fn groups(&self, durable: Vec<Arc<str>>) -> Vec<GroupInfo> {
        durable
            .into_iter()
            .map(|group| GroupInfo {
                group,
                members: Vec::new(),
            })
            .collect()
    }
}

impl Core {
    pub(super) fn tick_groups(&self, _writer: &mut Writer) -> bool {
        false
    }
}

impl EmbeddedClient {
    pub(super) fn heartbeat(&mut self) {}
    pub(super) fn join_group(&mut self, _membership: Membership) -> Result<()> {
        Err(Error::Unavailable("groups".into()))
    }
    pub(super) fn own_tasks(&mut self, _active: &[TaskId], _standby: &[TaskId]) {}
    pub(super) fn leave_group(&mut self) {}
    pub(super) fn next_group_event(&mut self) -> Option<GroupEvent> {
        None
    }
}

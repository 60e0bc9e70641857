//! Resets an application to start anew: committed positions, internal topics, local state.
//! Not while it runs: a group with members is refused. Invariant: a plan is printed before anything is done, and is all that is done.

use crate::{Error, Result};
use headwater_log::{
    Client, CommittedOffset, Offset, OffsetSpec, Request, Response, TopicPartition, call,
};
use headwater_world::World;
use std::{fmt, path::PathBuf};

/// How long one call to the log may take.
const CALL_MS_MAX: u64 = 30_000;

/// What to reset.
#[derive(Clone, Debug)]
pub struct Reset {
    /// The application id.
    pub application: String,
    /// Where input topics continue.
    pub to: OffsetSpec,
    /// `state.dir`, whose part for the application is removed.
    pub state_dir: Option<PathBuf>,
}

/// What a reset does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResetPlan {
    /// Input positions to set.
    pub positions: Vec<(TopicPartition, Offset)>,
    /// Internal topics to delete: `<application>-...-changelog` and `-repartition`.
    pub topics: Vec<String>,
    /// Directory to remove.
    pub state: Option<PathBuf>,
}

impl fmt::Display for ResetPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (partition, offset) in &self.positions {
            writeln!(f, "set      {partition} to offset {offset}")?;
        }
        for topic in &self.topics {
            writeln!(f, "delete   topic {topic}")?;
        }
        if let Some(state) = &self.state {
            writeln!(f, "remove   {}", state.display())?;
        }
        Ok(())
    }
}

/// Plans the reset, and carries it out unless `dry_run`.
pub fn reset(
    client: &mut dyn Client,
    world: &World,
    reset: &Reset,
    dry_run: bool,
) -> Result<ResetPlan> {
    let mut ask = |request| call(client, &*world.clock, request, CALL_MS_MAX).map_err(Error::from);
    let group: std::sync::Arc<str> = reset.application.as_str().into();
    if let Response::Groups(groups) = ask(Request::ListGroups)?
        && let Some(found) = groups.iter().find(|found| found.group == group)
        && !found.members.is_empty()
    {
        let members: Vec<&str> = found.members.iter().map(|member| &*member.member).collect();
        return Err(Error::Group(format!(
            "application '{group}' is running ({}); stop it before the reset",
            members.join(", ")
        )));
    }
    let prefix = format!("{}-", reset.application);
    let internal = |topic: &str| {
        topic.starts_with(&prefix)
            && (topic.ends_with("-changelog") || topic.ends_with("-repartition"))
    };
    let mut plan = ResetPlan::default();
    if let Response::Topics(topics) = ask(Request::DescribeTopics(None))? {
        plan.topics = topics
            .iter()
            .map(|topic| topic.name.to_string())
            .filter(|topic| internal(topic))
            .collect();
    }
    if let Response::Committed(offsets) = ask(Request::CommittedOffsets {
        group: group.clone(),
        partitions: None,
    })? {
        let inputs = offsets
            .into_iter()
            .map(|(partition, _)| partition)
            .filter(|partition| !internal(&partition.topic));
        let specs = inputs.map(|partition| (partition, reset.to)).collect();
        if let Response::Offsets(offsets) = ask(Request::Offsets(specs))? {
            plan.positions = offsets;
        }
    }
    if let Some(state_dir) = &reset.state_dir {
        let state = state_dir.join(&reset.application);
        let exists = world
            .disk
            .exists(&state)
            .map_err(|error| Error::StateDir(format!("{}: {error}", state.display())))?;
        plan.state = exists.then_some(state);
    }
    if !dry_run {
        // State goes first: were it left behind with new positions, it would be counted twice.
        if let Some(state) = &plan.state {
            world
                .disk
                .remove_dir_all(state)
                .map_err(|error| Error::StateDir(format!("{}: {error}", state.display())))?;
        }
        if !plan.topics.is_empty() {
            ask(Request::DeleteTopics(plan.topics.clone()))?;
        }
        ask(Request::DeleteGroup(group.clone()))?;
        let offsets = plan
            .positions
            .iter()
            .map(|(at, offset)| (at.clone(), Some(CommittedOffset::at(*offset))))
            .collect();
        ask(Request::SetOffsets { group, offsets })?;
    }
    Ok(plan)
}

//! Resets an application to start anew: committed positions, internal topics, local state.
//! Not while it runs: a group with members is refused. Invariant: a plan is printed before anything is done, and is all that is done.

use crate::{Error, Result};
use headwater_log::{
    Client, CommittedOffset, Offset, OffsetSpec, Request, Response, TopicPartition, call,
};
use headwater_world::World;
use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc};

/// How long one call to the log may take.
const CALL_MS_MAX: u64 = 30_000;

/// Where input topics continue after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// At the first offset held.
    Earliest,
    /// Behind the last one.
    Latest,
    /// At the first record with this timestamp, ms since the epoch, or a later one; at the end when there is none.
    Time(i64),
    /// At this offset, or the nearest one held.
    Offset(Offset),
}

/// What to reset.
#[derive(Clone, Debug)]
pub struct Reset {
    /// The application id.
    pub application: String,
    /// Where input topics continue.
    pub to: ResetTo,
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

impl ResetPlan {
    /// True when there is nothing of the application: its name may be misspelt.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty() && self.topics.is_empty() && self.state.is_none()
    }
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
///
/// Not one commit: a crash in between leaves a part of the plan done. Running the reset again does the rest.
pub fn reset(
    client: &mut dyn Client,
    world: &World,
    reset: &Reset,
    dry_run: bool,
) -> Result<ResetPlan> {
    let mut ask = |request| call(client, &*world.clock, request, CALL_MS_MAX).map_err(Error::from);
    let plan = plan(&mut ask, world, reset)?;
    if !dry_run {
        carry_out(&mut ask, world, &reset.application, &plan)?;
    }
    Ok(plan)
}

fn plan(
    ask: &mut dyn FnMut(Request) -> Result<Response>,
    world: &World,
    reset: &Reset,
) -> Result<ResetPlan> {
    let application = reset.application.as_str();
    // It is joined to the state directory: one that leads elsewhere would remove what is there.
    if matches!(application, "" | "." | "..") || application.contains(['/', '\\']) {
        return Err(Error::Config(format!(
            "'{application}' is no application id"
        )));
    }
    let mut longer = Vec::new();
    if let Response::Groups(groups) = ask(Request::ListGroups)? {
        for group in groups {
            if *group.group == *application && !group.members.is_empty() {
                let members: Vec<&str> = group.members.iter().map(|it| &*it.member).collect();
                return Err(Error::Group(format!(
                    "application '{application}' is running ({}); stop it before the reset",
                    members.join(", ")
                )));
            }
            longer.push(format!("{}-", group.group));
        }
    }
    let prefix = format!("{application}-");
    longer.retain(|other| other.len() > prefix.len() && other.starts_with(&prefix));
    // The topics of application `a-b` begin with `a-` too.
    let internal = |topic: &str| {
        topic.starts_with(&prefix)
            && (topic.ends_with("-changelog") || topic.ends_with("-repartition"))
            && !longer.iter().any(|other| topic.starts_with(other))
    };
    let mut plan = ResetPlan::default();
    let mut known = BTreeMap::new();
    if let Response::Topics(topics) = ask(Request::DescribeTopics(None))? {
        known.extend(
            topics
                .into_iter()
                .map(|topic| (topic.name, topic.partitions)),
        );
    }
    let internal_topics = known.keys().filter(|topic| internal(topic));
    plan.topics = internal_topics.map(|topic| topic.to_string()).collect();
    if let Response::Committed(offsets) = ask(Request::CommittedOffsets {
        group: application.into(),
        partitions: None,
    })? {
        let mut inputs: Vec<TopicPartition> = offsets.into_iter().map(|(at, _)| at).collect();
        // A position may outlive its topic.
        inputs.retain(|at| {
            !internal(&at.topic) && known.get(&at.topic).is_some_and(|it| at.partition < *it)
        });
        inputs.sort();
        plan.positions = positions(ask, inputs, reset.to)?;
    }
    if let Some(state_dir) = &reset.state_dir {
        let state = state_dir.join(application);
        let exists = world.disk.exists(&state);
        let exists =
            exists.map_err(|error| Error::StateDir(format!("{}: {error}", state.display())))?;
        plan.state = exists.then_some(state);
    }
    Ok(plan)
}

/// The offsets at which `inputs` continue.
fn positions(
    ask: &mut dyn FnMut(Request) -> Result<Response>,
    inputs: Vec<TopicPartition>,
    to: ResetTo,
) -> Result<Vec<(TopicPartition, Offset)>> {
    let mut look_up = |spec: OffsetSpec| -> Result<Vec<(TopicPartition, Offset)>> {
        let specs = inputs.iter().map(|at| (at.clone(), spec)).collect();
        match ask(Request::Offsets(specs))? {
            Response::Offsets(offsets) => Ok(offsets),
            other => Err(Error::Group(format!("{other:?} is no answer to offsets"))),
        }
    };
    match to {
        ResetTo::Earliest => look_up(OffsetSpec::Start),
        ResetTo::Latest => look_up(OffsetSpec::End),
        ResetTo::Time(time_ms) => look_up(OffsetSpec::AtTime(time_ms)),
        ResetTo::Offset(offset) => {
            let ends = look_up(OffsetSpec::End)?;
            let starts = look_up(OffsetSpec::Start)?;
            let within = |((at, start), (_, end))| (at, offset.min(end).max(start));
            Ok(starts.into_iter().zip(ends).map(within).collect())
        }
    }
}

fn carry_out(
    ask: &mut dyn FnMut(Request) -> Result<Response>,
    world: &World,
    application: &str,
    plan: &ResetPlan,
) -> Result<()> {
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
    let group: Arc<str> = application.into();
    ask(Request::DeleteGroup(group.clone()))?;
    let positions = plan.positions.iter();
    let offsets = positions
        .map(|(at, offset)| (at.clone(), Some(CommittedOffset::at(*offset))))
        .collect();
    ask(Request::SetOffsets { group, offsets })?;
    Ok(())
}

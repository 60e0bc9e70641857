//! Resets an application to start anew: committed positions, internal topics, local state.
//! Not while it runs: a group with members is refused. Invariant: a plan is printed before anything is done, and is all that is done.

use crate::{Error, Result};
use headwater_log::{
    Client, CommittedOffset, Offset, OffsetSpec, Request, Response, TopicPartition, call,
};
use headwater_world::World;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
    sync::Arc,
};

/// How long one call to the log may take.
const CALL_MS_MAX: u64 = 30_000;

/// Where input topics continue after a reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResetTo {
    /// At the first offset held.
    Earliest,
    /// Behind the last one.
    Latest,
    /// At the first record with this timestamp, ms since the epoch, or a later one; at the end when there is none.
    Time(i64),
    /// At this offset, or the nearest one held.
    Offset(Offset),
    /// So many offsets after what is committed (before it, if negative), or at the nearest one held. A partition without a
    /// committed position counts from its end, as with Kafka's own tool.
    Shift(i64),
    /// Each partition at its offset, or the nearest one held. Every input partition has to be named.
    Plan(BTreeMap<TopicPartition, Offset>),
}

/// What to reset. The defaults of Kafka's own tool (`StreamsResetter`) differ in one point: it sets the positions of the input
/// topics it is told, this of all that the application has committed.
#[derive(Clone, Debug)]
pub struct Reset {
    /// The application id.
    pub application: String,
    /// Where input topics continue.
    pub to: ResetTo,
    /// Input topics to set, with all their partitions; without them, every partition with a committed position outside internal
    /// and intermediate topics, and of a [`ResetTo::Plan`] what it names. Positions in other topics are kept.
    pub inputs: Option<Vec<String>>,
    /// Topics that the application both writes and reads, and that are its user's own: they continue at their ends.
    pub intermediate: Vec<String>,
    /// Of the internal topics only these are deleted.
    pub internal: Option<Vec<String>>,
    /// `state.dir`, whose part for the application is removed.
    pub state_dir: Option<PathBuf>,
}

impl Reset {
    /// Everything of `application` that a log holds, inputs to their beginnings. State directories are not touched.
    pub fn of(application: impl Into<String>) -> Self {
        Self {
            application: application.into(),
            to: ResetTo::Earliest,
            inputs: None,
            intermediate: Vec::new(),
            internal: None,
            state_dir: None,
        }
    }
}

/// What a reset does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResetPlan {
    /// Input positions to set.
    pub positions: Vec<(TopicPartition, Offset)>,
    /// Positions that stay as they are.
    pub kept: Vec<(TopicPartition, CommittedOffset)>,
    /// Internal topics to delete: changelogs, repartition topics and those of foreign-key joins.
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
        for (partition, at) in &self.kept {
            writeln!(f, "keep     {partition} at offset {}", at.offset)?;
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
    let longer = idle_group(ask, application)?;
    let topics = topics(ask)?;
    let named = reset.inputs.iter().flatten().chain(&reset.intermediate);
    for topic in named.clone() {
        if !topics.contains_key(topic.as_str()) {
            return Err(headwater_log::Error::UnknownTopic(topic.clone()).into());
        }
    }
    let named: BTreeSet<&str> = named.map(String::as_str).collect();
    let is_internal = |topic: &str| {
        is_internal(application, topic)
            && !named.contains(topic)
            && !longer.iter().any(|other| topic.starts_with(other))
    };
    let mut plan = ResetPlan {
        state: state(world, reset)?,
        ..ResetPlan::default()
    };
    let internal = topics.keys().filter(|topic| is_internal(topic));
    plan.topics = internal.map(|topic| topic.to_string()).collect();
    if let Some(only) = &reset.internal {
        plan.topics = chosen(&plan.topics, only, application)?;
    }
    let mut committed = committed(ask, application)?;
    // A position may outlive its topic.
    committed.retain(|at, _| {
        let is_there = topics.get(&*at.topic).is_some_and(|it| at.partition < *it);
        is_there && !plan.topics.iter().any(|topic| **topic == *at.topic)
    });
    let all_of = |topic: &String| -> Vec<TopicPartition> {
        let partitions = 0..topics.get(topic.as_str()).copied().unwrap_or(0);
        let partitions = partitions.map(|it| TopicPartition::new(topic.as_str(), it));
        partitions.collect()
    };
    let inputs: BTreeSet<TopicPartition> = match (&reset.inputs, &reset.to) {
        (Some(inputs), _) => inputs.iter().flat_map(all_of).collect(),
        (None, ResetTo::Plan(offsets)) => offsets.keys().cloned().collect(),
        (None, _) => {
            let partitions = committed.keys();
            let inputs = partitions.filter(|at| {
                !is_internal(&at.topic) && !reset.intermediate.iter().any(|it| **it == *at.topic)
            });
            inputs.cloned().collect()
        }
    };
    plan.positions = positions(ask, inputs.into_iter().collect(), &reset.to, &committed)?;
    let intermediate = reset.intermediate.iter().flat_map(all_of).collect();
    let ends = look_up(ask, intermediate, OffsetSpec::End)?;
    plan.positions.extend(ends);
    plan.positions.sort();
    for (at, _) in &plan.positions {
        committed.remove(at);
    }
    plan.kept = committed.into_iter().collect();
    Ok(plan)
}

/// The application's part of the state directory, if it is there.
fn state(world: &World, reset: &Reset) -> Result<Option<PathBuf>> {
    let Some(state_dir) = &reset.state_dir else {
        return Ok(None);
    };
    let state = state_dir.join(&reset.application);
    match world.disk.exists(&state) {
        Ok(exists) => Ok(exists.then_some(state)),
        Err(error) => Err(Error::StateDir(format!("{}: {error}", state.display()))),
    }
}

/// Makes sure that nobody is in the group. Answers the prefixes of applications whose names only begin like this one: the topics of
/// application `a-b` begin with `a-` too.
fn idle_group(
    ask: &mut dyn FnMut(Request) -> Result<Response>,
    application: &str,
) -> Result<Vec<String>> {
    let Response::Groups(groups) = ask(Request::ListGroups)? else {
        return Ok(Vec::new());
    };
    let own = groups.iter().find(|it| *it.group == *application);
    if let Some(group) = own.filter(|it| !it.members.is_empty()) {
        let members: Vec<&str> = group.members.iter().map(|it| &*it.member).collect();
        return Err(Error::Group(format!(
            "application '{application}' is running ({}); stop it before the reset",
            members.join(", ")
        )));
    }
    let prefix = format!("{application}-");
    let others = groups.iter().map(|group| format!("{}-", group.group));
    let longer = others.filter(|other| other.len() > prefix.len() && other.starts_with(&prefix));
    Ok(longer.collect())
}

/// Topics with their partitions.
fn topics(ask: &mut dyn FnMut(Request) -> Result<Response>) -> Result<BTreeMap<Arc<str>, u32>> {
    let Response::Topics(topics) = ask(Request::DescribeTopics(None))? else {
        return Ok(BTreeMap::new());
    };
    let topics = topics.into_iter();
    Ok(topics.map(|it| (it.name, it.partitions)).collect())
}

fn committed(
    ask: &mut dyn FnMut(Request) -> Result<Response>,
    application: &str,
) -> Result<BTreeMap<TopicPartition, CommittedOffset>> {
    let request = Request::CommittedOffsets {
        group: application.into(),
        partitions: None,
    };
    match ask(request)? {
        Response::Committed(offsets) => Ok(offsets.into_iter().collect()),
        _ => Ok(BTreeMap::new()),
    }
}

/// The names that Kafka Streams gives topics of its own (`StreamsResetter.matchesInternalTopicFormat`).
fn is_internal(application: &str, topic: &str) -> bool {
    let Some(name) = topic
        .strip_prefix(application)
        .and_then(|it| it.strip_prefix('-'))
    else {
        return false;
    };
    let numbered = |kind: &str| {
        let Some(stem) = name.strip_suffix("-topic") else {
            return false;
        };
        let (stem, number) = stem.rsplit_once('-').unwrap_or_default();
        stem.ends_with(kind) && !number.is_empty() && number.bytes().all(|it| it.is_ascii_digit())
    };
    let endings = [
        "-changelog",
        "-repartition",
        "-subscription-registration-topic",
        "-subscription-response-topic",
    ];
    endings.iter().any(|ending| topic.ends_with(ending))
        || numbered("KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION")
        || numbered("KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE")
}

fn chosen(internal: &[String], only: &[String], application: &str) -> Result<Vec<String>> {
    for topic in only {
        if !internal.contains(topic) {
            return Err(Error::Config(format!(
                "'{topic}' is no internal topic of application '{application}'; there is {}",
                internal.join(", ")
            )));
        }
    }
    let mut chosen = only.to_vec();
    chosen.sort();
    Ok(chosen)
}

fn look_up(
    ask: &mut dyn FnMut(Request) -> Result<Response>,
    partitions: Vec<TopicPartition>,
    spec: OffsetSpec,
) -> Result<Vec<(TopicPartition, Offset)>> {
    let specs = partitions.into_iter().map(|at| (at, spec)).collect();
    match ask(Request::Offsets(specs))? {
        Response::Offsets(offsets) => Ok(offsets),
        other => Err(Error::Group(format!("{other:?} is no answer to offsets"))),
    }
}

/// The offsets at which `inputs` continue.
fn positions(
    ask: &mut dyn FnMut(Request) -> Result<Response>,
    inputs: Vec<TopicPartition>,
    to: &ResetTo,
    committed: &BTreeMap<TopicPartition, CommittedOffset>,
) -> Result<Vec<(TopicPartition, Offset)>> {
    match to {
        ResetTo::Earliest => return look_up(ask, inputs, OffsetSpec::Start),
        ResetTo::Latest => return look_up(ask, inputs, OffsetSpec::End),
        ResetTo::Time(time_ms) => return look_up(ask, inputs, OffsetSpec::AtTime(*time_ms)),
        ResetTo::Offset(_) | ResetTo::Shift(_) | ResetTo::Plan(_) => {}
    }
    let ends = look_up(ask, inputs.clone(), OffsetSpec::End)?;
    let starts = look_up(ask, inputs, OffsetSpec::Start)?;
    let mut positions = Vec::with_capacity(starts.len());
    for ((at, start), (_, end)) in starts.into_iter().zip(ends) {
        let wanted = match to {
            ResetTo::Shift(count) => {
                let from = committed.get(&at).map_or(end, |it| it.offset);
                from.saturating_add(*count)
            }
            ResetTo::Plan(offsets) => match offsets.get(&at) {
                Some(offset) => *offset,
                None => {
                    return Err(Error::Config(format!(
                        "the plan does not say where {at} continues"
                    )));
                }
            },
            ResetTo::Offset(offset) => *offset,
            ResetTo::Earliest | ResetTo::Latest | ResetTo::Time(_) => start,
        };
        positions.push((at, wanted.min(end).max(start)));
    }
    Ok(positions)
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
    // Then the group, which is refused when somebody has joined it meanwhile. It takes the topology along that it keeps on a broker:
    // without that, an application with another one could not join.
    let group: Arc<str> = application.into();
    ask(Request::DeleteGroup(group.clone()))?;
    if !plan.topics.is_empty() {
        ask(Request::DeleteTopics(plan.topics.clone()))?;
    }
    let set = plan.positions.iter();
    let set = set.map(|(at, offset)| (at.clone(), Some(CommittedOffset::at(*offset))));
    let kept = plan.kept.iter();
    let kept = kept.map(|(at, committed)| (at.clone(), Some(committed.clone())));
    let offsets = set.chain(kept).collect();
    ask(Request::SetOffsets { group, offsets })?;
    Ok(())
}

//! How many partitions each topic and how many tasks each sub-topology of a group has, by Kafka Streams' rules
//! (`RepartitionTopics`, `CopartitionedTopicsEnforcer`). Not the assignment of those tasks.
//! Invariant: a topology is ready only when every topic it needs exists with exactly the count computed here.

use super::{InternalTopic, Subtopology};
use crate::{Error, NewTopic, Result};
use std::collections::BTreeMap;

/// The topics of the log, as the coordinator needs them.
pub trait Topics {
    /// How many partitions a topic has; `None` when it does not exist.
    fn partitions(&self, topic: &str) -> Option<u32>;
    /// Creates a topic. It may become visible in [`Topics::partitions`] later; one that exists already is no harm.
    fn create(&mut self, topic: NewTopic) -> Result<()>;
}

/// Tasks per sub-topology; the tasks of one are its partitions from 0.
pub(super) type Counts = BTreeMap<u32, u32>;

/// Computes all counts and creates the internal topics that are missing; `Err` says why the group cannot run yet.
pub(super) fn resolve(
    subtopologies: &[Subtopology],
    topics: &mut dyn Topics,
) -> Result<Counts, String> {
    let mut known = source_counts(subtopologies, topics)?;
    repartition_counts(subtopologies, &mut known)?;
    for subtopology in subtopologies {
        for names in &subtopology.copartition_groups {
            level(subtopology, names, &mut known)?;
        }
    }
    let mut counts = Counts::new();
    for subtopology in subtopologies {
        let tasks = widest(subtopology, &known)
            .ok_or_else(|| format!("sub-topology {} reads no topic", subtopology.id))?;
        counts.insert(subtopology.id, tasks);
        for topic in &subtopology.repartition_sources {
            provide(topic, known[topic.name.as_str()], topics)?;
        }
        for topic in &subtopology.changelogs {
            provide(topic, tasks, topics)?;
        }
    }
    Ok(counts)
}

fn source_counts<'a>(
    subtopologies: &'a [Subtopology],
    topics: &dyn Topics,
) -> Result<BTreeMap<&'a str, u32>, String> {
    let mut known = BTreeMap::new();
    let mut missing = Vec::new();
    for name in subtopologies.iter().flat_map(|it| &it.source_topics) {
        match topics.partitions(name) {
            Some(partitions) => {
                known.insert(name.as_str(), partitions);
            }
            None => missing.push(name.as_str()),
        }
    }
    missing.sort_unstable();
    missing.dedup();
    match missing.is_empty() {
        true => Ok(known),
        false => Err(format!(
            "source topics are missing: {}; create them",
            missing.join(", ")
        )),
    }
}

/// A repartition topic has the count it asks for, else the largest among the sources of the sub-topologies that write it.
fn repartition_counts<'a>(
    subtopologies: &'a [Subtopology],
    known: &mut BTreeMap<&'a str, u32>,
) -> Result<(), String> {
    let mut open: Vec<&InternalTopic> = Vec::new();
    for topic in subtopologies.iter().flat_map(|it| &it.repartition_sources) {
        match topic.partitions {
            0 => open.push(topic),
            partitions => {
                known.insert(&topic.name, partitions);
            }
        }
    }
    // A chain of repartitions resolves from its upstream end, one link a round.
    while !open.is_empty() {
        let before = open.len();
        open.retain(
            |topic| match largest(subtopologies, topic, &|writer| widest(writer, known)) {
                Some(partitions) => {
                    known.insert(&topic.name, partitions);
                    false
                }
                None => true,
            },
        );
        if open.len() < before {
            continue;
        }
        // In a circle, as foreign-key joins have it, the first topic goes by what is known of its writers.
        let in_circle = open.iter().enumerate().find_map(|(place, topic)| {
            let partitions = largest(subtopologies, topic, &|writer| widest_known(writer, known))?;
            Some((place, partitions))
        });
        if let Some((place, partitions)) = in_circle {
            known.insert(&open.remove(place).name, partitions);
        } else {
            let names: Vec<_> = open.iter().map(|topic| topic.name.as_str()).collect();
            return Err(format!(
                "the partition count of {} cannot be derived: nothing upstream has one; set it",
                names.join(", ")
            ));
        }
    }
    Ok(())
}

/// The most partitions that any writer of `topic` gives it; `None` while one cannot tell, or without a writer.
fn largest(
    subtopologies: &[Subtopology],
    topic: &InternalTopic,
    count: &dyn Fn(&Subtopology) -> Option<u32>,
) -> Option<u32> {
    let mut writers = subtopologies
        .iter()
        .filter(|it| it.repartition_sinks.contains(&topic.name))
        .peekable();
    writers.peek()?;
    writers
        .map(count)
        .try_fold(0, |most, count| Some(most.max(count?)))
}

/// The most partitions among what is known of what a sub-topology reads.
fn widest_known(subtopology: &Subtopology, known: &BTreeMap<&str, u32>) -> Option<u32> {
    let repartitions = subtopology.repartition_sources.iter().map(|it| &it.name);
    let names = subtopology.source_topics.iter().chain(repartitions);
    names
        .filter_map(|name| known.get(name.as_str()).copied())
        .max()
}

/// The most partitions among what a sub-topology reads; `None` while one is unknown or it reads nothing.
fn widest(subtopology: &Subtopology, known: &BTreeMap<&str, u32>) -> Option<u32> {
    let repartitions = subtopology.repartition_sources.iter().map(|it| &it.name);
    let mut most = None;
    for name in subtopology.source_topics.iter().chain(repartitions) {
        most = most.max(Some(*known.get(name.as_str())?));
    }
    most
}

/// Topics that are joined must have equal counts: those of others decide, then the ones set by the user, then the largest.
fn level<'a>(
    subtopology: &'a Subtopology,
    names: &'a [String],
    known: &mut BTreeMap<&'a str, u32>,
) -> Result<(), String> {
    let is_source = |name: &&String| subtopology.source_topics.contains(name);
    let is_set = |name: &&String| {
        let mut repartitions = subtopology.repartition_sources.iter();
        repartitions.any(|topic| topic.name == **name && topic.partitions != 0)
    };
    let fixed: Vec<&String> = names
        .iter()
        .filter(|name| is_source(name) || is_set(name))
        .collect();
    let wanted = match fixed.first() {
        Some(first) => known.get(first.as_str()).copied(),
        None => names
            .iter()
            .filter_map(|name| known.get(name.as_str()).copied())
            .max(),
    };
    let Some(wanted) = wanted else {
        return Ok(());
    };
    if fixed
        .iter()
        .any(|name| known.get(name.as_str()) != Some(&wanted))
    {
        let counts: Vec<_> = fixed
            .iter()
            .map(|name| format!("{name} has {}", known.get(name.as_str()).unwrap_or(&0)))
            .collect();
        return Err(format!(
            "joined topics must have equal partition counts, but {}",
            counts.join(", ")
        ));
    }
    for name in names {
        known.insert(name, wanted);
    }
    Ok(())
}

/// Creates an internal topic that is missing; one that is there must have the count.
fn provide(topic: &InternalTopic, partitions: u32, topics: &mut dyn Topics) -> Result<(), String> {
    match topics.partitions(&topic.name) {
        Some(found) if found == partitions => Ok(()),
        Some(found) => Err(format!(
            "internal topic '{}' has {found} partitions where {partitions} are expected; reset the application",
            topic.name
        )),
        None => match topics.create(NewTopic {
            name: topic.name.clone(),
            partitions,
            config: topic.config.clone(),
        }) {
            Ok(()) | Err(Error::TopicExists(_)) => Ok(()),
            Err(error) => Err(format!(
                "internal topic '{}' with {partitions} partitions cannot be created: {error}",
                topic.name
            )),
        },
    }
}

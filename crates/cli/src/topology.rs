//! `headwater topology`: what a group runs, as its broker knows it: sub-topologies, their sources and internal topics.
//! Not the operators between them: those are known to the program only. Invariant: what was concluded from names says so.

use crate::{data::Data, data::names, place::Place, table::Table};
use anyhow::{Result, bail};
use headwater::{GroupDescription, Kafka, SubtopologyDescription};
use serde_json::{Value, json};
use std::{collections::BTreeSet, io::Write};

/// Said where brokers keep no topology.
const CONCLUDED: &str = "Brokers keep the topology of streams groups only (group.protocol=streams). Of this group the committed \
                         positions and the names of topics were read.";

pub(crate) fn run(place: &Place, group: &str, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let group = described(place.kafka()?, group)?;
    let mut data = Data::open(place)?;
    let (subtopologies, is_told) = match &group.topology {
        Some(subtopologies) => (subtopologies.clone(), true),
        None => (vec![concluded(&mut data, &group)?], false),
    };
    if as_json {
        let json = json!({
            "group": group.group,
            "kind": group.kind,
            "state": group.state,
            "told_by_broker": is_told,
            "subtopologies": subtopologies.iter().map(json).collect::<Vec<_>>(),
        });
        return Ok(writeln!(out, "{json:#}")?);
    }
    let mut table = Table::new(&["SUBTOPOLOGY", "TOPIC", ">PARTITIONS", "PURPOSE"]);
    for subtopology in &subtopologies {
        for (topic, purpose) in topics(subtopology) {
            let count = data
                .topics()?
                .iter()
                .find(|it| *it.name == *topic)
                .map(|it| it.partitions);
            table.row(vec![
                subtopology.id.clone(),
                topic.to_owned(),
                count.map_or("missing".into(), |count| count.to_string()),
                purpose.into(),
            ]);
        }
    }
    table.print(out)?;
    if !is_told {
        writeln!(out, "\n{CONCLUDED}")?;
    }
    Ok(())
}

/// The group, or an error with those that there are.
pub(crate) fn described(kafka: &Kafka, name: &str) -> Result<GroupDescription> {
    match kafka.describe_groups(Some(name))?.pop() {
        Some(group) => Ok(group),
        None => {
            let groups = kafka.describe_groups(None)?;
            bail!(
                "group '{name}' does not exist in {kafka:?}; there is {}",
                names(groups.iter().map(|group| group.group.as_str()))
            )
        }
    }
}

fn topics(subtopology: &SubtopologyDescription) -> Vec<(&str, &'static str)> {
    let sources = subtopology.sources.iter().map(|it| (it.as_str(), "source"));
    let repartitions = subtopology.repartition_sources.iter();
    let repartitions = repartitions.map(|(it, _)| (it.as_str(), "repartition source"));
    let sinks = subtopology.repartition_sinks.iter();
    let sinks = sinks.map(|it| (it.as_str(), "repartition sink"));
    let changelogs = subtopology.changelogs.iter();
    let changelogs = changelogs.map(|(it, _)| (it.as_str(), "changelog"));
    sources
        .chain(repartitions)
        .chain(sinks)
        .chain(changelogs)
        .collect()
}

/// Without a topology: one unnumbered sub-topology of what the group reads and of topics that are named after it.
fn concluded(data: &mut Data, group: &GroupDescription) -> Result<SubtopologyDescription> {
    let prefix = format!("{}-", group.group);
    let mut subtopology = SubtopologyDescription::default();
    subtopology.id = "?".into();
    for topic in data.topics()? {
        let internal = (topic.name.to_string(), topic.partitions);
        match topic.name.strip_prefix(&prefix) {
            Some(name) if name.ends_with("-changelog") => subtopology.changelogs.push(internal),
            Some(name) if name.ends_with("-repartition") || name.ends_with("-topic") => {
                subtopology.repartition_sources.push(internal);
            }
            _ => {}
        }
    }
    let committed = data.committed(&group.group)?;
    let read: BTreeSet<&str> = committed.iter().map(|(at, _)| &*at.topic).collect();
    let is_internal = |topic: &str| {
        let internal = &subtopology.repartition_sources;
        internal.iter().any(|(it, _)| it == topic)
    };
    let sources = read.into_iter().filter(|topic| !is_internal(topic));
    subtopology.sources = sources.map(str::to_owned).collect();
    Ok(subtopology)
}

fn json(subtopology: &SubtopologyDescription) -> Value {
    let internal = |topics: &[(String, u32)]| -> Vec<Value> {
        let topics = topics.iter();
        topics
            .map(|(topic, partitions)| json!({ "topic": topic, "partitions": partitions }))
            .collect()
    };
    json!({
        "subtopology": subtopology.id,
        "sources": subtopology.sources,
        "repartition_sources": internal(&subtopology.repartition_sources),
        "repartition_sinks": subtopology.repartition_sinks,
        "changelogs": internal(&subtopology.changelogs),
    })
}

//! Are a task's internal topics what the topology needs? Partition counts as Kafka Streams' `InternalTopicManager` compares them,
//! and the settings without which records would be lost. Not their creation, which is the coordinator's.
//! Invariant: a task does not open on a changelog that belongs to other partitions or forgets rows.

use crate::{Error, Result};
use headwater_log::{InternalTopic, TaskId, TopicInfo};
use headwater_streams::Topology;

const POLICY: &str = "cleanup.policy";
const RETENTION: &str = "retention.ms";

/// Compares the changelogs and repartition sources of `id` with `topics`, which has its source topics too. What may lose
/// records without stopping the task comes back in words.
pub(crate) fn check(topology: &Topology, id: TaskId, topics: &[TopicInfo]) -> Result<Vec<String>> {
    let membership = topology.membership();
    let Some(part) = membership.iter().find(|part| part.id == id.subtopology) else {
        return Ok(Vec::new());
    };
    let known = |name: &str| topics.iter().find(|topic| *topic.name == *name);
    let repartitions = part.repartition_sources.iter().map(|topic| &topic.name);
    let sources = part.source_topics.iter().chain(repartitions);
    let tasks = sources
        .filter_map(|name| known(name))
        .map(|topic| topic.partitions)
        .max();
    let mut notices = Vec::new();
    for changelog in &part.changelogs {
        let Some(found) = known(&changelog.name) else {
            continue;
        };
        if let Some(tasks) = tasks.filter(|tasks| *tasks != found.partitions) {
            return Err(Error::Config(format!(
                "changelog '{}' has {} partitions, but sub-topology {} has {tasks} tasks; reset the application, or give its input topics {} partitions again",
                changelog.name, found.partitions, part.id, found.partitions
            )));
        }
        let wants_compaction = has_policy(&changelog.config, "compact");
        match found.config.get(POLICY) {
            Some(policy) if wants_compaction && !policy.contains("compact") => {
                return Err(Error::Config(format!(
                    "changelog '{}' has {POLICY}={policy}, which deletes rows that are still in their store; set it to '{}'",
                    changelog.name, changelog.config[POLICY]
                )));
            }
            None if wants_compaction => notices.push(format!(
                "changelog '{}' has no {POLICY}: if it is not compacted, it forgets rows that are still in their store",
                changelog.name
            )),
            _ => {}
        }
        notices.extend(short_retention(changelog, found));
    }
    for repartition in &part.repartition_sources {
        let Some(found) = known(&repartition.name) else {
            continue;
        };
        if has_policy(&found.config, "compact") {
            return Err(Error::Config(format!(
                "repartition topic '{}' has {POLICY}={}, which drops records before they are processed; set it to 'delete'",
                repartition.name, found.config[POLICY]
            )));
        }
        notices.extend(short_retention(repartition, found));
    }
    Ok(notices)
}

fn has_policy(config: &headwater_log::TopicConfig, policy: &str) -> bool {
    config
        .get(POLICY)
        .is_some_and(|policies| policies.contains(policy))
}

/// Says that records are kept for a shorter time than the topology asks for.
fn short_retention(wanted: &InternalTopic, found: &TopicInfo) -> Option<String> {
    if !has_policy(&found.config, "delete") {
        return None;
    }
    // Without an end, as Kafka has it.
    let ms = |text: &String| {
        text.parse::<i64>()
            .ok()
            .map(|ms| if ms < 0 { i64::MAX } else { ms })
    };
    let wanted_ms = wanted.config.get(RETENTION).and_then(ms)?;
    let found_ms = found.config.get(RETENTION).and_then(ms)?;
    (found_ms < wanted_ms).then(|| {
        format!(
            "topic '{}' has {RETENTION}={found_ms}, the topology asks for {}: records may be deleted that are still needed; set it to that",
            found.name, wanted.config[RETENTION]
        )
    })
}

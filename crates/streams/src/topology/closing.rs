//! Which repartition topics carry the stream time of those that write them: those with windows to close behind.
//! Not the times. Invariant: a topic without such operators behind it costs nothing.

use super::{Graph, NodeKind, Semantics, SubtopologyInfo, TopicName};

/// By number of source topic.
pub(crate) fn timed_topics(
    graph: &Graph,
    parts: &[SubtopologyInfo],
    node_topics: &[Vec<u32>],
    semantics: Semantics,
    source_topics: usize,
) -> Vec<bool> {
    let mut timed = vec![false; source_topics];
    if semantics == Semantics::Java {
        return timed;
    }
    let closes = |node: &usize| {
        let role = graph.groups[graph.nodes[*node].group].role;
        role.grace_ms.is_some() || role.suppresses || role.keeps_by_time
    };
    let mut needs: Vec<bool> = parts
        .iter()
        .map(|part| part.nodes.iter().any(closes))
        .collect();
    // What closes further down needs the time of those in between.
    for _ in 0..parts.len() {
        for (number, part) in parts.iter().enumerate() {
            let leads_on = part.nodes.iter().any(|sink| {
                let NodeKind::Sink {
                    topic: Some(topic @ TopicName::Internal(_)),
                    ..
                } = &graph.nodes[*sink].kind
                else {
                    return false;
                };
                let reads = |node: &usize| match &graph.nodes[*node].kind {
                    NodeKind::Source { topics, .. } => topics.contains(topic),
                    _ => false,
                };
                let mut below = parts.iter().zip(&needs);
                below.any(|(part, needs)| *needs && part.nodes.iter().any(reads))
            });
            needs[number] |= leads_on;
        }
    }
    for (part, _) in parts.iter().zip(&needs).filter(|(_, needs)| **needs) {
        for node in &part.nodes {
            if let NodeKind::Source { topics, .. } = &graph.nodes[*node].kind {
                for (topic, number) in topics.iter().zip(&node_topics[*node]) {
                    timed[*number as usize] |= matches!(topic, TopicName::Internal(_));
                }
            }
        }
    }
    timed
}

//! Sources that read every topic whose name matches a pattern: which topics these are is known where a log is at hand.
//! Not a subscription that follows new topics. Invariant: until it is resolved, a pattern stands as one topic under its own text,
//! and the group is not told of it.

use super::{NodeKind, TopicName, Topology};
use crate::{Error, Result};
use regex::Regex;
use std::sync::Arc;

/// What a source's pattern matches: whole names (`Matcher.matches`).
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(&format!("^(?:{pattern})$")).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim().to_owned();
        format!("'{pattern}' is no pattern for topics: {reason}")
    })
}

/// True when `topic` matches `pattern`, which was compiled before.
pub(super) fn matches(pattern: &str, topic: &str) -> bool {
    compile(pattern).is_ok_and(|regex| regex.is_match(topic))
}

/// Topics of the broker itself (`exclude.internal.topics`).
fn is_of_the_broker(topic: &str) -> bool {
    matches!(topic, "__consumer_offsets" | "__transaction_state")
}

impl Topology {
    /// True while a source reads the topics that match a pattern, and which these are is not known:
    /// [`Topology::resolve_patterns`] says it.
    pub fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// The text of the pattern that stands for `topic`, where one does.
    pub(crate) fn pattern_of(&self, topic: &str) -> Option<&str> {
        let texts = self
            .patterns
            .iter()
            .map(|number| &*self.source_topics[*number as usize]);
        texts.into_iter().find(|text| matches(text, topic))
    }

    /// Says which topics exist: each pattern becomes the topics among them that match it, in the order of their names, but for
    /// the broker's and this application's own. A pattern that matches none is an error, and so is a topic that matches two.
    pub fn resolve_patterns(
        mut self,
        topics: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self> {
        let parts = self.subtopologies.iter();
        let own: Vec<String> = parts
            .map(|part| super::subtopology::membership(&self, part))
            .flat_map(|part| [part.repartition_sources, part.changelogs])
            .flatten()
            .map(|topic| topic.name)
            .collect();
        let mut topics: Vec<String> = topics.into_iter().map(Into::into).collect();
        topics.retain(|topic| !is_of_the_broker(topic) && !own.contains(topic));
        topics.sort_unstable();
        topics.dedup();
        let mut sources = self.source_topics.to_vec();
        for number in std::mem::take(&mut self.patterns) {
            let text = self.source_topics[number as usize].clone();
            let regex = compile(&text).map_err(Error::Topology)?;
            let mut found = topics.iter().filter(|topic| regex.is_match(topic));
            let Some(first) = found.next() else {
                return Err(Error::Topology(format!(
                    "application '{}': no topic matches the pattern '{text}'; create one, or correct the pattern",
                    self.application
                )));
            };
            let mut numbers = vec![number];
            sources[number as usize] = first.as_str().into();
            for topic in found {
                numbers.push(sources.len() as u32);
                sources.push(topic.as_str().into());
            }
            self.read_instead(number, &numbers);
        }
        self.timed_topics.resize(sources.len(), false);
        for (number, topic) in sources.iter().enumerate() {
            if sources[..number].contains(topic) && !self.is_read_by_globals(number as u32) {
                return Err(Error::Topology(format!(
                    "application '{}': topic '{topic}' is read by two sources, one of them by a pattern; correct the pattern",
                    self.application
                )));
            }
        }
        self.source_topics = Arc::from(sources);
        Ok(self)
    }

    fn is_read_by_globals(&self, topic: u32) -> bool {
        let mut globals = self.globals.iter();
        globals.any(|part| part.source_topics.contains(&topic))
    }

    /// The source of topic `number` reads `numbers`.
    fn read_instead(&mut self, number: u32, numbers: &[u32]) {
        let parts = self.subtopologies.iter_mut().chain([&mut self.whole]);
        let read = parts.map(|part| &mut part.source_topics);
        for read in read.chain(&mut self.node_topics) {
            let at = read.iter().position(|topic| *topic == number);
            if let Some(at) = at {
                read.splice(at..=at, numbers.iter().copied());
            }
        }
    }

    /// The topics behind one that a source names, as the group is told them.
    pub(super) fn known_topics(&self, node: usize, topic: &TopicName) -> Vec<String> {
        match topic {
            TopicName::External(name) => vec![name.clone()],
            TopicName::Internal(_) => Vec::new(),
            TopicName::Matching(_) => {
                let known = self.topics_of(node).iter();
                let known = known.filter(|number| !self.patterns.contains(number));
                known
                    .map(|number| self.source_topics[*number as usize].to_string())
                    .collect()
            }
        }
    }
}

/// What is wrong where a topic that matches `pattern` is read by name too.
pub(super) fn overlap(nodes: &[super::Node], pattern: &str) -> Option<String> {
    let named = nodes.iter().flat_map(|node| match &node.kind {
        NodeKind::Source { topics, .. } => topics.as_slice(),
        _ => &[],
    });
    let mut named = named.filter_map(|topic| match topic {
        TopicName::External(name) => Some(name),
        TopicName::Internal(_) | TopicName::Matching(_) => None,
    });
    let found = named.find(|name| matches(pattern, name))?;
    Some(format!(
        "reads topic '{found}' by name and by the pattern '{pattern}'; correct the pattern"
    ))
}

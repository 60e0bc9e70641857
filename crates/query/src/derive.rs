//! Tokens across repartitions: what a record has led to, as positions of the topics further down. Not carried by records: the
//! owner of the task upstream waits until it has committed past the record, then tells how far it has written.
//! Invariant: what is derived covers all that followed from the token, and perhaps more.

use crate::merge;
use crate::queries::HOPS_MAX;
use crate::wire::{Answer, Ask, Question};
use crate::{Error, Queries, Result, Token};
use headwater_log::{TaskId, TopicPartition};
use headwater_runtime::StorePlace;
use headwater_streams::Topology;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use tokio::time::Instant;

/// Which sub-topology reads what, and which ones its records reach.
#[derive(Debug, Default)]
pub(crate) struct Flow {
    reader_of: BTreeMap<String, u32>,
    /// Topics that a sub-topology writes and the application reads.
    writes: BTreeMap<u32, Vec<String>>,
    /// Sub-topologies downstream of each.
    reaches: BTreeMap<u32, BTreeSet<u32>>,
}

impl Flow {
    pub(crate) fn of(topology: &Topology) -> Self {
        let mut flow = Self::default();
        let names = topology.source_topics();
        for part in topology.subtopologies() {
            for number in &part.source_topics {
                let topic = names[*number as usize].to_string();
                flow.reader_of.insert(topic, part.id);
            }
        }
        for part in topology.subtopologies() {
            let mut topics = topology.sink_topics(part.id);
            topics.retain(|topic| flow.reader_of.contains_key(topic));
            let next = topics.iter().map(|topic| flow.reader_of[topic]).collect();
            flow.reaches.insert(part.id, next);
            flow.writes.insert(part.id, topics);
        }
        // To the end: at most one new part joins each set in each round.
        for _ in 0..flow.reaches.len() {
            let before = flow.reaches.clone();
            for reached in flow.reaches.values_mut() {
                let further = reached.iter().filter_map(|it| before.get(it)).flatten();
                let further: Vec<u32> = further.copied().collect();
                reached.extend(further);
            }
        }
        flow
    }

    fn reaches(&self, from: u32, to: u32) -> bool {
        self.reaches.get(&from).is_some_and(|it| it.contains(&to))
    }
}

impl Queries {
    /// `token` in terms of the inputs of a store: what lies upstream is followed down, what the store never hears of is left out.
    pub(crate) async fn derived(
        &self,
        token: &Token,
        place: &StorePlace,
        deadline: Instant,
    ) -> Result<Token> {
        let (flow, mut derived) = (self.flow(), Token::new());
        if place.is_global {
            let direct = token.positions();
            let direct = direct.filter(|(at, _)| place.sources.contains(&at.topic));
            return Ok(direct.map(|(at, next)| (at.clone(), next)).collect());
        }
        let (target, mut pending) = (place.subtopology, token.clone());
        let mut asked: BTreeMap<TaskId, Token> = BTreeMap::new();
        loop {
            let mut upstream: BTreeMap<TaskId, Token> = BTreeMap::new();
            for (at, next) in pending.positions() {
                let Some(reader) = flow.reader_of.get(&*at.topic).copied() else {
                    continue;
                };
                if reader == target {
                    derived.demand(at.clone(), next);
                }
                if flow.reaches(reader, target) && reader != target {
                    let task = TaskId {
                        subtopology: reader,
                        partition: at.partition,
                    };
                    let of_task = upstream.entry(task).or_default();
                    of_task.demand(at.clone(), next);
                }
            }
            // A loop through a topic ends when nothing is asked that was not answered.
            upstream.retain(|task, token| asked.get(task) != Some(token));
            if upstream.is_empty() {
                return Ok(derived);
            }
            let questions = upstream
                .iter()
                .map(|(task, token)| self.ask_written(*task, token, deadline));
            let answers = merge::all(questions.collect()).await?;
            asked.extend(upstream);
            pending = Token::new();
            answers.iter().for_each(|answer| pending.merge(answer));
        }
    }

    fn ask_written(
        &self,
        task: TaskId,
        token: &Token,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = Result<Token>> + Send + '_>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let ask = Ask {
            what: Question::Derive,
            subtopology: task.subtopology,
            partition: task.partition,
            deadline_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
            hops: HOPS_MAX,
            token: Some(token.to_string()),
            stale: false,
        };
        Box::pin(async move {
            match self.ask(&ask, deadline, false).await? {
                Answer::Token(text) => text.parse(),
                other => Err(Error::Peer(format!("{other:?} is no token"))),
            }
        })
    }

    /// How far a task that runs here has written what the application reads, in all partitions.
    pub(crate) fn written(&self, task: TaskId) -> Token {
        let flow = self.flow();
        let topics = flow.writes.get(&task.subtopology).into_iter().flatten();
        let mut token = Token::new();
        for topic in topics {
            let reader = flow.reader_of.get(topic);
            let partitions = reader.and_then(|it| self.state().tasks(*it)).unwrap_or(0);
            for partition in 0..partitions {
                let at = TopicPartition::new(topic.as_str(), partition);
                if let Some(end) = self.state().written(&at) {
                    token.demand(at, end);
                }
            }
        }
        token
    }
}

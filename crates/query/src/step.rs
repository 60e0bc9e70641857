//! One question of a watch to one partition, asked until somebody answers, and what comes after its answer. Not the watch.
//! Invariant: changes are asked for from a cursor that was told before the state was read, so that nothing falls in between.

use crate::kept::mark;
use crate::table::ask;
use crate::wire::{Answer, Cursor, Question, Resume, Span};
use crate::{Blob, Error, Queries, Read, Result};
use headwater_runtime::StorePlace;
use std::time::Duration;
use tokio::time::Instant;

/// ms that a question waits at the owner for changes.
const POLL_MS: u64 = 10_000;
/// ms until its answer must be there, which is later: else every question without news were one without an answer.
const ANSWER_MS_MAX: u64 = 15_000;
/// ms before an owner that cannot answer is asked again.
const RETRY_MS: u64 = 50;
/// ms that nobody may have a partition before the watch ends.
const NOBODY_MS_MAX: u64 = 60_000;

/// Where one partition is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Of ranges: changes from a cursor on; without one, where the feed is.
    Changes(Option<Cursor>),
    /// Of ranges: a page of state; changes follow from the cursor on.
    State(Cursor, Option<Resume>),
    /// Of a key: its value, unless that has this mark.
    Look(Option<u64>),
    /// Of a key: until its value is another.
    Await(Option<Blob>),
}

/// What one question to a partition has brought.
pub(crate) struct Step {
    pub(crate) is_restated: bool,
    pub(crate) entries: Vec<(Blob, Option<Blob>)>,
    /// Of windows: those before this time are gone, which was not known.
    pub(crate) gone_before_ms: Option<i64>,
    pub(crate) stage: Stage,
}

impl Step {
    fn new(entries: Vec<(Blob, Option<Blob>)>, stage: Stage) -> Self {
        Self {
            is_restated: false,
            entries,
            gone_before_ms: None,
            stage,
        }
    }
}

/// One partition of a store.
pub(crate) struct Source {
    pub(crate) queries: Queries,
    pub(crate) place: StorePlace,
    pub(crate) store: String,
    pub(crate) partition: u32,
    pub(crate) span: Span,
    /// The one key that is watched.
    pub(crate) key: Option<Blob>,
    /// Of windows: those before this time are known to be gone.
    pub(crate) gone_before_ms: Option<i64>,
}

impl Source {
    /// The next that this partition has to tell.
    pub(crate) async fn step(self, stage: Stage) -> Result<Step> {
        let read = Read::new();
        let mut heard = Instant::now();
        loop {
            let deadline = Instant::now() + Duration::from_millis(ANSWER_MS_MAX);
            let (queries, what) = (&self.queries, self.question(&stage));
            let asked = ask(queries, &self.place, what, self.partition, &read, deadline);
            match asked.await {
                Ok(answer) => return self.after(stage, answer),
                // The owner waits as long as the asker does: nothing new.
                Err(Error::TimedOut(_)) if matches!(stage, Stage::Await(_)) => {
                    heard = Instant::now();
                }
                // It is restored, moves, or said nothing in time.
                Err(Error::NotReady(_) | Error::Peer(_) | Error::TimedOut(_))
                    if heard.elapsed() < Duration::from_millis(NOBODY_MS_MAX) =>
                {
                    tokio::time::sleep(Duration::from_millis(RETRY_MS)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn question(&self, stage: &Stage) -> Question {
        let (store, span) = (self.store.clone(), self.span.clone());
        let key = self.key.clone().unwrap_or_default();
        match stage {
            Stage::Changes(after) => Question::Changes {
                store,
                span: Box::new(span),
                after: *after,
                wait_ms: POLL_MS,
                gone_before_ms: self.gone_before_ms,
            },
            Stage::State(_, resume) => Question::Scan {
                store,
                span: Box::new(Span {
                    resume: resume.clone(),
                    ..span
                }),
            },
            Stage::Look(_) => Question::Get { store, key },
            Stage::Await(known) => Question::Await {
                store,
                key,
                known: known.clone(),
            },
        }
    }

    fn after(&self, stage: Stage, answer: Answer) -> Result<Step> {
        match (stage, answer) {
            (
                Stage::Changes(_),
                Answer::Changes {
                    changed,
                    cursor,
                    is_gone,
                    gone_before_ms,
                },
            ) => Ok(Step {
                is_restated: is_gone,
                entries: changed,
                gone_before_ms,
                stage: match is_gone {
                    true => Stage::State(cursor, None),
                    false => Stage::Changes(Some(cursor)),
                },
            }),
            (Stage::State(cursor, _), Answer::Entries { entries, more, .. }) => {
                let entries = entries.into_iter().map(|(key, value)| (key, Some(value)));
                let stage = match more {
                    Some(key) => {
                        let inclusive = false;
                        Stage::State(cursor, Some(Resume { key, inclusive }))
                    }
                    None => Stage::Changes(Some(cursor)),
                };
                Ok(Step::new(entries.collect(), stage))
            }
            (Stage::Look(known), Answer::Value { value, .. }) => {
                let is_known = known == Some(mark(value.as_ref()));
                Ok(Step::new(self.told(!is_known, &value), Stage::Await(value)))
            }
            (Stage::Await(known), Answer::Value { value, .. }) => Ok(Step::new(
                self.told(known != value, &value),
                Stage::Await(value),
            )),
            (_, other) => Err(Error::Peer(format!("{other:?} is no answer to a watch"))),
        }
    }

    /// The one key's value, where it is news.
    fn told(&self, is_news: bool, value: &Option<Blob>) -> Vec<(Blob, Option<Blob>)> {
        let key = self.key.iter().filter(|_| is_news);
        key.map(|key| (key.clone(), value.clone())).collect()
    }
}

impl Stage {
    /// True once the state has been told.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Changes(Some(_)) | Self::Await(_))
    }
}

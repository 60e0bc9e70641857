//! Who answers a question: the task here, its owner elsewhere, or a standby; and the waits until one of them can.
//! Not what is answered. Invariant: a waiter registers before it looks; a question that another instance forwarded is handed back
//! soon when nobody here can answer it, so that its asker looks for the owner with what it knows by then.
//!
//! ```text
//! here as active --> token reached? --> answer
//!       |  moved meanwhile: again
//! a host has it ---> forward, hops - 1 --> its answer, or again when it is not ready
//!       |
//! nobody ----------> wait for a partition or a host to come, until the deadline: NotReady
//! ```

use crate::follow::Follower;
use crate::queries::HOPS_MAX;
use crate::wire::{Answer, Ask, Question};
use crate::{Error, Queries, Read, Result, Staleness, Token, local};
use headwater_log::{Endpoint, Offset, TaskId, TopicPartition};
use headwater_runtime::{Interest, StorePlace, Waiter};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// How long an instance that cannot answer a forwarded question waits for the partition to come.
const FORWARDED_WAIT_MS: u64 = 250;
/// ms before an owner that could not be asked is asked again, doubled up to the second.
const RETRY_MS: u64 = 10;
const RETRY_MS_MAX: u64 = 200;

/// Who is asked.
#[derive(Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) task: TaskId,
    /// `None` where the task itself is asked.
    pub(crate) place: Option<&'a StorePlace>,
}

fn ms_left(deadline: Instant) -> u64 {
    let left = deadline.saturating_duration_since(Instant::now());
    u64::try_from(left.as_millis()).unwrap_or(u64::MAX)
}

impl Queries {
    pub(crate) fn waiter(&self, interests: Vec<Interest>) -> Result<Waiter> {
        self.waiter_of_keys(interests, 0)
    }

    /// A waiter that keeps the names of so many changed keys.
    pub(crate) fn waiter_of_keys(
        &self,
        interests: Vec<Interest>,
        keys_max: usize,
    ) -> Result<Waiter> {
        let waiter = self.state().watches().register(interests, keys_max);
        waiter.ok_or_else(|| {
            let max = headwater_runtime::WAITERS_MAX;
            Error::Overloaded(format!("{max} questions wait here"))
        })
    }

    /// The answer to `ask`, from wherever it can be had until `deadline`.
    pub(crate) async fn ask(
        &self,
        ask: &Ask,
        deadline: Instant,
        forwarded: bool,
    ) -> Result<Answer> {
        let token = ask.token.as_deref().map(str::parse::<Token>).transpose()?;
        let target = self.target(ask)?;
        let mut retry_ms = RETRY_MS;
        let patience = match forwarded {
            true => deadline.min(Instant::now() + Duration::from_millis(FORWARDED_WAIT_MS)),
            false => deadline,
        };
        loop {
            let (not_ready, was_here) =
                match self.here(ask, &target, token.as_ref(), deadline).await {
                    Some(Err(error)) if error.is_retriable() => (error, true),
                    Some(answer) => return answer,
                    None => (Error::NotReady(self.nowhere(ask, &target)), false),
                };
            // Registered before the hosts are looked at: what comes from here on rings.
            let placement = self.waiter(vec![Interest::Placement])?;
            if !was_here && self.is_here(ask, &target) {
                continue;
            }
            let (failed, was_asked) = match Box::pin(self.elsewhere(ask, &target, deadline)).await {
                Some(Err(error)) if error.is_retriable() => (error, true),
                Some(answer) => return answer,
                None => (not_ready, false),
            };
            if Instant::now() >= patience {
                return Err(failed);
            }
            let pause = match was_asked {
                // Somebody has it, or had it a moment ago.
                true => Instant::now() + Duration::from_millis(retry_ms),
                false => Instant::now() + Duration::from_millis(RETRY_MS_MAX),
            };
            retry_ms = (2 * retry_ms).min(RETRY_MS_MAX);
            let _ = timeout_at(pause.min(patience), placement.rung()).await;
        }
    }

    fn target(&self, ask: &Ask) -> Result<Target<'_>> {
        let place = match ask.what.store() {
            Some(store) => {
                let place = self.place(store);
                Some(place.ok_or_else(|| Self::unknown(store))?)
            }
            None => None,
        };
        if place.is_some_and(|it| it.subtopology != ask.subtopology) {
            return Err(Error::Refused(
                "the store is of another sub-topology: the asker runs another program".into(),
            ));
        }
        Ok(Target {
            task: TaskId {
                subtopology: ask.subtopology,
                partition: ask.partition,
            },
            place,
        })
    }

    fn is_here(&self, ask: &Ask, target: &Target<'_>) -> bool {
        match ask.what.store() {
            Some(store) => {
                let reader = self.state().views().reader(store, ask.partition);
                reader.is_some()
            }
            None => self.state().views().runs(target.task),
        }
    }

    fn nowhere(&self, ask: &Ask, target: &Target<'_>) -> String {
        let task = target.task;
        match (ask.what.store(), self.state().hosts().active(task)) {
            (Some(store), None) => format!(
                "partition {} of store '{store}' is restored or moves (task {task})",
                ask.partition
            ),
            (_, Some(host)) => format!("task {task} is to run at {host} and does not yet"),
            (None, None) => format!("task {task} runs nowhere"),
        }
    }

    /// The answer of this instance; `None` when the partition is not here.
    async fn here(
        &self,
        ask: &Ask,
        target: &Target<'_>,
        token: Option<&Token>,
        deadline: Instant,
    ) -> Option<Result<Answer>> {
        if !self.is_here(ask, target) {
            return self.standby_here(ask, token);
        }
        if let Some(token) = token
            && let Err(error) =
                Box::pin(self.reach(target, ask.what.store(), token, deadline)).await
        {
            return Some(Err(error));
        }
        let (store, partition) = (ask.what.store(), ask.partition);
        Some(match (&ask.what, store) {
            (Question::Derive, _) | (_, None) => {
                Ok(Answer::Token(self.written(target.task).to_string()))
            }
            (Question::Await { key, known, .. }, Some(store)) => {
                let known = known.as_ref();
                self.changed(store, partition, &key.0, known, deadline)
                    .await
            }
            (
                Question::Changes {
                    span,
                    after,
                    wait_ms,
                    gone_before_ms,
                    ..
                },
                Some(store),
            ) => {
                let until = deadline.min(Instant::now() + Duration::from_millis(*wait_ms));
                let follower = Follower {
                    store,
                    partition,
                    span,
                    gone_before_ms: *gone_before_ms,
                };
                // Boxed: it is not what thousands wait for.
                Box::pin(self.changes(follower, *after, until)).await
            }
            (what, Some(store)) => match self.state().views().reader(store, partition) {
                Some(reader) => local::answer(&reader, what, None),
                None => Err(Error::NotReady(format!("store '{store}' has moved"))),
            },
        })
    }

    fn standby_here(&self, ask: &Ask, token: Option<&Token>) -> Option<Result<Answer>> {
        let is_allowed = ask.stale && token.is_none_or(Token::is_empty);
        let store = ask.what.store().filter(|_| is_allowed)?;
        let follower = self.state().views().follower(store, ask.partition)?;
        Some(local::answer(
            &follower.reader,
            &ask.what,
            Some(follower.lag),
        ))
    }

    /// The answer of another instance; `None` when none is known that has the partition, or the question has come too far.
    async fn elsewhere(
        &self,
        ask: &Ask,
        target: &Target<'_>,
        deadline: Instant,
    ) -> Option<Result<Answer>> {
        if ask.hops == 0 || target.place.is_some_and(|it| it.is_global) {
            return None;
        }
        let own = self.state().endpoint();
        let hosts = self.state().hosts();
        let owner = hosts.active(target.task);
        let mut found: Vec<Endpoint> = owner.into_iter().collect();
        if ask.stale && ask.token.is_none() {
            found.extend(hosts.standbys(target.task));
        }
        found.retain(|it| Some(it) != own);
        let mut last = None;
        for endpoint in found {
            let forwarded = Ask {
                hops: ask.hops - 1,
                deadline_ms: ms_left(deadline),
                ..ask.clone()
            };
            let asked = timeout_at(deadline, self.peer().ask(endpoint.clone(), forwarded)).await;
            match asked {
                Ok(Ok(Answer::Failed(error)) | Err(error)) if error.is_retriable() => {
                    // Heard and refused, or not heard: either way soon again, and told apart at the deadline.
                    last = Some(Err(match error {
                        Error::NotReady(why) => Error::NotReady(format!("{endpoint}: {why}")),
                        error => Error::Peer(format!("{endpoint}: {error}")),
                    }));
                }
                Ok(Ok(Answer::Failed(error))) => return Some(Err(error)),
                Ok(answer) => return Some(answer),
                Err(_) => {
                    return Some(Err(Error::TimedOut(format!("{endpoint} did not answer"))));
                }
            }
        }
        last
    }

    /// What of `token` the target reads itself.
    fn wanted(&self, target: &Target<'_>, token: &Token) -> Vec<(TopicPartition, Offset)> {
        let is_global = target.place.is_some_and(|it| it.is_global);
        let topology = self.state().topology();
        let names = topology.source_topics();
        let sources: Vec<&Arc<str>> = match target.place {
            Some(place) => place.sources.iter().collect(),
            None => {
                let part = topology.subtopology(target.task.subtopology);
                let numbers = part.map_or(&[][..], |part| &part.source_topics);
                numbers.iter().map(|it| &names[*it as usize]).collect()
            }
        };
        let positions = token.positions().filter(|(at, _)| {
            sources.contains(&&at.topic) && (is_global || at.partition == target.task.partition)
        });
        positions.map(|(at, next)| (at.clone(), next)).collect()
    }

    /// Waits until what the target reads of `token` is visible here.
    async fn reach(
        &self,
        target: &Target<'_>,
        store: Option<&str>,
        token: &Token,
        deadline: Instant,
    ) -> Result<()> {
        let wanted = self.wanted(target, token);
        let is_global = target.place.is_some_and(|it| it.is_global);
        let is_missing = |(at, next): &&(TopicPartition, Offset)| {
            let position = match is_global {
                true => self.state().global_position(at),
                false => self.state().position(at),
            };
            position < Some(*next)
        };
        let partition = target.task.partition;
        loop {
            let missing: Vec<_> = wanted.iter().filter(is_missing).cloned().collect();
            if missing.is_empty() {
                return Ok(());
            }
            let positions = missing.iter().map(|(at, next)| Interest::Position {
                at: at.clone(),
                offset: *next,
            });
            let moves = match store {
                Some(store) => Interest::Moves {
                    store: store.into(),
                    partition,
                },
                None => Interest::Placement,
            };
            let waiter = self.waiter(positions.chain([moves]).collect())?;
            if wanted.iter().find(is_missing).is_none() {
                return Ok(());
            }
            let is_here = match store {
                Some(store) => self.state().views().reader(store, partition).is_some(),
                None => self.state().views().runs(target.task),
            };
            if !is_here {
                return Err(Error::NotReady(format!("task {} has moved", target.task)));
            }
            if timeout_at(deadline, waiter.rung()).await.is_err() {
                let (at, next) = &missing[0];
                return Err(Error::TimedOut(format!(
                    "{at} before {next} is not visible yet"
                )));
            }
        }
    }

    /// Waits until the value under `key` is not `known`, or the deadline passes; the value then.
    async fn changed(
        &self,
        store: &str,
        partition: u32,
        key: &[u8],
        known: Option<&crate::Blob>,
        deadline: Instant,
    ) -> Result<Answer> {
        let waiter = self.waiter(vec![Interest::Key {
            store: store.into(),
            partition,
            key: key.to_vec(),
        }])?;
        loop {
            let Some(reader) = self.state().views().reader(store, partition) else {
                return Err(Error::NotReady(format!("store '{store}' has moved")));
            };
            let value = local::value(&reader, key)?;
            drop(reader);
            if value.as_ref() != known || timeout_at(deadline, waiter.rung()).await.is_err() {
                return Ok(Answer::Value { value, lag: None });
            }
        }
    }

    /// A question as this instance asks it, after what it needs of its token is known.
    pub(crate) async fn prepare(
        &self,
        what: Question,
        place: &StorePlace,
        partition: u32,
        read: &Read,
        deadline: Instant,
    ) -> Result<Ask> {
        let token = match &read.token {
            // Boxed: few bring a token, and every question would have room for what follows from it.
            Some(token) => Some(Box::pin(self.derived(token, place, deadline)).await?),
            None => None,
        };
        let token = token.filter(|token| !token.is_empty());
        Ok(Ask {
            what,
            subtopology: place.subtopology,
            partition,
            deadline_ms: ms_left(deadline),
            hops: HOPS_MAX,
            stale: read.staleness == Staleness::StandbyAllowed && token.is_none(),
            token: token.map(|token| token.to_string()),
        })
    }

    /// How many partitions a store has; waits until the log has told.
    pub(crate) async fn partitions(&self, place: &StorePlace, deadline: Instant) -> Result<u32> {
        match place.is_global {
            true => Ok(1),
            false => match self.state().tasks(place.subtopology) {
                Some(tasks) => Ok(tasks),
                // Boxed: it is for the beginning only, and every question would have room for it.
                None => Box::pin(self.partitions_told(place, deadline)).await,
            },
        }
    }

    async fn partitions_told(&self, place: &StorePlace, deadline: Instant) -> Result<u32> {
        loop {
            if let Some(tasks) = self.state().tasks(place.subtopology) {
                return Ok(tasks);
            }
            let waiter = self.waiter(vec![Interest::Placement])?;
            if self.state().tasks(place.subtopology).is_none()
                && timeout_at(deadline, waiter.rung()).await.is_err()
            {
                let why = "the number of its partitions is not known: topics are missing";
                return Err(Error::NotReady(why.into()));
            }
        }
    }
}

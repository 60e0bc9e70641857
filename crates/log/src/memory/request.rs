//! Requests on their way: late, lost, waiting for a partition, or done. Also what a commit does, step by step.
//! Not the answers to other requests: see [`super::admin`]. Invariant: a commit whose answer did not arrive is unsettled until
//! `Settle`, and what `Settle` says stays true.
//!
//! ```text
//! Kafka-like commit:   send batches  ->  offsets into the transaction  ->  end transaction  ->  answer
//! plain commit:        everything at once                                               ->  answer
//! ```
//! Each arrow may be late or lost; a loss before the last leaves the transaction open, one after it only the client ignorant.

use super::{
    hit::{Hit, Moment},
    state::State,
    transaction::{Batches, ProducerKey},
};
use crate::{
    CommitRequest, Completion, Error, Receipt, Request, Response, Result, Ticket, TopicPartition,
};
use headwater_world::Random;
use std::{collections::BTreeMap, time::Duration};

/// What is to be done.
pub(super) enum Work {
    Commit(CommitRequest, Batches),
    Abort,
    Settle,
    Ask(Request),
}

/// One request under way.
pub(super) struct Pending {
    ticket: Ticket,
    work: Work,
    step: Step,
    polls_left: u32,
    lost: bool,
    answer: Option<Result<Response>>,
    deadline: Option<Duration>,
    refused: Option<Error>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Leave,
    Send,
    Offsets,
    End,
}

enum Progress {
    Wait,
    Next(Step),
    Done(Result<Response>),
}

/// The write side of a client, as far as the log's answers change it.
pub(super) struct Writer {
    /// Set for every client that needs fencing or transactions.
    pub(super) key: Option<ProducerKey>,
    /// Records are stored as they are appended.
    pub(super) eager: bool,
    pub(super) exactly_once: bool,
    /// The outcome of the last commit did not arrive.
    pub(super) unsettled: bool,
    /// What the last commit wrote, if it took effect.
    last: Option<Receipt>,
    /// An abort did not arrive: what is open has to be aborted before anything else.
    abort_due: bool,
    /// An error of records that were sent ahead of their commit.
    pub(super) failed: Option<Error>,
    /// Ends of what was sent ahead outside transactions.
    ends: BTreeMap<TopicPartition, i64>,
}

/// What a step works with.
pub(super) struct Context<'a> {
    pub(super) state: &'a mut State,
    pub(super) writer: &'a mut Writer,
    pub(super) now: Duration,
    pub(super) now_ms: i64,
    pub(super) random: &'a dyn Random,
}

impl Pending {
    pub(super) fn new(ticket: Ticket, work: Work) -> Self {
        Self {
            ticket,
            work,
            step: Step::Leave,
            polls_left: 0,
            lost: false,
            answer: None,
            deadline: None,
            refused: None,
        }
    }

    /// Ends this request at its next poll, without effect.
    pub(super) fn refuse(&mut self, error: Error) {
        self.refused = Some(error);
    }

    pub(super) fn is_commit(&self) -> bool {
        matches!(self.work, Work::Commit(..))
    }

    /// Commits, aborts and settlements of one client happen one after the other.
    pub(super) fn is_ordered(&self) -> bool {
        !matches!(self.work, Work::Ask(_))
    }

    /// What it is at.
    pub(super) fn moment(&self, writer: &Writer) -> Moment {
        match (&self.work, self.step) {
            (Work::Ask(_), _) => Moment::Question,
            (Work::Abort | Work::Settle, _) => Moment::Settlement,
            (Work::Commit(..), Step::Leave | Step::Send) if writer.eager => Moment::Flush,
            (Work::Commit(..), Step::Offsets) => Moment::Offsets,
            (Work::Commit(..), _) => Moment::End,
        }
    }

    /// One poll's worth of progress.
    pub(super) fn poll(&mut self, ctx: &mut Context<'_>) -> Option<Completion> {
        if let Some(error) = self.refused.take() {
            return Some(self.completion(Err(error)));
        }
        let timeout = Duration::from_millis(ctx.state.dice.faults.request_timeout_ms);
        if self.deadline.is_none() && matches!(self.work, Work::Commit(..)) && !ctx.writer.unsettled
        {
            // From here on the last commit is this one, wherever it gets lost.
            ctx.writer.last = None;
        }
        let deadline = *self.deadline.get_or_insert(ctx.now + timeout);
        loop {
            if self.polls_left > 0 || self.lost {
                self.polls_left = self.polls_left.saturating_sub(1);
                return self.time_out(ctx, deadline);
            }
            if let Some(result) = self.answer.take() {
                if self.is_ordered() {
                    ctx.writer.unsettled &= !matches!(self.work, Work::Commit(..) | Work::Settle)
                        || matches!(result, Err(Error::UnknownOutcome));
                }
                return Some(self.completion(result));
            }
            match self.advance(ctx) {
                Progress::Wait => return self.time_out(ctx, deadline),
                Progress::Next(step) => {
                    let (hit, before) = match self.step {
                        Step::Leave => (Hit::LostRequest, None),
                        _ => (Hit::LostAnswer, Some(self.moment(ctx.writer))),
                    };
                    self.step = step;
                    self.lost = ctx.state.dice.loses_request();
                    if self.lost {
                        let moment = before.unwrap_or_else(|| self.moment(ctx.writer));
                        ctx.state.hit(hit, moment);
                    }
                }
                Progress::Done(result) => {
                    if self.is_commit() && matches!(result, Err(Error::Fenced(_))) {
                        ctx.state.hit(Hit::FencedCommit, self.moment(ctx.writer));
                    }
                    self.answer = Some(result);
                    self.lost = ctx.state.dice.loses_answer();
                    if self.lost {
                        ctx.state.hit(Hit::LostAnswer, self.moment(ctx.writer));
                    }
                }
            }
            self.polls_left = ctx.state.dice.delay();
        }
    }

    fn completion(&self, result: Result<Response>) -> Completion {
        Completion {
            ticket: self.ticket,
            result,
        }
    }

    fn time_out(&mut self, ctx: &mut Context<'_>, deadline: Duration) -> Option<Completion> {
        if ctx.now < deadline {
            return None;
        }
        let what = match &self.work {
            Work::Commit(..) => {
                ctx.writer.unsettled = true;
                // Both are what a caller may meet; it has to do the same for both.
                if self.lost && ctx.state.dice.coin() {
                    return Some(self.completion(Err(Error::UnknownOutcome)));
                }
                "a commit"
            }
            Work::Abort => {
                ctx.writer.abort_due = true;
                "an abort"
            }
            Work::Settle => "a settlement",
            Work::Ask(request) => name(request),
        };
        let timeout_ms = ctx.state.dice.faults.request_timeout_ms;
        let error = Error::TimedOut(format!("{what}, after {timeout_ms} ms"));
        Some(self.completion(Err(error)))
    }

    fn advance(&mut self, ctx: &mut Context<'_>) -> Progress {
        if self.step == Step::Leave {
            return Progress::Next(Step::Send);
        }
        match &mut self.work {
            Work::Ask(request) => {
                let committed_only = ctx.writer.exactly_once;
                match ctx.state.answer(request, committed_only, ctx.random) {
                    Some(result) => Progress::Done(result),
                    None => Progress::Wait,
                }
            }
            Work::Abort => {
                ctx.abort_open();
                Progress::Done(Ok(Response::Done))
            }
            Work::Settle => Progress::Done(Ok(ctx.settle())),
            Work::Commit(..) if ctx.writer.unsettled => Progress::Done(Err(Error::UnknownOutcome)),
            Work::Commit(request, batches) => {
                let away = batches
                    .iter()
                    .any(|(name, _)| !ctx.state.is_available(name));
                if away {
                    return Progress::Wait;
                }
                let batches = std::mem::take(batches);
                match ctx.commit(self.step, request, batches) {
                    Ok(Some(step)) => Progress::Next(step),
                    Ok(None) => Progress::Done(Ok(Response::Receipt(
                        ctx.writer.last.clone().unwrap_or_default(),
                    ))),
                    Err(error) => {
                        // A commit that is refused is over: nothing of it may stay open.
                        ctx.abort_open();
                        Progress::Done(Err(error))
                    }
                }
            }
        }
    }
}

impl Context<'_> {
    /// One step of a commit; `None` when it has taken effect.
    fn commit(
        &mut self,
        step: Step,
        request: &CommitRequest,
        batches: Batches,
    ) -> Result<Option<Step>> {
        if step == Step::Send && self.writer.abort_due {
            self.abort_open();
        }
        let state = &mut *self.state;
        let writer = &mut *self.writer;
        if step == Step::Send {
            if let Some(error) = writer.failed.take() {
                return Err(error);
            }
            state.check_partitions(&batches, request)?;
        }
        let transactional = writer.eager && writer.exactly_once;
        match (step, writer.key) {
            (Step::Send, Some(key)) if transactional => {
                state.store_open(key, batches, self.now)?;
                return Ok(Some(Step::Offsets));
            }
            (Step::Offsets, Some(key)) if transactional => {
                state.check_member(request)?;
                state.add_offsets(key, request, self.now)?;
                return Ok(Some(Step::End));
            }
            (Step::End, Some(key)) => {
                writer.last = Some(state.commit_transaction(key, self.now_ms)?);
                return Ok(None);
            }
            (Step::Send, _) if writer.eager => {
                state.store(batches, &mut writer.ends)?;
                return Ok(Some(Step::Offsets));
            }
            _ => {}
        }
        if let Some(key) = writer.key {
            state.check_producer(key)?;
        }
        state.check_member(request)?;
        let mut ends = std::mem::take(&mut writer.ends);
        state.store(batches, &mut ends)?;
        state.set_positions(request);
        writer.last = Some(Receipt {
            ends: ends.into_iter().collect(),
        });
        Ok(None)
    }

    /// Stores records ahead of their commit.
    pub(super) fn send_ahead(&mut self, batches: Batches) {
        if self.writer.abort_due {
            self.abort_open();
        }
        let stored = match self.writer.key {
            Some(key) if self.writer.exactly_once => self.state.store_open(key, batches, self.now),
            _ => self.state.store(batches, &mut self.writer.ends),
        };
        if let Err(error) = stored {
            self.writer.failed.get_or_insert(error);
        }
    }

    fn abort_open(&mut self) {
        self.writer.abort_due = false;
        self.writer.failed = None;
        self.writer.ends.clear();
        if let Some(key) = self.writer.key {
            self.state.abort_transaction(key, self.now_ms);
        }
    }

    fn settle(&mut self) -> Response {
        if self.writer.unsettled && self.writer.last.is_none() {
            self.abort_open();
        }
        self.writer.unsettled = false;
        match &self.writer.last {
            Some(receipt) => Response::Receipt(receipt.clone()),
            None => Response::Aborted,
        }
    }
}

impl Writer {
    pub(super) fn new(key: Option<ProducerKey>, exactly_once: bool, eager: bool) -> Self {
        Self {
            key,
            eager,
            exactly_once,
            unsettled: false,
            last: None,
            abort_due: false,
            failed: None,
            ends: BTreeMap::new(),
        }
    }
}

fn name(request: &Request) -> &'static str {
    match request {
        Request::CreateTopics(_) => "creating topics",
        Request::DeleteTopics(_) => "deleting topics",
        Request::AlterTopic { .. } => "altering a topic",
        Request::CreatePartitions { .. } => "creating partitions",
        Request::DescribeTopics(_) => "describing topics",
        Request::Offsets(_) => "looking up offsets",
        Request::CommittedOffsets { .. } => "reading committed offsets",
        Request::SetOffsets { .. } => "setting offsets",
        Request::DeleteGroup(_) => "deleting a group",
        Request::ListGroups => "listing groups",
        Request::DeleteRecords(_) => "deleting records",
        Request::Commit(_) => "a commit",
        Request::Abort => "an abort",
        Request::Settle => "a settlement",
    }
}

//! A member of a classic group, for brokers without streams groups: joins, leads where it is chosen, beats, as a state machine.
//! Not a consumer: tasks are assigned, by our own sticky assignor under our own protocol name, so Java's members cannot take part.
//! Invariant: a task that a member holds, or was told and may be opening, is in every report until the worker has closed it.
//!
//! ```text
//!   Joining --- leader ---> Counting <---> Creating          (partition counts, internal topics that are missing)
//!    ^   \                      |
//!    |    `--- follower ---> Syncing ---> Stable ----+
//!    |                                               |
//!    +--- REBALANCE_IN_PROGRESS, tasks given up, <---+
//!         or counts that changed (leader)
//! ```
//!
//! A task moves in two rounds, as with Kafka's cooperative assignors: in the first its holder is listed without it, gives it up
//! and joins again; in the second it is listed for its new holder. Everybody joins each round, and who does not is evicted, so
//! a generation's members are exactly those whose reports its leader saw. A static member ([`instance`]) is not: its last report stands
//! while it is away.

mod embedded;
mod hosts;
mod instance;
mod leader;
#[cfg(test)]
mod tests;

use super::{
    QUICK_BEAT_MS, RESTING_BEAT_MS_MAX, RETRY_MS, RETRY_MS_MAX, Tasks, advice, foreign::Foreign,
    is_elsewhere, sorted,
};
use crate::protocol::{
    ErrorCode,
    heartbeat::{HeartbeatRequest, HeartbeatResponse},
    join_group::{JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse},
    leave_group::{LeaveGroupRequest, MemberIdentity},
    streams_group_heartbeat,
    sync_group::{SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse},
};
pub(crate) use embedded::described;
use embedded::{Orders, Report};
pub(crate) use embedded::{assigned, ordered};
use headwater_log::{
    Assignment, GroupEvent, Host, MemberEpoch, Membership, NewTopic, TaskId, TopicPartition,
};
use instance::Instance;
use leader::{Follower, Round};
pub(crate) use leader::{missing, topics};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

/// What Kafka's tools know a group with partitions by.
const PROTOCOL_TYPE: &str = "consumer";
/// The assignor.
pub(crate) const PROTOCOL: &str = "headwater";
/// Shortest and longest session that brokers accept by default (`group.min.session.timeout.ms`, `group.max.session.timeout.ms`).
const SESSION_MS: std::ops::RangeInclusive<i64> = 6_000..=1_800_000;
/// ms between two looks of a leader at partition counts, while something is missing and at rest.
const COUNT_MS_WAITING: u64 = 500;
const COUNT_MS_RESTING: u64 = 10_000;

/// ms that a member which was told to leave stays: whoever asks late for what the leader said, or once more, would be told of the next
/// round instead, and the leader of that one knows nothing of it.
const STAY_MS: u64 = 500;

/// Something to ask, and whom: all but `Count` and `Create` go to the group's coordinator.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ask {
    Join(JoinGroupRequest),
    Sync(SyncGroupRequest),
    Beat(HeartbeatRequest),
    Leave(LeaveGroupRequest),
    /// How many partitions these topics have; those that are missing are left out.
    Count(Vec<String>),
    Create(Vec<NewTopic>),
}

/// The answer to an [`Ask`] of the same name.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Join(JoinGroupResponse),
    Sync(SyncGroupResponse),
    Beat(HeartbeatResponse),
    Leave,
    Count(BTreeMap<String, u32>),
    /// Why not, if so; a topic that exists already is no harm.
    Create(Result<(), String>),
}

#[derive(Clone, Debug, PartialEq)]
enum State {
    Joining,
    Counting,
    Creating(Vec<NewTopic>),
    Syncing(Vec<SyncGroupRequestAssignment>),
    Stable,
    Leaving { then_join: bool },
    Paused,
    Out,
}

/// One membership in a classic group.
#[derive(Debug)]
pub(crate) struct ClassicMember {
    membership: Membership,
    instance: Instance,
    topology_hash: i64,
    state: State,
    /// What the coordinator calls the member; empty before it was heard.
    id: String,
    generation: i32,
    /// The first generation since the member last had nothing: commits of earlier ones are void.
    since: i32,
    owned: Tasks,
    listed: Tasks,
    /// What the last join reported.
    reported: Tasks,
    round: Option<Round>,
    count_due_ms: u64,
    in_flight: bool,
    due_ms: u64,
    failures: u32,
    paused: bool,
    /// All members are to stop, this one with them; whether the round is under way that tells them.
    stops_group: Option<bool>,
    /// It does not leave before.
    stays_until_ms: u64,
    not_ready: Option<String>,
    foreign: Foreign,
    events: VecDeque<GroupEvent>,
    /// The newest that was told of the group's hosts, unless it was handed on.
    hosts: Option<Vec<Host>>,
}

impl ClassicMember {
    /// A member that has yet to join; a static one where it has an instance id.
    pub(crate) fn new(membership: Membership, instance: Option<Arc<str>>) -> Self {
        Self {
            instance: Instance::new(instance),
            topology_hash: leader::hash(&membership.subtopologies),
            membership,
            state: State::Joining,
            id: String::new(),
            generation: 0,
            since: 0,
            owned: Tasks::default(),
            listed: Tasks::default(),
            reported: Tasks::default(),
            round: None,
            count_due_ms: 0,
            in_flight: false,
            due_ms: 0,
            failures: 0,
            paused: false,
            stops_group: None,
            stays_until_ms: 0,
            not_ready: None,
            foreign: Foreign::default(),
            events: VecDeque::new(),
            hosts: None,
        }
    }

    /// What to tell the worker, in order.
    pub(crate) fn event(&mut self) -> Option<GroupEvent> {
        self.events.pop_front()
    }

    /// What the group's hosts hold, if that is news.
    pub(crate) fn hosts(&mut self) -> Option<Vec<Host>> {
        self.hosts.take()
    }

    pub(crate) fn is_out(&self) -> bool {
        self.state == State::Out
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// The coordinator is yet to hear that the member is gone for good.
    pub(crate) fn is_leaving(&self) -> bool {
        let is_stopping = self.stops_group.is_some() && self.state != State::Out;
        is_stopping || self.state == (State::Leaving { then_join: false })
    }

    /// Leaves for good, after a round in which the group's leader tells every member to stop.
    pub(crate) fn stop_group(&mut self, now_ms: u64) {
        if self.since == 0 || matches!(self.state, State::Leaving { .. } | State::Paused) {
            return self.leave(now_ms);
        }
        self.forget_tasks();
        self.stops_group = Some(false);
        self.state = State::Joining;
        self.hurry(now_ms);
    }

    pub(crate) fn stops_group(&self) -> bool {
        self.stops_group.is_some()
    }

    /// When the next request is due; `None` while one is in flight, and at the end.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        let rests = matches!(self.state, State::Out | State::Paused);
        (!self.in_flight && !rests).then_some(self.due_ms)
    }

    /// As whom, and in which generation, to commit positions of these partitions for a worker at `epoch`; or why it may not.
    ///
    /// A generation changes with every round, the worker's tasks mostly do not: so a commit under way goes with the generation
    /// of the moment, as long as the worker has held its tasks all the time.
    pub(crate) fn credentials<'a>(
        &self,
        epoch: MemberEpoch,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<(String, i32), String> {
        let MemberEpoch(epoch) = epoch;
        if self.since == 0 || !(self.since..=self.generation).contains(&epoch) {
            return Err(format!(
                "epoch {epoch} of member '{}' is not one of {}..={}",
                self.membership.member, self.since, self.generation
            ));
        }
        for partition in partitions {
            let task = leader::task_of(&self.membership.subtopologies, partition);
            if let Some(task) = task.filter(|task| !self.may_hold(*task)) {
                return Err(format!("task {task} of {partition} is not held any more"));
            }
        }
        Ok((self.id.clone(), self.generation))
    }

    fn may_hold(&self, task: TaskId) -> bool {
        self.owned.active.contains(&task) || self.listed.active.contains(&task)
    }

    /// The worker holds these tasks and no others: what it was told to give up is closed.
    pub(crate) fn own(&mut self, now_ms: u64, active: &[TaskId], standby: &[TaskId]) {
        self.owned = Tasks {
            active: sorted(active),
            standby: sorted(standby),
        };
        self.report_what_is_free(now_ms);
    }

    /// Joins again when something of the last report is held no more, so that others can have it.
    fn report_what_is_free(&mut self, now_ms: u64) {
        let held = self.held();
        let is_free = !self
            .reported
            .active
            .iter()
            .all(|task| held.active.contains(task))
            || !self
                .reported
                .standby
                .iter()
                .all(|task| held.standby.contains(task));
        if self.state == State::Stable && is_free {
            self.state = State::Joining;
            self.hurry(now_ms);
        }
    }

    /// What the worker holds or may be about to open.
    fn held(&self) -> Tasks {
        let both = |a: &[TaskId], b: &[TaskId]| {
            let mut both = sorted(&[a, b].concat());
            both.dedup();
            both
        };
        Tasks {
            active: both(&self.owned.active, &self.listed.active),
            standby: both(&self.owned.standby, &self.listed.standby),
        }
    }

    /// Gives everything up.
    pub(crate) fn leave(&mut self, now_ms: u64) {
        self.depart_for_good(now_ms);
    }

    /// A commit was refused because of the member, and the worker has dropped its tasks: a new start.
    pub(crate) fn fenced_at_commit(&mut self, now_ms: u64) {
        self.depart_to_return(now_ms, true);
    }

    /// The worker has not come by for `rebalance_timeout_ms`: what it holds goes to others (`max.poll.interval.ms`).
    pub(crate) fn pause(&mut self, now_ms: u64) {
        if self.paused || self.is_leaving() || self.is_out() {
            return;
        }
        self.paused = true;
        if self.since > 0 {
            let timeout_ms = self.membership.rebalance_timeout_ms;
            self.events.push_back(GroupEvent::Fenced(format!(
                "no step was finished for {timeout_ms} ms (max.poll.interval.ms)"
            )));
        }
        self.depart_to_return(now_ms, true);
    }

    /// The worker is back.
    pub(crate) fn resume(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.paused) && self.state == State::Paused {
            self.start_over(now_ms, true);
        }
    }

    fn depart(&mut self, now_ms: u64, then_join: bool) {
        self.forget_tasks();
        match self.state {
            State::Out => {}
            _ if self.id.is_empty() && !self.in_flight => self.start_over(now_ms, then_join),
            _ => {
                self.state = State::Leaving { then_join };
                self.failures = 0;
                self.due_ms = now_ms.max(self.stays_until_ms);
            }
        }
    }

    /// Leaves because of what the leader says, when the others have heard it too.
    fn depart_told(&mut self, now_ms: u64) {
        self.stays_until_ms = now_ms + STAY_MS;
        // A static one would be told the same when it comes back.
        self.depart_for_good(now_ms);
    }

    fn start_over(&mut self, now_ms: u64, then_join: bool) {
        self.state = match (then_join, self.paused) {
            (true, false) => State::Joining,
            (true, true) => State::Paused,
            (false, _) => State::Out,
        };
        // By the id that it had a static member hears whether another has taken its place.
        if !self.instance.is_static() {
            self.id.clear();
        }
        self.failures = 0;
        self.hurry(now_ms);
    }

    fn forget_tasks(&mut self) {
        self.owned = Tasks::default();
        self.listed = Tasks::default();
        self.reported = Tasks::default();
        self.round = None;
        self.since = 0;
    }

    fn hurry(&mut self, now_ms: u64) {
        self.due_ms = now_ms;
    }

    /// What is due, if anything. Each is answered by one of the `on_` calls before the next.
    pub(crate) fn next_request(&mut self, now_ms: u64) -> Option<Ask> {
        if self.due_ms()? > now_ms {
            return None;
        }
        if let State::Leaving { then_join } = self.state
            && self.leaves_quietly()
        {
            self.start_over(now_ms, then_join);
            return self.next_request(now_ms);
        }
        let ask = match &self.state {
            State::Joining => self.join(),
            State::Counting => Ask::Count(leader::topics(&self.membership.subtopologies)),
            State::Creating(topics) => Ask::Create(topics.clone()),
            State::Syncing(assignments) => Ask::Sync(SyncGroupRequest {
                group_id: self.membership.group.to_string(),
                generation_id: self.generation,
                member_id: self.id.clone(),
                group_instance_id: self.instance.named(),
                protocol_type: Some(PROTOCOL_TYPE.into()),
                protocol_name: Some(PROTOCOL.into()),
                assignments: assignments.clone(),
            }),
            State::Stable if self.round.is_some() && now_ms >= self.count_due_ms => {
                Ask::Count(leader::topics(&self.membership.subtopologies))
            }
            State::Stable => Ask::Beat(HeartbeatRequest {
                group_id: self.membership.group.to_string(),
                generation_id: self.generation,
                member_id: self.id.clone(),
                group_instance_id: self.instance.named(),
            }),
            State::Leaving { .. } => Ask::Leave(LeaveGroupRequest {
                group_id: self.membership.group.to_string(),
                members: vec![MemberIdentity {
                    member_id: self.id.clone(),
                    group_instance_id: self.instance.named(),
                    ..MemberIdentity::default()
                }],
            }),
            State::Paused | State::Out => return None,
        };
        self.in_flight = true;
        Some(ask)
    }

    fn join(&mut self) -> Ask {
        let held = self.held();
        let report = Report {
            member: self.membership.member.to_string(),
            process: self.membership.process.to_string(),
            topology_hash: self.topology_hash,
            standby_replicas: i32::try_from(self.membership.standby_replicas.unwrap_or(0))
                .unwrap_or(i32::MAX),
            generation: if held.is_empty() { 0 } else { self.generation },
            active: leader::to_numbers(&held.active),
            standby: leader::to_numbers(&held.standby),
            endpoint: self.endpoint(),
            stops_group: self.stops_group.is_some(),
            insists: self.instance.insists,
        };
        self.stops_group = self.stops_group.map(|_| true);
        self.reported = held;
        let session_ms = self.membership.session_timeout_ms;
        let rebalance_ms = self.membership.rebalance_timeout_ms;
        Ask::Join(JoinGroupRequest {
            group_id: self.membership.group.to_string(),
            session_timeout_ms: session_ms.clamp(*SESSION_MS.start(), *SESSION_MS.end()) as i32,
            rebalance_timeout_ms: i32::try_from(rebalance_ms).unwrap_or(i32::MAX),
            member_id: self.id.clone(),
            group_instance_id: self.instance.named(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![JoinGroupRequestProtocol {
                name: PROTOCOL.into(),
                metadata: report.encode(leader::sources(&self.membership.subtopologies)),
            }],
            ..JoinGroupRequest::default()
        })
    }

    /// Where the process answers queries.
    fn endpoint(&self) -> Option<streams_group_heartbeat::Endpoint> {
        self.membership.endpoint.clone().map(Into::into)
    }

    /// No answer: everything here may be asked again, since a generation's answers do not change.
    pub(crate) fn on_lost(&mut self, now_ms: u64) {
        self.in_flight = false;
        self.back_off(now_ms);
    }

    /// The group cannot be spoken to at all.
    pub(crate) fn on_refused(&mut self, reason: String) {
        self.in_flight = false;
        if !self.is_leaving() {
            self.events.push_back(GroupEvent::Refused(reason));
        }
        self.state = State::Out;
    }

    /// Takes an answer. True when the coordinator is another one: it has to be looked up anew.
    pub(crate) fn on_answer(&mut self, now_ms: u64, answer: Answer) -> bool {
        self.in_flight = false;
        if let State::Leaving { then_join } = self.state {
            match answer {
                Answer::Leave => self.start_over(now_ms, then_join),
                Answer::Join(response) if !response.member_id.is_empty() => {
                    self.id = response.member_id;
                }
                _ => {}
            }
            return false;
        }
        match answer {
            Answer::Join(response) => self.on_join(now_ms, response),
            Answer::Sync(response) => self.on_sync(now_ms, &response),
            Answer::Beat(response) => match response.error_code.ok() {
                // It was in flight when another round was decided on.
                Ok(()) if self.state != State::Stable => false,
                Ok(()) => {
                    self.rest(now_ms);
                    false
                }
                Err(code) => self.on_error(now_ms, code),
            },
            Answer::Count(counts) => {
                self.on_counts(now_ms, counts);
                false
            }
            Answer::Create(result) => {
                self.on_created(now_ms, result);
                false
            }
            Answer::Leave => false,
        }
    }

    fn on_join(&mut self, now_ms: u64, response: JoinGroupResponse) -> bool {
        match response.error_code {
            ErrorCode::NONE => {}
            ErrorCode::MEMBER_ID_REQUIRED => {
                self.id = response.member_id;
                self.hurry(now_ms);
                return false;
            }
            code => return self.on_error(now_ms, code),
        }
        self.failures = 0;
        self.foreign.over();
        self.id = response.member_id;
        self.drop_if_missed(response.generation_id);
        self.generation = response.generation_id;
        if self.since == 0 {
            self.since = self.generation;
        }
        let former = self.round.take().map(Round::into_told);
        // A leader that comes back in the middle of a generation has nothing to share, and goes on to look at topics.
        let (leads, resumes) = (response.leader == self.id, response.skip_assignment);
        self.round = leads.then(|| {
            let members = response.members.iter().map(Follower::new);
            Round::new(members.collect(), former.unwrap_or_default(), resumes)
        });
        self.state = match leads && !resumes {
            true => State::Counting,
            false => State::Syncing(Vec::new()),
        };
        self.hurry(now_ms);
        false
    }

    fn on_counts(&mut self, now_ms: u64, counts: BTreeMap<String, u32>) {
        let Some(round) = &mut self.round else {
            return self.hurry(now_ms);
        };
        if self.state == State::Stable {
            let wait_ms = match round.is_waiting() {
                true => COUNT_MS_WAITING,
                false => COUNT_MS_RESTING,
            };
            self.count_due_ms = now_ms + wait_ms;
            if round.counts_changed(&counts) {
                self.state = State::Joining;
            }
            return self.hurry(now_ms);
        }
        let missing = round.plan(&self.membership, self.topology_hash, counts);
        self.state = match missing.is_empty() {
            true => {
                State::Syncing(round.assignments(self.generation, &self.membership.subtopologies))
            }
            false => State::Creating(missing),
        };
        self.count_due_ms = now_ms + COUNT_MS_WAITING;
        self.hurry(now_ms);
    }

    fn on_created(&mut self, now_ms: u64, result: Result<(), String>) {
        let Some(round) = &mut self.round else {
            return self.hurry(now_ms);
        };
        if let Err(reason) = result {
            round.creation_failed(reason);
        }
        self.state = State::Counting;
        // Brokers hear of a topic a little after its creation.
        self.due_ms = now_ms + QUICK_BEAT_MS;
    }

    fn on_sync(&mut self, now_ms: u64, response: &SyncGroupResponse) -> bool {
        if let Err(code) = response.error_code.ok() {
            return self.on_error(now_ms, code);
        }
        self.failures = 0;
        if let Some(is_told) = self.stops_group {
            match is_told {
                true => self.depart_told(now_ms),
                false => self.state = State::Joining,
            }
            return false;
        }
        let orders = match Orders::decode(&response.assignment) {
            Ok(orders) => orders,
            Err(error) => {
                self.on_refused(format!("the assignment of the group's leader: {error}"));
                return false;
            }
        };
        if let Some(reason) = orders.refused {
            self.events.push_back(GroupEvent::Refused(reason));
            self.depart_told(now_ms);
            return false;
        }
        if self.objects_to(now_ms, &orders) {
            return false;
        }
        self.hosts = Some(hosts::heard(orders.hosts));
        self.listed = Tasks {
            active: sorted(&leader::from_numbers(&orders.active)),
            standby: sorted(&leader::from_numbers(&orders.standby)),
        };
        self.events.push_back(GroupEvent::Assigned(Assignment {
            epoch: MemberEpoch(self.generation),
            active: self.listed.active.clone(),
            standby: self.listed.standby.clone(),
        }));
        match orders.not_ready {
            Some(reason) => self.say_not_ready(reason),
            None => self.not_ready = None,
        }
        self.state = State::Stable;
        self.rest(now_ms);
        // The worker may have closed what it is not listed with before it heard of it.
        self.report_what_is_free(now_ms);
        false
    }

    fn rest(&mut self, now_ms: u64) {
        self.failures = 0;
        self.due_ms = now_ms + RESTING_BEAT_MS_MAX;
        if self.round.is_some() {
            self.due_ms = self.due_ms.min(self.count_due_ms.max(now_ms));
        }
    }

    fn on_error(&mut self, now_ms: u64, code: ErrorCode) -> bool {
        match code {
            // A round is under way, or was and its answer was lost: either way the next one is joined.
            ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::ILLEGAL_GENERATION => {
                self.state = State::Joining;
                self.hurry(now_ms);
            }
            ErrorCode::UNKNOWN_MEMBER_ID => {
                if self.since > 0 {
                    let reason = format!("the coordinator answered {code}");
                    self.events.push_back(GroupEvent::Fenced(reason));
                }
                self.forget_tasks();
                self.start_over(now_ms, true);
                self.id.clear();
            }
            ErrorCode::FENCED_INSTANCE_ID => {
                self.forget_tasks();
                self.on_refused(self.taken_by_another(code));
            }
            ErrorCode::INCONSISTENT_GROUP_PROTOCOL => {
                match self
                    .foreign
                    .wait(now_ms, &self.membership, &code.to_string())
                {
                    Ok(reason) => {
                        self.say_not_ready(reason);
                        self.back_off(now_ms);
                    }
                    Err(reason) => self.on_refused(reason),
                }
            }
            code if code.is_retriable() => {
                self.back_off(now_ms);
                return is_elsewhere(code);
            }
            code => {
                let (group, member) = (&self.membership.group, &self.membership.member);
                let reason = format!(
                    "group '{group}' refuses member '{member}': {code}{}",
                    advice(code)
                );
                self.on_refused(reason);
            }
        }
        false
    }

    fn say_not_ready(&mut self, reason: String) {
        if self.not_ready.as_ref() != Some(&reason) {
            self.events.push_back(GroupEvent::NotReady(reason.clone()));
            self.not_ready = Some(reason);
        }
    }

    fn back_off(&mut self, now_ms: u64) {
        self.failures += 1;
        if let State::Leaving { then_join } = self.state
            && self.failures >= super::LEAVE_TRIES_MAX
        {
            self.start_over(now_ms, then_join);
            return;
        }
        self.due_ms = now_ms + (RETRY_MS << (self.failures - 1).min(10)).min(RETRY_MS_MAX);
    }
}

//! A member of a streams group (KIP-1071) as a state machine over heartbeats: what to send when, and what an answer means.
//! Not a network client: `run` drives it. Invariant: what a member may still hold is never reported as given up, and a task
//! list that may have been lost is asked for anew.
//!
//! ```text
//!              epoch 0, topology, three empty lists
//!   Joining ----------------------------------------> Stable --- lost answer ---> Probing (own lists, same epoch)
//!      ^  ^                                           ^ |  ^                        |     |
//!      |  |                                   answer  | |  +------ lists in answer -+     | no lists: they may have
//!      |  +---- evicted: every task is lost ----------|-+                                 | been in the lost answer
//!      |                                              +------- epoch 0 again: Rejoining <-+
//!      +--- Leaving (epoch -1) <--- leave, or a refused commit      |
//!      +------------- its answer lost too: every task is lost ------+
//! ```
//!
//! A list is told once, and complete. So after a lost answer the member asks again with epoch 0, which tells it in full but
//! also counts as giving up what was to be given up. That is safe once: commits of what was given up are refused by their
//! epoch, and the answer says what that is. It would not be safe after eviction, when tasks may have been elsewhere in between
//! and come back; hence the probe, which only a member of the present epoch survives. Nor twice in a row, for the same reason.
//!
//! A member that starts over is another one to the coordinator: `name`, `name.1`, `name.2` and so on, each with a transactional id of
//! its own. Whoever evicts a member then cannot hit its successor, however late the requests come.

pub(crate) mod classic;
mod foreign;
mod hosts;
pub(crate) mod seat;
pub(crate) mod standby;
mod status;
mod takings;
mod tasks;
#[cfg(test)]
mod tests;
mod topology;

use crate::protocol::{
    ErrorCode,
    streams_group_heartbeat::{
        Endpoint, KeyValue, LEAVE_EPOCH, StreamsGroupHeartbeatRequest,
        StreamsGroupHeartbeatResponse, Topology,
    },
};
use foreign::Foreign;
use headwater_log::{Assignment, GroupEvent, Host, MemberEpoch, Membership, TaskId};
use status::Verdict;
use std::collections::VecDeque;
use takings::Takings;
use tasks::{Tasks, from_wire, sorted, to_wire};

const JOIN_EPOCH: i32 = 0;
/// ms between two heartbeats when something has just changed; doubled with every answer that brings nothing.
const QUICK_BEAT_MS: u64 = 10;
/// ms between heartbeats while the group has a status, such as topics that are missing.
const WAITING_BEAT_MS_MAX: u64 = 250;
/// ms between heartbeats at rest. A broker's own wish is 5 s, which is how long a task would wait for its former owner to hear
/// that it must be given up; a beat costs a broker next to nothing.
const RESTING_BEAT_MS_MAX: u64 = 1_000;
/// ms to wait after the first failed try, doubled up to the second.
const RETRY_MS: u64 = 20;
const RETRY_MS_MAX: u64 = 1_000;
/// Tries to leave: a coordinator that cannot be reached finds out by itself.
const LEAVE_TRIES_MAX: u32 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Joining,
    Stable,
    Probing,
    Rejoining,
    Leaving {
        then_join: bool,
    },
    /// Left because the worker does not come by; joins anew when it does.
    Paused,
    /// Left, or refused for good.
    Out,
}

/// Whether another client has taken the transactional id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    No,
    /// A write was refused because of it; the coordinator is yet to be asked what the member is.
    Suspected,
    /// It is being asked.
    Asked,
}

/// One membership, from joining to leaving.
#[derive(Debug)]
pub(crate) struct Member {
    membership: Membership,
    topology: Topology,
    state: State,
    /// How often the member was lost; what is written goes by it.
    incarnation: u32,
    /// The incarnation that the coordinator is spoken to as: the former one until it is left.
    spoken: u32,
    /// The epoch at which this incarnation joined; `None` until it has.
    since: Option<i32>,
    /// Tags that the member joins with.
    tags: Vec<KeyValue>,
    user_endpoint: Option<Endpoint>,
    taken: Taken,
    takings: Takings,
    /// The coordinator's number for the member's assignment; what commits are checked against.
    epoch: i32,
    endpoint_epoch: i32,
    /// What the worker holds, as far as it said.
    owned: Tasks,
    /// What the coordinator was last told the worker holds.
    reported: Tasks,
    /// What the coordinator listed last.
    listed: Tasks,
    /// The coordinator listed less than before, and waits to be told that the rest is given up: it may not have been reported at all.
    is_awaited: bool,
    /// The worker has taken the newest list, and has said since what it holds.
    has_followed: bool,
    in_flight: bool,
    /// The request in flight, or the one before, tells what is owned.
    reporting: Option<Tasks>,
    /// What it tells has followed the newest list.
    reports_all: bool,
    due_ms: u64,
    quick_ms: u64,
    interval_ms: u64,
    failures: u32,
    /// The worker has not come by for longer than it may.
    paused: bool,
    /// It leaves to end the whole application.
    stops_group: bool,
    not_ready: Option<String>,
    foreign: Foreign,
    waiting_since_ms: Option<u64>,
    events: VecDeque<GroupEvent>,
    /// The newest that was told of the group's hosts, unless it was handed on.
    hosts: Option<Vec<Host>>,
}

impl Member {
    /// A member that has yet to join.
    pub(crate) fn new(membership: Membership, replication_factor: i16) -> Self {
        let topology = topology::topology(&membership.subtopologies, replication_factor);
        Self {
            membership,
            topology,
            state: State::Joining,
            incarnation: 0,
            spoken: 0,
            since: None,
            tags: Vec::new(),
            user_endpoint: None,
            taken: Taken::No,
            takings: Takings::default(),
            epoch: JOIN_EPOCH,
            endpoint_epoch: -1,
            owned: Tasks::default(),
            reported: Tasks::default(),
            listed: Tasks::default(),
            is_awaited: false,
            has_followed: false,
            in_flight: false,
            reporting: None,
            reports_all: false,
            due_ms: 0,
            quick_ms: QUICK_BEAT_MS,
            interval_ms: RESTING_BEAT_MS_MAX,
            failures: 0,
            paused: false,
            stops_group: false,
            not_ready: None,
            foreign: Foreign::default(),
            waiting_since_ms: None,
            events: VecDeque::new(),
            hosts: None,
        }
    }

    /// What it joins with beside its topology: where it can be watched, and where the application says that it is.
    pub(crate) fn introduce(&mut self, tags: Vec<KeyValue>, user_endpoint: Option<Endpoint>) {
        self.tags = tags;
        self.user_endpoint = user_endpoint;
    }

    /// How often it was lost, and started over or is about to.
    pub(crate) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// A commit's member as the coordinator knows it, `None` where that is the worker's own name; `Err` when the commit was
    /// computed before the member started over.
    pub(crate) fn credentials(&self, epoch: MemberEpoch) -> Result<Option<String>, String> {
        let MemberEpoch(epoch) = epoch;
        match (self.incarnation, self.since) {
            (0, _) => Ok(None),
            (_, Some(since)) if epoch >= since => Ok(Some(self.name())),
            _ => Err(format!(
                "epoch {epoch} is from before member '{}' was evicted",
                self.membership.member
            )),
        }
    }

    fn name(&self) -> String {
        incarnation_of(&self.membership.member, self.spoken)
    }

    /// What to tell the worker, in order.
    pub(crate) fn event(&mut self) -> Option<GroupEvent> {
        self.events.pop_front()
    }

    /// What the group's hosts hold, if that is news.
    pub(crate) fn hosts(&mut self) -> Option<Vec<Host>> {
        self.hosts.take()
    }

    /// Nothing will be sent any more.
    pub(crate) fn is_out(&self) -> bool {
        self.state == State::Out
    }

    /// Leaves for good, and has the coordinator tell every member to stop.
    pub(crate) fn stop_group(&mut self, now_ms: u64) {
        self.stops_group = true;
        self.depart(now_ms, false);
    }

    pub(crate) fn stops_group(&self) -> bool {
        self.stops_group
    }

    /// A request was taken and its end not told.
    pub(crate) fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// The coordinator is yet to hear that the member is gone for good.
    pub(crate) fn is_leaving(&self) -> bool {
        self.state == (State::Leaving { then_join: false })
    }

    /// When the next request is due; `None` while one is in flight, and at the end.
    pub(crate) fn due_ms(&self) -> Option<u64> {
        let rests = matches!(self.state, State::Out | State::Paused);
        (!self.in_flight && !rests).then_some(self.due_ms)
    }

    /// The worker holds these tasks and no others: what it was told to give up is closed. `knows_all`: it has taken every list it
    /// was told; else it may go on to hold what it does not name.
    pub(crate) fn own(
        &mut self,
        now_ms: u64,
        active: &[TaskId],
        standby: &[TaskId],
        knows_all: bool,
    ) {
        self.owned = Tasks {
            active: sorted(active),
            standby: sorted(standby),
        };
        self.has_followed |= knows_all;
        if self.must_report() {
            self.hurry(now_ms);
        }
    }

    /// The coordinator is to hear what the worker holds: that is news to it, or it waits for less than it listed before.
    fn must_report(&self) -> bool {
        let is_waited_for = self.is_awaited && self.has_followed;
        self.state == State::Stable && (self.owned != self.reported || is_waited_for)
    }

    /// Gives everything up.
    pub(crate) fn leave(&mut self, now_ms: u64) {
        self.depart(now_ms, false);
    }

    /// A commit was refused because of the member, and the worker has dropped its tasks: a new start.
    pub(crate) fn fenced_at_commit(&mut self, now_ms: u64) {
        self.depart(now_ms, true);
    }

    /// Another client has taken the transactional id. An evictor does so after the coordinator has dropped the member; one that still
    /// counts leaves first. Either way it starts over under other names.
    pub(crate) fn taken_over(&mut self, now_ms: u64) {
        if matches!(
            self.state,
            State::Stable | State::Probing | State::Rejoining
        ) {
            self.owned = Tasks::default();
            self.taken = Taken::Suspected;
            self.state = State::Probing;
            self.hurry(now_ms);
        }
    }

    /// Something may have changed in the group.
    pub(crate) fn wake(&mut self, now_ms: u64) {
        if self.state == State::Stable {
            self.hurry(now_ms);
        }
    }

    /// The worker has not come by for `rebalance_timeout_ms`: what it holds goes to others (`max.poll.interval.ms`).
    pub(crate) fn pause(&mut self, now_ms: u64) {
        if self.paused || matches!(self.state, State::Leaving { then_join: false } | State::Out) {
            return;
        }
        self.paused = true;
        if self.epoch > JOIN_EPOCH {
            let timeout_ms = self.membership.rebalance_timeout_ms;
            self.events.push_back(GroupEvent::Fenced(format!(
                "no step was finished for {timeout_ms} ms (max.poll.interval.ms)"
            )));
        }
        self.depart(now_ms, true);
    }

    /// The worker is back.
    pub(crate) fn resume(&mut self, now_ms: u64) {
        if std::mem::take(&mut self.paused) && self.state == State::Paused {
            self.start_over(now_ms, true);
        }
    }

    fn depart(&mut self, now_ms: u64, then_join: bool) {
        self.forget_tasks();
        if then_join {
            self.renew();
        }
        match self.state {
            State::Out => return,
            // The coordinator cannot know a member whose first request has not left.
            State::Joining | State::Paused if !self.in_flight && self.failures == 0 => {
                self.start_over(now_ms, then_join);
            }
            _ => self.state = State::Leaving { then_join },
        }
        self.failures = 0;
        self.hurry(now_ms);
    }

    /// The request that is due, if any. Each is answered by one of the `on_` calls before the next.
    pub(crate) fn next_request(&mut self, now_ms: u64) -> Option<StreamsGroupHeartbeatRequest> {
        if self.due_ms()? > now_ms {
            return None;
        }
        self.in_flight = true;
        let mut request = StreamsGroupHeartbeatRequest {
            group_id: self.membership.group.to_string(),
            member_id: self.name(),
            member_epoch: self.epoch,
            endpoint_information_epoch: self.endpoint_epoch,
            ..StreamsGroupHeartbeatRequest::default()
        };
        let own = match self.state {
            State::Joining | State::Rejoining => {
                request.member_epoch = JOIN_EPOCH;
                request.rebalance_timeout_ms =
                    i32::try_from(self.membership.rebalance_timeout_ms).unwrap_or(i32::MAX);
                request.topology = Some(self.topology.clone());
                request.process_id = Some(self.membership.process.to_string());
                request.client_tags = Some(self.tags.clone());
                request.user_endpoint = self.user_endpoint.clone();
                // The coordinator accepts no others here, whatever is held.
                Some(Tasks::default())
            }
            State::Probing => {
                if self.taken == Taken::Suspected {
                    self.taken = Taken::Asked;
                }
                Some(self.owned.clone())
            }
            State::Stable => self.must_report().then(|| self.owned.clone()),
            State::Leaving { .. } => {
                request.member_epoch = LEAVE_EPOCH;
                request.endpoint_information_epoch = 0;
                request.shutdown_application = self.stops_group;
                None
            }
            State::Paused | State::Out => None,
        };
        if let Some(own) = &own {
            request.active_tasks = Some(to_wire(&own.active));
            request.standby_tasks = Some(to_wire(&own.standby));
            request.warmup_tasks = Some(Vec::new());
        }
        self.reporting = own;
        self.reports_all = self.has_followed;
        Some(request)
    }

    /// The request left and no answer came: nobody knows whether the coordinator acted on it.
    pub(crate) fn on_lost(&mut self, now_ms: u64) {
        self.in_flight = false;
        match self.state {
            State::Stable | State::Probing => self.state = State::Probing,
            State::Rejoining => {
                self.evicted(
                    now_ms,
                    "two answers of the group's coordinator in a row were lost",
                );
            }
            State::Joining | State::Leaving { .. } | State::Paused | State::Out => {}
        }
        self.back_off(now_ms);
    }

    /// The request did not reach a coordinator that could act on it.
    pub(crate) fn on_not_sent(&mut self, now_ms: u64) {
        self.in_flight = false;
        self.back_off(now_ms);
    }

    /// The group cannot be spoken to at all.
    pub(crate) fn on_refused(&mut self, reason: String) {
        self.in_flight = false;
        if self.state != (State::Leaving { then_join: false }) {
            self.events.push_back(GroupEvent::Refused(reason));
        }
        self.state = State::Out;
    }

    /// Takes an answer. True when the coordinator is another one: it has to be looked up anew.
    pub(crate) fn on_response(
        &mut self,
        now_ms: u64,
        response: &StreamsGroupHeartbeatResponse,
    ) -> bool {
        if let State::Leaving { then_join } = self.state
            // An answer to what was in flight when the leave was decided has another epoch.
            && (response.member_epoch == LEAVE_EPOCH || !response.error_code.is_ok())
        {
            return self.on_left(now_ms, response, then_join);
        }
        self.in_flight = false;
        if !response.error_code.is_ok() {
            return self.on_error(now_ms, response);
        }
        self.failures = 0;
        self.foreign.over();
        if matches!(self.state, State::Leaving { .. }) {
            self.hurry(now_ms);
            return false;
        }
        let interval_ms = u64::try_from(response.heartbeat_interval_ms).unwrap_or(0);
        self.interval_ms = interval_ms.clamp(QUICK_BEAT_MS, RESTING_BEAT_MS_MAX);
        self.endpoint_epoch = response.endpoint_information_epoch;
        if let Some(told) = &response.partitions_by_user_endpoint {
            self.hosts = Some(hosts::hosts(&self.membership.subtopologies, told));
        }
        if let Some(reported) = self.reporting.take() {
            self.reported = reported;
            // What the worker had not followed yet it will say.
            self.is_awaited &= !self.reports_all;
        }
        if self.taken != Taken::No {
            return self.on_suspicion(now_ms, response.member_epoch);
        }
        let changed = self.take_lists(response);
        self.judge(now_ms, response);
        self.schedule(now_ms, changed);
        false
    }

    /// The coordinator still counts the member although its transactional id was taken: by a time-out of the transaction, a broker that
    /// forgot the former epoch, or whoever runs with the same process id. All its own names are new after this.
    fn on_suspicion(&mut self, now_ms: u64, epoch: i32) -> bool {
        self.epoch = epoch;
        if self.taken == Taken::Asked {
            let process = self.membership.process.clone();
            match self.takings.count(now_ms, &process) {
                Ok(()) => {
                    let reason =
                        "the transactional id was taken from a member that the group still has";
                    self.events.push_back(GroupEvent::Fenced(reason.into()));
                    self.depart(now_ms, true);
                }
                Err(reason) => {
                    self.events.push_back(GroupEvent::Refused(reason));
                    self.state = State::Leaving { then_join: false };
                }
            }
        }
        self.hurry(now_ms);
        false
    }

    /// Takes tasks and epoch; true if the worker hears of any.
    fn take_lists(&mut self, response: &StreamsGroupHeartbeatResponse) -> bool {
        let lists = match (&response.active_tasks, &response.standby_tasks) {
            (Some(active), Some(standby)) => Some(Tasks {
                active: from_wire(active),
                standby: from_wire(standby),
            }),
            _ => None,
        };
        let is_told = lists.is_some();
        let new_epoch = response.member_epoch != self.epoch;
        self.since.get_or_insert(response.member_epoch);
        self.epoch = response.member_epoch;
        if let Some(lists) = lists {
            self.is_awaited |= !self.listed.is_within(&lists);
            self.has_followed = false;
            self.listed = lists;
        }
        if self.state == State::Probing && !is_told {
            self.state = State::Rejoining;
            return true;
        }
        self.state = State::Stable;
        if !is_told && !new_epoch {
            return false;
        }
        self.events.push_back(GroupEvent::Assigned(Assignment {
            epoch: MemberEpoch(self.epoch),
            active: self.listed.active.clone(),
            standby: self.listed.standby.clone(),
        }));
        true
    }

    fn judge(&mut self, now_ms: u64, response: &StreamsGroupHeartbeatResponse) {
        let statuses = response.status.as_deref().unwrap_or_default();
        if statuses.is_empty() {
            self.waiting_since_ms = None;
            self.not_ready = None;
            return;
        }
        let since_ms = *self.waiting_since_ms.get_or_insert(now_ms);
        match status::judge(statuses, now_ms.saturating_sub(since_ms)) {
            Verdict::Fine => self.not_ready = None,
            Verdict::NotReady(reason) => self.say_not_ready(reason),
            Verdict::Shutdown(who) => {
                let reason =
                    format!("another member has asked the whole application to stop: {who}");
                self.events.push_back(GroupEvent::Refused(reason));
                self.state = State::Leaving { then_join: false };
            }
        }
    }

    fn say_not_ready(&mut self, reason: String) {
        if self.not_ready.as_ref() != Some(&reason) {
            self.events.push_back(GroupEvent::NotReady(reason.clone()));
            self.not_ready = Some(reason);
        }
    }

    /// Back to back while things move, then less and less often.
    fn schedule(&mut self, now_ms: u64, changed: bool) {
        if self.must_report() || self.state != State::Stable {
            return self.hurry(now_ms);
        }
        let longest_ms = match self.waiting_since_ms {
            Some(_) => self.interval_ms.min(WAITING_BEAT_MS_MAX),
            None => self.interval_ms,
        };
        self.quick_ms = match changed {
            true => QUICK_BEAT_MS,
            false => (2 * self.quick_ms).min(longest_ms),
        };
        self.due_ms = now_ms + self.quick_ms;
    }

    /// The next request is due at once.
    fn hurry(&mut self, now_ms: u64) {
        self.quick_ms = QUICK_BEAT_MS;
        self.due_ms = now_ms;
    }

    fn back_off(&mut self, now_ms: u64) {
        self.failures += 1;
        if self.state == State::Rejoining {
            // What the probe has shown may not hold by the next try.
            self.state = State::Probing;
        }
        if let State::Leaving { then_join } = self.state
            && self.failures >= LEAVE_TRIES_MAX
        {
            self.start_over(now_ms, then_join);
            return;
        }
        self.due_ms = now_ms + (RETRY_MS << (self.failures - 1).min(10)).min(RETRY_MS_MAX);
    }

    fn on_left(
        &mut self,
        now_ms: u64,
        response: &StreamsGroupHeartbeatResponse,
        then_join: bool,
    ) -> bool {
        self.in_flight = false;
        match response.error_code {
            code if code.is_ok() => self.start_over(now_ms, then_join),
            ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::GROUP_ID_NOT_FOUND => {
                self.start_over(now_ms, then_join);
            }
            code => {
                self.back_off(now_ms);
                return is_elsewhere(code);
            }
        }
        false
    }

    fn start_over(&mut self, now_ms: u64, then_join: bool) {
        self.state = match (then_join, self.paused) {
            (true, false) => State::Joining,
            (true, true) => State::Paused,
            (false, _) => State::Out,
        };
        if then_join {
            self.renew();
            self.spoken = self.incarnation;
        }
        self.epoch = JOIN_EPOCH;
        self.endpoint_epoch = -1;
        self.failures = 0;
        self.hurry(now_ms);
    }

    fn on_error(&mut self, now_ms: u64, response: &StreamsGroupHeartbeatResponse) -> bool {
        let code = response.error_code;
        let is_joining = matches!(self.state, State::Joining | State::Rejoining);
        let said = response.error_message.as_deref().unwrap_or_default();
        let told = format!("the coordinator answered {}", worded(code, said));
        match code {
            ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::FENCED_MEMBER_EPOCH
            | ErrorCode::GROUP_ID_NOT_FOUND
                if !is_joining =>
            {
                self.evicted(now_ms, &told);
            }
            // A plain heartbeat is refused so when it names tasks of topics that have shrunk.
            ErrorCode::INVALID_REQUEST if !is_joining => {
                self.evicted(now_ms, &told);
            }
            // A member that joins finds a group or founds one: this one is there and of another kind.
            ErrorCode::GROUP_ID_NOT_FOUND | ErrorCode::INCONSISTENT_GROUP_PROTOCOL => {
                match self
                    .foreign
                    .wait(now_ms, &self.membership, &worded(code, said))
                {
                    Ok(reason) => {
                        self.say_not_ready(reason);
                        self.back_off(now_ms);
                    }
                    Err(reason) => self.on_refused(reason),
                }
            }
            // Also the answer of 4.3 to a member with an endpoint while its topics are not ready.
            ErrorCode::UNKNOWN_SERVER_ERROR => {
                let group = &self.membership.group;
                self.say_not_ready(format!(
                    "the coordinator of group '{group}' answered {code}"
                ));
                self.back_off(now_ms);
            }
            code if code.is_retriable() => self.back_off(now_ms),
            code => {
                let (group, member) = (&self.membership.group, &self.membership.member);
                let reason = format!(
                    "group '{group}' refuses member '{member}': {}{}",
                    worded(code, said),
                    advice(code)
                );
                self.on_refused(reason);
            }
        }
        is_elsewhere(code)
    }

    /// What is written from here on is another member's.
    fn renew(&mut self) {
        self.incarnation = self.spoken + 1;
        self.since = None;
        self.taken = Taken::No;
    }

    /// The coordinator no longer counts the member, or may not: everything it held is lost.
    fn evicted(&mut self, now_ms: u64, reason: &str) {
        if !self.owned.is_empty() || !self.listed.is_empty() || self.epoch > JOIN_EPOCH {
            self.events.push_back(GroupEvent::Fenced(reason.to_owned()));
        }
        self.forget_tasks();
        self.start_over(now_ms, true);
    }

    fn forget_tasks(&mut self) {
        self.owned = Tasks::default();
        self.reported = Tasks::default();
        self.listed = Tasks::default();
        (self.is_awaited, self.has_followed) = (false, false);
        self.reporting = None;
    }
}

/// A name as of an incarnation: of a member, or a transactional id.
pub(crate) fn incarnation_of(name: &str, incarnation: u32) -> String {
    match incarnation {
        0 => name.to_owned(),
        number => format!("{name}.{number}"),
    }
}

/// The coordinator has to be looked up again.
fn is_elsewhere(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE
    )
}

/// A code with the broker's words for it, where there are any.
fn worded(code: ErrorCode, said: &str) -> String {
    match said.is_empty() {
        true => code.to_string(),
        false => format!("{code}: {said}"),
    }
}

/// What a person may do about a refusal.
fn advice(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::GROUP_AUTHORIZATION_FAILED => " (the principal needs READ on the group)",
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => {
            " (the principal needs DESCRIBE on the source topics and CREATE on the internal ones)"
        }
        ErrorCode::INVALID_REQUEST => {
            " (a topology cannot change while its group exists: use another application.id, or delete the group, which forgets its committed offsets)"
        }
        _ => "",
    }
}

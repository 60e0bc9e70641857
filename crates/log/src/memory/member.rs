//! A client's side of its membership: heartbeats at polls, events in order, joining again after a fence.
//! Not the coordinator. Invariant: no heartbeat is sent while an event waits for the member, so that a report of owned tasks
//! always speaks of a time after every event the coordinator has told.

use super::{
    hit::{Hit, Moment},
    state::State,
};
use crate::{GroupEvent, Host, Membership, TaskId};
use headwater_world::Random;
use std::{collections::VecDeque, time::Duration};

/// The membership of one client.
pub(super) struct Member {
    membership: Membership,
    joined: bool,
    /// Refused: nothing more is to be heard.
    stopped: bool,
    report: Option<(Vec<TaskId>, Vec<TaskId>)>,
    events: VecDeque<GroupEvent>,
    /// Polls until the events have arrived.
    delay: u32,
    /// An answer was lost: the list has to be told once more.
    ask_again: bool,
    /// What the group's hosts hold, unless it was handed on.
    hosts: Option<Vec<Host>>,
    hosts_seen: u64,
}

impl Member {
    pub(super) fn new(membership: Membership) -> Self {
        Self {
            membership,
            joined: false,
            stopped: false,
            report: None,
            events: VecDeque::new(),
            delay: 0,
            ask_again: false,
            hosts: None,
            hosts_seen: 0,
        }
    }

    /// True when `membership` is this member's, perhaps with other settings.
    pub(super) fn is(&self, membership: &Membership) -> bool {
        self.membership.group == membership.group && self.membership.member == membership.member
    }

    /// Joins with other settings; what is on its way to the member stays on its way.
    pub(super) fn change(&mut self, membership: Membership) {
        self.membership = membership;
        self.joined = false;
        self.stopped = false;
    }

    pub(super) fn own(&mut self, active: &[TaskId], standby: &[TaskId]) {
        self.report = Some((active.to_vec(), standby.to_vec()));
    }

    pub(super) fn leave(&self, state: &mut State) {
        // A lost farewell leaves it to the session timeout.
        if self.joined && !state.dice.loses_request() {
            state
                .coordinator
                .leave(&self.membership.group, &self.membership.member);
            state.news = true;
        }
    }

    pub(super) fn stop_group(&self, now: Duration, state: &mut State) {
        if self.joined && !state.dice.loses_request() {
            let (group, member) = (&self.membership.group, &self.membership.member);
            state.coordinator.stop(now, group, member);
            state.news = true;
        }
    }

    /// Leaves, and joins anew at the next heartbeat: a commit was fenced, so the member has dropped its tasks.
    pub(super) fn start_over(&mut self, state: &mut State) {
        self.leave(state);
        self.events.clear();
        (self.joined, self.report, self.delay, self.ask_again) = (false, None, 0, false);
    }

    /// Leaves for good.
    pub(super) fn stop(&mut self, state: &mut State, reason: String) {
        self.start_over(state);
        self.stopped = true;
        self.events.push_back(GroupEvent::Refused(reason));
    }

    /// One heartbeat, or a step of the events' way here.
    pub(super) fn beat(
        &mut self,
        state: &mut State,
        now: Duration,
        now_ms: i64,
        random: &dyn Random,
    ) {
        if !self.events.is_empty() {
            self.delay = self.delay.saturating_sub(1);
            return;
        }
        if self.stopped || state.dice.loses_request() {
            return;
        }
        if !self.joined {
            if let Err(error) = state.coordinator.join(now, self.membership.clone()) {
                self.events
                    .push_back(GroupEvent::Refused(error.to_string()));
                return;
            }
            self.joined = true;
            state.tick(now, now_ms, random);
        }
        let Membership { group, member, .. } = &self.membership;
        if std::mem::take(&mut self.ask_again) {
            state.coordinator.tell_again(group, member);
        }
        let before = state.coordinator.version();
        let report = self.report.take();
        let owned = report
            .as_ref()
            .map(|(active, standby)| (&active[..], &standby[..]));
        let events = state.coordinator.heartbeat(now, group, member, owned);
        if let Some((number, hosts)) = state.coordinator.hosts(group, self.hosts_seen) {
            self.hosts_seen = number;
            self.hosts = Some(hosts);
        }
        state.news |= before != state.coordinator.version();
        if !events.is_empty() && state.dice.loses_answer() {
            state.hit(Hit::LostAnswer, Moment::Assignment);
            self.ask_again = true;
            return;
        }
        if !events.is_empty() {
            self.delay = state.dice.delay();
            for event in events {
                let again = matches!(event, GroupEvent::Assigned(_)) && state.dice.repeats_answer();
                if again {
                    state.hit(Hit::RepeatedAnswer, Moment::Assignment);
                }
                self.events.extend(again.then(|| event.clone()));
                self.events.push_back(event);
            }
        }
    }

    /// The next event that has arrived.
    pub(super) fn next_event(&mut self) -> Option<GroupEvent> {
        if self.delay > 0 {
            return None;
        }
        let event = self.events.pop_front()?;
        match event {
            GroupEvent::Fenced(_) => {
                self.joined = false;
                // What it owned before the fence is nobody's business any more.
                self.report = None;
            }
            GroupEvent::Refused(_) => self.stopped = true,
            GroupEvent::Assigned(_)
            | GroupEvent::NotReady(_)
            | GroupEvent::Mixed(_)
            | GroupEvent::Notice(_) => {}
        }
        Some(event)
    }

    /// What the group's hosts hold, if that is news.
    pub(super) fn hosts(&mut self) -> Option<Vec<Host>> {
        self.hosts.take()
    }

    /// Is there something to poll for?
    pub(super) fn is_waiting(&self) -> bool {
        let unheard = !self.joined || self.report.is_some() || !self.events.is_empty();
        !self.stopped && (unheard || self.ask_again)
    }
}

//! A member under whichever protocol its broker has: a streams group where there is one, else a classic group.
//! Not a third protocol. Invariant: the protocol is chosen before the first request and stays for the membership.

use super::{
    Member,
    classic::{Answer, Ask, ClassicMember},
    takings::Takings,
};
use crate::protocol::streams_group_heartbeat::{
    Endpoint, KeyValue, StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse,
};
use crate::settings::Settings;
use headwater_log::{CommitRequest, GroupEvent, Host, MemberEpoch, Membership, TaskId};
use std::sync::Arc;

/// What is due.
pub(crate) enum Due {
    Streams(Box<StreamsGroupHeartbeatRequest>),
    Classic(Ask),
}

/// How it was answered.
pub(crate) enum Answered {
    Streams(Box<StreamsGroupHeartbeatResponse>),
    Classic(Answer),
    /// It may have arrived.
    Lost,
    NotSent,
    /// It never will be.
    Refused(String),
}

enum Kind {
    Streams(Member),
    Classic(ClassicMember),
}

/// A member, and the protocol it speaks.
pub(crate) struct Seat {
    membership: Membership,
    /// What a static member is known by across restarts (`group.instance.id`).
    instance: Option<Arc<str>>,
    kind: Kind,
    is_decided: bool,
    /// Of a classic member; a streams member counts its own.
    takings: Takings,
}

/// Calls the same method of either kind.
macro_rules! either {
    ($seat:expr, $member:ident => $call:expr) => {
        match $seat {
            Kind::Streams($member) => $call,
            Kind::Classic($member) => $call,
        }
    };
}

impl Seat {
    /// A member that has yet to join.
    pub(crate) fn new(membership: Membership, settings: &Settings) -> Self {
        let replication_factor = settings.replication_factor;
        // Of several workers each has its own, as the threads of Kafka Streams have.
        let instance = settings.group_instance_id.as_ref();
        Self {
            kind: Kind::Streams(Member::new(membership.clone(), replication_factor)),
            instance: instance.map(|id| format!("{id}-{}", membership.worker).into()),
            membership,
            is_decided: false,
            takings: Takings::default(),
        }
    }

    /// The protocol is not chosen yet.
    pub(crate) fn is_undecided(&self) -> bool {
        !self.is_decided
    }

    /// Chooses it; only the first choice counts.
    pub(crate) fn decide(&mut self, classic: bool) {
        if classic && !self.is_decided && !either!(&self.kind, member => member.is_out()) {
            let member = ClassicMember::new(self.membership.clone(), self.instance.clone());
            self.kind = Kind::Classic(member);
        }
        self.is_decided = true;
    }

    /// What the group's setting is to be, none included: it outlives members that asked for more. `None` where nothing is asked
    /// for, and in a classic group, whose leader counts standby replicas itself.
    pub(crate) fn standby_replicas(&self) -> Option<u32> {
        match self.kind {
            Kind::Streams(_) => self.membership.standby_replicas,
            Kind::Classic(_) => None,
        }
    }

    pub(crate) fn group(&self) -> &Arc<str> {
        &self.membership.group
    }

    /// ms that a round of joining may take.
    pub(crate) fn rebalance_timeout_ms(&self) -> u64 {
        u64::try_from(self.membership.rebalance_timeout_ms).unwrap_or(u64::MAX)
    }

    pub(crate) fn event(&mut self) -> Option<GroupEvent> {
        either!(&mut self.kind, member => member.event())
    }

    /// What the group's hosts hold, if that is news.
    pub(crate) fn hosts(&mut self) -> Option<Vec<Host>> {
        either!(&mut self.kind, member => member.hosts())
    }

    /// Where the application says that it answers.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        self.membership.endpoint.clone().map(Into::into)
    }

    pub(crate) fn is_in_flight(&self) -> bool {
        either!(&self.kind, member => member.is_in_flight())
    }

    pub(crate) fn is_leaving(&self) -> bool {
        either!(&self.kind, member => member.is_leaving())
    }

    pub(crate) fn due_ms(&self) -> Option<u64> {
        either!(&self.kind, member => member.due_ms())
    }

    /// `knows_all`: the worker has taken every list that it was told.
    pub(crate) fn own(
        &mut self,
        now_ms: u64,
        active: &[TaskId],
        standby: &[TaskId],
        knows_all: bool,
    ) {
        match &mut self.kind {
            Kind::Streams(member) => member.own(now_ms, active, standby, knows_all),
            Kind::Classic(member) => member.own(now_ms, active, standby),
        }
    }

    pub(crate) fn leave(&mut self, now_ms: u64) {
        either!(&mut self.kind, member => member.leave(now_ms));
    }

    /// Ends with its process: a static member's place is kept.
    pub(crate) fn end(&mut self, now_ms: u64) {
        match &mut self.kind {
            Kind::Streams(member) => member.leave(now_ms),
            Kind::Classic(member) => member.end(now_ms),
        }
    }

    /// Leaves, and has every member of the group stop.
    pub(crate) fn stop_group(&mut self, now_ms: u64) {
        either!(&mut self.kind, member => member.stop_group(now_ms));
    }

    pub(crate) fn stops_group(&self) -> bool {
        either!(&self.kind, member => member.stops_group())
    }

    pub(crate) fn fenced_at_commit(&mut self, now_ms: u64) {
        either!(&mut self.kind, member => member.fenced_at_commit(now_ms));
    }

    /// Another client has taken the transactional id, or the broker has after a time-out: a new start under another one.
    pub(crate) fn taken_over(&mut self, now_ms: u64) -> Option<GroupEvent> {
        match &mut self.kind {
            Kind::Streams(member) => member.taken_over(now_ms),
            Kind::Classic(member) => match self.takings.count(now_ms, &self.membership.process) {
                Ok(()) => member.fenced_at_commit(now_ms),
                Err(reason) => {
                    member.leave(now_ms);
                    return Some(GroupEvent::Refused(reason));
                }
            },
        }
        None
    }

    /// Something may have changed in the group.
    pub(crate) fn wake(&mut self, now_ms: u64) {
        if let Kind::Streams(member) = &mut self.kind {
            member.wake(now_ms);
        }
    }

    /// How often the member has started over under another name.
    pub(crate) fn incarnation(&self) -> u32 {
        match &self.kind {
            Kind::Streams(member) => member.incarnation(),
            Kind::Classic(_) => self.takings.total(),
        }
    }

    /// What a member of a streams group joins with.
    pub(crate) fn introduce(&mut self, tags: Vec<KeyValue>, user_endpoint: Option<Endpoint>) {
        if let Kind::Streams(member) = &mut self.kind {
            member.introduce(tags, user_endpoint);
        }
    }

    /// It has left, or was refused.
    pub(crate) fn is_out(&self) -> bool {
        either!(&self.kind, member => member.is_out())
    }

    pub(crate) fn membership(&self) -> &Membership {
        &self.membership
    }

    pub(crate) fn pause(&mut self, now_ms: u64) {
        either!(&mut self.kind, member => member.pause(now_ms));
    }

    pub(crate) fn resume(&mut self, now_ms: u64) {
        either!(&mut self.kind, member => member.resume(now_ms));
    }

    pub(crate) fn next_request(&mut self, now_ms: u64) -> Option<Due> {
        match &mut self.kind {
            Kind::Streams(member) => {
                let request = member.next_request(now_ms)?;
                Some(Due::Streams(Box::new(request)))
            }
            Kind::Classic(member) => member.next_request(now_ms).map(Due::Classic),
        }
    }

    /// True when the coordinator has to be looked up anew.
    pub(crate) fn on_answer(&mut self, now_ms: u64, answer: Answered) -> bool {
        match (&mut self.kind, answer) {
            (Kind::Streams(member), Answered::Streams(response)) => {
                return member.on_response(now_ms, &response);
            }
            (Kind::Classic(member), Answered::Classic(answer)) => {
                return member.on_answer(now_ms, answer);
            }
            (Kind::Streams(member), Answered::NotSent) => member.on_not_sent(now_ms),
            (kind, Answered::Refused(reason)) => either!(kind, member => member.on_refused(reason)),
            (kind, _) => either!(kind, member => member.on_lost(now_ms)),
        }
        true
    }

    /// The commit as the coordinator knows the member, where that is not what the worker knows; `Err` says why it may not commit.
    ///
    /// A classic group names members itself and changes the epoch with every round. A streams group knows them by the worker's own
    /// name until they start over.
    pub(crate) fn translate(&self, commit: &CommitRequest) -> Result<Option<Badged>, String> {
        let Some((name, epoch)) = &commit.member else {
            return Ok(None);
        };
        if *name != self.membership.member || commit.group.as_ref() != Some(self.group()) {
            return Ok(None);
        }
        let (member, is_classic) = match &self.kind {
            Kind::Classic(member) => {
                let partitions = commit.offsets.iter().map(|(partition, _)| partition);
                let (id, generation) = member.credentials(*epoch, partitions)?;
                ((id.into(), MemberEpoch(generation)), true)
            }
            Kind::Streams(member) => match member.credentials(*epoch)? {
                Some(id) => ((id.into(), *epoch), false),
                None => return Ok(None),
            },
        };
        Ok(Some(Badged {
            commit: CommitRequest {
                member: Some(member),
                ..commit.clone()
            },
            instance: self.instance.as_deref().map(str::to_owned),
            is_classic,
        }))
    }
}

/// A commit that names the member as its coordinator does.
pub(crate) struct Badged {
    pub(crate) commit: CommitRequest,
    /// Of a static member.
    pub(crate) instance: Option<String>,
    /// Such a member may be refused only because a round is under way.
    pub(crate) is_classic: bool,
}

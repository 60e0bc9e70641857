//! A coordinator of the classic protocol in memory, with the timers of one group and the places of static members.
//! Not a broker: the log suite runs on one of 3.9. Invariant: it answers as `GroupMetadataManager` of Apache Kafka 4.3.1 does.

use super::{Answer, Ask};
use crate::protocol::{
    ErrorCode,
    heartbeat::HeartbeatResponse,
    join_group::{JoinGroupRequest, JoinGroupResponse, JoinGroupResponseMember},
    sync_group::SyncGroupResponse,
};
use bytes::Bytes;
use std::collections::BTreeMap;

pub(super) const SESSION_MS: u64 = 45_000;
const REBALANCE_MS: u64 = 60_000;

/// One group of a broker (`GroupMetadata` and its state machine).
pub(super) struct Coordinator {
    pub(super) members: BTreeMap<String, Seat>,
    /// The member ids of static members.
    statics: BTreeMap<String, String>,
    pub(super) generation: i32,
    pub(super) leader: String,
    pub(super) phase: Phase,
    assignments: BTreeMap<String, Bytes>,
    ids: u32,
    since_ms: u64,
    /// How long a round waits for members.
    pub(super) rebalance_ms: u64,
}

impl Default for Coordinator {
    fn default() -> Self {
        Self {
            members: BTreeMap::new(),
            statics: BTreeMap::new(),
            generation: 0,
            leader: String::new(),
            phase: Phase::Empty,
            assignments: BTreeMap::new(),
            ids: 0,
            since_ms: 0,
            rebalance_ms: REBALANCE_MS,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Phase {
    Empty,
    /// Waits until everybody has joined.
    Preparing,
    /// Waits for the leader's assignment.
    Completing,
    Stable,
}

pub(super) struct Seat {
    metadata: Bytes,
    joined: bool,
    heard_ms: u64,
    instance: Option<String>,
}

impl Coordinator {
    fn prepare(&mut self, now_ms: u64) {
        if self.phase != Phase::Preparing {
            self.phase = Phase::Preparing;
            self.since_ms = now_ms;
            self.members
                .values_mut()
                .for_each(|seat| seat.joined = false);
        }
    }

    pub(super) fn remove(&mut self, now_ms: u64, id: &str) {
        if let Some(seat) = self.members.remove(id) {
            if let Some(instance) = seat.instance {
                self.statics.remove(&instance);
            }
            self.prepare(now_ms);
        }
    }

    pub(super) fn tick(&mut self, now_ms: u64) {
        let late = |seat: &Seat| now_ms - seat.heard_ms > SESSION_MS;
        let gone: Vec<_> = self
            .members
            .iter()
            .filter(|(_, seat)| late(seat))
            .map(|(id, _)| id.clone())
            .collect();
        gone.iter().for_each(|id| self.remove(now_ms, id));
        if self.phase != Phase::Preparing {
            return;
        }
        let is_over = now_ms - self.since_ms > self.rebalance_ms;
        if is_over {
            self.members
                .retain(|_, seat| seat.joined || seat.instance.is_some());
        }
        let mut seats = self.members.values();
        if self.members.is_empty() {
            self.phase = Phase::Empty;
        } else if seats.all(|seat| seat.joined || is_over && seat.instance.is_some()) {
            // Nobody leads while all are away.
            let mut joined = self.members.iter().filter(|(_, seat)| seat.joined);
            let Some((first, _)) = joined.next() else {
                return;
            };
            let leads = self.members.get(&self.leader);
            if !leads.is_some_and(|seat| seat.joined) {
                self.leader = first.clone();
            }
            self.generation += 1;
            self.assignments.clear();
            self.phase = Phase::Completing;
        }
    }

    /// The answer, or `None` while the request waits.
    pub(super) fn ask(&mut self, now_ms: u64, ask: &Ask, waited: bool) -> Option<Answer> {
        match ask {
            Ask::Join(request) => self.join(now_ms, request, waited),
            Ask::Sync(request) => {
                let instance = request.group_instance_id.as_deref();
                let id = &request.member_id;
                let mut response = SyncGroupResponse {
                    error_code: self.check(now_ms, id, instance, request.generation_id),
                    ..SyncGroupResponse::default()
                };
                if response.error_code.is_ok() && self.phase == Phase::Preparing {
                    response.error_code = ErrorCode::REBALANCE_IN_PROGRESS;
                }
                if !response.error_code.is_ok() {
                    return Some(Answer::Sync(response));
                }
                if self.phase == Phase::Completing && self.leader == request.member_id {
                    let assignments = request.assignments.iter();
                    self.assignments = assignments
                        .map(|it| (it.member_id.clone(), it.assignment.clone()))
                        .collect();
                    self.phase = Phase::Stable;
                }
                (self.phase == Phase::Stable).then(|| {
                    response.assignment = self.assignments[&request.member_id].clone();
                    Answer::Sync(response)
                })
            }
            Ask::Beat(request) => {
                let instance = request.group_instance_id.as_deref();
                let mut error_code =
                    self.check(now_ms, &request.member_id, instance, request.generation_id);
                if error_code.is_ok() && self.phase == Phase::Preparing {
                    error_code = ErrorCode::REBALANCE_IN_PROGRESS;
                }
                Some(Answer::Beat(HeartbeatResponse {
                    error_code,
                    ..HeartbeatResponse::default()
                }))
            }
            Ask::Leave(request) => {
                let member = &request.members[0];
                if !self.is_taken(&member.member_id, member.group_instance_id.as_deref()) {
                    self.remove(now_ms, &member.member_id);
                }
                Some(Answer::Leave)
            }
            Ask::Count(_) | Ask::Create(_) => unreachable!("not the coordinator's"),
        }
    }

    fn join(&mut self, now_ms: u64, request: &JoinGroupRequest, waited: bool) -> Option<Answer> {
        let refusal = |error_code, id: &str| {
            Some(Answer::Join(JoinGroupResponse {
                error_code,
                member_id: id.to_owned(),
                ..JoinGroupResponse::default()
            }))
        };
        let metadata = &request.protocols[0].metadata;
        let instance = request.group_instance_id.as_deref();
        // Whoever was taken out while it waited asks as if for the first time.
        let waited = waited && instance.is_none_or(|it| self.statics.contains_key(it));
        let id = match (request.member_id.as_str(), instance) {
            ("", Some(instance)) if waited => self.statics.get(instance)?.clone(),
            ("", Some(instance)) => {
                let (id, is_told) = self.seat_static(now_ms, instance, metadata);
                if is_told {
                    return Some(Answer::Join(self.joined(&id, true)));
                }
                id
            }
            ("", None) => {
                let id = self.seat(now_ms, None);
                self.prepare(now_ms);
                return refusal(ErrorCode::MEMBER_ID_REQUIRED, &id);
            }
            (id, instance) if self.is_taken(id, instance) => {
                return refusal(ErrorCode::FENCED_INSTANCE_ID, id);
            }
            (id, _) if !self.members.contains_key(id) => {
                return refusal(ErrorCode::UNKNOWN_MEMBER_ID, "");
            }
            (id, _) => id.to_owned(),
        };
        let is_known = self
            .members
            .get(&id)
            .is_some_and(|it| it.metadata == *metadata);
        let is_told = instance.is_some() && is_known && id != self.leader;
        if !waited && is_told && self.phase == Phase::Stable {
            return Some(Answer::Join(self.joined(&id, false)));
        }
        if !waited {
            self.prepare(now_ms);
            let seat = self.members.get_mut(&id).unwrap();
            seat.metadata = metadata.clone();
            (seat.joined, seat.heard_ms) = (true, now_ms);
            self.tick(now_ms);
        }
        let seat = self.members.get_mut(&id)?;
        seat.heard_ms = now_ms;
        // Whoever was not looked at meanwhile finds an answer of a round that is over.
        let is_over = self.phase != Phase::Preparing || !seat.joined;
        is_over.then(|| Answer::Join(self.joined(&id, false)))
    }

    fn seat(&mut self, now_ms: u64, instance: Option<&str>) -> String {
        self.ids += 1;
        let id = format!("id-{}", self.ids);
        let seat = Seat {
            metadata: Bytes::new(),
            joined: false,
            heard_ms: now_ms,
            instance: instance.map(str::to_owned),
        };
        self.members.insert(id.clone(), seat);
        id
    }

    /// A place for a static member: that which it had, under another id. True when it is told at once what it was told before.
    fn seat_static(&mut self, now_ms: u64, instance: &str, metadata: &Bytes) -> (String, bool) {
        let id = self.seat(now_ms, Some(instance));
        let former = self.statics.insert(instance.to_owned(), id.clone());
        let Some(former) = former else {
            return (id, false);
        };
        self.members.remove(&former);
        if let Some(told) = self.assignments.remove(&former) {
            self.assignments.insert(id.clone(), told);
        }
        if self.leader == former {
            self.leader.clone_from(&id);
        }
        let seat = self.members.get_mut(&id).unwrap();
        seat.metadata = metadata.clone();
        (id, self.phase == Phase::Stable)
    }

    fn joined(&self, id: &str, returns: bool) -> JoinGroupResponse {
        let leads = self.leader == id;
        let members = self.members.iter().filter(|_| leads);
        JoinGroupResponse {
            generation_id: self.generation,
            leader: self.leader.clone(),
            member_id: id.to_owned(),
            skip_assignment: leads && returns,
            members: members
                .map(|(id, seat)| JoinGroupResponseMember {
                    member_id: id.clone(),
                    group_instance_id: seat.instance.clone(),
                    metadata: seat.metadata.clone(),
                })
                .collect(),
            ..JoinGroupResponse::default()
        }
    }

    /// Another member is there under the instance id.
    fn is_taken(&self, id: &str, instance: Option<&str>) -> bool {
        let owner = instance.and_then(|instance| self.statics.get(instance));
        owner.is_some_and(|owner| owner != id)
    }

    fn check(
        &mut self,
        now_ms: u64,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> ErrorCode {
        if self.is_taken(id, instance) {
            return ErrorCode::FENCED_INSTANCE_ID;
        }
        let Some(seat) = self.members.get_mut(id) else {
            return ErrorCode::UNKNOWN_MEMBER_ID;
        };
        seat.heard_ms = now_ms;
        match generation == self.generation {
            true => ErrorCode::NONE,
            false => ErrorCode::ILLEGAL_GENERATION,
        }
    }

    /// Whether a broker would take this member's offsets.
    pub(super) fn would_take(&self, id: &str, generation: i32) -> bool {
        self.members.contains_key(id) && generation == self.generation
    }
}

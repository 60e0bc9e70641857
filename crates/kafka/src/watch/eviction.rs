//! Takes a process that seems dead out of its group, so that its tasks move at once. Not the judgement that it is dead.
//! Invariant: a transactional id is taken only after the coordinator has dropped its member, by which the owner tells this from a
//! successor; and everything may be done twice, by two survivors, without harm.
//!
//! 1. Describe the group: all members of the process, those that have just started over too.
//! 2. Leave for each, all before any beat: an assignment in between would be followed by the next only a second later.
//! 3. Beat with the own members: the coordinator assigns with the first beat.
//! 4. Take each transactional id, which aborts what is open, so that readers and the new owner need not wait for its timeout.

use super::roster::{Peer, Roster};
use crate::{
    cluster::CoordinatorKind,
    coordinator::Refusal,
    protocol::{
        ErrorCode,
        init_producer_id::{InitProducerIdRequest, InitProducerIdResponse},
        streams_group_heartbeat::{StreamsGroupHeartbeatRequest, StreamsGroupHeartbeatResponse},
    },
};
use std::{collections::BTreeSet, rc::Rc, time::Duration};
use tokio::{task::spawn_local, time::Instant};

/// How long one step is tried.
const STEP_MS_MAX: u64 = 10_000;
/// As of Kafka Streams, where settings name none; nothing is written under it.
const TRANSACTION_TIMEOUT_MS: u128 = 10_000;

pub(super) struct Eviction {
    roster: Rc<Roster>,
    peer: Peer,
}

impl Eviction {
    pub(super) fn new(roster: &Rc<Roster>, peer: Peer) -> Self {
        Self {
            roster: Rc::clone(roster),
            peer,
        }
    }

    pub(super) async fn run(self) {
        let mut members: BTreeSet<String> = self.peer.members.iter().cloned().collect();
        if let Ok(described) = self.roster.describe().await {
            let own = described
                .into_iter()
                .filter(|member| member.process_id == self.peer.process);
            members.extend(own.map(|member| member.member_id));
        }
        let group = &self.roster.post().group;
        let begun = Instant::now();
        let leaving: Vec<_> = members
            .into_iter()
            .map(|member| spawn_local(leave(Rc::clone(&self.roster), member)))
            .collect();
        let mut gone = Vec::new();
        for leave in leaving {
            gone.extend(leave.await.ok().flatten());
        }
        self.roster.ring();
        let left = begun.elapsed();
        let taking: Vec<_> = gone
            .iter()
            .map(|member| {
                let id = format!("{group}-{member}");
                spawn_local(take(Rc::clone(&self.roster), id))
            })
            .collect();
        for take in taking {
            drop(take.await);
        }
        self.roster.notice(format!(
            "process {} at {} is gone: its {} members were taken out of group '{group}' in {} ms, their transactions were ended in {} ms (headwater.eviction)",
            self.peer.process,
            self.peer.address,
            gone.len(),
            left.as_millis(),
            (begun.elapsed() - left).as_millis()
        ));
    }
}

fn deadline() -> Instant {
    Instant::now() + Duration::from_millis(STEP_MS_MAX)
}

/// Leaves for a member; its id when the coordinator no longer counts it.
async fn leave(roster: Rc<Roster>, member: String) -> Option<String> {
    let group = roster.post().group.to_string();
    let request = StreamsGroupHeartbeatRequest::leave(&group, &member);
    let asking = roster.asking(CoordinatorKind::Group, &group, deadline());
    let code = |answer: &StreamsGroupHeartbeatResponse| answer.error_code;
    match asking.ask(&request, code).await {
        Ok(_)
        | Err(Refusal::Code(ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::GROUP_ID_NOT_FOUND)) => {
            Some(member)
        }
        Err(refusal) => {
            roster.notice(format!(
                "member {member} of group '{group}' stays until its session ends: {refusal}"
            ));
            None
        }
    }
}

/// Takes a transactional id, and does nothing with it.
async fn take(roster: Rc<Roster>, id: String) {
    let timeout = roster.settings().transaction_timeout;
    let timeout = timeout.map_or(TRANSACTION_TIMEOUT_MS, |it| it.as_millis());
    let request = InitProducerIdRequest {
        transactional_id: Some(id.clone()),
        transaction_timeout_ms: i32::try_from(timeout).unwrap_or(i32::MAX),
        producer_id: -1,
        producer_epoch: -1,
    };
    let asking = roster.asking(CoordinatorKind::Transaction, &id, deadline());
    let code = |answer: &InitProducerIdResponse| answer.error_code;
    if let Err(refusal) = asking.ask(&request, code).await {
        roster.notice(format!(
            "what '{id}' has open stays open until its timeout: {refusal}"
        ));
    }
}

//! An assignment by one member for all, where the log has no coordinator that assigns (Kafka's classic group protocol).
//! Not a state machine: who holds what comes in, who is to hold what goes out. Invariant: a task that a member holds as active
//! is listed for no other, so that it moves in two steps.

use super::{
    Subtopology, TaskId,
    assign::{Candidate, Target, assign},
    counts::{self, Topics},
};
use std::{collections::BTreeMap, sync::Arc};

/// A member with what it holds, or may be about to open.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The member's id.
    pub member: Arc<str>,
    /// Its process.
    pub process: Arc<str>,
    /// Active tasks.
    pub active: Vec<TaskId>,
    /// Standby tasks.
    pub standby: Vec<TaskId>,
    /// What it was told before it was restarted. It holds none of it, so nobody waits for it; it goes first where that is free.
    pub former: Lists,
}

/// What a member is to hold from here on: active tasks, then standby tasks.
pub type Lists = (Vec<TaskId>, Vec<TaskId>);

/// Assigns every task to the members of a group as [`super::Coordinator`] would, creating internal topics that are missing.
///
/// # Errors
/// Why the group cannot run yet; nothing is to be held then.
pub fn plan(
    subtopologies: &[Subtopology],
    topics: &mut dyn Topics,
    standby_replicas: u32,
    claims: &[Claim],
) -> Result<BTreeMap<Arc<str>, Lists>, String> {
    let counts = counts::resolve(subtopologies, topics)?;
    let mut claims: Vec<_> = claims.iter().collect();
    claims.sort_by(|a, b| a.member.cmp(&b.member));
    let target = |active: &[TaskId], standby: &[TaskId]| Target {
        active: active.iter().copied().collect(),
        standby: standby.iter().copied().collect(),
    };
    let held = claims.iter().map(|it| target(&it.active, &it.standby));
    let held: Vec<Target> = held.collect();
    let former = claims.iter().map(|it| target(&it.former.0, &it.former.1));
    let former: Vec<Target> = former.collect();
    let candidates: Vec<_> = claims
        .iter()
        .zip(held.iter().zip(&former))
        .map(|(claim, (before, former))| Candidate {
            member: &claim.member,
            process: &claim.process,
            before,
            former,
        })
        .collect();
    let mut targets = assign(&counts, subtopologies, standby_replicas, &candidates);
    for (own, candidate) in candidates.iter().enumerate() {
        let Some(target) = targets.get_mut(candidate.member) else {
            continue;
        };
        for (other, neighbour) in candidates.iter().enumerate().filter(|(at, _)| *at != own) {
            let near = neighbour.process == candidate.process;
            let holds = |task: &TaskId| {
                held[other].active.contains(task) || near && held[other].standby.contains(task)
            };
            target.active.retain(|task| !holds(task));
            target.standby.retain(|task| {
                let both = held[other].active.contains(task) || held[other].standby.contains(task);
                !(near && both)
            });
        }
    }
    let lists = targets.into_iter().map(|(member, target)| {
        let (active, standby) = (target.active, target.standby);
        (
            member,
            (active.into_iter().collect(), standby.into_iter().collect()),
        )
    });
    Ok(lists.collect())
}

//! Which member is to have which task: sticky, then balanced. Not the hand-over, which is the coordinator's.
//! Invariant: the active tasks of any two members differ in number by one at most, and no process has a task twice.

use super::{Subtopology, TaskId, counts::Counts};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// What a member is to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) active: BTreeSet<TaskId>,
    pub(super) standby: BTreeSet<TaskId>,
}

/// A member as the assignment sees it.
pub(super) struct Candidate<'a> {
    pub(super) member: &'a Arc<str>,
    pub(super) process: &'a Arc<str>,
    /// What it was to have before.
    pub(super) before: &'a Target,
    /// What it was to have before it was restarted, and has lost by that.
    pub(super) former: &'a Target,
}

/// Assigns every task; `candidates` come in the order of their ids, so that the result depends on nothing else.
pub(super) fn assign(
    counts: &Counts,
    subtopologies: &[Subtopology],
    standby_replicas: u32,
    candidates: &[Candidate<'_>],
) -> BTreeMap<Arc<str>, Target> {
    let mut plan = Plan {
        candidates,
        targets: vec![Target::default(); candidates.len()],
    };
    if !candidates.is_empty() {
        let tasks = tasks(counts);
        plan.assign_active(&tasks);
        let stateful: Vec<TaskId> = tasks
            .into_iter()
            .filter(|task| has_state(subtopologies, *task))
            .collect();
        plan.assign_standby(&stateful, standby_replicas as usize);
    }
    let names = candidates.iter().map(|it| Arc::clone(it.member));
    names.zip(plan.targets).collect()
}

/// Partition by partition, so that whoever keeps the first tasks keeps some of each sub-topology.
fn tasks(counts: &Counts) -> Vec<TaskId> {
    let mut tasks: Vec<TaskId> = counts
        .iter()
        .flat_map(|(&subtopology, &partitions)| {
            (0..partitions).map(move |partition| TaskId {
                subtopology,
                partition,
            })
        })
        .collect();
    tasks.sort_by_key(|task| (task.partition, task.subtopology));
    tasks
}

fn has_state(subtopologies: &[Subtopology], task: TaskId) -> bool {
    let mut found = subtopologies.iter().filter(|it| it.id == task.subtopology);
    found.any(|it| !it.changelogs.is_empty())
}

struct Plan<'a> {
    candidates: &'a [Candidate<'a>],
    targets: Vec<Target>,
}

impl Plan<'_> {
    fn assign_active(&mut self, tasks: &[TaskId]) {
        let members = self.candidates.len();
        let share = tasks.len() / members;
        // So many members have one task more than the share.
        let mut larger_left = tasks.len() % members;
        let mut give = |plan: &mut Self, task: TaskId, index: usize| {
            let load = plan.targets[index].active.len();
            let fits = load < share || (load == share && larger_left > 0);
            if fits {
                larger_left -= usize::from(load == share);
                plan.targets[index].active.insert(task);
            }
            fits
        };
        let mut open = Vec::new();
        for &task in tasks {
            let owner = self.position(|it| it.before.active.contains(&task));
            if !owner.is_some_and(|owner| give(self, task, owner)) {
                open.push(task);
            }
        }
        // What a member had before it was restarted lies on its disk; after that a member that followed the state goes first.
        open.retain(|&task| {
            let former = self.position(|it| it.former.active.contains(&task));
            !former.is_some_and(|former| give(self, task, former))
        });
        open.retain(|&task| {
            let follower = self.position(|it| it.before.standby.contains(&task));
            !follower.is_some_and(|follower| give(self, task, follower))
        });
        for task in open {
            let index = self.lightest(task, |_| true);
            let given = index.is_some_and(|index| give(self, task, index));
            assert!(given, "the shares add up to the number of tasks");
        }
    }

    fn assign_standby(&mut self, tasks: &[TaskId], replicas: usize) {
        let processes: BTreeSet<_> = self.candidates.iter().map(|it| it.process).collect();
        let replicas = replicas.min(processes.len() - 1);
        let members = self.candidates.len();
        let share = (tasks.len() * replicas).div_ceil(members);
        // What stays is settled for all tasks before anything moves, else a moved task takes the place of one that could stay.
        let mut kept = vec![0; tasks.len()];
        for (task, kept) in tasks.iter().zip(&mut kept) {
            for index in 0..members {
                let Candidate { before, former, .. } = &self.candidates[index];
                let stays = (before.standby.contains(task) || former.standby.contains(task))
                    && self.targets[index].standby.len() < share
                    && !self.process_has(index, *task);
                if stays && *kept < replicas {
                    self.targets[index].standby.insert(*task);
                    *kept += 1;
                }
            }
        }
        for (task, kept) in tasks.iter().zip(kept) {
            for _ in kept..replicas {
                // The former owner goes first: it has the state.
                let former = self
                    .position(|it| it.before.active.contains(task))
                    .filter(|&it| {
                        !self.process_has(it, *task) && self.targets[it].standby.len() < share
                    });
                let index = former
                    .or_else(|| self.lightest(*task, |index| !self.process_has(index, *task)));
                if let Some(index) = index {
                    self.targets[index].standby.insert(*task);
                }
            }
        }
    }

    fn position(&self, wanted: impl Fn(&Candidate<'_>) -> bool) -> Option<usize> {
        self.candidates.iter().position(wanted)
    }

    fn process_has(&self, index: usize, task: TaskId) -> bool {
        let process = self.candidates[index].process;
        let mut all = self.candidates.iter().zip(&self.targets);
        all.any(|(it, target)| {
            it.process == process
                && (target.active.contains(&task) || target.standby.contains(&task))
        })
    }

    /// The member with the fewest tasks (for a standby: of both kinds), among equals with the fewest of the same sub-topology.
    fn lightest(&self, task: TaskId, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let same = |tasks: &BTreeSet<TaskId>| {
            let same = tasks.iter().filter(|it| it.subtopology == task.subtopology);
            same.count()
        };
        (0..self.targets.len())
            .filter(|index| allowed(*index))
            .min_by_key(|index| {
                let target = &self.targets[*index];
                let load = target.active.len() + target.standby.len();
                (load, same(&target.active) + same(&target.standby))
            })
    }
}

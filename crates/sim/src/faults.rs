//! Which faults fell into which stage of a commit, a restore or a take-over, counted over runs: a campaign that leaves a stage out
//! shows it. Not the faults themselves. Invariant: counting changes nothing of a run.

use headwater_log::{Hit, Moment};
use headwater_runtime::{Role, TaskStatus};
use std::fmt;

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The member was killed.
    Crash,
    /// It was cut off, and came back later or not at all.
    Stall,
    /// It was taken out of the group while it was alive, and is fenced at what it does next.
    Eviction,
    /// A request of it never took effect.
    LostRequest,
    /// A request of it took effect, and it does not hear so.
    LostAnswer,
    /// An answer or an assignment came again.
    RepeatedAnswer,
    /// Its commit was refused: others own what it commits.
    FencedCommit,
}

/// What the member was at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The batches of a commit are on their way.
    Flush,
    /// Its offsets are.
    Offsets,
    /// The end of its transaction is.
    End,
    /// How a commit ended is being found out.
    Settlement,
    /// Its last step wrote a checkpoint.
    Checkpoint,
    /// Changelogs of an active task are looked for or read.
    Restore,
    /// An active task that another member ran last does not run here yet.
    TakeOver,
    /// Nothing of these.
    Else,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Crash,
        Self::Stall,
        Self::Eviction,
        Self::LostRequest,
        Self::LostAnswer,
        Self::RepeatedAnswer,
        Self::FencedCommit,
    ];

    /// Whether there is such a thing in the model.
    pub fn can_fall(self, stage: Stage) -> bool {
        match (self, stage) {
            (_, Stage::Else) => true,
            // A checkpoint asks nobody.
            (
                Self::LostRequest | Self::LostAnswer | Self::RepeatedAnswer | Self::FencedCommit,
                Stage::Checkpoint,
            ) => false,
            // A commit has one answer for who asked, at its end.
            (Self::RepeatedAnswer, Stage::Flush | Stage::Offsets) => false,
            // Between two steps of a commit the lost request is the lost answer to the step before.
            (Self::LostRequest, Stage::Offsets) => false,
            // The coordinator judges a member by its offsets.
            (Self::FencedCommit, stage) => matches!(stage, Stage::Offsets | Stage::End),
            _ => true,
        }
    }
}

impl Stage {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Flush,
        Self::Offsets,
        Self::End,
        Self::Settlement,
        Self::Checkpoint,
        Self::Restore,
        Self::TakeOver,
        Self::Else,
    ];
}

impl From<Hit> for Fault {
    fn from(hit: Hit) -> Self {
        match hit {
            Hit::LostRequest => Self::LostRequest,
            Hit::LostAnswer => Self::LostAnswer,
            Hit::RepeatedAnswer => Self::RepeatedAnswer,
            Hit::FencedCommit => Self::FencedCommit,
        }
    }
}

/// How often each fault fell into each stage. One that fell into two at once counts in both.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct FaultCounts([[usize; Stage::ALL.len()]; Fault::ALL.len()]);

impl FaultCounts {
    /// So many faults.
    pub fn of(&self, fault: Fault, stage: Stage) -> usize {
        self.0[fault as usize][stage as usize]
    }

    /// Those of another run as well.
    pub fn absorb(&mut self, other: &Self) {
        let rows = self.0.iter_mut().zip(&other.0);
        let cells = rows.flat_map(|(row, others)| row.iter_mut().zip(others));
        cells.for_each(|(count, other)| *count += other);
    }

    /// Stages that a fault could fall into and did not.
    pub fn missing(&self) -> Vec<(Fault, Stage)> {
        let all = Fault::ALL.into_iter();
        let all = all.flat_map(|fault| Stage::ALL.map(|stage| (fault, stage)));
        let open = all.filter(|(fault, stage)| *stage != Stage::Else && fault.can_fall(*stage));
        open.filter(|(fault, stage)| self.of(*fault, *stage) == 0)
            .collect()
    }

    pub(crate) fn add(&mut self, fault: Fault, stages: &[Stage], count: usize) {
        let stages = if stages.is_empty() {
            &[Stage::Else][..]
        } else {
            stages
        };
        for stage in stages {
            self.0[fault as usize][*stage as usize] += count;
        }
    }
}

/// The table is for people: see `Display`.
impl fmt::Debug for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: usize = self.0.iter().flatten().sum();
        write!(f, "{all} by stage")
    }
}

impl fmt::Display for FaultCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<15}", "")?;
        for stage in Stage::ALL {
            write!(f, "{:>11}", format!("{stage:?}"))?;
        }
        for fault in Fault::ALL {
            write!(f, "\n{:<15}", format!("{fault:?}"))?;
            for stage in Stage::ALL {
                match fault.can_fall(stage) {
                    true => write!(f, "{:>11}", self.of(fault, stage))?,
                    false => write!(f, "{:>11}", "-")?,
                }
            }
        }
        Ok(())
    }
}

/// The stage of a commit at which a fault of the log fell; `None` when it was no commit.
pub(crate) fn of_commit(moment: Moment) -> Option<Stage> {
    match moment {
        Moment::Flush => Some(Stage::Flush),
        Moment::Offsets => Some(Stage::Offsets),
        Moment::End => Some(Stage::End),
        Moment::Settlement => Some(Stage::Settlement),
        Moment::Assignment => Some(Stage::TakeOver),
        Moment::Question => None,
    }
}

/// What an active task is on its way through; `is_foreign` when another member ran it last.
pub(crate) fn of_task(status: &TaskStatus, is_foreign: bool) -> Vec<Stage> {
    if status.role != Role::Active || status.state == "running" {
        return Vec::new();
    }
    let is_restore = matches!(
        status.state,
        "asking for changelogs" | "asking for ends" | "restoring"
    );
    let restore = is_restore.then_some(Stage::Restore);
    let take_over = is_foreign.then_some(Stage::TakeOver);
    restore.into_iter().chain(take_over).collect()
}

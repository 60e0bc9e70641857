//! Hears what the workers tell, for the progress shown, the summary and the phases file. Not what decides that the job is done.
//! Invariant: a phase is written when it has happened.

use crate::phases::Phases;
use headwater::{Committed, Listener, RestoreProgress, TaskId, TopicPartition, log::Offset};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

/// Notices kept between two looks.
const NOTICES_MAX: usize = 100;

/// Hears what the workers tell.
pub(crate) struct Ear {
    heard: Mutex<Heard>,
    phases: Arc<Phases>,
    application: String,
}

#[derive(Default)]
struct Heard {
    /// Where the changelogs end, for the phases.
    changelogs: BTreeMap<TopicPartition, Offset>,
    notices: Vec<String>,
    commits: u64,
    restored: u64,
}

impl Ear {
    pub(crate) fn new(application: &str, phases: Arc<Phases>) -> Arc<Self> {
        Arc::new(Self {
            heard: Mutex::default(),
            phases,
            application: application.into(),
        })
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Takes the notices since the last call.
    pub(crate) fn notices(&self) -> Vec<String> {
        std::mem::take(&mut self.heard().notices)
    }

    /// Changelog records that were read to restore stores.
    pub(crate) fn restored_records(&self) -> u64 {
        self.heard().restored
    }
}

impl Listener for Ear {
    fn restore_started(&self, progress: &RestoreProgress) {
        let RestoreProgress {
            task,
            store,
            start,
            end,
            ..
        } = progress;
        self.phases
            .enter(&format!("restore {task} {store} {start} {end}"));
    }

    fn restore_ended(&self, progress: &RestoreProgress) {
        let records = (progress.end - progress.start).max(0);
        let mut heard = self.heard();
        heard.restored += records as u64;
        heard
            .changelogs
            .insert(progress.changelog.clone(), progress.end);
        drop(heard);
        self.phases.enter(&format!(
            "restored {} {} {records}",
            progress.task, progress.store
        ));
    }

    fn committed(&self, commit: &Committed) {
        let mut heard = self.heard();
        heard.commits += 1;
        if self.phases.wanted() {
            heard.changelogs.extend(commit.receipt.ends.iter().cloned());
            let number = heard.commits;
            drop(heard);
            self.phases.enter(&format!("commit {number}"));
        }
    }

    fn checkpointed(&self, task: TaskId, store: &str) {
        if self.phases.wanted() {
            let changelog = format!("{}-{store}-changelog", self.application);
            let changelog = TopicPartition::new(changelog, task.partition);
            let position = self.heard().changelogs.get(&changelog).copied();
            let position = position.unwrap_or(0);
            self.phases
                .enter(&format!("checkpoint {task} {store} {position}"));
        }
    }

    fn notice(&self, message: &str) {
        let mut heard = self.heard();
        if heard.notices.len() < NOTICES_MAX {
            heard.notices.push(message.into());
        }
    }
}

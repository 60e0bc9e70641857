//! The directory of an application's state: one process holds it, one worker holds a task in it.
//! Not the stores in it. Invariant: a task's directory is used by one owner at a time.

use crate::{Error, Result};
use headwater_log::TaskId;
use headwater_world::{DiskLock, World};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

/// `<state.dir>/<application>`, locked.
pub(crate) struct StateDir {
    root: Option<PathBuf>,
    held: Mutex<BTreeSet<TaskId>>,
    _lock: Option<Box<dyn DiskLock>>,
}

/// A task's directory, held until dropped.
pub(crate) struct TaskDir {
    dir: Arc<StateDir>,
    task: TaskId,
}

impl StateDir {
    /// Locks the application's directory; without `state_dir` all state is in memory.
    pub(crate) fn open(
        state_dir: Option<&Path>,
        application: &str,
        world: &World,
    ) -> Result<Arc<Self>> {
        let Some(state_dir) = state_dir else {
            return Ok(Arc::new(Self {
                root: None,
                held: Mutex::default(),
                _lock: None,
            }));
        };
        let root = state_dir.join(application);
        let failed = |error: std::io::Error| {
            Error::StateDir(format!("state directory {}: {error}", root.display()))
        };
        world.disk.create_dir_all(&root).map_err(failed)?;
        let lock = world.disk.lock(&root.join(".lock")).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => Error::StateDir(format!(
                "state directory {} is in use by another process; give this one its own state.dir, or stop the other",
                root.display()
            )),
            _ => failed(error),
        })?;
        Ok(Arc::new(Self {
            root: Some(root),
            held: Mutex::default(),
            _lock: Some(lock),
        }))
    }

    /// Where a global store lives; `None` when state is in memory.
    pub(crate) fn global(&self, name: &str) -> Option<PathBuf> {
        Some(self.root.as_ref()?.join("global").join(name))
    }

    /// Takes a task's directory; `None` while another worker of this process still holds it.
    pub(crate) fn take(self: &Arc<Self>, task: TaskId) -> Option<TaskDir> {
        let mut held = self
            .held
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        held.insert(task).then(|| TaskDir {
            dir: self.clone(),
            task,
        })
    }
}

impl TaskDir {
    /// Where a store of the task lives; `None` when state is in memory.
    pub(crate) fn store(&self, name: &str) -> Option<PathBuf> {
        Some(
            self.dir
                .root
                .as_ref()?
                .join(self.task.to_string())
                .join(name),
        )
    }
}

impl Drop for TaskDir {
    fn drop(&mut self) {
        let mut held = self
            .dir
            .held
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        held.remove(&self.task);
    }
}

//! What the workers of a process share of its global stores: whether they may be read yet, by whom, and how far they are.
//! Not what fills them: [`crate::global_task`]. Invariant: no task opens before the global stores hold what their topics held at
//! the start.

use crate::positions::Positions;
use headwater_streams::{Globals, Topology};
use std::sync::OnceLock;

/// The global stores of a process, to its workers.
pub(crate) struct SharedGlobals {
    /// The topology has global stores.
    wanted: bool,
    ready: OnceLock<Globals>,
    /// The next offset to read of each partition; what lies before it is visible.
    pub(crate) positions: Positions,
}

impl SharedGlobals {
    pub(crate) fn new(topology: &Topology) -> Self {
        Self {
            wanted: !topology.globals().is_empty(),
            ready: OnceLock::new(),
            positions: Positions::default(),
        }
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// True when tasks may run.
    pub(crate) fn is_ready(&self) -> bool {
        !self.wanted || self.ready.get().is_some()
    }

    /// What tasks read; `None` when there are no global stores, or not yet.
    pub(crate) fn get(&self) -> Option<&Globals> {
        self.ready.get()
    }

    /// They hold what their topics held at the start. Later calls change nothing.
    pub(crate) fn set_ready(&self, globals: Globals) {
        self.ready.get_or_init(|| globals);
    }
}

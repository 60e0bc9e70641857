//! The task's side of calls to the outside: who runs them, how far they are, what a commit waits for.
//! Not the operators that make them. Invariant: a task whose calls have not all ended tells no positions to commit.

use super::{Context, Output, Task, guard::caught};
use crate::Result;
use headwater_store::RecordCache;
use headwater_world::Executor;
use std::sync::Arc;
use std::task::Waker;

impl Task {
    /// Says where calls run and who is woken when one ends; before the first record, if the topology uses `map_async`.
    pub fn set_executor(&mut self, executor: Arc<dyn Executor>, waker: Waker) {
        self.state.executor = Some((executor, waker));
    }

    /// Sends on what calls have brought, and starts what waits for one; answers how many records went on.
    pub fn poll_calls(
        &mut self,
        cache: &mut RecordCache,
        output: &mut dyn Output,
        now_ms: i64,
    ) -> Result<usize> {
        if self.awaiting.is_empty() {
            return Ok(0);
        }
        self.state.now_ms = now_ms;
        self.state.failed.forget();
        let (mut sent, mut at) = (0, None);
        let polled = caught(|| {
            for (node, operator) in &self.awaiting {
                at = Some(*node);
                let mut ctx = Context {
                    state: &mut self.state,
                    cache,
                    output,
                };
                sent += operator.poll(&mut ctx)?;
            }
            Ok(())
        });
        if let (Err(_), Some(node)) = (&polled, at) {
            self.state.failed.note(node);
        }
        polled.map_err(|error| self.blame(error, None))?;
        Ok(sent)
    }

    /// Calls that have not ended: keys that wait for one. A commit must wait until there are none.
    pub fn calls_running(&self) -> usize {
        self.awaiting
            .iter()
            .map(|(_, operator)| operator.running())
            .sum()
    }

    /// True while an operator has as many calls under way as it may.
    pub(super) fn calls_full(&self) -> bool {
        self.awaiting.iter().any(|(_, operator)| operator.is_full())
    }
}

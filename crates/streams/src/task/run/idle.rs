//! When a task says that it is idle: it holds no window open that lies behind its repartition topics.
//! Not the end of its work: with the next record it says its time again. Invariant: what record caches hold is sent before.

use super::Task;
use crate::Result;
use crate::task::closing_time::IDLE;
use crate::task::{Context, Output, input::Input};
use headwater_store::RecordCache;

/// The default of `TopologySettings::partition_idle_ms`.
const PARTITION_IDLE_MS: i64 = 1000;

impl Task {
    /// True when what it does depends on whether its inputs are at their ends: keep [`Task::set_end`] up to date.
    pub fn needs_ends(&self) -> bool {
        self.inputs.len() > 1 || !self.announcers.is_empty()
    }

    /// Says whether members of the task's group are there that do not say their tasks' stream times: Kafka Streams. Meanwhile windows
    /// behind repartition topics close as theirs do, and nothing is said to them. True when windows may close at the next
    /// [`Task::flush`] that were held open before.
    pub fn set_mixed(&mut self, mixed: bool) -> bool {
        let was_mixed = self.state.closing.is_mixed();
        let stream_time = self.state.stream_time;
        self.state.closing.set_mixed(mixed, stream_time);
        if was_mixed && !mixed {
            // Those who are told now may have had other owners, or another bound.
            self.announcers.iter().for_each(|it| it.forget());
            self.state.said_idle = false;
            self.idle_since = None;
        }
        !was_mixed && mixed && self.state.closing.is_bounded()
    }

    /// Says that the task is idle once it has been at the end of its inputs for a while; answers to how many partitions.
    pub(super) fn announce_idle(
        &mut self,
        cache: &mut RecordCache,
        output: &mut dyn Output,
    ) -> Result<u64> {
        let settings = &self.topology.settings;
        let idle_ms = settings.partition_idle_ms.unwrap_or(PARTITION_IDLE_MS);
        let is_mute = self.state.closing.is_mixed() || idle_ms < 0;
        if self.announcers.is_empty() || self.state.said_idle || is_mute {
            return Ok(0);
        }
        let at_end = |input: &Input| input.queued_bytes == 0 && !input.awaits_data();
        if !self.state.closing.is_idle() || !self.inputs.iter().all(at_end) {
            self.idle_since = None;
            return Ok(0);
        }
        let now = self.state.now_ms;
        if now - *self.idle_since.get_or_insert(now) < idle_ms {
            return Ok(0);
        }
        // What record caches hold goes first.
        self.flush(cache, output)?;
        let mut ctx = Context {
            state: &mut self.state,
            cache,
            output,
        };
        let mut said = 0;
        for announcer in &self.announcers {
            said += announcer.announce(&mut ctx, IDLE)?;
        }
        self.state.said_idle = true;
        Ok(said)
    }
}

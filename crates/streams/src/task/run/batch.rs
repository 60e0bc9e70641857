//! The task's loop over the rest of a batch, where nothing but the next record can be next: one input, and nobody to wait for.
//! Not the choice between inputs and not the way to the next batch: those are the task's general steps.
//! Invariant: each record goes through the same steps in the same order as alone.

use super::{Context, Output, RecordCache, Result, Task, TaskState, dead_letter};

impl Task {
    /// True when records of its input may be processed one after the other.
    fn has_one_way(&self) -> bool {
        self.inputs.len() == 1
            && self.quarantine.is_none()
            && self.awaiting.is_empty()
            && !self.may_hear
    }

    /// Processes what is left of the batch at hand, `records_max` at most; answers how many records that were. None where inputs
    /// take turns, or a step of the general loop does more than these.
    pub(super) fn process_batch(
        &mut self,
        cache: &mut RecordCache,
        output: &mut dyn Output,
        records_max: usize,
    ) -> Result<usize> {
        if !self.has_one_way() {
            return Ok(0);
        }
        let (Some(input), Some(feed)) = (self.inputs.first_mut(), self.feeds.first()) else {
            return Ok(0);
        };
        let state: &mut TaskState = &mut self.state;
        let (topic, partition) = (input.topic, state.id.partition);
        let mut ctx = Context {
            state,
            cache,
            output,
        };
        let mut records = 0;
        while records < records_max && input.has_next() {
            match input.announced.checked_sub(1) {
                Some(left) => input.announced = left,
                None => ctx.state.warm(input, ctx.cache),
            }
            let (known, partition_time) = (input.head_time, input.partition_time);
            let Some(record) = input.next()? else {
                break;
            };
            ctx.state.said_idle = false;
            let timestamp = known.unwrap_or_else(|| feed.timestamp(&record, partition_time));
            ctx.state.counters.processed += 1;
            let fed = feed.feed(&mut ctx, &record, timestamp, topic, partition);
            if !ctx.state.failures.is_empty() {
                dead_letter::send(&mut ctx, Some((&record, topic, partition)))?;
            }
            if fed? {
                input.partition_time = partition_time.max(timestamp);
            }
            records += 1;
        }
        Ok(records)
    }
}

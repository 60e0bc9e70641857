//! The step of one record that is chosen, and the task's loop over the rest of a batch, where nothing but the next record can be
//! next: one input, and nobody to wait for.
//! Not the choice between inputs and not the way to the next batch: those are the task's general steps.
//! Invariant: each record goes through the same steps in the same order as alone.

use super::{Context, Feed, Input, Output, RecordCache, Result, Task, TaskState};
use crate::task::Step;
use headwater_log::RecordRef;

/// Takes the next record of `input` and has it processed; false without one. `hear` may take from it what is not for operators, and
/// answers whether that was all; `set_aside` whether the record is not to be processed.
#[inline(always)]
pub(super) fn step(
    ctx: &mut Context<'_>,
    input: &mut Input,
    (feed, keeps_timestamps): (&dyn Feed, bool),
    hear: impl FnOnce(&mut TaskState, &mut RecordRef<'_>) -> bool,
    set_aside: impl FnOnce(&mut Context<'_>, &RecordRef<'_>) -> Step<bool>,
) -> Step<bool> {
    match input.announced.checked_sub(1) {
        Some(left) => input.announced = left,
        None => ctx.state.warm(input, ctx.cache),
    }
    let (known, partition_time) = (input.head_time, input.partition_time);
    let (topic, partition) = (input.topic, ctx.state.id.partition);
    let Some(mut record) = input.next()? else {
        return Ok(false);
    };
    if hear(ctx.state, &mut record) {
        return Ok(true);
    }
    ctx.state.said_idle = false;
    let timestamp = match known {
        Some(timestamp) => timestamp,
        None if keeps_timestamps => record.timestamp,
        None => feed.timestamp(&record, partition_time),
    };
    ctx.state.counters.processed += 1;
    if set_aside(ctx, &record)? {
        return Ok(true);
    }
    if feed.feed(ctx, &record, timestamp, topic, partition)? {
        input.partition_time = partition_time.max(timestamp);
    }
    Ok(true)
}

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
        let (state, feed) = (&mut self.state, (&**feed, feed.keeps_timestamps()));
        let mut ctx = Context {
            state,
            cache,
            output,
        };
        let mut records = 0;
        while records < records_max && input.has_next() {
            if !step(&mut ctx, input, feed, |_, _| false, |_, _| Ok(false))? {
                break;
            }
            records += 1;
        }
        Ok(records)
    }
}

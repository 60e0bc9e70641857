//! What the client has fetched, handed to whom it was fetched for: inputs of running tasks, stores that follow their changelogs.
//! Not the processing. Invariant: fetching pauses where enough waits, and for standbys while a task of this worker is restored.

use crate::Result;
use crate::task_slot::{Role, Stage, TaskSlot};
use crate::worker::{SlotUse, Worker};
use headwater_log::{Client, Error as LogError, Fate, Offset, TaskId, TopicPartition};
use std::time::Duration;

/// Chunks taken from the client in one step, and ms after which a step takes no further one.
const STEP_CHUNKS_MAX: usize = 64;
const STEP_MS_MAX: u64 = 20;

/// What an input may keep waiting however many there are: some thousand records.
const INPUT_BYTES_MIN: usize = 256 << 10;

/// What a step has taken from its client.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) any: bool,
    /// Nothing more was ready.
    pub(crate) all: bool,
}

impl Taken {
    const SOME: Self = Self {
        any: true,
        all: false,
    };

    fn all(chunks: usize) -> Self {
        Self {
            any: chunks > 0,
            all: true,
        }
    }
}

impl Worker {
    pub(crate) fn take_chunks(&mut self) -> Result<Taken> {
        self.pace_standbys();
        let clock = self.settings.world.clock.clone();
        let until = clock.elapsed() + Duration::from_millis(STEP_MS_MAX);
        for taken in 0..STEP_CHUNKS_MAX {
            if taken > 0 && clock.elapsed() >= until {
                return Ok(Taken::SOME);
            }
            let chunk = match self.client.fetch() {
                Ok(Some(chunk)) => chunk,
                Ok(None) => return Ok(Taken::all(taken)),
                Err(LogError::OffsetOutOfRange {
                    partition,
                    offset,
                    start,
                    end,
                }) => {
                    self.out_of_range(&partition, offset, start..end)?;
                    continue;
                }
                Err(error) if error.fate() == Fate::Retry => return Ok(Taken::all(taken)),
                Err(error) => return Err(error.into()),
            };
            match self.slots.get(&chunk.slot).copied() {
                Some(SlotUse::Restore(id, index)) => self.restore_chunk(id, index, chunk)?,
                Some(SlotUse::Input(id, index)) => self.input_chunk(id, index, chunk),
                None => self.client.recycle(chunk),
            }
        }
        Ok(Taken::SOME)
    }

    /// The log no longer holds what was asked for. An input goes on where the log begins, which a notice tells: what was
    /// deleted unread is gone; or where it ends, if it has lost what the input had processed. A store is restored from where the
    /// log begins, since its state can no longer be completed.
    fn out_of_range(
        &mut self,
        partition: &TopicPartition,
        offset: Offset,
        held: std::ops::Range<Offset>,
    ) -> Result<()> {
        let client_slot = self.client.slot(partition);
        let (from, message) = match self.slots.get(&client_slot).copied() {
            Some(SlotUse::Input(id, index)) => {
                // Behind the end: what had been there is not any more, and the input has processed it.
                let next = if offset > held.end {
                    held.end
                } else {
                    held.start
                };
                if let Some(TaskSlot {
                    stage: Stage::Running(task),
                    ..
                }) = self.tasks.get_mut(&id)
                {
                    task.seek(index, next);
                }
                let message = format!(
                    "{partition}: offset {offset} is not in the log; task {id} goes on at {next}"
                );
                (next, message)
            }
            Some(SlotUse::Restore(id, index)) => {
                if let Some(slot) = self.tasks.get_mut(&id)
                    && let Some(restore) = slot.restores().get_mut(index)
                {
                    restore.restart(held.start)?;
                }
                let message = format!(
                    "{partition}: offset {offset} is not in the log; the store of task {id} is restored from {}",
                    held.start
                );
                (held.start, message)
            }
            None => return Ok(()),
        };
        self.settings.listener.notice(&message);
        self.client.read_from(client_slot, from);
        Ok(())
    }

    fn input_chunk(&mut self, id: TaskId, index: usize, chunk: headwater_log::Chunk) {
        let bytes_max = self.input_bytes_max();
        let Some(slot) = self.tasks.get_mut(&id) else {
            return;
        };
        let Stage::Running(task) = &mut slot.stage else {
            return;
        };
        let client_slot = chunk.slot;
        task.add_chunk(index, chunk);
        let waits = task
            .inputs()
            .nth(index)
            .map_or(0, |input| input.queued_bytes);
        if waits >= bytes_max && !slot.paused[index] {
            slot.paused[index] = true;
            self.client.hold(client_slot);
        }
    }

    /// What may wait in one input: an equal share of what may wait in all that this worker reads.
    pub(crate) fn input_bytes_max(&self) -> usize {
        (self.settings.input_bytes_max / self.slots.len().max(1)).max(INPUT_BYTES_MIN)
    }

    /// Standbys wait while a task of this worker is restored: records wait for that one, and nobody for them.
    fn pace_standbys(&mut self) {
        let restoring = |slot: &TaskSlot| matches!(slot.stage, Stage::Restoring(_));
        let pause = self.tasks.values().any(restoring);
        if pause == self.standbys_paused {
            return;
        }
        self.standbys_paused = pause;

        for slot in self.tasks.values_mut() {
            if slot.role != Role::Standby {
                continue;
            }
            for restore in slot.restores() {
                let Some((_, client_slot)) = &restore.changelog else {
                    continue;
                };
                match pause {
                    true => self.client.stop_reading(*client_slot),
                    false => self.client.read_from(*client_slot, restore.position),
                }
            }
        }
    }
}

/// Reads on where enough was consumed.
pub(crate) fn resume_inputs(slot: &mut TaskSlot, client: &mut dyn Client, input_bytes_max: usize) {
    if !slot.paused.contains(&true) {
        return;
    }
    let Stage::Running(task) = &slot.stage else {
        return;
    };
    for (index, input) in task.inputs().enumerate() {
        if slot.paused[index] && input.queued_bytes < input_bytes_max / 2 {
            slot.paused[index] = false;
            client.release(slot.input_slots[index], input.fetch_position);
        }
    }
}

//! How a client reads: the readable end of each partition, and chunks by turns. Not the partition itself, which knows no reader.
//! Invariant: a chunk begins where the chunk before of the same partition ended, until the client seeks.

use super::MemoryClient;
use crate::{Chunk, Guarantee, Result, memory::state::State};

impl MemoryClient {
    /// Hears how far the partitions it reads may be read.
    pub(super) fn hear_ends(&mut self, state: &State) {
        let committed_only = self.options.guarantee == Guarantee::ExactlyOnce;
        for slot in &self.reading {
            let place = &mut self.slots[slot.0 as usize];
            if let (Ok(partition), true) = (
                state.partition(&place.name),
                state.is_available(&place.name),
            ) {
                place.end = Some(match committed_only {
                    true => partition.stable(),
                    false => partition.end,
                });
            }
        }
    }

    /// Looks for a chunk, taking turns; the flag tells that some partition is only late.
    pub(super) fn take_chunk(
        &mut self,
        state: &mut State,
        late: &mut bool,
    ) -> Result<Option<Chunk>> {
        let committed_only = self.options.guarantee == Guarantee::ExactlyOnce;
        let now = self.shared.world.clock.elapsed();
        for step in 0..self.reading.len() {
            let index = (self.turn + step) % self.reading.len();
            let slot = self.reading[index];
            let place = &mut self.slots[slot.0 as usize];
            state.roll_availability(now, &place.name);
            if !state.is_available(&place.name) || state.dice.delay() > 0 {
                *late = true;
                continue;
            }
            let taken = state.partition(&place.name).and_then(|partition| {
                let limit = match committed_only {
                    true => partition.stable(),
                    false => partition.end,
                };
                place.end = Some(limit);
                let max = self.options.fetch_bytes_max;
                Ok((
                    partition.read(&place.name, place.position, limit, max)?,
                    limit,
                ))
            });
            match taken {
                Ok((None, _)) => {}
                Ok((Some(mut taken), end_offset)) => {
                    if !committed_only {
                        taken.aborted.clear();
                    }
                    self.turn = index + 1;
                    let position = std::mem::replace(&mut place.position, taken.next_offset);
                    return Ok(Some(Chunk {
                        partition: place.name.clone(),
                        slot,
                        position,
                        next_offset: taken.next_offset,
                        end_offset,
                        bytes: taken.bytes,
                        aborted: taken.aborted,
                    }));
                }
                Err(error) => {
                    self.reading.remove(index);
                    return Err(error);
                }
            }
        }
        Ok(None)
    }
}

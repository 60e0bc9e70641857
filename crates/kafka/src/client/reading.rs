//! What has been read ahead, by slot, handed out in turns. Not the fetching. Invariant: only what belongs to the latest
//! `read_from` of a slot is handed out.

use super::shared::{Arrival, Shared};
use headwater_log::{Chunk, Offset, Result, Slot};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

#[derive(Default)]
struct Lane {
    generation: u64,
    is_read: bool,
    /// Nothing is handed out for now; no turn is taken.
    is_held: bool,
    ready: VecDeque<Arrival>,
    end: Option<Offset>,
}

/// The reading side of a client.
#[derive(Default)]
pub(super) struct Reading {
    lanes: Vec<Lane>,
    /// Slots with something ready; the first is next.
    turns: VecDeque<Slot>,
}

impl Reading {
    /// One more slot.
    pub(super) fn add(&mut self) {
        self.lanes.push(Lane::default());
    }

    /// Reads a slot anew: what was ready is void. Gives the generation that counts from here on.
    pub(super) fn start(&mut self, slot: Slot, shared: &Shared) -> u64 {
        self.clear(slot, shared);
        let lane = &mut self.lanes[slot.0 as usize];
        lane.is_read = true;
        lane.generation
    }

    /// True when it was being read.
    pub(super) fn stop(&mut self, slot: Slot, shared: &Shared) -> bool {
        self.clear(slot, shared);
        let lane = &mut self.lanes[slot.0 as usize];
        // Nobody listens any more: an end heard long ago would tell a later reader that it has caught up.
        lane.end = None;
        std::mem::take(&mut lane.is_read)
    }

    fn clear(&mut self, slot: Slot, shared: &Shared) {
        let lane = &mut self.lanes[slot.0 as usize];
        lane.generation += 1;
        if std::mem::take(&mut lane.is_held) {
            shared.release(slot);
        }
        if lane.ready.is_empty() {
            return;
        }
        for arrival in lane.ready.drain(..) {
            drop_arrival(slot, arrival, shared);
        }
        self.turns.retain(|turn| *turn != slot);
    }

    /// Hands out nothing of a slot for now, and keeps what it has; false when that is too much.
    pub(super) fn hold(&mut self, slot: Slot, coming: usize, shared: &Shared) -> bool {
        let lane = &mut self.lanes[slot.0 as usize];
        if !lane.is_read || !shared.hold(slot, coming) {
            return false;
        }
        lane.is_held = true;
        self.turns.retain(|turn| *turn != slot);
        true
    }

    /// Ends [`Reading::hold`]; false when there was none.
    pub(super) fn release(&mut self, slot: Slot, shared: &Shared) -> bool {
        let lane = &mut self.lanes[slot.0 as usize];
        if !std::mem::take(&mut lane.is_held) {
            return false;
        }
        if !lane.ready.is_empty() {
            self.turns.push_back(slot);
        }
        shared.release(slot)
    }

    pub(super) fn hear(
        &mut self,
        arrivals: VecDeque<(Slot, u64, Arrival)>,
        ends: &FxHashMap<Slot, (u64, Offset)>,
        shared: &Shared,
    ) {
        for (slot, generation, arrival) in arrivals {
            let lane = &mut self.lanes[slot.0 as usize];
            if lane.generation != generation {
                drop_arrival(slot, arrival, shared);
                continue;
            }
            if lane.ready.is_empty() && !lane.is_held {
                self.turns.push_back(slot);
            }
            lane.ready.push_back(arrival);
        }
        for (slot, (generation, end)) in ends {
            let lane = &mut self.lanes[slot.0 as usize];
            if lane.generation == *generation {
                lane.end = Some(*end);
            }
        }
    }

    /// The next chunk or error, of the slot whose turn it is.
    pub(super) fn next(&mut self, shared: &Shared) -> Result<Option<Chunk>> {
        let Some(slot) = self.turns.pop_front() else {
            return Ok(None);
        };
        let lane = &mut self.lanes[slot.0 as usize];
        let arrival = lane.ready.pop_front();
        if !lane.ready.is_empty() {
            self.turns.push_back(slot);
        }
        match arrival {
            Some(Arrival::Chunk(chunk)) => {
                shared.taken(slot, chunk.bytes.len());
                Ok(Some(chunk))
            }
            Some(Arrival::Failed(error)) => {
                self.lanes[slot.0 as usize].is_read = false;
                Err(error)
            }
            None => Ok(None),
        }
    }

    pub(super) fn end(&self, slot: Slot) -> Option<Offset> {
        self.lanes.get(slot.0 as usize)?.end
    }
}

fn drop_arrival(slot: Slot, arrival: Arrival, shared: &Shared) {
    if let Arrival::Chunk(chunk) = arrival {
        shared.taken(slot, chunk.bytes.len());
        shared.keep_chunk(chunk.bytes);
    }
}

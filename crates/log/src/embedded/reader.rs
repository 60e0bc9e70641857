//! Reading: chunks of whole batches from segment files, taking turns between partitions. Not a prefetcher: the page cache is one.
//! Invariant: a batch is handed out only below the published end, and only when its CRC holds.

use super::{
    client::EmbeddedClient,
    core::Core,
    partition::Partition,
    segment::Segment,
    walk::{check_base, corrupt},
};
use crate::{
    Chunk, Error, Offset, Result, Slot,
    batch::{BatchView, Damage},
};
use std::sync::{Arc, atomic::Ordering};

/// Buffers kept for the next chunks.
const SPARE_BUFFERS_MAX: usize = 8;

/// Where a client reads in one partition.
#[derive(Default)]
pub(super) struct Reading {
    /// `None` when the slot is not read.
    position: Option<Offset>,
    partition: Option<Arc<Partition>>,
    /// The version of the topics at which the partition was looked for in vain.
    missed_at: u64,
    /// Where `position` is, where known.
    place: Option<Place>,
}

/// A batch in a file.
struct Place {
    segment: Arc<Segment>,
    at: u64,
    /// The first offset of the batch there.
    base: Offset,
}

impl EmbeddedClient {
    pub(super) fn start_reading(&mut self, slot: Slot, position: Offset) {
        let Some(state) = self.slots.get_mut(slot.0 as usize) else {
            return;
        };
        state.reading.position = Some(position);
        state.reading.place = None;
        state.reading.missed_at = 0;
    }

    pub(super) fn end_reading(&mut self, slot: Slot) {
        let Some(state) = self.slots.get_mut(slot.0 as usize) else {
            return;
        };
        if let Some(partition) = state.reading.partition.take() {
            partition.unwatch(&self.mailbox);
        }
        state.reading = Reading::default();
    }

    pub(super) fn fetch_next(&mut self) -> Result<Option<Chunk>> {
        for _ in 0..self.slots.len() {
            let number = self.next_read % self.slots.len();
            self.next_read = number + 1;
            match self.fetch_from(Slot(number as u32)) {
                Ok(None) => {}
                Ok(chunk) => return Ok(chunk),
                Err(error) => {
                    self.end_reading(Slot(number as u32));
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    pub(super) fn keep_buffer(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE_BUFFERS_MAX
            && buffer.capacity() <= 2 * self.options.fetch_bytes_max
        {
            self.spare.push(buffer);
        }
    }

    fn fetch_from(&mut self, slot: Slot) -> Result<Option<Chunk>> {
        let Some(position) = self.slots[slot.0 as usize].reading.position else {
            return Ok(None);
        };
        let Some(partition) = self.resolve(slot)? else {
            return Ok(None);
        };
        // The end before the start: retention moves both, and a start read first could lie before an end read later by more than the log.
        let end = partition.end();
        let start = partition.start();
        if position < start || position > end {
            return Err(Error::OffsetOutOfRange {
                partition: partition.name.clone(),
                offset: position,
                start,
                end,
            });
        }
        if position == end {
            return Ok(None);
        }
        let buffer = self.spare.pop().unwrap_or_default();
        let fetch_bytes_max = self.options.fetch_bytes_max;
        let mut reading = std::mem::take(&mut self.slots[slot.0 as usize].reading);
        let read = reading.read(
            self.core(),
            &partition,
            position,
            end,
            buffer,
            fetch_bytes_max,
        );
        self.slots[slot.0 as usize].reading = reading;
        let (bytes, next_offset) = read?;
        self.slots[slot.0 as usize].reading.position = Some(next_offset);
        Ok(Some(Chunk {
            partition: partition.name.clone(),
            slot,
            position,
            next_offset,
            end_offset: end,
            bytes,
            aborted: Vec::new(),
        }))
    }

    /// The partition of a slot that is read; `None` while there is none.
    fn resolve(&mut self, slot: Slot) -> Result<Option<Arc<Partition>>> {
        let version = self.core().state.version();
        let state = &self.slots[slot.0 as usize];
        if let Some(partition) = &state.reading.partition {
            if partition.deleted.load(Ordering::Acquire) {
                return Err(Error::UnknownTopic(partition.name.topic.to_string()));
            }
            return Ok(Some(Arc::clone(partition)));
        }
        if state.reading.missed_at == version {
            return Ok(None);
        }
        let found = self.core().state.partition(&state.name).ok();
        match &found {
            Some(partition) => partition.watch(&self.mailbox),
            None => self.slots[slot.0 as usize].reading.missed_at = version,
        }
        self.slots[slot.0 as usize]
            .reading
            .partition
            .clone_from(&found);
        Ok(found)
    }
}

impl Reading {
    /// Whole batches from `position` on, below `end`, and the offset after them.
    fn read(
        &mut self,
        core: &Core,
        partition: &Partition,
        position: Offset,
        end: Offset,
        mut buffer: Vec<u8>,
        bytes_max: usize,
    ) -> Result<(Vec<u8>, Offset)> {
        // Compaction or retention may take a file away between a look and a read; the second look sees it gone from the list.
        for _ in 0..RETRIES_MAX {
            let Some(place) = self.place(core, partition, position)? else {
                return Err(missing(partition, position, end));
            };
            match read_batches(core, &place, end, &mut buffer, bytes_max) {
                Ok((next_offset, taken)) if next_offset > position => {
                    self.place = Some(Place {
                        at: place.at + taken as u64,
                        base: next_offset,
                        segment: place.segment,
                    });
                    buffer.truncate(taken);
                    return Ok((buffer, next_offset));
                }
                Ok(_) if !place.segment.retired.load(Ordering::Acquire) => {
                    return Err(missing(partition, position, end));
                }
                Err(error) if !place.segment.retired.load(Ordering::Acquire) => return Err(error),
                _ => {}
            }
        }
        Err(Error::Unavailable(format!(
            "{}: offset {position} moved between files {RETRIES_MAX} times while it was read",
            partition.name
        )))
    }

    /// Where the batch with `position` is.
    fn place(
        &mut self,
        core: &Core,
        partition: &Partition,
        position: Offset,
    ) -> Result<Option<Place>> {
        if let Some(place) = self.place.take()
            && !place.segment.retired.load(Ordering::Acquire)
        {
            if place.at < place.segment.bytes() {
                return Ok(Some(place));
            }
            if let Some(segment) = partition.segment_after(&place.segment)
                && segment.base == position
            {
                return Ok(Some(Place {
                    segment,
                    at: 0,
                    base: position,
                }));
            }
        }
        for _ in 0..RETRIES_MAX {
            let Some(segment) = partition.segment_at(position) else {
                return Ok(None);
            };
            match segment.locate(&core.state.files, position) {
                Ok((at, base)) => return Ok(Some(Place { segment, at, base })),
                Err(_) if segment.retired.load(Ordering::Acquire) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }
}

/// Looks at a partition whose files change while it is read.
const RETRIES_MAX: usize = 8;

/// Fills `buffer` with whole batches from `place` on; returns the offset after them and their bytes. A first batch larger than
/// `bytes_max` is read whole.
fn read_batches(
    core: &Core,
    place: &Place,
    end: Offset,
    buffer: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<(Offset, usize)> {
    let Place { segment, at, base } = place;
    let left = usize::try_from(segment.bytes().saturating_sub(*at)).unwrap_or(usize::MAX);
    let file = core.state.files.get(segment)?;
    let mut want = bytes_max.max(crate::batch::HEADER_LEN).min(left);
    loop {
        buffer.resize(want, 0);
        file.read_exact_at(buffer, *at).map_err(|error| {
            let tried = format!("read {want} bytes at byte {at}");
            Error::io(segment.path(), &tried, &error)
        })?;
        let (mut taken, mut due) = (0, *base);
        while taken < want && due < end {
            let batch = BatchView::check(&buffer[taken..])
                .and_then(|batch| check_base(&batch, Some(due)).map(|()| batch));
            match batch {
                Ok(batch) => {
                    due = batch.next_offset();
                    taken += batch.bytes().len();
                }
                Err(Damage::Incomplete) if want < left => break,
                Err(damage) => return Err(corrupt(&segment.path(), at + taken as u64, &damage)),
            }
        }
        if taken > 0 || want == left {
            return Ok((due, taken));
        }
        want = wanted(buffer).clamp(want + 1, left);
    }
}

/// The length of the batch at the start of `buffer`, as its header says.
fn wanted(buffer: &[u8]) -> usize {
    let length = buffer.get(8..12).and_then(|bytes| bytes.try_into().ok());
    let length = i32::from_be_bytes(length.unwrap_or_default());
    usize::try_from(length)
        .unwrap_or(0)
        .saturating_add(crate::batch::PREFIX_LEN)
}

/// An offset inside the log that no segment holds: a batch was damaged so that its offsets do not reach where they should.
fn missing(partition: &Partition, position: Offset, end: Offset) -> Error {
    Error::Corrupt {
        path: partition.dir.clone(),
        position: 0,
        message: format!(
            "no segment holds offset {position} though the partition ends at {end}: run `verify`"
        ),
    }
}

//! Aggregation by key and sliding window (`KStreamSlidingWindowAggregate`). Not windows that are known from the time alone.
//! Invariant: there is a window for each set of records within the difference, and a window's row has the time of its latest
//! record, from which the neighbours of a new record are known.

use super::encode_key;
use super::fold::Fold;
use super::materialized::{Cause, Materialized};
use super::row_list::{Asked, RowList};
use super::{Closing, ObservedTime};
use crate::format::Codec;
use crate::task::{Buffer, CacheWalk, Context, ReceiveRecord, Scratch};
use crate::window::{SlidingWindows, Windowed};
use crate::{Error, Record, Result};
use headwater_store::{Direction, KeyRange, window};
use std::cell::Cell;
use std::{rc::Rc, sync::Arc};

pub(crate) struct SlidingAggregate<K, V, A, F> {
    pub(crate) key: Codec<K>,
    pub(crate) windows: SlidingWindows,
    pub(crate) rows: Materialized<Windowed<K>, A>,
    pub(crate) fold: Arc<F>,
    pub(crate) observed: ObservedTime,
    pub(crate) closing: Option<Rc<Closing<K, A>>>,
    /// Java's windows must not be empty: those of difference 0 cannot be made.
    pub(crate) refuses_empty: bool,
    pub(crate) key_bytes: Scratch,
    pub(crate) bounds: (Scratch, Scratch),
    pub(crate) list: Cell<RowList>,
    pub(crate) found: Cell<Vec<Found<A>>>,
    pub(crate) types: std::marker::PhantomData<fn(V)>,
}

/// A window of the record's key near the record.
pub(crate) struct Found<A> {
    start: i64,
    row: A,
    /// The time of its latest record.
    latest: i64,
}

/// What a pass over the windows near a record has found out.
struct Neighbours<A> {
    /// The aggregate and latest record of a window that holds what follows the record.
    right: Option<(A, i64)>,
    left: Option<A>,
    left_exists: bool,
    right_exists: bool,
    /// The time of the record before.
    previous: Option<i64>,
}

/// A record on its way through its windows.
struct Step<'r, K, V> {
    record: &'r Record<K, V>,
    key_bytes: Buffer,
    plain: usize,
    /// Windows that end before are closed.
    close: i64,
    /// Of what the record cache has near the record.
    walk: Option<CacheWalk>,
    /// Windows that Kafka Streams would not see, by start.
    unseen: Vec<i64>,
}

/// The windows near a record, and those of them that are cached as the store below has them.
struct Near<'f, A> {
    found: &'f [Found<A>],
    below: &'f [Found<A>],
}

impl<K, V, A, F> ReceiveRecord<K, V> for SlidingAggregate<K, V, A, F>
where
    K: Clone + 'static,
    V: Clone,
    A: Clone + 'static,
    F: Fold<K, V, A>,
{
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let mut key_bytes = self.key_bytes.take();
        if record.value.is_none()
            || !encode_key(&self.key, self.rows.topic(), &record.key, &mut key_bytes)?
        {
            ctx.drop_record();
            return Ok(());
        }
        let observed = self.observed.advance(ctx, record.timestamp);
        let close = observed.saturating_sub(self.windows.grace_ms);
        if self.end(record.timestamp) < close {
            ctx.drop_record();
            return Ok(());
        }
        if self.refuses_empty && self.windows.difference_ms == 0 {
            return Err(Error::failed("a window must end after it starts"));
        }
        if self.closing.is_none() {
            self.rows.observe(ctx, observed);
        }
        let found = self.find(ctx, &key_bytes, record.timestamp)?;
        let early = record.timestamp < self.windows.difference_ms;
        let direction = match early {
            true => Direction::Forward,
            false => Direction::Backward,
        };
        let near = self.near(record.timestamp);
        let walk = CacheWalk::of(ctx, self.rows.store(), &key_bytes, near, direction);
        let below = match &walk {
            Some(walk) => self.below(ctx, walk)?,
            None => Vec::new(),
        };
        let near = Near {
            found: &found,
            below: &below,
        };
        let mut step = Step {
            plain: key_bytes.len(),
            record: &record,
            key_bytes,
            close,
            walk,
            unseen: Vec::new(),
        };
        if early {
            self.early(ctx, &mut step, &near)?;
        } else {
            self.aggregate(ctx, &mut step, &near)?;
        }
        self.found.set(found);
        self.key_bytes.give(step.key_bytes);
        if let Some(closing) = &self.closing {
            if !early {
                closing.emit(ctx, observed, &record.headers, record.position)?;
            }
            self.rows.observe(ctx, observed);
        }
        Ok(())
    }
}

impl<K, V, A, F> SlidingAggregate<K, V, A, F>
where
    K: Clone + 'static,
    V: Clone,
    A: Clone + 'static,
    F: Fold<K, V, A>,
{
    fn end(&self, start: i64) -> i64 {
        start.saturating_add(self.windows.difference_ms)
    }

    /// When windows begin that a record of this time, or the one before it, may be in or next to: first and last.
    fn near(&self, timestamp: i64) -> (i64, i64) {
        let back = self.windows.difference_ms.saturating_mul(2);
        let from_ms = timestamp.saturating_sub(back).max(0);
        (from_ms, timestamp.saturating_add(1))
    }

    /// The key's windows that the record, or the one before it, may be in or next to; by start.
    fn find(&self, ctx: &mut Context<'_>, key: &[u8], timestamp: i64) -> Result<Vec<Found<A>>> {
        let (from_ms, to_ms) = self.near(timestamp);
        let times = from_ms..=to_ms;
        let (mut from, mut to) = (self.bounds.0.take(), self.bounds.1.take());
        window::key(key, *times.start(), 0, &mut from);
        window::key(key, *times.end(), u32::MAX, &mut to);
        let mut list = self.list.take();
        let asked = Asked {
            store: self.rows.store(),
            key: Some(key),
            range: KeyRange::inclusive(&from, &to),
            times,
        };
        let of_key = |bytes: &[u8]| window::parse(bytes).is_some_and(|(found, _, _)| found == key);
        list.read(ctx, asked, of_key)?;
        let mut found = self.found.take();
        found.clear();
        for number in 0..list.len() {
            let (key, local) = list.row(number);
            let Some((_, start, _)) = window::parse(key) else {
                continue;
            };
            let (row, latest) = self.rows.decode(local)?;
            found.push(Found { start, row, latest });
        }
        self.list.set(list);
        self.bounds.0.give(from);
        self.bounds.1.give(to);
        Ok(found)
    }

    /// What the store holds under what is cached.
    fn below(&self, ctx: &Context<'_>, walk: &CacheWalk) -> Result<Vec<Found<A>>> {
        let mut below = Vec::new();
        let mut local = Vec::new();
        let Some(store) = &ctx.state.stores[self.rows.store()] else {
            return Ok(below);
        };
        for key in walk.overlaid() {
            if let Some((_, start, _)) = window::parse(key)
                && store.get(key, &mut local)?
            {
                let (row, latest) = self.rows.decode(&local)?;
                below.push(Found { start, row, latest });
            }
        }
        Ok(below)
    }

    /// Adds the record to the windows that hold it, and makes those that its coming makes.
    fn aggregate(
        &self,
        ctx: &mut Context<'_>,
        step: &mut Step<'_, K, V>,
        range: &Near<'_, A>,
    ) -> Result<()> {
        let found = range.found;
        let timestamp = step.record.timestamp;
        let mut near = Neighbours {
            right: None,
            left: None,
            left_exists: false,
            right_exists: false,
            previous: None,
        };
        let mut visited = found.len();
        for window in found.iter().rev() {
            visited -= 1;
            let Some(window) = self.shown(ctx, step, range, window) else {
                continue;
            };
            let end = self.end(window.start);
            if window.start == timestamp + 1 {
                near.right_exists = true;
            } else if end > timestamp {
                near.right
                    .get_or_insert_with(|| (window.row.clone(), window.latest));
                self.update_found(ctx, step, window)?;
            } else if end == timestamp {
                near.left_exists = true;
                self.update_found(ctx, step, window)?;
                if window.latest >= timestamp {
                    // Another record of this time has made all the windows there are.
                    return Ok(());
                }
                near.previous = Some(window.latest);
            } else {
                near.left = Some(window.row.clone());
                near.previous = Some(window.latest);
                return self.create(ctx, step, near, &found[visited..]);
            }
        }
        self.note_end(ctx, step);
        self.create(ctx, step, near, found)
    }

    /// The windows that were not there: that which begins after the record before, those which end and begin with this one.
    fn create(
        &self,
        ctx: &mut Context<'_>,
        step: &mut Step<'_, K, V>,
        near: Neighbours<A>,
        visited: &[Found<A>],
    ) -> Result<()> {
        let timestamp = step.record.timestamp;
        let left_start = timestamp - self.windows.difference_ms;
        if let Some(previous) = near.previous
            && !Self::saw(step, visited, previous + 1)
            && self.end(previous + 1) >= timestamp
        {
            self.update_fresh(ctx, step, previous + 1, self.fold.initial())?;
        }
        if !near.left_exists {
            let before = near.previous.filter(|previous| left_start <= *previous);
            let row = match before {
                Some(_) => near.left,
                None => self.fold.initial(),
            };
            self.update_fresh(ctx, step, left_start, row)?;
        }
        match near.right {
            Some((row, latest)) if !near.right_exists && latest > timestamp => {
                self.put(ctx, step, timestamp + 1, Some(row), None, latest)
            }
            _ => Ok(()),
        }
    }

    /// A record before the first full difference: windows do not begin before the epoch, so one that begins there holds all of
    /// these records.
    fn early(
        &self,
        ctx: &mut Context<'_>,
        step: &mut Step<'_, K, V>,
        range: &Near<'_, A>,
    ) -> Result<()> {
        let found = range.found;
        let timestamp = step.record.timestamp;
        let mut combined = None;
        let mut right = None;
        let mut right_exists = false;
        for window in found {
            let Some(window) = self.shown(ctx, step, range, window) else {
                continue;
            };
            if window.start == 0 {
                combined = Some(window);
            } else if window.start <= timestamp {
                right = Some((window.row.clone(), window.latest));
                self.update_found(ctx, step, window)?;
            } else {
                right_exists = true;
            }
        }
        self.note_end(ctx, step);
        let previous = combined.map(|window| window.latest);
        let previous = previous.filter(|latest| *latest < timestamp);
        if right.is_none() {
            right = combined.map(|window| (window.row.clone(), window.latest));
        }
        if let Some((row, latest)) = right
            && !right_exists
            && latest > timestamp
        {
            self.put(ctx, step, timestamp + 1, Some(row), None, latest)?;
        }
        if let Some(previous) = previous
            && !Self::saw(step, found, previous + 1)
        {
            self.update_fresh(ctx, step, previous + 1, self.fold.initial())?;
        }
        match combined {
            Some(window) => self.update_found(ctx, step, window),
            None => self.update_fresh(ctx, step, 0, self.fold.initial()),
        }
    }

    /// A window in its turn, between the updates of others; `None` where Kafka Streams would not see it.
    fn shown<'f>(
        &self,
        ctx: &mut Context<'_>,
        step: &mut Step<'_, K, V>,
        range: &Near<'f, A>,
        window: &'f Found<A>,
    ) -> Option<&'f Found<A>> {
        let Some(walk) = &mut step.walk else {
            return Some(window);
        };
        walk.look(ctx);
        step.key_bytes.truncate(step.plain);
        step.key_bytes
            .extend_from_slice(&window.start.to_be_bytes());
        step.key_bytes.extend_from_slice(&[0; 4]);
        if !walk.handed_out(&step.key_bytes) {
            return Some(window);
        }
        let mut below = range.below.iter();
        let below = below.find(|below| below.start == window.start);
        if below.is_none() {
            step.unseen.push(window.start);
        }
        below
    }

    /// True if a window that begins at `start` was among these, and seen.
    fn saw(step: &Step<'_, K, V>, windows: &[Found<A>], start: i64) -> bool {
        windows.iter().any(|window| window.start == start) && !step.unseen.contains(&start)
    }

    /// All windows were looked at, and asked for one more.
    fn note_end(&self, ctx: &mut Context<'_>, step: &mut Step<'_, K, V>) {
        if let Some(walk) = &mut step.walk {
            walk.look(ctx);
        }
    }

    /// Adds the record to a window that is there.
    fn update_found(
        &self,
        ctx: &mut Context<'_>,
        step: &mut Step<'_, K, V>,
        window: &Found<A>,
    ) -> Result<()> {
        if self.is_closed(ctx, step, window.start) {
            return Ok(());
        }
        let row = Some(window.row.clone());
        let kept = self.rows.kept(&row);
        let latest = step.record.timestamp.max(window.latest);
        let new = self
            .fold
            .add(&step.record.key, step.record.value.clone(), row);
        self.put(ctx, step, window.start, new, kept, latest)
    }

    /// Makes a window of `row` and the record.
    fn update_fresh(
        &self,
        ctx: &mut Context<'_>,
        step: &mut Step<'_, K, V>,
        start: i64,
        row: Option<A>,
    ) -> Result<()> {
        if self.is_closed(ctx, step, start) {
            return Ok(());
        }
        let kept = self.rows.kept_initial(&row);
        let new = self
            .fold
            .add(&step.record.key, step.record.value.clone(), row);
        self.put(ctx, step, start, new, kept, step.record.timestamp)
    }

    fn is_closed(&self, ctx: &mut Context<'_>, step: &Step<'_, K, V>, start: i64) -> bool {
        let closed = self.end(start) < step.close;
        if closed {
            ctx.drop_record();
        }
        closed
    }

    fn put(
        &self,
        ctx: &mut Context<'_>,
        step: &mut Step<'_, K, V>,
        start: i64,
        new: Option<A>,
        kept: Option<A>,
        timestamp: i64,
    ) -> Result<()> {
        step.key_bytes.truncate(step.plain);
        step.key_bytes.extend_from_slice(&start.to_be_bytes());
        step.key_bytes.extend_from_slice(&[0; 4]);
        let cause = Cause {
            timestamp,
            record_timestamp: step.record.timestamp,
            headers: &step.record.headers,
            position: step.record.position,
        };
        let key = || Windowed {
            key: step.record.key.clone(),
            start,
            end: self.end(start),
        };
        let key_bytes = &step.key_bytes;
        let present = self.rows.put(ctx, key_bytes, key, new, kept, cause)?;
        if let Some(closing) = &self.closing {
            closing.written(key_bytes, present);
        }
        Ok(())
    }
}

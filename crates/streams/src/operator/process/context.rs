//! What a processor may do besides computing: forward, open its stores, ask for calls and commits, read times.
//! Not shared: it lives for one call. Invariant: a store opens only for the
//! processors it is connected to; a global one for all.

use super::StoreView;
use super::node::Place;
use crate::dsl::StoreHandle;
use crate::format::{FormatOf, Formats};
use crate::task::{Context, Outputs, Punctuation, PunctuationKind, Schedule, StateStore};
use crate::topology::Kept;
use crate::{Error, Headers, Position, Record, Result, Windowed};
use headwater_log::TaskId;
use headwater_store::Layout;
use std::{any::Any, cell::Cell, marker::PhantomData, rc::Rc, sync::Arc, time::Duration};

/// What a processor may do besides computing.
pub struct ProcessorContext<'a, 'c, K, V> {
    pub(super) inner: &'a mut Context<'c>,
    pub(super) outputs: &'a Outputs<K, V>,
    pub(super) place: &'a Place,
    pub(super) cause: Cause,
}

impl<'a, 'c, K, V> ProcessorContext<'a, 'c, K, V> {
    /// The context of a call without a record; `timestamp` is that of its writes.
    pub(crate) fn new(
        inner: &'a mut Context<'c>,
        outputs: &'a Outputs<K, V>,
        place: &'a Place,
        timestamp: i64,
    ) -> Self {
        let cause = Cause {
            timestamp,
            position: Position::NONE,
            headers: Headers::default(),
        };
        Self {
            inner,
            outputs,
            place,
            cause,
        }
    }
}

/// The record that a processor works on, for what its stores write.
pub(crate) struct Cause {
    pub(crate) timestamp: i64,
    pub(crate) position: Position,
    /// Empty unless a store of the processor has a record cache, which keeps them, or tells the changelog those of a deletion.
    pub(crate) headers: Headers,
}

/// A schedule, for cancelling it (`Cancellable`). Dropping it cancels nothing.
#[derive(Clone, Debug)]
pub struct Scheduled {
    pub(crate) number: usize,
    pub(crate) cancelled: Rc<Cell<bool>>,
}

impl Scheduled {
    /// Ends the schedule: [`Processor::punctuate`](crate::Processor::punctuate) is not called for it again.
    pub fn cancel(&self) {
        self.cancelled.set(true);
    }

    /// True when `punctuation` is a call of this schedule.
    pub fn made(&self, punctuation: Punctuation) -> bool {
        punctuation.schedule == self.number
    }
}

impl<K: Clone, V: Clone> ProcessorContext<'_, '_, K, V> {
    /// Sends a record to the next operators; they have processed it when this returns.
    pub fn forward(&mut self, record: Record<K, V>) -> Result<()> {
        check_time(&record)?;
        self.outputs.send(self.inner, record)
    }

    /// Sends a record to the next operator of this name only.
    pub fn forward_to(&mut self, child: &str, record: Record<K, V>) -> Result<()> {
        check_time(&record)?;
        let children = &self.place.children;
        match children.iter().position(|name| name == child) {
            Some(number) => {
                let (key, value, mut meta) = record.into_parts();
                let outputs = self.outputs;
                Ok(outputs.pass_to(number, self.inner, (key, value), &mut meta)?)
            }
            None => Err(Error::failed(format!(
                "no operator '{child}' follows it; forward to one of: {}",
                children.join(", ")
            ))),
        }
    }
}

/// What a processor must know of a store to open it.
struct Face<'s> {
    name: &'s Arc<str>,
    topic: &'s Arc<str>,
    layout: &'s Layout,
    timestamped: bool,
    kept: Kept,
    formats: &'s Arc<dyn Any + Send + Sync>,
}

impl Face<'_> {
    /// The formats of the store, if it keeps these types. Stores of windows have keys without a window for who opens them.
    fn formats_of<K: 'static, V: 'static>(&self) -> Option<Formats<K, V>> {
        let by_time = matches!(self.layout, Layout::Window { .. } | Layout::Session { .. });
        let windows = self.formats.downcast_ref::<Formats<Windowed<K>, V>>();
        if let Some(windows) = windows.filter(|_| by_time)
            && let Some(keys) = windows.key.as_ref()?.keys_in_windows()
        {
            return Some(Formats {
                key: Some(*keys.downcast::<FormatOf<K>>().ok()?),
                value: windows.value.clone(),
            });
        }
        let formats = self.formats.downcast_ref::<Formats<K, V>>()?;
        let windowed = formats.key.as_ref()?.keys_in_windows().is_some();
        (!by_time || !windowed).then(|| formats.clone())
    }
}

impl<K, V> ProcessorContext<'_, '_, K, V> {
    /// A connected store, or a global one, which can only be read.
    pub fn store<SK: 'static, SV: 'static, S>(
        &mut self,
        store: StoreHandle<SK, SV, S>,
    ) -> Result<StoreView<'_, SK, SV, S>> {
        self.open(store.index)
    }

    /// As [`ProcessorContext::store`], by its name, for processors that are not given the handle and for the stores of tables. An error
    /// unless the store keeps these types in this way. The store of an aggregation by windows keeps [`TimestampedWindows`] and that
    /// of one by sessions [`Sessions`], under the keys as they were before: `ctx.store_named::<String, u64, TimestampedWindows>("counts")`.
    ///
    /// [`TimestampedWindows`]: crate::TimestampedWindows
    /// [`Sessions`]: crate::Sessions
    pub fn store_named<SK: 'static, SV: 'static, S: 'static>(
        &mut self,
        name: &str,
    ) -> Result<StoreView<'_, SK, SV, S>> {
        let state = &self.inner.state;
        let named = |store: &Option<StateStore>| store.as_ref().is_some_and(|it| *it.name == *name);
        let own = state.stores.iter().position(named);
        let index = own.or_else(|| state.globals.find(name));
        let index = index.ok_or_else(|| self.place.not_connected(name))?;
        let kept = self.face(index).map(|face| {
            face.formats_of::<SK, SV>().is_some()
                && super::view::keeps::<S>(face.layout, face.timestamped, face.kept)
        });
        match kept {
            None | Some(true) => self.open(index),
            Some(false) => Err(Error::failed(format!(
                "store '{name}' does not keep {} by {} as {}",
                std::any::type_name::<SV>(),
                std::any::type_name::<SK>(),
                std::any::type_name::<S>()
            ))),
        }
    }

    /// A store of the task, or a global one; `None` when it is neither.
    fn face(&self, index: usize) -> Option<Face<'_>> {
        let state = &self.inner.state;
        match state.stores.get(index).and_then(Option::as_ref) {
            Some(store) => Some(Face {
                name: &store.name,
                topic: &store.topic,
                layout: &store.bytes.options().layout,
                timestamped: store.timestamped,
                kept: store.kept,
                formats: &store.formats,
            }),
            None => state.globals.store(index).map(|store| Face {
                name: &store.name,
                topic: &store.topic,
                layout: &store.layout,
                timestamped: store.timestamped,
                kept: store.kept,
                formats: &store.formats,
            }),
        }
    }

    fn open<SK: 'static, SV: 'static, S>(
        &mut self,
        index: usize,
    ) -> Result<StoreView<'_, SK, SV, S>> {
        // Global stores are open to all processors, without being connected.
        let global = self.inner.state.globals.store(index).is_some();
        let found = self.face(index).map(|face| {
            (
                face.name.clone(),
                face.formats_of::<SK, SV>(),
                face.topic.clone(),
            )
        });
        let (formats, topic) = match found {
            Some((_, Some(formats), topic)) if global || self.place.stores.contains(&index) => {
                (formats, topic)
            }
            found => {
                let name = found.as_ref().map_or("?", |(name, ..)| &**name);
                return Err(self.place.not_connected(name));
            }
        };
        Ok(StoreView {
            store: index,
            key: formats.key.expect("a built store has its formats"),
            value: formats.value.expect("a built store has its formats"),
            topic,
            cause: &self.cause,
            ctx: Context {
                state: self.inner.state,
                cache: self.inner.cache,
                output: self.inner.output,
            },
            types: PhantomData,
        })
    }

    /// Asks for calls of [`Processor::punctuate`](crate::Processor::punctuate) each `interval` (at least 1 ms): by stream time at
    /// multiples of it, first as soon as stream time is known; by the wall clock first after one interval.
    pub fn schedule(&mut self, interval: Duration, kind: PunctuationKind) -> Scheduled {
        let next = match kind {
            PunctuationKind::StreamTime => 0,
            PunctuationKind::WallClock => {
                let now = self.inner.state.now_ms;
                now.saturating_add(interval_ms(interval))
            }
        };
        self.add_schedule(next, interval, kind)
    }

    /// As [`ProcessorContext::schedule`], at `start` (ms since the epoch, at least 0) and each `interval` after it; first at the
    /// first of these times that is yet to come (KIP-1146).
    pub fn schedule_from(
        &mut self,
        start: i64,
        interval: Duration,
        kind: PunctuationKind,
    ) -> Scheduled {
        let start = start.max(0);
        let now = match kind {
            PunctuationKind::StreamTime => self.inner.state.stream_time,
            PunctuationKind::WallClock => self.inner.state.now_ms,
        };
        let every = interval_ms(interval);
        let next = match start < now {
            true => start.saturating_add(((now - start) / every + 1).saturating_mul(every)),
            false => start,
        };
        self.add_schedule(next, interval, kind)
    }

    fn add_schedule(&mut self, next: i64, interval: Duration, kind: PunctuationKind) -> Scheduled {
        let cancelled = Rc::new(Cell::new(false));
        let number = self.inner.state.schedules.add(Schedule {
            processor: self.place.number.get(),
            kind,
            interval_ms: interval_ms(interval),
            next,
            number: 0,
            cancelled: cancelled.clone(),
        });
        Scheduled { number, cancelled }
    }

    /// Asks for a commit soon.
    pub fn request_commit(&mut self) {
        self.inner.state.commit_requested = true;
    }

    /// The largest timestamp the task has processed, ms since the epoch; -1 before the first.
    pub fn stream_time(&self) -> i64 {
        self.inner.state.stream_time
    }

    /// The wall clock as of this step, ms since the epoch.
    pub fn now_ms(&self) -> i64 {
        self.inner.state.now_ms
    }

    /// The task's id.
    pub fn task(&self) -> TaskId {
        self.inner.state.id
    }

    /// Where the record that caused this call was read; [`Position::NONE`] in punctuations, `open` and `close`.
    pub fn position(&self) -> Position {
        self.cause.position
    }

    /// The name of a record's source topic; `None` for records that a punctuation made.
    pub fn topic(&self, position: Position) -> Option<&str> {
        self.inner
            .state
            .topics
            .get(position.topic as usize)
            .map(|topic| &**topic)
    }
}

fn interval_ms(interval: Duration) -> i64 {
    crate::window::millis(interval).max(1)
}

/// A record has a time, as Java's `Record` has; a negative one is a failure of the processor.
fn check_time<K, V>(record: &Record<K, V>) -> Result<()> {
    if record.timestamp < 0 {
        let time = record.timestamp;
        return Err(Error::failed(format!(
            "a record cannot be forwarded with the timestamp {time}; give it 0 or more ms since the epoch"
        )));
    }
    Ok(())
}

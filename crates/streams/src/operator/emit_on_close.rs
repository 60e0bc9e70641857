//! Sends the results of windows once they have closed (`EmitStrategy.onWindowClose`), in the order of their times.
//! Not the aggregation. Invariant: every window that closes is sent once, and before its row may expire. Under
//! `Semantics::Java` closed windows are read as Kafka Streams reads them, which loses those that its store has let go.

use super::ObservedTime;
use super::materialized::decode_row;
use super::open_windows::OpenWindows;
use super::row_list::{Asked, RowList};
use super::session_rows::decode_session;
use crate::format::FormatOf;
use crate::task::{
    Advance, Context, Outputs, Punctuate, Punctuation, Scratch, Wiring, note_closing,
};
use crate::topology::Semantics;
use crate::window::{SessionWindows, SlidingWindows, TimeWindows, Windowed, Windowing};
use crate::{Change, Error, Headers, Position, Record, Result};
use headwater_log::HeadersRef;
use headwater_store::{Direction, KeyRange, session, window};
use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::{rc::Rc, sync::Arc};

/// When windows close.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Closes {
    Time(TimeWindows),
    Sliding(SlidingWindows),
    Session(SessionWindows),
}

impl Closes {
    /// How far the operator must be past a window's end for it to be closed.
    fn delay_ms(self) -> i64 {
        match self {
            Self::Time(windows) => windows.grace_ms,
            Self::Sliding(windows) => windows.grace_ms,
            Self::Session(windows) => windows.close_ms(),
        }
    }

    /// The latest start (of sessions: end) of windows that are closed when those that end before `close` are. Those of time end
    /// with the first ms after them, the others with their last.
    fn last_closed(self, close: i64) -> i64 {
        match self {
            Self::Time(windows) => close.saturating_sub(windows.size_ms),
            Self::Sliding(windows) => close.saturating_sub(windows.difference_ms) - 1,
            Self::Session(_) => close - 1,
        }
    }

    /// The earliest start (end) that Kafka Streams reads when it has read all up to `last`; -1 for nothing.
    fn java_from(self, last: i64) -> i64 {
        match self {
            Self::Time(_) if last < 0 => 0,
            Self::Time(windows) => (last - windows.size_ms).max(0) + 1,
            Self::Sliding(_) if last < 0 => 0,
            Self::Sliding(windows) => (last - windows.difference_ms).max(0),
            Self::Session(_) => last.max(0),
        }
    }

    /// Kafka Streams reads at all.
    fn java_reads(self, last: i64, from: i64, to: i64) -> bool {
        match self {
            Self::Time(windows) => last < 0 || !windows.starts(to).eq(windows.starts(from - 1)),
            Self::Sliding(_) => true,
            Self::Session(_) => to >= from,
        }
    }
}

/// The windows of an operator that are still open.
pub(crate) struct Closing<K, A> {
    closes: Closes,
    semantics: Semantics,
    store: usize,
    topic: Arc<str>,
    key: FormatOf<Windowed<K>>,
    value: FormatOf<A>,
    outputs: Outputs<Windowed<K>, Change<A>>,
    /// The close time up to which results were sent; under the store's name, as in Kafka Streams.
    sent_mark: usize,
    /// What its operator has seen.
    observed: ObservedTime,
    /// One of several operators in front of the store.
    is_member: bool,
    /// By `start | key`, of sessions `end | start | key`: one for each row of the store whose window is open.
    open: RefCell<OpenWindows>,
    entry: Scratch,
    local: Scratch,
    list: Cell<RowList>,
}

impl<K: Clone + 'static, A: Clone + 'static> Closing<K, A> {
    pub(crate) fn wire(
        wiring: &mut Wiring<'_>,
        node: usize,
        store: usize,
        (key, value): (FormatOf<Windowed<K>>, FormatOf<A>),
        closes: Closes,
        member: Option<usize>,
    ) -> Rc<Self> {
        let topology = wiring.topology;
        let semantics = topology.settings.semantics;
        let name = &topology.stores[store].name;
        let closing = Rc::new(Self {
            closes,
            semantics,
            store,
            topic: topology.changelog(store).into(),
            key,
            value,
            outputs: wiring.outputs(node),
            sent_mark: wiring.marks.add(name),
            observed: ObservedTime::wire(wiring, store, member),
            is_member: member.is_some(),
            open: RefCell::default(),
            entry: Scratch::default(),
            local: Scratch::default(),
            list: Cell::default(),
        });
        wiring.open_with_task(node, closing.clone());
        if semantics == Semantics::Headwater {
            wiring.closers.push(closing.clone());
        }
        closing
    }

    /// A row was put, or deleted.
    pub(crate) fn written(&self, store_key: &[u8], present: bool) {
        if self.semantics == Semantics::Java {
            return; // What is open is read from the store.
        }
        let mut entry = self.entry.take();
        self.entry_of(store_key, &mut entry);
        let mut open = self.open.borrow_mut();
        match present {
            true => open.insert(&entry),
            false => open.remove(&entry),
        }
        drop(open);
        self.entry.give(entry);
    }

    /// Time first, then the key.
    fn entry_of(&self, store_key: &[u8], entry: &mut Vec<u8>) {
        let (at, times) = match self.closes {
            Closes::Session(_) => (store_key.len() - session::SUFFIX_BYTES, 16),
            _ => (store_key.len() - window::SUFFIX_BYTES, 8),
        };
        entry.clear();
        entry.extend_from_slice(&store_key[at..at + times]);
        entry.extend_from_slice(&store_key[..at]);
    }

    /// Turns an entry back into the store's key.
    fn store_key(&self, entry: &[u8], store_key: &mut Vec<u8>) {
        let times = self.entry_times();
        store_key.clear();
        store_key.extend_from_slice(&entry[times..]);
        store_key.extend_from_slice(&entry[..times]);
        if times == 8 {
            store_key.extend_from_slice(&[0; 4]);
        }
    }

    fn entry_times(&self) -> usize {
        match self.closes {
            Closes::Session(_) => 16,
            _ => 8,
        }
    }

    /// Sends the results of the windows that have closed by `observed`; `headers` are those of the record that closed them.
    pub(crate) fn emit(
        &self,
        ctx: &mut Context<'_>,
        observed: i64,
        headers: &Headers,
        position: Position,
    ) -> Result<()> {
        let close = observed.saturating_sub(self.closes.delay_ms());
        let to = self.closes.last_closed(close);
        if to < 0 {
            return Ok(());
        }
        let cause = Record {
            key: (),
            value: None,
            timestamp: 0,
            headers: headers.clone(),
            position,
        };
        if self.semantics == Semantics::Java {
            return self.emit_as_java(ctx, close, to, &cause);
        }
        let mut key = self.entry.take();
        while let Some(entry) = self.next_closed(ctx, to)? {
            self.store_key(&entry, &mut key);
            let mut local = self.local.take();
            if ctx.get(self.store, &key, &mut local)? {
                self.send(ctx, &key, &local, &cause)?;
            }
            self.local.give(local);
        }
        self.entry.give(key);
        if close > ctx.state.marks.get(self.sent_mark) {
            ctx.state.marks.set(self.sent_mark, close);
        }
        Ok(())
    }

    /// Takes the first window out whose start (of sessions: end) is not after `to`.
    fn next_closed(&self, ctx: &mut Context<'_>, to: i64) -> Result<Option<Box<[u8]>>> {
        let mut open = self.open.borrow_mut();
        if let Some(from) = open.read_from(to) {
            self.read_open(ctx, &mut open, |entry| *entry >= *from)?;
        }
        Ok(open.pop_until(to))
    }

    /// Adds the windows of the store whose entries are `wanted`.
    fn read_open(
        &self,
        ctx: &mut Context<'_>,
        open: &mut OpenWindows,
        wanted: impl Fn(&[u8]) -> bool,
    ) -> Result<()> {
        let mut entry = Vec::new();
        let rows = &ctx.state.store(self.store).bytes;
        rows.scan(KeyRange::ALL, Direction::Forward, &mut |key, _| {
            if self.time(key).is_some() {
                self.entry_of(key, &mut entry);
                if wanted(&entry) {
                    open.insert(&entry);
                }
            }
            ControlFlow::Continue(())
        })?;
        Ok(())
    }

    /// Kafka Streams reads the store, after the record's own row was put there; its throttle by the wall clock is left out.
    fn emit_as_java(
        &self,
        ctx: &mut Context<'_>,
        close: i64,
        to: i64,
        cause: &Record<(), ()>,
    ) -> Result<()> {
        let last = ctx.state.marks.get(self.sent_mark);
        if last != -1 && last >= close {
            return Ok(());
        }
        let from = self.closes.java_from(last);
        if !self.closes.java_reads(last, from, to) {
            return Ok(());
        }
        let java = ctx.state.store(self.store).java.as_ref();
        if java.is_some_and(|java| java.refuses_close()) {
            return Err(Error::failed(
                "a store of sessions by key cannot tell which have closed",
            ));
        }
        let in_range = |key: &[u8]| {
            self.time(key)
                .is_some_and(|time| (from..=to).contains(&time))
        };
        note_closing(ctx, self.store, &(from..=to));
        let mut list = self.list.take();
        let asked = Asked {
            store: self.store,
            key: None,
            range: KeyRange::ALL,
            times: from..=to,
        };
        list.collect(ctx, asked, true, in_range)?;
        let java = ctx.state.store(self.store).java.as_ref();
        let by_key = java.filter(|java| java.closes_by_key());
        list.settle(|a, b| {
            if let Some(java) = by_key {
                let segment = |key| self.time(key).map(|time| java.cached_segment(time));
                return (segment(a), a).cmp(&(segment(b), b));
            }
            let (mut one, mut two) = (Vec::new(), Vec::new());
            self.entry_of(a, &mut one);
            self.entry_of(b, &mut two);
            one.cmp(&two)
        });
        for number in 0..list.len() {
            let (key, local) = list.row(number);
            self.send(ctx, key, local, cause)?;
        }
        self.list.set(list);
        ctx.state.marks.set(self.sent_mark, close);
        Ok(())
    }

    fn time(&self, store_key: &[u8]) -> Option<i64> {
        match self.closes {
            Closes::Session(_) => session::parse(store_key).map(|(_, _, end)| end),
            _ => window::parse(store_key).map(|(_, start, _)| start),
        }
    }

    fn send(
        &self,
        ctx: &mut Context<'_>,
        key: &[u8],
        local: &[u8],
        cause: &Record<(), ()>,
    ) -> Result<()> {
        let key = self
            .key
            .decode(&self.topic, HeadersRef::NONE, key)
            .map_err(|error| Error::format(&self.topic, &error))?;
        let (row, timestamp) = match self.closes {
            Closes::Session(_) => (decode_session(&self.value, &self.topic, local)?, key.end),
            _ => decode_row(&self.value, &self.topic, local)?,
        };
        if timestamp < 0 && self.semantics == Semantics::Java {
            // Of a store that keeps no timestamps (`Record.withTimestamp`).
            return Err(Error::failed("a record's timestamp must not be negative"));
        }
        let change = Change::latest(Some(row), None);
        let mut record = Record::new(key, Some(change), timestamp);
        record.headers = cause.headers.clone();
        record.position = cause.position;
        self.outputs.send(ctx, record)
    }
}

/// Upstream tasks have reached a later time: no record need come for windows to close.
impl<K: Clone + 'static, A: Clone + 'static> Advance for Closing<K, A> {
    fn advance(&self, ctx: &mut Context<'_>) -> Result<()> {
        let observed = self.observed.get(ctx);
        let observed = ctx.state.closing.settled(observed);
        self.emit(ctx, observed, &Headers::default(), Position::NONE)
    }
}

impl<K: Clone + 'static, A: Clone + 'static> Punctuate for Closing<K, A> {
    /// Finds the open windows in the restored store.
    fn open(&self, ctx: &mut Context<'_>, _: usize) -> Result<()> {
        if self.semantics == Semantics::Java {
            return Ok(());
        }
        let sent = ctx.state.marks.get(self.sent_mark);
        let mut from = i64::MIN;
        if sent >= 0 {
            from = self.closes.last_closed(sent).saturating_add(1);
            // A predecessor of Kafka Streams has left no observed time, but what it sent says as much, where it was one operator.
            if !self.is_member {
                let observed = sent.saturating_add(self.closes.delay_ms());
                self.observed.observe(ctx, observed);
            }
        }
        let mut open = self.open.borrow_mut();
        open.clear();
        // An entry begins with its time.
        let is_open = |entry: &[u8]| {
            let time = entry.first_chunk().map(|time| i64::from_be_bytes(*time));
            time.is_some_and(|time| time >= from)
        };
        self.read_open(ctx, &mut open, is_open)
    }

    fn punctuate(&self, _: &mut Context<'_>, _: Punctuation) -> Result<()> {
        Ok(())
    }

    fn close(&self, _: &mut Context<'_>) -> Result<()> {
        Ok(())
    }
}

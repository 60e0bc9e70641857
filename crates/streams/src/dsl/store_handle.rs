//! Stores that processors open by a handle: `app.store(..)` and its siblings, and the handles themselves.
//! Not the stores of tables: verbs make those. Invariant: a handle's types are those of its store.

use super::app::{App, store_spec};
use super::store::{Kind, Store};
use crate::task::StoreOrder;
use crate::topology::{Kept, StoreSpec};
use crate::window::millis;
use headwater_store::Layout;
use std::any::TypeId;
use std::marker::PhantomData;

/// Smallest segment of a windowed store, ms (`Stores`' `Math.max(retentionPeriod / 2, 60_000L)`).
const SEGMENT_INTERVAL_MS_MIN: i64 = 60_000;

/// One row under each key; `R` is what it is.
#[derive(Debug)]
pub struct ByKey<R>(PhantomData<R>);

/// Rows by key and time.
#[derive(Debug)]
pub struct ByTime<R>(PhantomData<R>);

/// Rows by key and session.
#[derive(Debug)]
pub struct BySession<R>(PhantomData<R>);

/// A row is the value.
#[derive(Debug)]
pub enum Plain {}

/// A row is the value and its timestamp.
#[derive(Debug)]
pub enum Timed {}

/// A row is the value, its timestamp and headers.
#[derive(Debug)]
pub enum TimedWithHeaders {}

/// A row is the value and headers.
#[derive(Debug)]
pub enum WithHeaders {}

/// Values by key (`KeyValueStore`).
pub type KeyValues = ByKey<Plain>;

/// Values by key, each with a timestamp (`TimestampedKeyValueStore`).
pub type TimestampedKeyValues = ByKey<Timed>;

/// Values by key, each with a timestamp and headers (`TimestampedKeyValueStoreWithHeaders`, KIP-1271).
pub type KeyValuesWithHeaders = ByKey<TimedWithHeaders>;

/// Values by key and time (`WindowStore`).
pub type Windows = ByTime<Plain>;

/// Values by key and time, each with a timestamp (`TimestampedWindowStore`); so are windows of tables kept.
pub type TimestampedWindows = ByTime<Timed>;

/// Values by key and time, each with a timestamp and headers (`TimestampedWindowStoreWithHeaders`, KIP-1271).
pub type WindowsWithHeaders = ByTime<TimedWithHeaders>;

/// Values by key and session (`SessionStore`).
pub type Sessions = BySession<Plain>;

/// Values by key and session, each with headers (`SessionStoreWithHeaders`, KIP-1271).
pub type SessionsWithHeaders = BySession<WithHeaders>;

/// Versions of values by key (`VersionedKeyValueStore`).
#[derive(Debug)]
pub enum Versions {}

/// Calls for keys at times: [`App::timers`].
#[derive(Debug)]
pub enum Timers {}

/// Names a store inside processors; copy it into their factories. `S` is what it keeps: [`KeyValues`] unless said otherwise.
pub struct StoreHandle<K, V, S = KeyValues> {
    pub(crate) index: usize,
    pub(crate) types: PhantomData<Keeps<K, V, S>>,
}

/// A handle holds none of its types.
type Keeps<K, V, S> = fn() -> (K, V, S);

impl<K, V, S> Clone for StoreHandle<K, V, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V, S> Copy for StoreHandle<K, V, S> {}

impl<K, V, S> std::fmt::Debug for StoreHandle<K, V, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keeps = std::any::type_name::<S>();
        write!(f, "store {} of {keeps}", self.index)
    }
}

impl<K, V, S> StoreHandle<K, V, S> {
    fn new(index: usize) -> Self {
        Self {
            index,
            types: PhantomData,
        }
    }
}

impl App {
    /// A key-value store for processors (`Stores.keyValueStoreBuilder`). Without a record cache unless
    /// [`Store::with_cache`] asks for it.
    pub fn store<K: 'static, V: 'static>(
        &self,
        store: impl Into<Store<K, V>>,
    ) -> StoreHandle<K, V> {
        let store = store.into();
        StoreHandle::new(self.add_store(store, Layout::KeyValue, |spec| spec.timestamped = false))
    }

    /// A key-value store whose values have timestamps (`Stores.timestampedKeyValueStoreBuilder`).
    pub fn timestamped_store<K: 'static, V: 'static>(
        &self,
        store: impl Into<Store<K, V>>,
    ) -> StoreHandle<K, V, TimestampedKeyValues> {
        let store = store.into();
        StoreHandle::new(self.add_store(store, Layout::KeyValue, |spec| spec.timestamped = true))
    }

    /// A key-value store whose values have timestamps and headers (`Stores.timestampedKeyValueStoreWithHeadersBuilder`): the
    /// changelog's records have both, and restoring brings them back.
    pub fn store_with_headers<K: 'static, V: 'static>(
        &self,
        store: impl Into<Store<K, V>>,
    ) -> StoreHandle<K, V, KeyValuesWithHeaders> {
        let store = store.into();
        StoreHandle::new(self.add_store(store, Layout::KeyValue, |spec| {
            (spec.timestamped, spec.kept) = (true, Kept::OwnHeaders);
        }))
    }

    /// A store of values by key and time (`Stores.windowStoreBuilder`), kept for the noun's [`Store::retention`].
    /// With [`Store::duplicates`] each value put under one key and time stays.
    pub fn window_store<K: 'static, V: 'static>(
        &self,
        store: impl Into<Store<K, V>>,
    ) -> StoreHandle<K, V, Windows> {
        StoreHandle::new(self.add_windows(store.into(), (false, Kept::Whole)))
    }

    /// As [`App::window_store`], with a timestamp beside each value (`Stores.timestampedWindowStoreBuilder`).
    pub fn timestamped_window_store<K: 'static, V: 'static>(
        &self,
        store: impl Into<Store<K, V>>,
    ) -> StoreHandle<K, V, TimestampedWindows> {
        StoreHandle::new(self.add_windows(store.into(), (true, Kept::Whole)))
    }

    /// As [`App::window_store`], with a timestamp and headers beside each value
    /// (`Stores.timestampedWindowStoreWithHeadersBuilder`).
    pub fn window_store_with_headers<K: 'static, V: 'static>(
        &self,
        store: impl Into<Store<K, V>>,
    ) -> StoreHandle<K, V, WindowsWithHeaders> {
        StoreHandle::new(self.add_windows(store.into(), (true, Kept::OwnHeaders)))
    }

    fn add_windows<K: 'static, V: 'static>(
        &self,
        store: Store<K, V>,
        (timestamped, kept): (bool, Kept),
    ) -> usize {
        let (retention_ms, segment_interval_ms) = self.retention(&store, "App::window_store");
        let duplicates = store.duplicates;
        let layout = Layout::Window {
            retention_ms,
            segment_interval_ms,
        };
        self.add_store(store, layout, |spec| {
            (spec.timestamped, spec.kept, spec.duplicates) = (timestamped, kept, duplicates);
            spec.java_expiry = Some(StoreOrder::KeyFirst);
        })
    }

    /// A store of values by key and session (`Stores.sessionStoreBuilder`), kept for the noun's [`Store::retention`].
    pub fn session_store<K: 'static, V: 'static>(
        &self,
        store: impl Into<Store<K, V>>,
    ) -> StoreHandle<K, V, Sessions> {
        StoreHandle::new(self.add_sessions(store.into(), Kept::Whole))
    }

    /// As [`App::session_store`], with headers beside each value (`Stores.sessionStoreWithHeadersBuilder`).
    pub fn session_store_with_headers<K: 'static, V: 'static>(
        &self,
        store: impl Into<Store<K, V>>,
    ) -> StoreHandle<K, V, SessionsWithHeaders> {
        StoreHandle::new(self.add_sessions(store.into(), Kept::OwnHeaders))
    }

    fn add_sessions<K: 'static, V: 'static>(&self, store: Store<K, V>, kept: Kept) -> usize {
        let (retention_ms, segment_interval_ms) = self.retention(&store, "App::session_store");
        let layout = Layout::Session {
            retention_ms,
            segment_interval_ms,
        };
        self.add_store(store, layout, |spec| {
            (spec.timestamped, spec.kept) = (false, kept);
            spec.java_expiry = Some(StoreOrder::KeyFirst);
        })
    }

    /// A store of versions (`Stores.versionedKeyValueStoreBuilder`), kept for the `history` of the noun's [`Store::versioned`].
    pub fn versioned_store<K: 'static, V: 'static>(
        &self,
        store: impl Into<Store<K, V>>,
    ) -> StoreHandle<K, V, Versions> {
        let store = store.into();
        if !store.is_versioned() && !matches!(store.kind, Kind::Nameless(_)) {
            self.graph.borrow_mut().problem(format!(
                "App::versioned_store: store '{}' has no history; give Store::versioned(..)",
                store.name.as_deref().unwrap_or_default()
            ));
        }
        StoreHandle::new(self.add_store(store, Layout::KeyValue, |_| {}))
    }

    /// Timers of a processor: calls of [`Processor::timer`](crate::Processor::timer) for a key at a time, by stream time or by the
    /// wall clock. They are kept in a store with a changelog, so that they survive restarts and move with their task; Kafka
    /// Streams has only schedules for a whole task, which begin anew with every start. Connect them to one processor, whose
    /// keys they have. By stream time nothing is called while no record comes.
    ///
    /// ```
    /// use headwater_streams::{
    ///     App, Processor, ProcessorContext, PunctuationKind, Record, Result, StoreHandle, Timer, Timers,
    /// };
    ///
    /// /// Says `late` of each order an hour after it came.
    /// struct Reminder(StoreHandle<String, (), Timers>);
    ///
    /// impl Processor for Reminder {
    ///     type KeyIn = String;
    ///     type ValueIn = String;
    ///     type KeyOut = String;
    ///     type ValueOut = String;
    ///
    ///     fn process(
    ///         &mut self,
    ///         order: Record<String, String>,
    ///         ctx: &mut ProcessorContext<'_, '_, String, String>,
    ///     ) -> Result<()> {
    ///         let at = order.timestamp + 3_600_000;
    ///         ctx.store(self.0)?.set(PunctuationKind::StreamTime, at, &order.key)
    ///     }
    ///
    ///     fn timer(
    ///         &mut self,
    ///         timer: Timer<String>,
    ///         ctx: &mut ProcessorContext<'_, '_, String, String>,
    ///     ) -> Result<()> {
    ///         ctx.forward(Record::new(timer.key, Some("late".into()), timer.at))
    ///     }
    /// }
    ///
    /// let app = App::new("shop");
    /// let timers = app.timers::<String>("reminders");
    /// app.stream::<String, String>("orders")
    ///     .process(timers, move || Reminder(timers))
    ///     .to("reminders");
    /// app.build().unwrap();
    /// ```
    pub fn timers<K: 'static>(&self, store: impl Into<Store<K, ()>>) -> StoreHandle<K, (), Timers> {
        StoreHandle::new(self.add_store(store.into(), Layout::KeyValue, |spec| {
            spec.timestamped = false;
            spec.cached = false;
            spec.timer_keys = Some(TypeId::of::<K>());
        }))
    }

    /// The retention of a store and the time that one segment covers, ms.
    fn retention<K, V>(&self, store: &Store<K, V>, verb: &str) -> (i64, i64) {
        let Some(retention) = store.retention else {
            self.graph.borrow_mut().problem(format!(
                "{verb}: store '{}' has no retention; give Store::retention(..)",
                store.name.as_deref().unwrap_or_default()
            ));
            return (0, SEGMENT_INTERVAL_MS_MIN);
        };
        let retention_ms = millis(retention);
        (
            retention_ms,
            (retention_ms / 2).max(SEGMENT_INTERVAL_MS_MIN),
        )
    }

    fn add_store<K: 'static, V: 'static>(
        &self,
        store: Store<K, V>,
        layout: Layout,
        set: impl FnOnce(&mut StoreSpec),
    ) -> usize {
        if store.name.is_none() {
            self.graph.borrow_mut().problem(
                "App::store: a store for processors must have a name; give Store::named(..)".into(),
            );
        }
        let asked_for_cache = store.asks_for_cache;
        let mut spec = store_spec(self, "App::store", store, layout);
        spec.cached &= asked_for_cache;
        spec.kept = Kept::Whole;
        set(&mut spec);
        self.graph.borrow_mut().add_store(spec)
    }
}

/// The stores a processor uses: `()`, a handle, a name, or a tuple of up to eight of these; or a list of one type of them.
/// A name must be one of a store by the time of `build`.
pub trait StoreSet {
    /// Their numbers in the topology, of those that are given by handles.
    #[doc(hidden)]
    fn indices(&self) -> Vec<usize>;

    /// The names of the others.
    #[doc(hidden)]
    fn names(&self) -> Vec<String> {
        Vec::new()
    }
}

impl StoreSet for &str {
    fn indices(&self) -> Vec<usize> {
        Vec::new()
    }

    fn names(&self) -> Vec<String> {
        vec![(*self).to_owned()]
    }
}

impl StoreSet for String {
    fn indices(&self) -> Vec<usize> {
        Vec::new()
    }

    fn names(&self) -> Vec<String> {
        vec![self.clone()]
    }
}

impl StoreSet for () {
    fn indices(&self) -> Vec<usize> {
        Vec::new()
    }
}

impl<K, V, S> StoreSet for StoreHandle<K, V, S> {
    fn indices(&self) -> Vec<usize> {
        vec![self.index]
    }
}

impl<S: StoreSet> StoreSet for Vec<S> {
    fn indices(&self) -> Vec<usize> {
        self.iter().flat_map(StoreSet::indices).collect()
    }

    fn names(&self) -> Vec<String> {
        self.iter().flat_map(StoreSet::names).collect()
    }
}

impl<S: StoreSet> StoreSet for &[S] {
    fn indices(&self) -> Vec<usize> {
        self.iter().flat_map(StoreSet::indices).collect()
    }

    fn names(&self) -> Vec<String> {
        self.iter().flat_map(StoreSet::names).collect()
    }
}

macro_rules! tuples {
    ($($name:ident)+) => {
        impl<$($name: StoreSet),+> StoreSet for ($($name,)+) {
            fn indices(&self) -> Vec<usize> {
                #[expect(non_snake_case, reason = "a place of the tuple has the name of its type")]
                let ($($name,)+) = self;
                [$($name.indices()),+].concat()
            }

            fn names(&self) -> Vec<String> {
                #[expect(non_snake_case, reason = "a place of the tuple has the name of its type")]
                let ($($name,)+) = self;
                [$($name.names()),+].concat()
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);

//! `KWindowedStream`: a stream grouped by key and window of time. Not sessions, which depend on their neighbours.
//! Invariant: a window is kept for at least its size and grace.

use super::app::{processor, store_spec};
use super::grouped::add_stateful;
use super::nulls::WithNulls;
use super::store::Kind;
use super::{KGroupedStream, KTable, Store};
use crate::format::Formats;
use crate::operator::{Materialized, WindowAggregate};
use crate::task::{Scratch, Wire, boxed};
use crate::topology::{Role, changelog_retention_ms};
use crate::window::{TimeWindows, Windowed, millis, window_store_key};
use headwater_store::Layout;
use std::{cell::Cell, marker::PhantomData, sync::Arc};

/// The least time a segment of windows spans (`Stores.persistentWindowStore`).
const SEGMENT_INTERVAL_MS_MIN: i64 = 60_000;

/// A grouped and windowed stream.
pub struct KWindowedStream<'a, K, V> {
    pub(crate) grouped: KGroupedStream<'a, K, V>,
    pub(crate) windows: TimeWindows,
}

impl<K, V> Clone for KWindowedStream<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for KWindowedStream<'_, K, V> {}

impl<'a, K: Clone + 'static, V: Clone + 'static> KWindowedStream<'a, K, V> {
    /// Names the next operator, the aggregation itself (`Named`).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.grouped = self.grouped.operator_named(name);
        self
    }

    /// The next verb's closures see tombstones and may answer `None`, which deletes the row.
    pub fn with_nulls(self) -> WithNulls<Self> {
        WithNulls(self)
    }

    /// Counts the records of each key and window.
    pub fn count(self, store: impl Into<Store<K, u64>>) -> KTable<'a, Windowed<K>, u64> {
        self.count_as(|count| count.unwrap_or(0) + 1, store.into())
    }

    /// As `count`, in a type of the caller's; `next` gives the count after one more record.
    #[doc(hidden)]
    pub fn count_as<C: Clone + 'static>(
        self,
        next: impl Fn(Option<C>) -> C + Send + Sync + 'static,
        store: Store<K, C>,
    ) -> KTable<'a, Windowed<K>, C> {
        self.grouped.burn_for_count(&store);
        // A tombstone counts too, as in Kafka Streams.
        self.build("KSTREAM-AGGREGATE-", store, true, move |_, _, _, count| {
            Some(next(count))
        })
    }

    /// Combines the values of each key and window; the first stands as it is.
    pub fn reduce(
        self,
        reduce: impl Fn(V, V) -> V + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, Windowed<K>, V> {
        let formats = self.grouped.stream.formats();
        let store = store.into().or_formats(formats.key, formats.value);
        self.build(
            "KSTREAM-REDUCE-",
            store,
            false,
            move |_, value, last, row| {
                let value = value_for(value, last)?;
                Some(match row {
                    Some(row) => reduce(row, value),
                    None => value,
                })
            },
        )
    }

    /// Folds the values of each key and window into a row that begins as `initial`.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, A) -> A + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, Windowed<K>, A> {
        self.build(
            "KSTREAM-AGGREGATE-",
            store.into(),
            false,
            move |key, value, last, row| {
                let value = value_for(value, last)?;
                Some(add(key, value, row.unwrap_or_else(&initial)))
            },
        )
    }

    pub(crate) fn build<A: Clone + 'static>(
        self,
        prefix: &str,
        store: Store<K, A>,
        takes_tombstones: bool,
        apply: impl Fn(&K, &mut Option<V>, bool, Option<A>) -> Option<A> + Send + Sync + 'static,
    ) -> KTable<'a, Windowed<K>, A> {
        let app = self.grouped.stream.app;
        let windows = self.windows;
        let (store, name, explicit) = self.grouped.names(prefix, store);
        let source = self.grouped.grouped_source(&store, explicit);
        if let Some(problem) = windows.problem() {
            app.graph.borrow_mut().problem(format!("{name}: {problem}"));
        }
        let retention_ms = store.retention.map_or(windows.retention_ms(), millis);
        if retention_ms < windows.retention_ms() {
            app.graph.borrow_mut().problem(format!(
                "{name}: a retention of {retention_ms} ms is less than the window's size and grace, {} ms",
                windows.retention_ms()
            ));
        }
        let layout = Layout::Window {
            retention_ms,
            segment_interval_ms: (retention_ms / 2).max(SEGMENT_INTERVAL_MS_MIN),
        };
        let key = store.key.clone();
        let window_key = key
            .clone()
            .map(|key| window_store_key(key, windows.size_ms));
        let topic_key = key
            .clone()
            .map(|key| crate::window::windowed_ms(key, windows.size_ms));
        let formats = Formats {
            key: topic_key,
            value: store.value.clone(),
        };
        let store = Store {
            key: window_key,
            value: store.value.clone(),
            ..rekeyed(store)
        };
        let plain = store.kind == Kind::Plain;
        let mut spec = store_spec(app, &name, store, layout);
        if plain {
            // The changelog is kept for the windows' own retention, not for that of the store supplied.
            let kept_ms = changelog_retention_ms(windows.retention_ms()).to_string();
            let config = &mut spec.changelog_config;
            config.entry("retention.ms".into()).or_insert(kept_ms);
        }
        let apply = Arc::new(apply);
        let wire: Wire = Box::new(move |wiring, node| {
            let store = wiring.topology.nodes[node].stores[0];
            let (window_key, value) = super::app::store_formats::<Windowed<K>, A>(wiring, store);
            let rows = Materialized::wire(wiring, node, store, window_key, value);
            let apply = apply.clone();
            let aggregate = WindowAggregate {
                key: key.clone().expect("a built store has its formats"),
                windows,
                rows,
                apply: move |key: &K, value: &mut Option<V>, last: bool, row: Option<A>| {
                    apply(key, value, last, row)
                },
                takes_tombstones,
                observed_time: Cell::new(-1),
                key_bytes: Scratch::default(),
                types: PhantomData,
            };
            boxed::<K, V>(wiring, node, aggregate)
        });
        let role = Role {
            versioned: Some(false),
            grace_ms: Some(windows.grace_ms),
            ..Role::default()
        };
        let node = processor(name, vec![source.node], wire, formats);
        add_stateful(app, role, node, spec)
    }
}

/// The value for one window: the value itself for the last of a record's windows, a copy for the others.
fn value_for<V: Clone>(value: &mut Option<V>, last: bool) -> Option<V> {
    if last { value.take() } else { value.clone() }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KWindowedStream<'a, K, V>> {
    /// As `KWindowedStream::reduce`; tombstones are reduced too.
    pub fn reduce(
        self,
        reduce: impl Fn(V, Option<V>) -> Option<V> + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, Windowed<K>, V> {
        let formats = self.0.grouped.stream.formats();
        let store = store.into().or_formats(formats.key, formats.value);
        let apply = move |_: &K, value: &mut Option<V>, last, row: Option<V>| match row {
            Some(row) => reduce(row, value_for(value, last)),
            None => value_for(value, last),
        };
        self.0.build("KSTREAM-REDUCE-", store, true, apply)
    }

    /// As `KWindowedStream::aggregate`; tombstones are aggregated too.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, Option<V>, Option<A>) -> Option<A> + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, Windowed<K>, A> {
        let apply = move |key: &K, value: &mut Option<V>, last, row: Option<A>| {
            add(key, value_for(value, last), row.or_else(&initial))
        };
        self.0
            .build("KSTREAM-AGGREGATE-", store.into(), true, apply)
    }
}

/// The same options for another key type.
fn rekeyed<K, K2, A>(store: Store<K, A>) -> Store<K2, A> {
    Store {
        name: store.name,
        key: None,
        value: store.value,
        in_memory: store.in_memory,
        cached: store.cached,
        logged: store.logged,
        retention: store.retention,
        history: store.history,
        changelog_config: store.changelog_config,
        kind: store.kind,
        duplicates: store.duplicates,
        asks_for_cache: store.asks_for_cache,
        all_defaults: store.all_defaults,
    }
}

//! `KWindowedStream`: a stream grouped by key and window of time. Not sessions, which depend on their neighbours.
//! Invariant: a window is kept for at least its size and grace.

use super::app::{App, processor, store_formats, store_spec};
use super::grouped::add_stateful;
use super::nulls::WithNulls;
use super::store::Kind;
use super::{KGroupedStream, KTable, Store};
use crate::format::{Codec, FormatOf, Formats};
use crate::operator::{
    Closes, Closing, Fold, Materialized, ObservedTime, SlidingAggregate, WindowAggregate, fold,
};
use crate::task::{Scratch, StoreOrder, Wire, Wiring, boxed, boxed_whole};
use crate::topology::{Role, Semantics, StoreSpec, changelog_retention_ms};
use crate::window::{
    EmitStrategy, Ends, Windowed, Windowing, WindowsKind, millis, window_store_keys, windowed_ends,
};
use headwater_store::Layout;
use std::any::Any;
use std::cell::Cell;
use std::{marker::PhantomData, rc::Rc, sync::Arc};

/// The least time a segment of windows spans (`Stores.persistentWindowStore`).
const SEGMENT_INTERVAL_MS_MIN: i64 = 60_000;

/// What `windowed_by` takes: [`Windowing`] of time, or [`crate::SessionWindows`].
pub trait WindowedBy<G> {
    /// The group by key and window.
    type Windowed;
    /// Windows the group.
    #[doc(hidden)]
    fn windowed(self, grouped: G) -> Self::Windowed;
}

impl<'a, K, V, W: Windowing> WindowedBy<KGroupedStream<'a, K, V>> for W {
    type Windowed = KWindowedStream<'a, K, V, W>;

    fn windowed(self, grouped: KGroupedStream<'a, K, V>) -> Self::Windowed {
        KWindowedStream {
            grouped,
            windows: self,
            emit: EmitStrategy::OnWindowUpdate,
        }
    }
}

/// A grouped and windowed stream.
pub struct KWindowedStream<'a, K, V, W = crate::TimeWindows> {
    pub(crate) grouped: KGroupedStream<'a, K, V>,
    pub(crate) windows: W,
    emit: EmitStrategy,
}

impl<K, V, W: Clone> Clone for KWindowedStream<'_, K, V, W> {
    fn clone(&self) -> Self {
        Self {
            grouped: self.grouped,
            windows: self.windows.clone(),
            emit: self.emit,
        }
    }
}

impl<K, V, W: Copy> Copy for KWindowedStream<'_, K, V, W> {}

impl<'a, K: Clone + 'static, V: Clone + 'static, W: Windowing> KWindowedStream<'a, K, V, W> {
    /// Its windows.
    pub fn windows(&self) -> &W {
        &self.windows
    }

    /// Names the next operator, the aggregation itself (`Named`).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.grouped = self.grouped.operator_named(name);
        self
    }

    /// When results are sent on: with each update unless this says otherwise.
    pub fn emit_strategy(mut self, emit: EmitStrategy) -> Self {
        self.emit = emit;
        self
    }

    /// The next verb's closures see tombstones and may answer `None`, which deletes the row.
    pub fn with_nulls(self) -> WithNulls<Self> {
        WithNulls(self)
    }

    /// Counts the records of each key and window.
    pub fn count(self, store: impl Into<Store<K, u64>>) -> KTable<'a, Windowed<K>, u64> {
        self.count_as(|| 0, |count| count + 1, store.into())
    }

    /// As `count`, in a type of the caller's; `next` gives the count after one more record.
    #[doc(hidden)]
    pub fn count_as<C: Clone + 'static>(
        self,
        zero: impl Fn() -> C + Send + Sync + 'static,
        next: impl Fn(C) -> C + Send + Sync + 'static,
        store: Store<K, C>,
    ) -> KTable<'a, Windowed<K>, C> {
        if !matches!(self.windows.kind(), WindowsKind::Sliding(_)) {
            self.grouped.burn_for_count(&store);
        }
        // A tombstone counts too, as in Kafka Streams.
        let add = move |_: &K, _: Option<V>, count: Option<C>| count.map(&next);
        let fold = fold(move || Some(zero()), add);
        self.build("KSTREAM-AGGREGATE-", store, true, fold)
    }

    /// Combines the values of each key and window; the first stands as it is.
    pub fn reduce(
        self,
        reduce: impl Fn(V, V) -> V + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, Windowed<K>, V> {
        let formats = self.grouped.stream.formats();
        let store = store.into().or_formats(formats.key, formats.value);
        let add = move |_: &K, value: Option<V>, row: Option<V>| match row {
            Some(row) => Some(reduce(row, value?)),
            None => value,
        };
        self.build("KSTREAM-REDUCE-", store, false, fold(|| None, add))
    }

    /// Folds the values of each key and window into a row that begins as `initial`.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, A) -> A + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, Windowed<K>, A> {
        let add = move |key: &K, value: Option<V>, row: Option<A>| Some(add(key, value?, row?));
        let fold = fold(move || Some(initial()), add);
        self.build("KSTREAM-AGGREGATE-", store.into(), false, fold)
    }

    fn build<A: Clone + 'static>(
        self,
        prefix: &str,
        store: Store<K, A>,
        takes_tombstones: bool,
        fold: impl Fold<K, V, A>,
    ) -> KTable<'a, Windowed<K>, A> {
        let app = self.grouped.stream.app;
        let (store, name, explicit) = self.grouped.names(prefix, store);
        let source = self.grouped.grouped_source(&store, explicit);
        let kept = windowed_store(app, &name, &self.windows, self.emit, store);
        let wire = windowed_wire::<K, V, A, W, _>(
            self.windows,
            self.emit,
            kept.key,
            takes_tombstones,
            None,
            Arc::new(fold),
        );
        let node = processor(name, vec![source.node], wire, kept.formats);
        add_stateful(app, kept.role, node, kept.spec)
    }
}

impl<'a, K, V, W> WithNulls<KWindowedStream<'a, K, V, W>>
where
    K: Clone + 'static,
    V: Clone + 'static,
    W: Windowing,
{
    /// As `KWindowedStream::reduce`; tombstones are reduced too.
    pub fn reduce(
        self,
        reduce: impl Fn(V, Option<V>) -> Option<V> + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, Windowed<K>, V> {
        let formats = self.0.grouped.stream.formats();
        let store = store.into().or_formats(formats.key, formats.value);
        let add = move |_: &K, value: Option<V>, row: Option<V>| match row {
            Some(row) => reduce(row, value),
            None => value,
        };
        let fold = fold(|| None, add);
        self.0.build("KSTREAM-REDUCE-", store, true, fold)
    }

    /// As `KWindowedStream::aggregate`; tombstones are aggregated too.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, Option<V>, Option<A>) -> Option<A> + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, Windowed<K>, A> {
        let fold = fold(initial, add);
        self.0.build("KSTREAM-AGGREGATE-", store.into(), true, fold)
    }
}

/// The store of a windowed aggregation, and what its operator needs to know.
pub(crate) struct WindowedStore<K, A> {
    pub(crate) key: Option<FormatOf<K>>,
    pub(crate) formats: Formats<Windowed<K>, A>,
    pub(crate) role: Role,
    pub(crate) spec: StoreSpec,
}

/// Keeps the changelog of a store of the application's own for as long as the windows need, not for the store's retention.
pub(crate) fn keep_changelog(app: &App, spec: &mut StoreSpec, least_ms: i64) {
    let kept_ms = changelog_retention_ms(&app.settings.borrow(), least_ms).to_string();
    let config = &mut spec.changelog_config;
    config.entry("retention.ms".into()).or_insert(kept_ms);
}

/// The store of `operator`, over `windows`; what does not fit is a problem of the graph.
pub(crate) fn windowed_store<K: 'static, A: 'static, W: Windowing>(
    app: &App,
    operator: &str,
    windows: &W,
    emit: EmitStrategy,
    store: Store<K, A>,
) -> WindowedStore<K, A> {
    let plain = store.kind == Kind::Plain;
    let (retention_ms, least_ms) = checked_retention_ms(app, operator, windows, emit, &store);
    let layout = Layout::Window {
        retention_ms,
        segment_interval_ms: (retention_ms / 2).max(SEGMENT_INTERVAL_MS_MIN),
    };
    let ends = match windows.kind() {
        WindowsKind::Custom => {
            let windows = windows.clone();
            Ends::By(Arc::new(move |start| windows.end(start)))
        }
        _ => Ends::After(windows.size_ms()),
    };
    let key = store.key.clone();
    let value = store.value.clone();
    let formats = Formats {
        key: (key.clone()).map(|key| windowed_ends(key, ends.clone())),
        value: value.clone(),
    };
    let stored_key = key.clone().map(|key| window_store_keys(key, ends));
    let mut spec = store_spec(app, operator, rekeyed(store, stored_key), layout);
    if plain {
        keep_changelog(app, &mut spec, least_ms);
    }
    spec.tumbling_ms = match windows.kind() {
        WindowsKind::Time(times) => Some(times.size_ms).filter(|size| *size == times.advance_ms),
        _ => None,
    };
    spec.observed = true;
    spec.java_expiry = Some(StoreOrder::of(emit, plain));
    // As in Kafka Streams, whose changelog of such a store holds every update.
    let on_close = emit == EmitStrategy::OnWindowClose;
    spec.cached &= !(on_close && matches!(windows.kind(), WindowsKind::Sliding(_)));
    let role = Role {
        versioned: Some(false),
        grace_ms: Some(windows.grace_ms()),
        ..Role::default()
    };
    WindowedStore {
        key,
        formats,
        role,
        spec,
    }
}

/// What does not fit is a problem; answers how long windows are kept, and how long they must be at least.
fn checked_retention_ms<K, A, W: Windowing>(
    app: &App,
    operator: &str,
    windows: &W,
    emit: EmitStrategy,
    store: &Store<K, A>,
) -> (i64, i64) {
    if let Some(problem) = windows.problem() {
        problem_of(app, operator, &problem);
    }
    let (kept_ms, least, closes) = match windows.kind() {
        WindowsKind::Sliding(_) => {
            // The windows that end before the earliest one a record falls into say what was there.
            let kept_ms = windows.size_ms().saturating_mul(2);
            (
                kept_ms,
                "twice the windows' difference and their grace",
                true,
            )
        }
        kind => {
            let closes = matches!(kind, WindowsKind::Time(_));
            (windows.size_ms(), "the windows' size and grace", closes)
        }
    };
    if emit == EmitStrategy::OnWindowClose && !closes {
        let problem = "only tumbling, hopping, sliding and session windows can emit on close; use EmitStrategy::OnWindowUpdate";
        problem_of(app, operator, problem);
    }
    let least_ms = kept_ms.saturating_add(windows.grace_ms());
    let retention_ms = retention_ms(app, operator, store, least_ms, least);
    (retention_ms, least_ms)
}

pub(crate) fn problem_of(app: &App, operator: &str, problem: &str) {
    let problem = format!("{operator}: {problem}");
    app.graph.borrow_mut().problem(problem);
}

/// How long windows are kept: as the store says, else the least there must be.
pub(crate) fn retention_ms<K, A>(
    app: &App,
    operator: &str,
    store: &Store<K, A>,
    least_ms: i64,
    least: &str,
) -> i64 {
    let retention_ms = store.retention.map_or(least_ms, millis);
    if retention_ms < least_ms {
        let problem = format!(
            "a retention of {retention_ms} ms is less than {least}, {least_ms} ms; give Store::retention at least that, or leave it out"
        );
        problem_of(app, operator, &problem);
    }
    retention_ms
}

/// Wires the operator of windows; `member` is its number in a cogroup.
pub(crate) fn windowed_wire<K, V, A, W, F>(
    windows: W,
    emit: EmitStrategy,
    key: Option<FormatOf<K>>,
    takes_tombstones: bool,
    member: Option<usize>,
    fold: Arc<F>,
) -> Wire
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    W: Windowing,
    F: Fold<K, V, A>,
{
    Box::new(move |wiring, node| {
        let store = wiring.topology.nodes[node].stores[0];
        let (stored_key, value) = store_formats::<Windowed<K>, A>(wiring, store);
        let formats = (stored_key, value);
        let closes = match windows.kind() {
            _ if emit == EmitStrategy::OnWindowUpdate => None,
            WindowsKind::Time(windows) => Some(Closes::Time(windows)),
            WindowsKind::Sliding(windows) => Some(Closes::Sliding(windows)),
            WindowsKind::Unlimited | WindowsKind::Custom => None,
        };
        let closing = closes.map(|closes| {
            Closing::<K, A>::wire(wiring, node, store, formats.clone(), closes, member)
        });
        let rows = Materialized::wire_as(wiring, node, store, formats, closing.is_none());
        let observed = ObservedTime::wire(wiring, store, member);
        let key: Codec<K> = key.clone().expect("a built store has its formats").into();
        let fold = fold.clone();
        if let WindowsKind::Sliding(windows) = windows.kind() {
            let aggregate = SlidingAggregate {
                key,
                windows,
                rows,
                fold,
                observed,
                closing,
                refuses_empty: wiring.topology.settings.semantics == Semantics::Java,
                key_bytes: Scratch::default(),
                bounds: Default::default(),
                list: Cell::default(),
                found: Cell::default(),
                types: PhantomData,
            };
            return boxed_whole::<K, V>(wiring, node, aggregate);
        }
        let windows = windows.clone();
        let closing: Option<Rc<Closing<K, A>>> = closing;
        window_aggregate(
            wiring,
            node,
            WindowAggregate {
                key,
                windows,
                rows,
                fold,
                takes_tombstones,
                observed,
                closing,
                key_bytes: Scratch::default(),
                types: PhantomData,
            },
        )
    })
}

fn window_aggregate<K, V, A, W, F>(
    wiring: &mut Wiring<'_>,
    node: usize,
    aggregate: WindowAggregate<K, V, A, W, F>,
) -> Box<dyn Any>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    W: Windowing,
    F: Fold<K, V, A>,
{
    boxed::<K, V>(wiring, node, aggregate)
}

/// The same options for another key type.
pub(crate) fn rekeyed<K, K2, A>(store: Store<K, A>, key: Option<FormatOf<K2>>) -> Store<K2, A> {
    Store {
        name: store.name,
        key,
        value: store.value,
        in_memory: store.in_memory,
        cached: store.cached,
        logged: store.logged,
        retention: store.retention,
        time_to_live: store.time_to_live,
        history: store.history,
        changelog_config: store.changelog_config,
        kind: store.kind,
        duplicates: store.duplicates,
        asks_for_cache: store.asks_for_cache,
        all_defaults: store.all_defaults,
    }
}

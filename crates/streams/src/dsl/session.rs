//! `KSessionStream`: a stream grouped by key and session. Not windows that are known from the time alone.
//! Invariant: a session is kept for at least its gap and grace.

use super::app::{App, processor, store_formats, store_spec};
use super::grouped::add_table;
use super::nulls::WithNulls;
use super::store::Kind;
use super::table::boxed_rows;
use super::windowed::{WindowedBy, WindowedStore, keep_changelog, rekeyed, retention_ms};
use super::{KGroupedStream, KTable, Store};
use crate::format::{FormatOf, Formats};
use crate::operator::{
    Closes, Closing, Fold, FoldOf, ObservedTime, SessionAggregate, SessionRows, StoredSessions,
};
use crate::task::{Scratch, StoreOrder, Wire, boxed_whole};
use crate::topology::{Kept, Role};
use crate::window::{EmitStrategy, SessionWindows, Windowed, session_store_keys};
use headwater_store::Layout;
use std::cell::Cell;
use std::{marker::PhantomData, sync::Arc};

/// The least time a segment of sessions spans (`RocksDbSessionBytesStoreSupplier`).
const SEGMENT_INTERVAL_MS_MIN: i64 = 60_000;

impl<'a, K, V> WindowedBy<KGroupedStream<'a, K, V>> for SessionWindows {
    type Windowed = KSessionStream<'a, K, V>;

    fn windowed(self, grouped: KGroupedStream<'a, K, V>) -> Self::Windowed {
        KSessionStream {
            grouped,
            windows: self,
            emit: EmitStrategy::OnWindowUpdate,
        }
    }
}

/// A stream grouped by key and session (`SessionWindowedKStream`). Its results have the session's end as their timestamp; when
/// sessions become one, the old ones are deleted downstream before the new one arrives.
pub struct KSessionStream<'a, K, V> {
    grouped: KGroupedStream<'a, K, V>,
    windows: SessionWindows,
    emit: EmitStrategy,
}

impl<K, V> Clone for KSessionStream<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for KSessionStream<'_, K, V> {}

impl<'a, K: Clone + 'static, V: Clone + 'static> KSessionStream<'a, K, V> {
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

    /// Counts the records of each session.
    pub fn count(self, store: impl Into<Store<K, u64>>) -> KTable<'a, Windowed<K>, u64> {
        self.count_as(|| 0, |count| count + 1, |one, two| one + two, store.into())
    }

    /// As `count`, in a type of the caller's; `next` gives the count after one more record, `plus` the sum of two.
    #[doc(hidden)]
    pub fn count_as<C: Clone + 'static>(
        self,
        zero: impl Fn() -> C + Send + Sync + 'static,
        next: impl Fn(C) -> C + Send + Sync + 'static,
        plus: impl Fn(C, C) -> C + Send + Sync + 'static,
        store: Store<K, C>,
    ) -> KTable<'a, Windowed<K>, C> {
        self.grouped.burn_for_count(&store);
        let fold = FoldOf {
            initial: move || Some(zero()),
            add: move |_: &K, _: Option<V>, count: Option<C>| count.map(&next),
            merge: move |_: &K, one: Option<C>, two: Option<C>| Some(plus(one?, two?)),
        };
        // A tombstone counts too, as in Kafka Streams.
        self.build("KSTREAM-AGGREGATE-", store, true, fold)
    }

    /// Combines the values of each session; the first stands as it is.
    pub fn reduce(
        self,
        reduce: impl Fn(V, V) -> V + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, Windowed<K>, V> {
        let formats = self.grouped.stream.formats();
        let store = store.into().or_formats(formats.key, formats.value);
        let reduce = move |one: V, two: Option<V>| Some(reduce(one, two?));
        self.build("KSTREAM-REDUCE-", store, false, reduction(reduce))
    }

    /// Folds the values of each session into a row that begins as `initial`. `merge` makes one row of two when a record joins
    /// their sessions; the first is what is merged so far, beginning with `initial`.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, A) -> A + Send + Sync + 'static,
        merge: impl Fn(&K, A, A) -> A + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, Windowed<K>, A> {
        let fold = FoldOf {
            initial: move || Some(initial()),
            add: move |key: &K, value: Option<V>, row: Option<A>| Some(add(key, value?, row?)),
            merge: move |key: &K, one: Option<A>, two: Option<A>| Some(merge(key, one?, two?)),
        };
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
        let kept = session_store(app, &name, self.windows, self.emit, store);
        let wire = session_wire::<K, V, A, _>(
            self.windows,
            self.emit,
            kept.key,
            takes_tombstones,
            None,
            Arc::new(fold),
        );
        let node = processor(name, vec![source.node], wire, kept.formats);
        add_table(
            app,
            kept.role,
            node,
            kept.spec,
            session_table_rows::<K, A>(),
        )
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KSessionStream<'a, K, V>> {
    /// As `KSessionStream::reduce`; tombstones are reduced too.
    pub fn reduce(
        self,
        reduce: impl Fn(V, Option<V>) -> Option<V> + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, Windowed<K>, V> {
        let formats = self.0.grouped.stream.formats();
        let store = store.into().or_formats(formats.key, formats.value);
        self.0
            .build("KSTREAM-REDUCE-", store, true, reduction(reduce))
    }

    /// As `KSessionStream::aggregate`; tombstones are aggregated too.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, Option<V>, Option<A>) -> Option<A> + Send + Sync + 'static,
        merge: impl Fn(&K, Option<A>, Option<A>) -> Option<A> + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, Windowed<K>, A> {
        let fold = FoldOf {
            initial,
            add,
            merge,
        };
        self.0.build("KSTREAM-AGGREGATE-", store.into(), true, fold)
    }
}

/// A reducer merges sessions too: into the earlier one's row, the later one's (`mergerFromAggregator`).
fn reduction<K, V>(
    reduce: impl Fn(V, Option<V>) -> Option<V> + Send + Sync + 'static,
) -> impl Fold<K, V, V> {
    let reduce = Arc::new(reduce);
    let merge = reduce.clone();
    FoldOf {
        initial: || None,
        add: move |_: &K, value: Option<V>, row: Option<V>| match row {
            Some(row) => reduce(row, value),
            None => value,
        },
        merge: move |_: &K, one: Option<V>, two: Option<V>| match one {
            Some(one) => merge(one, two),
            None => two,
        },
    }
}

/// The store of `operator`, over sessions; what does not fit is a problem of the graph.
pub(crate) fn session_store<K: 'static, A: 'static>(
    app: &App,
    operator: &str,
    windows: SessionWindows,
    emit: EmitStrategy,
    store: Store<K, A>,
) -> WindowedStore<K, A> {
    let plain = store.kind == Kind::Plain;
    let least = "the sessions' gap and grace";
    let retention_ms = retention_ms(app, operator, &store, windows.close_ms(), least);
    let layout = Layout::Session {
        retention_ms,
        segment_interval_ms: (retention_ms / 2).max(SEGMENT_INTERVAL_MS_MIN),
    };
    let key = store.key.clone();
    let stored_key = key.clone().map(session_store_keys);
    let formats = Formats {
        key: stored_key.clone(),
        value: store.value.clone(),
    };
    let mut spec = store_spec(app, operator, rekeyed(store, stored_key), layout);
    (spec.timestamped, spec.observed) = (false, true);
    if plain {
        keep_changelog(app, &mut spec, windows.close_ms());
    }
    // Kafka Streams' store for this is one without headers, whatever was asked for (`RocksDbTimeOrderedSessionHeadersBytesStoreSupplier`).
    if emit == EmitStrategy::OnWindowClose {
        spec.kept = match spec.kept {
            Kept::WithHeaders => Kept::HeadersOfDeletions,
            _ => Kept::Whole,
        };
    }
    spec.java_expiry = Some(StoreOrder::of(emit, plain));
    // As in Kafka Streams, whose changelog of such a store holds every update.
    spec.cached &= emit == EmitStrategy::OnWindowUpdate;
    let role = Role {
        versioned: Some(false),
        grace_ms: Some(windows.close_ms()),
        ..Role::default()
    };
    WindowedStore {
        key,
        formats,
        role,
        spec,
    }
}

/// Wires the operator of sessions; `member` is its number in a cogroup.
pub(crate) fn session_wire<K, V, A, F>(
    windows: SessionWindows,
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
    F: Fold<K, V, A>,
{
    Box::new(move |wiring, node| {
        let store = wiring.topology.nodes[node].stores[0];
        let formats = store_formats::<Windowed<K>, A>(wiring, store);
        let on_close = emit == EmitStrategy::OnWindowClose;
        let closing = on_close.then(|| {
            let closes = Closes::Session(windows);
            Closing::<K, A>::wire(wiring, node, store, formats.clone(), closes, member)
        });
        let aggregate = SessionAggregate {
            key: key.clone().expect("a built store has its formats").into(),
            windows,
            rows: SessionRows::wire(wiring, node, store, formats, !on_close),
            fold: fold.clone(),
            takes_tombstones,
            observed: ObservedTime::wire(wiring, store, member),
            closing,
            semantics: wiring.topology.settings.semantics,
            key_bytes: Scratch::default(),
            bounds: Default::default(),
            list: Cell::default(),
            types: PhantomData,
        };
        boxed_whole::<K, V>(wiring, node, aggregate)
    })
}

/// Reads the rows of a table of sessions.
pub(crate) fn session_table_rows<K: Clone + 'static, A: Clone + 'static>() -> Wire {
    Box::new(|wiring, node| {
        let table = wiring.topology.nodes[node].table.as_ref();
        let store = table.and_then(|table| table.store);
        let store = store.expect("a table of sessions has a store");
        let (key, value) = store_formats::<Windowed<K>, A>(wiring, store);
        boxed_rows(StoredSessions {
            store,
            topic: wiring.topology.changelog(store).into(),
            key,
            value,
            key_bytes: Scratch::default(),
            local: Scratch::default(),
        })
    })
}

//! `KGroupedStream`: a stream grouped by key, ready to be aggregated.
//! Not stored yet. Invariant: records reach an aggregate in the partition their key hashes to, through a repartition topic if need be.

use super::app::{App, expiring_store_spec, processor, store_formats};
use super::nulls::WithNulls;
use super::repartition::through_repartition;
use super::table::stored_rows;
use super::windowed::WindowedBy;
use super::{KStream, KTable, Store};
use crate::format::{FormatOf, Formats};
use crate::operator::{Aggregate, Fold, Materialized, fold};
use crate::task::{Scratch, Wire, boxed};
use crate::topology::{NameId, Node, OldValues, Role, StoreSpec, TableNode};
use std::{any::Any, marker::PhantomData, sync::Arc};

/// A grouped stream. A handle: copy it to aggregate twice.
pub struct KGroupedStream<'a, K, V> {
    pub(crate) stream: KStream<'a, K, V>,
    /// The name of the repartition topic, should one be needed.
    pub(crate) name: Option<NameId>,
    /// The name of the next operator.
    pub(crate) next: Option<NameId>,
    /// The node that `group_by` made to select the key; it bears the group's name too.
    pub(crate) selector: Option<usize>,
    /// Tells one group from another: aggregates of a named group share its repartition topic.
    pub(crate) number: usize,
}

impl<K, V> Clone for KGroupedStream<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for KGroupedStream<'_, K, V> {}

impl<'a, K: Clone + 'static, V: Clone + 'static> KGroupedStream<'a, K, V> {
    pub(crate) fn of(stream: KStream<'a, K, V>, selector: Option<usize>) -> Self {
        let mut graph = stream.app.graph.borrow_mut();
        graph.grouped += 1;
        Self {
            stream,
            name: None,
            next: None,
            selector,
            number: graph.grouped,
        }
    }

    /// Names the repartition topic, `<application>-<name>-repartition`, should one be needed, and the operator of `group_by`
    /// (`Grouped.as`).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        let mut graph = self.stream.app.graph.borrow_mut();
        let name = graph.give_name(name.into());
        if let Some(selector) = self.selector {
            let given = graph.given(name).to_owned();
            graph.rename(selector, &given);
        }
        drop(graph);
        self.name = Some(name);
        self
    }

    /// Names the next operator, the aggregation itself (`Named`).
    pub fn operator_named(mut self, name: impl Into<String>) -> Self {
        self.next = Some(self.stream.app.graph.borrow_mut().give_name(name.into()));
        self
    }

    /// States the format of the keys, for the repartition topic.
    pub fn keys(mut self, format: FormatOf<K>) -> Self {
        self.stream = self.stream.keys(format);
        self
    }

    /// States the format of the values, for the repartition topic.
    pub fn values(mut self, format: FormatOf<V>) -> Self {
        self.stream = self.stream.values(format);
        self
    }

    /// The next verb's closures may answer `None`, which deletes the row.
    pub fn with_nulls(self) -> WithNulls<Self> {
        WithNulls(self)
    }

    /// Counts the records of each key.
    pub fn count(self, store: impl Into<Store<K, u64>>) -> KTable<'a, K, u64> {
        self.count_as(|| 0, |count| count + 1, store.into())
    }

    /// As `count`, in a type of the caller's; `next` gives the count after one more record.
    #[doc(hidden)]
    pub fn count_as<C: Clone + 'static>(
        self,
        zero: impl Fn() -> C + Send + Sync + 'static,
        next: impl Fn(C) -> C + Send + Sync + 'static,
        store: Store<K, C>,
    ) -> KTable<'a, K, C> {
        self.burn_for_count(&store);
        let add = move |_: &K, _: Option<V>, count: Option<C>| count.map(&next);
        self.build("KSTREAM-AGGREGATE-", store, fold(move || Some(zero()), add))
    }

    /// Combines the values of each key; the first stands as it is.
    pub fn reduce(
        self,
        reduce: impl Fn(V, V) -> V + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, K, V> {
        let formats = self.stream.formats();
        let store = store.into().or_formats(formats.key, formats.value);
        let add = move |_: &K, value: Option<V>, row: Option<V>| match row {
            Some(row) => Some(reduce(row, value?)),
            None => value,
        };
        self.build("KSTREAM-REDUCE-", store, fold(|| None, add))
    }

    /// Folds the values of each key into a row that begins as `initial`.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, A) -> A + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, K, A> {
        let add = move |key: &K, value: Option<V>, row: Option<A>| Some(add(key, value?, row?));
        let fold = fold(move || Some(initial()), add);
        self.build("KSTREAM-AGGREGATE-", store.into(), fold)
    }

    /// Groups by window too: of time ([`crate::TimeWindows`], [`crate::SlidingWindows`], your own [`crate::Windowing`]), or by
    /// session ([`crate::SessionWindows`]).
    pub fn windowed_by<W: WindowedBy<Self>>(self, windows: W) -> W::Windowed {
        windows.windowed(self)
    }

    pub(crate) fn build<A: Clone + 'static>(
        self,
        prefix: &str,
        store: Store<K, A>,
        fold: impl Fold<K, V, A>,
    ) -> KTable<'a, K, A> {
        let app = self.stream.app;
        let (store, name, explicit) = self.names(prefix, store);
        let formats = Formats {
            key: store.key.clone(),
            value: store.value.clone(),
        };
        let source = self.grouped_source(&store, explicit);
        let role = Role {
            versioned: Some(store.is_versioned()),
            ..Role::default()
        };
        let spec = expiring_store_spec(app, &name, store);
        let wire = aggregate_wire::<K, V, A, _>(Arc::new(fold));
        let node = processor(name, vec![source.node], wire, formats);
        add_stateful(app, role, node, spec)
    }

    /// Kafka Streams spends a number on the store of a count whose formats are given and whose name is not
    /// (`Materialized.with`), and does not use it.
    pub(crate) fn burn_for_count<A>(self, store: &Store<K, A>) {
        if store.name.is_none() && !store.all_defaults {
            let _unused = self.stream.app.graph.borrow_mut().number("");
        }
    }

    /// The store's name, generated where none is given, then the operator's: the order in which Kafka Streams burns numbers.
    /// The last answer is true when the store's name was given.
    pub(crate) fn names<SK, A>(
        self,
        prefix: &str,
        mut store: Store<SK, A>,
    ) -> (Store<SK, A>, String, bool) {
        let mut graph = self.stream.app.graph.borrow_mut();
        let explicit = store.name.is_some();
        if !explicit {
            let name = graph.number(&format!("{prefix}STATE-STORE-"));
            graph.generated.push(name.clone());
            store.name = Some(name);
        }
        let name = graph.name(prefix, self.next);
        (store, name, explicit)
    }

    /// The stream the aggregate reads: itself, or what comes back from a repartition topic named after group or store.
    pub(crate) fn grouped_source<SK: 'static, A>(
        self,
        store: &Store<SK, A>,
        explicit: bool,
    ) -> KStream<'a, K, V> {
        if !self.stream.rekeyed {
            return self.stream;
        }
        let app = self.stream.app;
        let mut graph = app.graph.borrow_mut();
        let shared = graph.grouped_repartitions.get(&self.number).copied();
        if let Some(node) = shared.filter(|_| self.name.is_some()) {
            let group = graph.nodes[node].group;
            graph.add_parent(group, self.stream.node);
            drop(graph);
            super::repartition::burn(app);
            return KStream::at(app, node, false);
        }
        drop(graph);
        let source = self.own_repartition(store, explicit);
        let mut graph = app.graph.borrow_mut();
        graph.grouped_repartitions.insert(self.number, source.node);
        drop(graph);
        source
    }

    /// What comes back from a repartition topic of its own, named after group or store.
    pub(crate) fn own_repartition<SK: 'static, A>(
        self,
        store: &Store<SK, A>,
        explicit: bool,
    ) -> KStream<'a, K, V> {
        let graph = self.stream.app.graph.borrow();
        let given = self.name.map(|name| graph.given(name).to_owned());
        drop(graph);
        let explicit = explicit || given.is_some();
        let base = given.or_else(|| store.name.clone()).unwrap_or_default();
        let known = self.stream.formats();
        let store_key = store.key.clone();
        let key = known.key.or_else(|| {
            let key: Option<Box<dyn Any>> = store_key.map(|key| Box::new(key) as Box<dyn Any>);
            key.and_then(|key| key.downcast::<FormatOf<K>>().ok().map(|key| *key))
        });
        let formats = Formats {
            key,
            value: known.value,
        };
        through_repartition(self.stream, &base, formats, 0, explicit)
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KGroupedStream<'a, K, V>> {
    /// As `KGroupedStream::reduce`.
    pub fn reduce(
        self,
        reduce: impl Fn(V, Option<V>) -> Option<V> + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, K, V> {
        let formats = self.0.stream.formats();
        let store = store.into().or_formats(formats.key, formats.value);
        let add = move |_: &K, value: Option<V>, row: Option<V>| match row {
            Some(row) => reduce(row, value),
            None => value,
        };
        self.0.build("KSTREAM-REDUCE-", store, fold(|| None, add))
    }

    /// As `KGroupedStream::aggregate`.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, Option<V>, Option<A>) -> Option<A> + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, K, A> {
        let fold = fold(initial, add);
        self.0.build("KSTREAM-AGGREGATE-", store.into(), fold)
    }
}

/// Wires an aggregation without windows.
pub(crate) fn aggregate_wire<K, V, A, F>(fold: Arc<F>) -> Wire
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
    F: Fold<K, V, A>,
{
    Box::new(move |wiring, node| {
        let store = wiring.topology.nodes[node].stores[0];
        let (key, value) = store_formats::<K, A>(wiring, store);
        let rows = Materialized::wire(wiring, node, store, key.clone(), value);
        let aggregate = Aggregate {
            key: key.into(),
            rows,
            fold: fold.clone(),
            key_bytes: Scratch::default(),
            types: PhantomData,
        };
        boxed::<K, V>(wiring, node, aggregate)
    })
}

/// Adds a node with its store and hands out the table it keeps.
pub(crate) fn add_stateful<'a, K: Clone + 'static, A: Clone + 'static>(
    app: &'a App,
    role: Role,
    node: Node,
    spec: StoreSpec,
) -> KTable<'a, K, A> {
    add_table(app, role, node, spec, stored_rows::<K, A>())
}

/// As [`add_stateful`], for a table whose rows are read otherwise.
pub(crate) fn add_table<'a, K: Clone + 'static, A: Clone + 'static>(
    app: &'a App,
    role: Role,
    mut node: Node,
    spec: StoreSpec,
    rows: Wire,
) -> KTable<'a, K, A> {
    let mut graph = app.graph.borrow_mut();
    let store = graph.add_store(spec);
    node.stores.push(store);
    node.table = Some(TableNode {
        sends_old: false,
        old_values: OldValues::Stored,
        lazy_store: None,
        store: Some(store),
        rows,
    });
    let node = graph.add_as(role, node);
    drop(graph);
    KTable::at(app, node)
}

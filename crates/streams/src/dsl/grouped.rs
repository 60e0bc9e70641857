//! `KGroupedStream`: a stream grouped by key, ready to be aggregated.
//! Not stored yet. Invariant: records reach an aggregate in the partition their key hashes to, through a repartition topic if need be.

use super::app::{App, processor, store_formats, store_spec};
use super::repartition::{NullKeys, through_repartition};
use super::{KStream, KTable, KWindowedStream, Store};
use crate::format::Formats;
use crate::operator::{Aggregate, Materialized};
use crate::task::{Wire, boxed};
use crate::window::TimeWindows;
use headwater_store::Layout;
use std::{marker::PhantomData, sync::Arc};

/// A grouped stream. A handle: copy it to aggregate twice.
pub struct KGroupedStream<'a, K, V> {
    pub(crate) stream: KStream<'a, K, V>,
    pub(crate) name: Option<&'static str>,
    /// The node that `group_by` made to select the key; it bears the group's name too.
    pub(crate) selector: Option<usize>,
}

impl<K, V> Clone for KGroupedStream<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for KGroupedStream<'_, K, V> {}

impl<'a, K: Clone + 'static, V: Clone + 'static> KGroupedStream<'a, K, V> {
    /// Names the repartition topic, `<application>-<name>-repartition`, should one be needed, and the operator of `group_by`.
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = Some(name);
        if let Some(selector) = self.selector {
            self.stream.app.graph.borrow_mut().rename(selector, name);
        }
        self
    }

    /// Counts the records of each key.
    pub fn count(self, store: impl Into<Store<K, u64>>) -> KTable<'a, K, u64> {
        let store = store.into();
        self.burn_for_count(&store);
        self.build("KSTREAM-AGGREGATE-", store, |_, _, count: Option<u64>| {
            count.unwrap_or(0) + 1
        })
    }

    /// Combines the values of each key; the first stands as it is.
    pub fn reduce(
        self,
        reduce: impl Fn(V, V) -> V + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, K, V> {
        let formats = self.stream.formats();
        let store = store.into().or_formats(formats.key, formats.value);
        self.build("KSTREAM-REDUCE-", store, move |_, value, row| match row {
            Some(row) => reduce(row, value),
            None => value,
        })
    }

    /// Folds the values of each key into a row that begins as `initial`.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, A) -> A + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, K, A> {
        self.build(
            "KSTREAM-AGGREGATE-",
            store.into(),
            move |key, value, row| add(key, value, row.unwrap_or_else(&initial)),
        )
    }

    /// Groups by window of time too.
    pub fn windowed_by(self, windows: TimeWindows) -> KWindowedStream<'a, K, V> {
        KWindowedStream {
            grouped: self,
            windows,
        }
    }

    fn build<A: Clone + 'static>(
        self,
        prefix: &str,
        store: Store<K, A>,
        apply: impl Fn(&K, V, Option<A>) -> A + Send + Sync + 'static,
    ) -> KTable<'a, K, A> {
        let app = self.stream.app;
        let (store, name) = self.names(prefix, store);
        let formats = Formats {
            key: store.key.clone(),
            value: store.value.clone(),
        };
        let source = self.grouped_source(&store);
        let spec = store_spec(app, &name, store, Layout::KeyValue);
        let apply = Arc::new(apply);
        let wire: Wire = Box::new(move |wiring, node| {
            let store = wiring.topology.nodes[node].stores[0];
            let (key, value) = store_formats::<K, A>(wiring, store);
            let rows = Materialized::wire(wiring, node, store, key.clone(), value);
            let apply = apply.clone();
            let apply = move |key: &K, value: V, row: Option<A>| apply(key, value, row);
            boxed::<K, V>(Aggregate {
                key,
                rows,
                apply,
                key_bytes: Vec::new(),
                types: PhantomData,
            })
        });
        add_stateful(app, processor(name, vec![source.node], wire, formats), spec)
    }

    /// Kafka Streams spends a number on the store of a count whose formats are given and whose name is not
    /// (`Materialized.with`), and does not use it.
    pub(crate) fn burn_for_count<A>(self, store: &Store<K, A>) {
        if store.name.is_none() && !store.all_defaults {
            let _unused = self.stream.app.graph.borrow_mut().number("");
        }
    }

    /// The store's name, generated where none is given, then the operator's: the order in which Kafka Streams burns numbers.
    pub(crate) fn names<A>(self, prefix: &str, mut store: Store<K, A>) -> (Store<K, A>, String) {
        let mut graph = self.stream.app.graph.borrow_mut();
        if store.name.is_none() {
            store.name = Some(graph.number(&format!("{prefix}STATE-STORE-")));
        }
        let name = graph.number(prefix);
        (store, name)
    }

    /// The stream the aggregate reads: itself, or what comes back from a repartition topic named after group or store.
    pub(crate) fn grouped_source<A>(self, store: &Store<K, A>) -> KStream<'a, K, V> {
        if !self.stream.rekeyed {
            return self.stream;
        }
        let base = self
            .name
            .map(str::to_owned)
            .or_else(|| store.name.clone())
            .unwrap_or_default();
        let known = self.stream.formats();
        let formats = Formats {
            key: known.key.or_else(|| store.key.clone()),
            value: known.value,
        };
        through_repartition(self.stream, &base, formats, 0, NullKeys::Drop)
    }
}

/// Adds a node with its store and hands out the table it keeps.
pub(crate) fn add_stateful<'a, K, A>(
    app: &'a App,
    mut node: crate::topology::Node,
    spec: crate::topology::StoreSpec,
) -> KTable<'a, K, A> {
    let mut graph = app.graph.borrow_mut();
    let store = graph.add_store(spec);
    node.stores.push(store);
    let node = graph.add(node);
    KTable {
        app,
        node,
        types: PhantomData,
    }
}

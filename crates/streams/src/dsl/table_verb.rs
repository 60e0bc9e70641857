//! `KTable`'s verbs that make a table of another one row by row. Not joins and not groups.
//! Invariant: a verb's plain form computes rows when they are asked for; the form that ends in `_in` keeps them in a store.

use super::app::{processor, store_spec};
use super::nulls::WithNulls;
use super::table::{boxed_rows, stored_rows};
use super::{KTable, Store, StoreSet};
use crate::format::Formats;
use crate::operator::{
    DerivedRows, Kept, TableDerive, TransformerNode, Unreadable, ValueTransformer,
};
use crate::task::{Context, Wire, Wiring, boxed_whole};
use crate::topology::{OldValues, Role, Semantics, TableNode};
use crate::{Change, Result};
use headwater_store::Layout;
use std::{marker::PhantomData, rc::Rc, sync::Arc};

impl<'a, K: Clone + 'static, V: Clone + 'static> KTable<'a, K, V> {
    /// The rows whose key and value satisfy `predicate`. A row that no longer does, or never did, is sent on as deleted, unless the
    /// table knows the row before and passed over it too.
    pub fn filter(self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filtered(predicate, None)
    }

    /// As [`KTable::filter`], with the rows kept in `store`.
    pub fn filter_in(
        self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> Self {
        self.filtered(predicate, Some(store.into()))
    }

    /// The rows whose key and value do not satisfy `predicate`.
    pub fn filter_not(self, predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static) -> Self {
        self.filter(move |key, value| !predicate(key, value))
    }

    /// As [`KTable::filter_not`], with the rows kept in `store`.
    pub fn filter_not_in(
        self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> Self {
        self.filter_in(move |key, value| !predicate(key, value), store)
    }

    /// Maps each row's value.
    pub fn map_values<V2: Clone + 'static>(
        self,
        map: impl Fn(V) -> V2 + Send + Sync + 'static,
    ) -> KTable<'a, K, V2> {
        self.map_values_with_key(move |_, value| map(value))
    }

    /// As [`KTable::map_values`], with the rows kept in `store`.
    ///
    /// ```
    /// # use headwater_streams::App;
    /// let app = App::new("lengths");
    /// app.table::<String, String>("lines")
    ///     .map_values_in(|line| line.len() as u64, "lengths")
    ///     .to_stream()
    ///     .to("lengths");
    /// app.build()?;
    /// # Ok::<_, headwater_streams::Error>(())
    /// ```
    pub fn map_values_in<V2: Clone + 'static>(
        self,
        map: impl Fn(V) -> V2 + Send + Sync + 'static,
        store: impl Into<Store<K, V2>>,
    ) -> KTable<'a, K, V2> {
        self.map_values_with_key_in(move |_, value| map(value), store)
    }

    /// Maps each row's value with its key in view.
    pub fn map_values_with_key<V2: Clone + 'static>(
        self,
        map: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
    ) -> KTable<'a, K, V2> {
        self.mapped(move |key, value| Some(map(key, value)), None)
    }

    /// As [`KTable::map_values_with_key`], with the rows kept in `store`.
    pub fn map_values_with_key_in<V2: Clone + 'static>(
        self,
        map: impl Fn(&K, V) -> V2 + Send + Sync + 'static,
        store: impl Into<Store<K, V2>>,
    ) -> KTable<'a, K, V2> {
        self.mapped(move |key, value| Some(map(key, value)), Some(store.into()))
    }

    /// Maps each row's value by a transformer made by `factory`, with the stores named by `stores` (`transformValues`).
    pub fn transform_values<T: ValueTransformer<Key = K, Value = V>>(
        self,
        stores: impl StoreSet,
        factory: impl Fn() -> T + Send + Sync + 'static,
    ) -> KTable<'a, K, T::Out> {
        self.transformed(stores, factory, None)
    }

    /// As [`KTable::transform_values`], with the rows kept in `store`.
    pub fn transform_values_in<T: ValueTransformer<Key = K, Value = V>>(
        self,
        stores: impl StoreSet,
        factory: impl Fn() -> T + Send + Sync + 'static,
        store: impl Into<Store<K, T::Out>>,
    ) -> KTable<'a, K, T::Out> {
        self.transformed(stores, factory, Some(store.into()))
    }

    /// The next verb's closures may answer `None`, which deletes the row, and see the rows that may be missing.
    pub fn with_nulls(self) -> WithNulls<Self> {
        WithNulls(self)
    }

    fn filtered(
        self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
        store: Option<Store<K, V>>,
    ) -> Self {
        let formats = self.formats_in(&self.app.graph.borrow());
        let verb = Verb {
            prefix: "KTABLE-FILTER-",
            filters: true,
            numbers_stores: true,
            connected: Vec::new(),
        };
        let predicate = Arc::new(predicate);
        derive(self, verb, formats, store, move |_, _| {
            let predicate = predicate.clone();
            move |_: &mut Context<'_>, key: &K, value: Option<V>, _| {
                Ok(value.filter(|value| predicate(key, value)))
            }
        })
    }

    fn mapped<V2: Clone + 'static>(
        self,
        map: impl Fn(&K, V) -> Option<V2> + Send + Sync + 'static,
        store: Option<Store<K, V2>>,
    ) -> KTable<'a, K, V2> {
        let verb = Verb {
            prefix: "KTABLE-MAPVALUES-",
            filters: false,
            numbers_stores: true,
            connected: Vec::new(),
        };
        let map = Arc::new(map);
        derive(self, verb, self.key_format(), store, move |_, _| {
            let map = map.clone();
            move |_: &mut Context<'_>, key: &K, value: Option<V>, _| {
                Ok(value.and_then(|value| map(key, value)))
            }
        })
    }

    fn transformed<T: ValueTransformer<Key = K, Value = V>>(
        self,
        stores: impl StoreSet,
        factory: impl Fn() -> T + Send + Sync + 'static,
        store: Option<Store<K, T::Out>>,
    ) -> KTable<'a, K, T::Out> {
        let connected = stores.indices();
        let verb = Verb {
            prefix: "KTABLE-TRANSFORMVALUES-",
            filters: false,
            numbers_stores: false,
            connected: connected.clone(),
        };
        derive(self, verb, self.key_format(), store, move |wiring, node| {
            let transformer = TransformerNode::wire(wiring, node, factory(), connected.clone());
            move |ctx: &mut Context<'_>, key: &K, value: Option<V>, timestamp| {
                transformer.transform(ctx, key, value, timestamp)
            }
        })
    }

    /// The formats of a table with other values.
    pub(crate) fn key_format<V2>(self) -> Formats<K, V2> {
        Formats {
            key: self.formats_in(&self.app.graph.borrow()).key,
            value: None,
        }
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KTable<'a, K, V>> {
    /// As `KTable::map_values_with_key`.
    pub fn map_values<V2: Clone + 'static>(
        self,
        map: impl Fn(&K, V) -> Option<V2> + Send + Sync + 'static,
    ) -> KTable<'a, K, V2> {
        self.0.mapped(map, None)
    }

    /// As `KTable::map_values_with_key_in`.
    pub fn map_values_in<V2: Clone + 'static>(
        self,
        map: impl Fn(&K, V) -> Option<V2> + Send + Sync + 'static,
        store: impl Into<Store<K, V2>>,
    ) -> KTable<'a, K, V2> {
        self.0.mapped(map, Some(store.into()))
    }
}

/// What tells one such verb from another.
struct Verb {
    prefix: &'static str,
    /// Passes over updates of rows that were not there and are not there.
    filters: bool,
    /// Spends a number on a store without a name, though it does not open one.
    numbers_stores: bool,
    connected: Vec<usize>,
}

/// Adds the verb below `table`. `make` answers what turns a row into a row, for the operator and for each reader of its rows.
fn derive<'a, K, V, V2, F>(
    table: KTable<'a, K, V>,
    verb: Verb,
    formats: Formats<K, V2>,
    store: Option<Store<K, V2>>,
    make: impl Fn(&mut Wiring<'_>, usize) -> F + Send + Sync + 'static,
) -> KTable<'a, K, V2>
where
    K: Clone + 'static,
    V: Clone + 'static,
    V2: Clone + 'static,
    F: Fn(&mut Context<'_>, &K, Option<V>, i64) -> Result<Option<V2>> + 'static,
{
    let app = table.app;
    let store = store.map(|store| store.or_formats(formats.key.clone(), formats.value.clone()));
    let role = Role {
        versioned: store.as_ref().map(Store::is_versioned),
        ..Role::default()
    };
    let formats = store.as_ref().map_or(formats, |store| Formats {
        key: store.key.clone(),
        value: store.value.clone(),
    });
    // A store without a name gives formats and is not opened: the rows are computed.
    let named = store.as_ref().is_some_and(|store| store.name.is_some());
    let name = {
        let mut graph = app.graph.borrow_mut();
        if store.is_some() && !named && verb.numbers_stores {
            let _unused = graph.number(verb.prefix);
        }
        graph.name(verb.prefix, table.name)
    };
    let spec = store
        .filter(|_| named)
        .map(|store| store_spec(app, &name, store, Layout::KeyValue));
    let (parent, filters) = (table.node, verb.filters);
    let (wire, rows) = derived_wires::<K, V, V2, F>(parent, filters, make);
    let mut node = processor(name, vec![parent], wire, formats);
    let mut graph = app.graph.borrow_mut();
    let store = spec.map(|spec| graph.add_store(spec));
    node.stores.extend(store);
    node.stores.extend(verb.connected);
    node.table = Some(TableNode {
        // A filter that can know the row before tells so without being asked, and spares deletions of what was not there.
        sends_old: filters && graph.send_old(parent, false),
        old_values: OldValues::Derived(vec![parent]),
        lazy_store: None,
        store,
        rows: if store.is_some() {
            stored_rows::<K, V2>()
        } else {
            rows
        },
    });
    let node = graph.add_as(role, node);
    drop(graph);
    KTable::at(app, node)
}

/// How such an operator is wired, and how its rows are read where it has no store.
fn derived_wires<K, V, V2, F>(
    parent: usize,
    filters: bool,
    make: impl Fn(&mut Wiring<'_>, usize) -> F + Send + Sync + 'static,
) -> (Wire, Wire)
where
    K: Clone + 'static,
    V: Clone + 'static,
    V2: Clone + 'static,
    F: Fn(&mut Context<'_>, &K, Option<V>, i64) -> Result<Option<V2>> + 'static,
{
    let make = Arc::new(make);
    let made = make.clone();
    let wire: Wire = Box::new(move |wiring, node| {
        let store = wiring.topology.nodes[node].table.as_ref();
        let store = store.and_then(|table| table.store);
        let kept = store.map(|store| Kept::wire(wiring, node, store));
        let operator = TableDerive {
            apply: made(wiring, node),
            kept,
            sends_old: wiring.topology.sends_old(node),
            filters,
            reads_versions: wiring.topology.nodes[node].reads_versions,
            outputs: wiring.outputs::<K, Change<V2>>(node),
            types: PhantomData,
        };
        boxed_whole::<K, Change<V>>(wiring, node, operator)
    });
    let rows: Wire = Box::new(move |wiring, node| {
        let connected = &wiring.topology.nodes[node].stores;
        if wiring.topology.settings.semantics == Semantics::Java && !connected.is_empty() {
            let unreadable = Unreadable::transformed(wiring.topology, node);
            wiring.open_with_task(node, Rc::new(unreadable));
        }
        let rows = DerivedRows {
            parent: wiring.rows::<K, V>(parent),
            apply: make(wiring, node),
            types: PhantomData,
        };
        boxed_rows(rows)
    });
    (wire, rows)
}

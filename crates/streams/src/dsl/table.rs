//! `KTable`: rows by key that change over time. Not the store that holds them; some tables have none.
//! Invariant: a table's records are changes; `to_stream` turns them back into records.

use super::app::{App, closure_wire, expiring_store_spec, processor, store_formats};
use super::repartition::through_repartition;
use super::{KStream, Store};
use crate::Change;
use crate::format::{FormatOf, Formats};
use crate::operator::{Materialized, StoredRows, TableSource, VersionedRows};
use crate::task::{Rows, Scratch, Wire, boxed_whole};
use crate::topology::{Graph, NameId, Node, OldValues, Role, StoreSpec, TableNode};
use headwater_store::Layout;
use std::sync::Arc;
use std::{any::Any, marker::PhantomData, rc::Rc};

/// A table. A handle: copy it to use the table twice.
pub struct KTable<'a, K, V> {
    pub(crate) app: &'a App,
    pub(crate) node: usize,
    /// The name of the next operator.
    pub(crate) name: Option<NameId>,
    pub(crate) types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for KTable<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for KTable<'_, K, V> {}

impl<'a, K: Clone + 'static, V: Clone + 'static> KTable<'a, K, V> {
    /// The table that `node` keeps.
    pub(crate) fn at(app: &'a App, node: usize) -> Self {
        Self {
            app,
            node,
            name: None,
            types: PhantomData,
        }
    }

    /// Names the next operator: `table.named("large").filter(..)` (`Named`).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(self.app.graph.borrow_mut().give_name(name.into()));
        self
    }

    /// States the format of the keys, for what comes next and needs it.
    pub fn keys(self, format: FormatOf<K>) -> Self {
        self.set_formats(|formats| formats.key = Some(format))
    }

    /// States the format of the values, for what comes next and needs it.
    pub fn values(self, format: FormatOf<V>) -> Self {
        self.set_formats(|formats| formats.value = Some(format))
    }

    fn set_formats(self, set: impl FnOnce(&mut Formats<K, V>)) -> Self {
        let mut graph = self.app.graph.borrow_mut();
        let mut formats = self.formats_in(&graph);
        set(&mut formats);
        if let Some(spec) = graph.nodes[self.node].lazy_store() {
            spec.complete(&formats);
        }
        graph.nodes[self.node].formats = Arc::new(formats);
        drop(graph);
        self
    }

    /// The table's updates as a stream; a deleted row is a record without a value.
    pub fn to_stream(self) -> KStream<'a, K, V> {
        let mut graph = self.app.graph.borrow_mut();
        let name = graph.name("KTABLE-TOSTREAM-", self.name);
        let formats = self.formats_in(&graph);
        let wire = closure_wire::<K, Change<V>, K, V, _>(|ctx, out, key, change, meta| {
            out.pass(ctx, key, change.and_then(|change| change.new), meta)
        });
        let node = graph.add(processor(name, vec![self.node], wire, formats));
        drop(graph);
        KStream::at(self.app, node, false)
    }

    /// The table's formats.
    pub(crate) fn formats_in(self, graph: &Graph) -> Formats<K, V> {
        graph.nodes[self.node]
            .formats
            .downcast_ref::<Formats<K, V>>()
            .cloned()
            .unwrap_or(Formats::UNKNOWN)
    }
}

/// Boxes rows as [`TableNode::rows`] gives them.
pub(crate) fn boxed_rows<K: 'static, V: 'static>(rows: impl Rows<K, V> + 'static) -> Box<dyn Any> {
    let rows: Rc<dyn Rows<K, V>> = Rc::new(rows);
    Box::new(rows)
}

/// Reads the rows of the store of a node.
pub(crate) fn stored_rows<K: Clone + 'static, V: Clone + 'static>() -> Wire {
    Box::new(|wiring, node| {
        let table = wiring.topology.nodes[node].table.as_ref();
        let store = table
            .and_then(|table| table.store)
            .expect("who reads a table's rows has asked for their store");
        let (key, value) = store_formats::<K, V>(wiring, store);
        let layout = &wiring.topology.stores[store].layout;
        if matches!(layout, Layout::Versioned { .. }) {
            boxed_rows(VersionedRows::new(wiring, store, key, value))
        } else {
            boxed_rows(StoredRows::new(wiring, store, key, value))
        }
    })
}

/// The node of a table whose rows are a topic's or a stream's records, with the store that it opens when it needs one.
pub(crate) fn table_source_node<K: Clone + 'static, V: Clone + 'static>(
    name: String,
    parent: usize,
    formats: Formats<K, V>,
    spec: StoreSpec,
) -> Node {
    let wire_formats = formats.clone();
    let wire: Wire = Box::new(move |wiring, node| {
        let table = wiring.topology.nodes[node].table.as_ref();
        let rows = table.and_then(|table| table.store).map(|store| {
            let (key, value) = store_formats::<K, V>(wiring, store);
            Materialized::wire(wiring, node, store, key, value)
        });
        let known = "a built table has its formats";
        let source = TableSource {
            key: wire_formats.key.clone().expect(known).into(),
            value: wire_formats.value.clone(),
            rows,
            outputs: wiring.outputs(node),
            key_bytes: Scratch::default(),
        };
        boxed_whole::<K, V>(wiring, node, source)
    });
    let mut node = processor(name, vec![parent], wire, formats);
    node.table = Some(TableNode {
        sends_old: false,
        old_values: OldValues::Source,
        lazy_store: Some(spec),
        store: None,
        rows: stored_rows::<K, V>(),
    });
    node
}

/// `KStream::to_table`.
pub(crate) fn from_stream<'a, K: Clone + 'static, V: Clone + 'static>(
    stream: KStream<'a, K, V>,
    store: Store<K, V>,
) -> KTable<'a, K, V> {
    let app = stream.app;
    let known = stream.formats();
    let mut store = store.or_formats(known.key, known.value);
    let formats = Formats {
        key: store.key.clone(),
        value: store.value.clone(),
    };
    let named = store.name.is_some();
    let name = {
        let mut graph = app.graph.borrow_mut();
        let name = graph.name("KSTREAM-TOTABLE-", stream.name);
        if !named {
            let generated = graph.number("KSTREAM-TOTABLE-STATE-STORE-");
            graph.generated.push(generated.clone());
            store.name = Some(generated);
        }
        name
    };
    let mut source = stream;
    if stream.rekeyed {
        source = through_repartition(stream, &name, formats.clone(), 0, stream.name.is_some());
    }
    let role = Role {
        versioned: Some(store.is_versioned()),
        ..Role::default()
    };
    let spec = expiring_store_spec(app, &name, store);
    let node = table_source_node(name, source.node, formats, spec);
    let mut graph = app.graph.borrow_mut();
    let node = graph.add_as(role, node);
    if named {
        graph.materialize(node);
    }
    drop(graph);
    KTable::at(app, node)
}

//! `KTable`: rows by key that change over time. Not the store that holds them; some tables have none.
//! Invariant: a table's records are changes; `to_stream` turns them back into records.

use super::app::{App, closure_wire, processor, store_formats, store_spec};
use super::repartition::{NullKeys, through_repartition};
use super::{KStream, Store};
use crate::Change;
use crate::format::Formats;
use crate::operator::{Materialized, TableSource};
use crate::task::{Wire, boxed};
use headwater_store::Layout;
use std::marker::PhantomData;

/// A table. A handle: copy it to use the table twice.
pub struct KTable<'a, K, V> {
    pub(crate) app: &'a App,
    pub(crate) node: usize,
    pub(crate) types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for KTable<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for KTable<'_, K, V> {}

impl<'a, K: Clone + 'static, V: Clone + 'static> KTable<'a, K, V> {
    /// The table's updates as a stream; a deleted row is a record without a value.
    pub fn to_stream(self) -> KStream<'a, K, V> {
        let mut graph = self.app.graph.borrow_mut();
        let name = graph.number("KTABLE-TOSTREAM-");
        let formats = self.formats_in(&graph);
        let wire = closure_wire::<K, Change<V>, K, V, _>(|ctx, out, mut record| {
            let value = record.value.take().and_then(|change| change.new);
            out.send(ctx, record.with_value(value))
        });
        let node = graph.add(processor(name, vec![self.node], wire, formats));
        KStream {
            app: self.app,
            node,
            rekeyed: false,
            types: PhantomData,
        }
    }

    /// The table's formats.
    pub(crate) fn formats_in(self, graph: &crate::topology::Graph) -> Formats<K, V> {
        graph.nodes[self.node]
            .formats
            .downcast_ref::<Formats<K, V>>()
            .cloned()
            .unwrap_or(Formats::UNKNOWN)
    }
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
        let name = graph.number("KSTREAM-TOTABLE-");
        if !named {
            store.name = Some(graph.number("KSTREAM-TOTABLE-STATE-STORE-"));
        }
        name
    };
    let mut source = stream;
    if stream.rekeyed {
        source = through_repartition(stream, &name, formats.clone(), 0, NullKeys::Drop);
    }
    let spec = store_spec(app, &name, store, Layout::KeyValue);
    let wire_formats = formats.clone();
    let wire: Wire = Box::new(move |wiring, node| {
        let rows = wiring.topology.nodes[node]
            .stores
            .first()
            .copied()
            .map(|store| {
                let (key, value) = store_formats::<K, V>(wiring, store);
                Materialized::wire(wiring, node, store, key, value)
            });
        let known = "a built table has its formats";
        let (key, value) = (
            wire_formats.key.clone().expect(known),
            wire_formats.value.clone().expect(known),
        );
        boxed::<K, V>(TableSource {
            key,
            value,
            rows,
            outputs: wiring.outputs(node),
            key_bytes: Vec::new(),
        })
    });
    let mut node = processor(name, vec![source.node], wire, formats);
    node.lazy_store = Some(spec);
    let mut graph = app.graph.borrow_mut();
    let node = graph.add(node);
    if named {
        graph.materialize(node);
    }
    KTable {
        app,
        node,
        types: PhantomData,
    }
}

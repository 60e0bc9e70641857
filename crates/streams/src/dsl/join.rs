//! Joins of a stream with what stands on its right: a table now; the trait leaves room for streams and global tables.
//! Invariant: both sides are partitioned alike; a stream whose key changed goes through a repartition topic first.

use super::app::{processor, store_formats};
use super::repartition::{NullKeys, through_repartition};
use super::{KStream, KTable};
use crate::format::Formats;
use crate::operator::TableJoin;
use crate::task::{Wire, boxed};
use std::{marker::PhantomData, sync::Arc};

/// How a stream's value and what was found on the right, if anything, become the joined value.
pub(crate) type Joiner<V, R, O> = Arc<dyn Fn(&V, Option<&R>) -> O + Send + Sync>;

/// What may stand on the right of a stream's join.
#[diagnostic::on_unimplemented(
    message = "a stream with keys of type `{K}` cannot be joined with `{Self}`",
    label = "the keys differ, or this is no table",
    note = "both sides of a join need the same key type: use `select_key` on the stream first"
)]
pub trait JoinTable<'a, K, V> {
    /// The type of its rows.
    type Row;
    /// Adds the join to the graph.
    #[doc(hidden)]
    fn connect<O: Clone + 'static>(
        self,
        stream: KStream<'a, K, V>,
        left: bool,
        joiner: Joiner<V, Self::Row, O>,
    ) -> KStream<'a, K, O>;
}

impl<'a, K: Clone + 'static, V: Clone + 'static> KStream<'a, K, V> {
    /// Joins each record with the row of its key; records without one are passed over.
    pub fn join<R: JoinTable<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&V, &R::Row) -> O + Send + Sync + 'static,
    ) -> KStream<'a, K, O>
    where
        R::Row: 'static,
    {
        let joiner = move |value: &V, row: Option<&R::Row>| {
            joiner(
                value,
                row.expect("an inner join calls its joiner only with a row"),
            )
        };
        right.connect(self, false, Arc::new(joiner))
    }

    /// Joins each record with the row of its key, if there is one.
    pub fn left_join<R: JoinTable<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&V, Option<&R::Row>) -> O + Send + Sync + 'static,
    ) -> KStream<'a, K, O>
    where
        R::Row: 'static,
    {
        right.connect(self, true, Arc::new(joiner))
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static, R: Clone + 'static> JoinTable<'a, K, V>
    for KTable<'a, K, R>
{
    type Row = R;

    fn connect<O: Clone + 'static>(
        self,
        stream: KStream<'a, K, V>,
        left: bool,
        joiner: Joiner<V, R, O>,
    ) -> KStream<'a, K, O> {
        let app = stream.app;
        let table = self.formats_in(&app.graph.borrow());
        let mut stream = stream;
        if stream.rekeyed {
            let known = stream.formats();
            let formats = Formats {
                key: known.key.or(table.key),
                value: known.value,
            };
            let base = app.graph.borrow().nodes[stream.node].name.clone();
            // Named after the operator that changed the key, as in Kafka Streams, and not after the join.
            let null_keys = if left { NullKeys::Keep } else { NullKeys::Drop };
            stream = through_repartition(stream, &base, formats, 0, null_keys);
        }
        let mut graph = app.graph.borrow_mut();
        let name = graph.number(if left {
            "KSTREAM-LEFTJOIN-"
        } else {
            "KSTREAM-JOIN-"
        });
        let Some(store) = graph.materialize(self.node) else {
            graph.problem(format!(
                "{name}: the table has no rows to look up; give it a store"
            ));
            return KStream {
                app,
                node: stream.node,
                rekeyed: false,
                types: PhantomData,
            };
        };
        let wire: Wire = Box::new(move |wiring, node| {
            let (key, row) = store_formats::<K, R>(wiring, store);
            let joiner = joiner.clone();
            boxed::<K, V>(TableJoin {
                store,
                topic: wiring.topology.changelog(store).into(),
                key,
                row,
                apply: move |value: &V, row: Option<&R>| joiner(value, row),
                left,
                outputs: wiring.outputs(node),
                key_bytes: Vec::new(),
                local: Vec::new(),
                types: PhantomData,
            })
        });
        let formats: Formats<K, O> = Formats {
            key: stream.formats_in(&graph).key,
            value: None,
        };
        let mut node = processor(name, vec![stream.node], wire, formats);
        node.stores.push(store);
        graph.copartition(stream.node, self.node);
        let node = graph.add(node);
        KStream {
            app,
            node,
            rekeyed: false,
            types: PhantomData,
        }
    }
}

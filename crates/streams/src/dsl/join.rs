//! Joins of a stream with what stands on its right: tables, streams within a time, global tables.
//! Invariant: both sides are partitioned alike; a stream whose key changed goes through a repartition topic first.

use super::KStream;
use super::nulls::WithNulls;
use super::repartition::{burn, is_generated, through_repartition};
use crate::format::Formats;
use crate::topology::NameId;
use std::sync::Arc;

/// How a stream's value and what was found on the right, if anything, become the joined value.
pub(crate) type Joiner<K, V, R, O> = Arc<dyn Fn(&K, &V, Option<&R>) -> Option<O> + Send + Sync>;

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
        joiner: Joiner<K, V, Self::Row, O>,
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
        let joiner =
            move |_: &K, value: &V, row: Option<&R::Row>| row.map(|row| joiner(value, row));
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
        let joiner = move |_: &K, value: &V, row: Option<&R::Row>| Some(joiner(value, row));
        right.connect(self, true, Arc::new(joiner))
    }
}

/// A stream as a join reads it.
pub(crate) struct Partitioned<'a, K, V> {
    pub(crate) stream: KStream<'a, K, V>,
    /// Kafka Streams takes a name that it spends for nothing for the stream's source, and so copartitions what it joins without
    /// that source's topic.
    pub(crate) forgotten: bool,
}

impl<'a, K, V> Partitioned<'a, K, V> {
    /// The stream itself, whose key has not changed.
    pub(crate) fn already(stream: KStream<'a, K, V>) -> Self {
        Self {
            stream,
            forgotten: false,
        }
    }
}

/// The stream behind a repartition topic that its joins share; named after the join where that is named, with `suffix`, and
/// else after the operator that changed the key (`KStreamImpl.repartitionForJoin`).
pub(crate) fn repartition_for_join<'a, K: Clone + 'static, V: Clone + 'static>(
    stream: KStream<'a, K, V>,
    join: Option<NameId>,
    suffix: &str,
    formats: Formats<K, V>,
) -> Partitioned<'a, K, V> {
    let app = stream.app;
    let (own, base, shared) = {
        let graph = app.graph.borrow();
        let own = graph.nodes[stream.node].name.clone();
        let base = join.map_or_else(
            || own.clone(),
            |join| format!("{}{suffix}", graph.given(join)),
        );
        (
            own,
            base,
            graph.join_repartitions.get(&stream.node).cloned(),
        )
    };
    if let Some((node, made_for)) = shared.filter(|_| own == base) {
        burn(app);
        return Partitioned {
            stream: KStream::at(app, node, false),
            // The source that there is has another name than the one that is spent, unless both come from the same given name.
            forgotten: is_generated(&base) || made_for != base,
        };
    }
    let stream_node = stream.node;
    let behind = through_repartition(stream, &base, formats, 0, join.is_some());
    let mut graph = app.graph.borrow_mut();
    let made = (behind.node, base);
    graph.join_repartitions.insert(stream_node, made);
    drop(graph);
    Partitioned::already(behind)
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KStream<'a, K, V>> {
    /// As `KStream::join`, with the key in view.
    pub fn join<R: JoinTable<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&K, Option<&V>, Option<&R::Row>) -> Option<O> + Send + Sync + 'static,
    ) -> KStream<'a, K, O>
    where
        R::Row: 'static,
    {
        let joiner = move |key: &K, value: &V, row: Option<&R::Row>| joiner(key, Some(value), row);
        right.connect(self.0, false, Arc::new(joiner))
    }

    /// As `KStream::left_join`, with the key in view.
    pub fn left_join<R: JoinTable<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&K, Option<&V>, Option<&R::Row>) -> Option<O> + Send + Sync + 'static,
    ) -> KStream<'a, K, O>
    where
        R::Row: 'static,
    {
        let joiner = move |key: &K, value: &V, row: Option<&R::Row>| joiner(key, Some(value), row);
        right.connect(self.0, true, Arc::new(joiner))
    }
}

//! `KGroupedTable`: a table grouped by a new key, ready to be aggregated.
//! Not a grouped stream: a row that changes is taken out of its group and put into its next one. Invariant: updates always go
//! through a repartition topic, what they take back before what they add.

use super::app::{processor, store_spec};
use super::grouped::add_stateful;
use super::nulls::WithNulls;
use super::stream::add_sink;
use super::{KTable, Store, Topic};
use crate::Change;
use crate::format::{Data, FormatOf, Formats, changes};
use crate::operator::{Kept, Source, TableAggregate, TableGroup};
use crate::task::{Feed, Wire, Wiring, boxed_whole};
use crate::topology::{NameId, NodeKind, Repartition, Role, TopicName};
use headwater_store::Layout;
use std::{marker::PhantomData, rc::Rc, sync::Arc};

/// A grouped table. A handle: copy it to aggregate twice.
pub struct KGroupedTable<'a, K, V> {
    /// The operator that makes the groups; its records are changes.
    table: KTable<'a, K, V>,
    /// The name of the repartition topic.
    name: Option<NameId>,
    /// The name of the next operator.
    next: Option<NameId>,
}

impl<K, V> Clone for KGroupedTable<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for KGroupedTable<'_, K, V> {}

impl<'a, K: Clone + 'static, V: Clone + 'static> KTable<'a, K, V> {
    /// Groups the rows by a new key, each with a new value.
    ///
    /// ```
    /// # use headwater_streams::App;
    /// let app = App::new("towns");
    /// app.table::<String, String>("town-by-user")
    ///     .group_by(|user, town| (town, user.clone()))
    ///     .count("users-by-town");
    /// app.build()?;
    /// # Ok::<_, headwater_streams::Error>(())
    /// ```
    pub fn group_by<K2: Data + PartialEq, V2: Data>(
        self,
        group: impl Fn(&K, V) -> (K2, V2) + Send + Sync + 'static,
    ) -> KGroupedTable<'a, K2, V2> {
        self.with_nulls().group_by(move |key, value| {
            let (key, value) = group(key, value);
            (key, Some(value))
        })
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KTable<'a, K, V>> {
    /// As `KTable::group_by`; a row whose group has no value, or a null key, belongs to none.
    pub fn group_by<K2: Data + PartialEq, V2: Data>(
        self,
        group: impl Fn(&K, V) -> (K2, Option<V2>) + Send + Sync + 'static,
    ) -> KGroupedTable<'a, K2, V2> {
        let table = self.0;
        let app = table.app;
        let mut graph = app.graph.borrow_mut();
        let name = graph.name("KTABLE-SELECT-", table.name);
        let group = Arc::new(group);
        let wire: Wire = Box::new(move |wiring, node| {
            let group = group.clone();
            let formats = wiring.topology.nodes[node].formats.downcast_ref();
            let formats: Option<&Formats<K2, V2>> = formats;
            let key = formats.and_then(|formats| formats.key.clone());
            let operator = TableGroup {
                apply: move |key: &K, value: V| group(key, value),
                key: key.unwrap_or_else(K2::format),
                reads_versions: wiring.topology.nodes[node].reads_versions,
                outputs: wiring.outputs::<K2, Change<V2>>(node),
                types: PhantomData,
            };
            boxed_whole::<K, Change<V>>(wiring, node, operator)
        });
        let formats = super::stream::defaults::<K2, V2>();
        let node = graph.add(processor(name, vec![table.node], wire, formats));
        graph.send_old(table.node, true);
        drop(graph);
        KGroupedTable {
            table: KTable::at(app, node),
            name: None,
            next: None,
        }
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> KGroupedTable<'a, K, V> {
    /// Names the repartition topic, `<application>-<name>-repartition`, and the operator of `group_by` (`Grouped.as`).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        let mut graph = self.table.app.graph.borrow_mut();
        let name = graph.give_name(name.into());
        let given = graph.given(name).to_owned();
        graph.rename(self.table.node, &given);
        drop(graph);
        self.name = Some(name);
        self
    }

    /// Names the next operator, the aggregation itself (`Named`).
    pub fn operator_named(mut self, name: impl Into<String>) -> Self {
        let mut graph = self.table.app.graph.borrow_mut();
        self.next = Some(graph.give_name(name.into()));
        drop(graph);
        self
    }

    /// States the format of the keys, for the repartition topic.
    pub fn keys(mut self, format: FormatOf<K>) -> Self {
        self.table = self.table.keys(format);
        self
    }

    /// States the format of the values, for the repartition topic.
    pub fn values(mut self, format: FormatOf<V>) -> Self {
        self.table = self.table.values(format);
        self
    }

    /// The next verb's closures may answer `None`, which deletes the row.
    pub fn with_nulls(self) -> WithNulls<Self> {
        WithNulls(self)
    }

    /// Counts the rows of each group.
    pub fn count(self, store: impl Into<Store<K, u64>>) -> KTable<'a, K, u64> {
        // Both wrap, as in Kafka Streams.
        self.count_as(
            |count: Option<u64>| count.unwrap_or(0).wrapping_add(1),
            |count| count.wrapping_sub(1),
            store.into(),
        )
    }

    /// As `count`, in a type of the caller's; `next` and `back` give the count after one more row and one less.
    #[doc(hidden)]
    pub fn count_as<C: Clone + 'static>(
        self,
        next: impl Fn(Option<C>) -> C + Send + Sync + 'static,
        back: impl Fn(C) -> C + Send + Sync + 'static,
        store: Store<K, C>,
    ) -> KTable<'a, K, C> {
        let add = move |_: &K, _: V, count: Option<C>| Some(next(count));
        let subtract = move |_: &K, _: V, count: C| Some(back(count));
        self.build("KTABLE-AGGREGATE-", store, add, subtract)
    }

    /// Combines the values of each group; the first stands as it is. `subtract(row, value)` takes a value out again.
    pub fn reduce(
        self,
        add: impl Fn(V, V) -> V + Send + Sync + 'static,
        subtract: impl Fn(V, V) -> V + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, K, V> {
        self.with_nulls().reduce(
            move |row, value| Some(add(row, value)),
            move |row, value| Some(subtract(row, value)),
            store,
        )
    }

    /// Folds the values of each group into a row that begins as `initial`; `subtract` takes a value out again.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        add: impl Fn(&K, V, A) -> A + Send + Sync + 'static,
        subtract: impl Fn(&K, V, A) -> A + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, K, A> {
        let add = move |key: &K, value: V, row: Option<A>| {
            Some(add(key, value, row.unwrap_or_else(&initial)))
        };
        let subtract = move |key: &K, value: V, row: A| Some(subtract(key, value, row));
        self.build("KTABLE-AGGREGATE-", store.into(), add, subtract)
    }

    fn build<A: Clone + 'static>(
        self,
        prefix: &str,
        store: Store<K, A>,
        add: impl Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
        subtract: impl Fn(&K, V, A) -> Option<A> + Send + Sync + 'static,
    ) -> KTable<'a, K, A> {
        let app = self.table.app;
        let known = self.table.formats_in(&app.graph.borrow());
        let mut store = store.or_formats(known.key, None);
        let (sink, source, name) = {
            let mut graph = app.graph.borrow_mut();
            if store.name.is_none() {
                // Kafka Streams names the stores of reduce after aggregate too.
                let generated = graph.number("KTABLE-AGGREGATE-STATE-STORE-");
                graph.generated.push(generated.clone());
                store.name = Some(generated);
            }
            (
                graph.suffixed("KSTREAM-SINK-", self.next, "-sink"),
                graph.suffixed("KSTREAM-SOURCE-", self.next, "-source"),
                graph.name(prefix, self.next),
            )
        };
        let base = store.name.clone().unwrap_or_default();
        let source = self.repartition(sink, source, base);
        let formats = Formats {
            key: store.key.clone(),
            value: store.value.clone(),
        };
        let role = Role {
            versioned: Some(store.is_versioned()),
            ..Role::default()
        };
        let spec = store_spec(app, &name, store, Layout::KeyValue);
        let (add, subtract) = (Arc::new(add), Arc::new(subtract));
        let wire: Wire = Box::new(move |wiring, node| {
            let store = wiring.topology.nodes[node].stores[0];
            let (add, subtract) = (add.clone(), subtract.clone());
            let aggregate = TableAggregate {
                kept: Kept::<K, A>::wire(wiring, node, store),
                add: move |key: &K, value: V, row: Option<A>| add(key, value, row),
                subtract: move |key: &K, value: V, row: A| subtract(key, value, row),
                types: PhantomData,
            };
            boxed_whole::<K, Change<V>>(wiring, node, aggregate)
        });
        let node = processor(name, vec![source], wire, formats);
        add_stateful(app, role, node, spec)
    }

    /// The source behind the repartition topic, which aggregates of a named group share.
    fn repartition(self, sink: String, source: String, base: String) -> usize {
        let app = self.table.app;
        let mut graph = app.graph.borrow_mut();
        let shared = graph.table_repartitions.get(&self.table.node).copied();
        if let Some(node) = shared.filter(|_| self.name.is_some()) {
            let group = graph.nodes[node].group;
            graph.add_parent(group, self.table.node);
            return node;
        }
        let base = self.name.map_or(base, |name| graph.given(name).to_owned());
        let topic = format!("{base}-repartition");
        let name = TopicName::Internal(topic.clone());
        let known = self.table.formats_in(&graph);
        let (Some(key), Some(value)) = (known.key, known.value.map(changes)) else {
            graph.problem(format!(
                "{sink}: the format of the group's keys or values is not known; give KGroupedTable::keys and values"
            ));
            return self.table.node;
        };
        let group = graph.add_group(Role::default(), &[self.table.node]);
        let sink_topic = Topic::named(topic).keys(key.clone()).values(value.clone());
        let target = Some(name.clone());
        add_sink(
            &mut graph,
            group,
            &[self.table.node],
            sink,
            target,
            sink_topic,
        );
        graph.repartitions.push(Repartition {
            topic: name.clone(),
            partitions: 0,
        });
        let formats = Formats {
            key: Some(key.clone()),
            value: Some(value.clone()),
        };
        let make = move |wiring: &mut Wiring<'_>, node: usize| -> Rc<dyn Feed> {
            Rc::new(Source {
                key: key.clone().into(),
                value: value.clone().into(),
                timestamp: None,
                bad_data: wiring.topology.settings.bad_data.clone(),
                drops_null_keys: false,
                outputs: wiring.outputs::<K, Change<V>>(node),
            })
        };
        let mut node = processor(source, vec![], Box::new(|_, _| Box::new(())), formats);
        node.kind = NodeKind::Source {
            topics: vec![name],
            feed: Box::new(make),
        };
        let node = graph.add_to(group, node);
        graph.table_repartitions.insert(self.table.node, node);
        node
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KGroupedTable<'a, K, V>> {
    /// As `KGroupedTable::reduce`.
    pub fn reduce(
        self,
        add: impl Fn(V, V) -> Option<V> + Send + Sync + 'static,
        subtract: impl Fn(V, V) -> Option<V> + Send + Sync + 'static,
        store: impl Into<Store<K, V>>,
    ) -> KTable<'a, K, V> {
        let known = self.0.table.formats_in(&self.0.table.app.graph.borrow());
        let store = store.into().or_formats(known.key, known.value);
        let add = move |_: &K, value: V, row: Option<V>| match row {
            Some(row) => add(row, value),
            None => Some(value),
        };
        let subtract = move |_: &K, value: V, row: V| subtract(row, value);
        self.0.build("KTABLE-REDUCE-", store, add, subtract)
    }

    /// As `KGroupedTable::aggregate`.
    pub fn aggregate<A: Clone + 'static>(
        self,
        initial: impl Fn() -> Option<A> + Send + Sync + 'static,
        add: impl Fn(&K, V, Option<A>) -> Option<A> + Send + Sync + 'static,
        subtract: impl Fn(&K, V, A) -> Option<A> + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, K, A> {
        let add = move |key: &K, value: V, row: Option<A>| add(key, value, row.or_else(&initial));
        self.0
            .build("KTABLE-AGGREGATE-", store.into(), add, subtract)
    }
}

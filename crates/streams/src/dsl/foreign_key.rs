//! The right side of a join by foreign key: a table under the key that each left row names. Not the operators: those are in
//! `operator::foreign_key`. Invariant: names, numbers and topics are those of `KTableImpl.doJoinOnForeignKey`.

use super::app::{processor, store_spec};
use super::repartition::internal_source;
use super::stream::add_sink;
use super::table::table_source_node;
use super::table_join::{JoinRows, TableJoinKind};
use super::{App, KTable, Store, Topic};
use crate::format::{FormatOf, Formats, nullable};
use crate::operator::TableJoiner;
use crate::operator::foreign_key::{
    ExtractKey, LookUp, Resolve, Response, ResponseFormat, Send, Subscribe, Subscription,
    SubscriptionFormat, Update,
};
use crate::task::{Scratch, Wire, Wiring, boxed_whole};
use crate::topology::{Graph, Kept, NameId, Repartition, Role, Semantics, StoreSpec, TopicName};
use headwater_log::partition_for_key;
use headwater_store::Layout;
use std::{marker::PhantomData, sync::Arc};

/// A table under a foreign key: what stands on the right of [`KTable::join`].
pub struct ByForeignKey<'a, K, V, F, R> {
    table: KTable<'a, F, R>,
    extract: ExtractKey<K, V, F>,
}

impl<'a, F: Clone + 'static, R: Clone + 'static> KTable<'a, F, R> {
    /// This table, under the key that a row of the other side names: `orders.join(customers.by(|_, order| ..), ..)`. A row that
    /// names none has no match.
    ///
    /// The two tables need not be partitioned alike: the join sends subscriptions and answers through two topics.
    pub fn by<K, V>(
        self,
        extract: impl Fn(&K, &V) -> Option<F> + std::marker::Send + Sync + 'static,
    ) -> ByForeignKey<'a, K, V, F, R> {
        ByForeignKey {
            table: self,
            extract: Arc::new(extract),
        }
    }
}

impl<'a, K, V, F, R> JoinRows<'a, K, V> for ByForeignKey<'a, K, V, F, R>
where
    K: Clone + 'static,
    V: Clone + 'static,
    F: Clone + 'static,
    R: Clone + 'static,
{
    type Row = R;

    fn connect<O: Clone + 'static>(
        self,
        table: KTable<'a, K, V>,
        kind: TableJoinKind,
        joiner: TableJoiner<K, V, R, O>,
        store: Option<Store<K, O>>,
    ) -> KTable<'a, K, O> {
        join(table, self, kind != TableJoinKind::Inner, joiner, store)
    }
}

/// The names of a join's operators, topics and store, in the order in which their numbers are spent.
struct Names {
    subscriptions: String,
    send: String,
    sink: String,
    source: String,
    store: String,
    subscribe: String,
    look_up: String,
    update: String,
    answers: String,
    answer_sink: String,
    answer_source: String,
    resolve: String,
    result: String,
}

impl Names {
    fn spend(graph: &mut Graph, given: Option<NameId>) -> Self {
        const REGISTRATION: &str = "KTABLE-FK-JOIN-SUBSCRIPTION-REGISTRATION-";
        const PROCESSOR: &str = "KTABLE-FK-JOIN-SUBSCRIPTION-PROCESSOR-";
        let mut name = |prefix: &str, suffix: &str| graph.suffixed(prefix, given, suffix);
        Self {
            subscriptions: name(REGISTRATION, "-subscription-registration") + "-topic",
            send: name(REGISTRATION, "-subscription-registration-processor"),
            sink: name("KTABLE-SINK-", "-subscription-registration-sink"),
            source: name("KTABLE-SOURCE-", "-subscription-registration-source"),
            store: name(
                "KTABLE-FK-JOIN-SUBSCRIPTION-STATE-STORE-",
                "-subscription-store",
            ),
            subscribe: name(PROCESSOR, "-subscription-receive"),
            look_up: name(PROCESSOR, "-subscription-join-foreign"),
            update: name(PROCESSOR, "-foreign-join-subscription"),
            answers: name(
                "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-",
                "-subscription-response",
            ) + "-topic",
            answer_sink: name("KTABLE-SINK-", "-subscription-response-sink"),
            answer_source: name("KTABLE-SOURCE-", "-subscription-response-source"),
            resolve: name(
                "KTABLE-FK-JOIN-SUBSCRIPTION-RESPONSE-RESOLVER-PROCESSOR-",
                "-subscription-response-resolver",
            ),
            result: name("KTABLE-FK-JOIN-OUTPUT-", "-result"),
        }
    }
}

/// The formats that a join cannot do without.
struct Known<K, V, F, R> {
    key: FormatOf<K>,
    value: FormatOf<V>,
    foreign_key: FormatOf<F>,
    row: FormatOf<R>,
    subscription: FormatOf<Subscription<K>>,
}

impl<K, V, F, R> Clone for Known<K, V, F, R> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            value: self.value.clone(),
            foreign_key: self.foreign_key.clone(),
            row: self.row.clone(),
            subscription: self.subscription.clone(),
        }
    }
}

/// The subscription topic, full, and the topics that formats are told in its place.
struct Topics {
    subscriptions: Arc<str>,
    key: Arc<str>,
    foreign_key: Arc<str>,
    hash: Arc<str>,
}

impl Topics {
    fn of(wiring: &Wiring<'_>, subscriptions: &str) -> Self {
        let full = format!("{}-{subscriptions}", wiring.topology.topic_prefix());
        Self {
            key: format!("{full}-pk").into(),
            foreign_key: format!("{full}-fk").into(),
            hash: format!("{full}-vh").into(),
            subscriptions: full.into(),
        }
    }
}

/// A join while it is added: what its operators share.
struct Join<'a, K, V, F, R> {
    app: &'a App,
    left: usize,
    right: usize,
    keeps_left: bool,
    names: Names,
    known: Known<K, V, F, R>,
}

/// Adds the join of `left` with the table on the right. The result is kept in `store` if that has a name, else once it is needed.
pub(crate) fn join<'a, K, V, F, R, O>(
    left: KTable<'a, K, V>,
    right: ByForeignKey<'a, K, V, F, R>,
    keeps_left: bool,
    joiner: TableJoiner<K, V, R, O>,
    store: Option<Store<K, O>>,
) -> KTable<'a, K, O>
where
    K: Clone + 'static,
    V: Clone + 'static,
    F: Clone + 'static,
    R: Clone + 'static,
    O: Clone + 'static,
{
    let app = left.app;
    if !app.owns(right.table.app, "KTable::join") {
        return KTable::at(app, left.node);
    }
    let mut graph = app.graph.borrow_mut();
    graph.send_old(right.table.node, true);
    graph.send_old(left.node, true);
    let names = Names::spend(&mut graph, left.name);
    let left_formats = left.formats_in(&graph);
    let right_formats = right.table.formats_in(&graph);
    let mut store = store.unwrap_or_else(Store::unnamed);
    let named = store.name.is_some();
    if !named {
        let generated = graph.number("KTABLE-FK-JOIN-OUTPUT-STATE-STORE-");
        graph.generated.push(generated.clone());
        store.name = Some(generated);
    }
    let (Some(key), Some(value), Some(foreign_key), Some(row)) = (
        left_formats.key,
        left_formats.value,
        right_formats.key,
        right_formats.value,
    ) else {
        graph.problem(format!(
            "{}: a join by foreign key needs the formats of the keys and values of both tables; give KTable::keys and KTable::values",
            names.send
        ));
        drop(graph);
        return KTable::at(app, left.node);
    };
    drop(graph);
    let subscription = Arc::new(SubscriptionFormat::new(key.clone()));
    let join = Join {
        app,
        left: left.node,
        right: right.table.node,
        keeps_left,
        names,
        known: Known {
            key,
            value,
            foreign_key,
            row,
            subscription,
        },
    };
    let subscriptions = join.add_subscriptions(right.extract);
    let answers = join.add_right(subscriptions);
    join.add_result(answers, joiner, store, named)
}

impl<'a, K, V, F, R> Join<'a, K, V, F, R>
where
    K: Clone + 'static,
    V: Clone + 'static,
    F: Clone + 'static,
    R: Clone + 'static,
{
    /// The left side's operator, the topic it writes, and the source on the right, which it answers.
    fn add_subscriptions(&self, extract: ExtractKey<K, V, F>) -> usize {
        let (names, known) = (&self.names, self.known.clone());
        let foreign_key = nullable(known.foreign_key.clone());
        let formats = Formats {
            key: Some(foreign_key.clone()),
            value: Some(known.subscription.clone()),
        };
        let subscriptions = names.subscriptions.clone();
        let left = self.keeps_left;
        let wire: Wire = Box::new(move |wiring, node| {
            let topics = Topics::of(wiring, &subscriptions);
            let send = Send {
                extract: extract.clone(),
                foreign_key: known.foreign_key.clone(),
                value: known.value.clone(),
                foreign_key_topic: topics.foreign_key,
                hash_topic: topics.hash,
                left,
                saves_answers: wiring.topology.settings.semantics == Semantics::Java,
                reads_versions: wiring.topology.nodes[node].reads_versions,
                outputs: wiring.outputs(node),
                scratch: Default::default(),
            };
            boxed_whole(wiring, node, send)
        });
        let mut graph = self.app.graph.borrow_mut();
        let node = processor(names.send.clone(), vec![self.left], wire, formats.clone());
        let send = graph.add(node);
        let topic = TopicName::Internal(names.subscriptions.clone());
        let group = graph.add_group(Role::default(), &[send]);
        let sink_topic = Topic::named(names.subscriptions.clone())
            .keys(foreign_key)
            .values(self.known.subscription.clone());
        let sink_name = names.sink.clone();
        let target = Some(topic.clone());
        let sink = add_sink(&mut graph, group, &[send], sink_name, target, sink_topic);
        graph.repartitions.push(Repartition {
            topic: topic.clone(),
            partitions: 0,
        });
        let group = graph.add_group(Role::default(), &[sink]);
        let source = internal_source(names.source.clone(), topic, formats);
        let source = graph.add_to(group, source);
        graph.copartition(&[self.right, source]);
        source
    }

    /// The right side's operators and the topic of answers; answers the source of the latter.
    fn add_right(&self, source: usize) -> usize {
        let mut graph = self.app.graph.borrow_mut();
        let rows_stores = graph.row_stores(self.right);
        let store = graph.add_store(self.subscription_store());
        let subscribe = self.subscribe_node(source, store);
        let subscribe = graph.add(subscribe);
        let right = self.right;
        let wire: Wire = Box::new(move |wiring, node| {
            let look_up = LookUp::<K, F, R> {
                rows: wiring.rows(right),
                outputs: wiring.outputs(node),
            };
            boxed_whole(wiring, node, look_up)
        });
        let look_up_name = self.names.look_up.clone();
        let answer_formats = Formats {
            key: Some(self.known.key.clone()),
            value: Some(self.response_format()),
        };
        let mut look_up = processor(look_up_name, vec![subscribe], wire, answer_formats.clone());
        look_up.stores = rows_stores;
        let look_up = graph.add(look_up);
        let update = self.update_node(store);
        let update = graph.add(update);
        let topic = TopicName::Internal(self.names.answers.clone());
        let group = graph.add_group(Role::default(), &[look_up, update]);
        let (sink_name, target) = (self.names.answer_sink.clone(), Some(topic.clone()));
        let answer_topic = self.answer_topic();
        let sink = add_sink(
            &mut graph,
            group,
            &[look_up, update],
            sink_name,
            target,
            answer_topic,
        );
        graph.repartitions.push(Repartition {
            topic: topic.clone(),
            partitions: 0,
        });
        let group = graph.add_group(Role::default(), &[sink]);
        let source = internal_source(self.names.answer_source.clone(), topic, answer_formats);
        let source = graph.add_to(group, source);
        graph.copartition(&[self.left, source]);
        source
    }

    fn subscription_store(&self) -> StoreSpec {
        let settings = self.app.settings.borrow();
        StoreSpec {
            name: self.names.store.clone(),
            layout: Layout::KeyValue,
            in_memory: None,
            cached: false,
            logged: true,
            timestamped: true,
            changelog_config: Default::default(),
            timer_keys: None,
            time_to_live_ms: None,
            changelog_topic: None,
            formats: Arc::new(super::stream::defaults::<Vec<u8>, Vec<u8>>()),
            held: None,
            // Kafka Streams' stores in memory keep what it hands to them.
            kept: match settings.stores_with_headers || settings.stores_in_memory {
                true => Kept::WithHeaders,
                false => Kept::Whole,
            },
            duplicates: false,
            observed: false,
            tumbling_ms: None,
            java_expiry: None,
            missing: None,
        }
    }

    fn subscribe_node(&self, source: usize, store: usize) -> crate::topology::Node {
        let (known, subscriptions) = (self.known.clone(), self.names.subscriptions.clone());
        let formats: Formats<Option<F>, Subscription<K>> = Formats {
            key: Some(nullable(known.foreign_key.clone())),
            value: Some(known.subscription.clone()),
        };
        let wire: Wire = Box::new(move |wiring, node| {
            let topics = Topics::of(wiring, &subscriptions);
            let subscribe = Subscribe {
                store,
                foreign_key: known.foreign_key.clone(),
                key: known.key.clone(),
                subscription: known.subscription.clone(),
                topic: topics.subscriptions,
                foreign_key_topic: topics.foreign_key,
                key_topic: topics.key,
                outputs: wiring.outputs(node),
                key_bytes: Scratch::default(),
                local: Scratch::default(),
            };
            boxed_whole(wiring, node, subscribe)
        });
        let mut node = processor(self.names.subscribe.clone(), vec![source], wire, formats);
        node.stores = vec![store];
        node
    }

    fn update_node(&self, store: usize) -> crate::topology::Node {
        let (known, subscriptions) = (self.known.clone(), self.names.subscriptions.clone());
        let formats = Formats {
            key: Some(known.key.clone()),
            value: Some(self.response_format()),
        };
        let wire: Wire = Box::new(move |wiring, node| {
            let topics = Topics::of(wiring, &subscriptions);
            let update = Update::<K, F, R> {
                store,
                foreign_key: known.foreign_key.clone(),
                key: known.key.clone(),
                foreign_key_topic: topics.foreign_key,
                key_topic: topics.key,
                reads_versions: wiring.topology.nodes[node].reads_versions,
                outputs: wiring.outputs(node),
                prefix: Scratch::default(),
            };
            boxed_whole(wiring, node, update)
        });
        let mut node = processor(self.names.update.clone(), vec![self.right], wire, formats);
        node.stores = vec![store];
        node
    }

    fn response_format(&self) -> FormatOf<Response<R>> {
        Arc::new(ResponseFormat {
            row: self.known.row.clone(),
        })
    }

    /// Answers go to the partition that asked; Kafka Streams before 3.4 did not say which, and uses the key's.
    fn answer_topic(&self) -> Topic<K, Response<R>> {
        let key = self.known.key.clone();
        let name = self.names.answers.clone();
        let hashed = move |of: &K, partitions: u32| {
            let mut bytes = Vec::new();
            let encoded = key.encode(&name, &mut Default::default(), of, &mut bytes);
            encoded.map_or(0, |()| partition_for_key(&bytes, partitions))
        };
        Topic::named(self.names.answers.clone())
            .keys(self.known.key.clone())
            .values(self.response_format())
            .partition_by(move |key, response, partitions| {
                let partition = response.and_then(|response| response.partition);
                partition.unwrap_or_else(|| hashed(key, partitions))
            })
    }

    /// The operator that joins answers with the left rows, and the table it makes.
    fn add_result<O: Clone + 'static>(
        self,
        answers: usize,
        joiner: TableJoiner<K, V, R, O>,
        store: Store<K, O>,
        named: bool,
    ) -> KTable<'a, K, O> {
        let (app, left, keeps_left) = (self.app, self.left, self.keeps_left);
        let (value, subscriptions) = (self.known.value, self.names.subscriptions);
        let wire: Wire = Box::new(move |wiring, node| {
            let joiner = joiner.clone();
            let resolve = Resolve {
                rows: wiring.rows::<K, V>(left),
                value: value.clone(),
                hash_topic: Topics::of(wiring, &subscriptions).hash,
                apply: move |key: &K, left: Option<&V>, right: Option<&R>| joiner(key, left, right),
                left: keeps_left,
                outputs: wiring.outputs::<K, O>(node),
                scratch: Scratch::default(),
                types: PhantomData,
            };
            boxed_whole(wiring, node, resolve)
        });
        let store = store.or_formats(Some(self.known.key), None);
        let formats = Formats {
            key: store.key.clone(),
            value: store.value.clone(),
        };
        let role = Role {
            versioned: Some(store.is_versioned()),
            ..Role::default()
        };
        let resolve = {
            let mut graph = app.graph.borrow_mut();
            let mut node = processor(self.names.resolve, vec![answers], wire, formats.clone());
            node.stores = graph.row_stores(left);
            graph.add(node)
        };
        let spec = store_spec(app, &self.names.result, store, Layout::KeyValue);
        let node = table_source_node(self.names.result, resolve, formats, spec);
        let mut graph = app.graph.borrow_mut();
        let node = graph.add_as(role, node);
        graph.beside.insert(node, left);
        if named {
            graph.materialize(node);
        }
        drop(graph);
        KTable::at(app, node)
    }
}

//! Joins of a stream with a table of its keys: `orders.join(customers, ..)`, and `orders.join(prices.grace(minute), ..)`, which
//! waits for late updates of a table that keeps versions.
//! Not joins with global tables. Invariant: names, numbers and the buffer's store are those of Kafka Streams'
//! `KStreamImpl.doStreamTableJoin`.

use super::app::processor;
use super::join::{JoinTable, Joiner, Partitioned, repartition_for_join};
use super::{KStream, KTable};
use crate::format::{FormatOf, Formats};
use crate::operator::suppress::HeldRow;
use crate::operator::{DelayedJoin, DelayedJoinNode, ObservedTime, TableJoin};
use crate::task::{Scratch, Wire, Wiring, boxed, boxed_whole};
use crate::topology::{Graph, Held, HeldRows, Kept, Role, Semantics, StoreSpec};
use crate::window::millis;
use headwater_log::TopicConfig;
use headwater_store::Layout;
use std::cell::Cell;
use std::{rc::Rc, sync::Arc, time::Duration};

/// A table as the right side of a join that waits for it; made by [`KTable::grace`].
pub struct GraceTable<'a, K, V> {
    table: KTable<'a, K, V>,
    grace: Duration,
}

impl<K, V> Clone for GraceTable<'_, K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for GraceTable<'_, K, V> {}

impl<'a, K: Clone + 'static, V: Clone + 'static> KTable<'a, K, V> {
    /// The table as the right side of a stream's join that lets its records wait: each is joined once stream time has passed its
    /// timestamp by `grace`, with the row that held at its timestamp (`Joined.withGracePeriod`, KIP-923). Updates of the table
    /// that come late by less are seen. Records that are later than that themselves are joined at once.
    ///
    /// The table must keep versions for at least as long ([`crate::Store::versioned`]). Records wait in a store on disk,
    /// `JOIN-Buffer`, with a changelog. Time is stream time: without records nothing leaves.
    ///
    /// ```
    /// use headwater_streams::{App, Store};
    /// use std::time::Duration;
    ///
    /// let app = App::new("shop");
    /// let day = Duration::from_secs(86_400);
    /// let prices = app.table_in::<String, u64>("prices", Store::named("prices").versioned(day));
    /// app.stream::<String, u64>("sales")
    ///     .join(prices.grace(Duration::from_secs(60)), |count, price| count * price)
    ///     .to("turnover");
    /// app.build().unwrap();
    /// ```
    pub fn grace(self, grace: Duration) -> GraceTable<'a, K, V> {
        GraceTable { table: self, grace }
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
        joiner: Joiner<K, V, R, O>,
    ) -> KStream<'a, K, O> {
        connect(stream, self, None, left, joiner)
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static, R: Clone + 'static> JoinTable<'a, K, V>
    for GraceTable<'a, K, R>
{
    type Row = R;

    fn connect<O: Clone + 'static>(
        self,
        stream: KStream<'a, K, V>,
        left: bool,
        joiner: Joiner<K, V, R, O>,
    ) -> KStream<'a, K, O> {
        connect(stream, self.table, Some(millis(self.grace)), left, joiner)
    }
}

fn connect<'a, K, V, R, O>(
    stream: KStream<'a, K, V>,
    table: KTable<'a, K, R>,
    grace_ms: Option<i64>,
    left: bool,
    joiner: Joiner<K, V, R, O>,
) -> KStream<'a, K, O>
where
    K: Clone + 'static,
    V: Clone + 'static,
    R: Clone + 'static,
    O: Clone + 'static,
{
    let app = stream.app;
    if !app.owns(table.app, "join of a stream and a table") {
        return KStream::at(app, stream.node, false);
    }
    let rows = table.formats_in(&app.graph.borrow());
    let given = stream.name;
    let Partitioned { stream, forgotten } = partitioned(stream, &rows);
    let mut graph = app.graph.borrow_mut();
    let prefix = if left {
        "KSTREAM-LEFTJOIN-"
    } else {
        "KSTREAM-JOIN-"
    };
    let name = graph.name(prefix, given);
    let buffer = grace_ms.and_then(|grace_ms| {
        let value = stream.formats_in(&graph).value;
        let buffer = buffer(&mut graph, (&name, given.is_none()), table.node, grace_ms);
        delay(&mut graph, &name, buffer, value, grace_ms)
    });
    let stores = graph.row_stores(table.node);
    let Some(key) = rows.key else {
        graph.problem(format!(
            "{name}: the format of the table's keys is not known; give KTable::keys"
        ));
        drop(graph);
        return KStream::at(app, stream.node, false);
    };
    let formats: Formats<K, O> = Formats {
        key: stream.formats_in(&graph).key.or_else(|| Some(key.clone())),
        value: None,
    };
    let own_stores = buffer.iter().map(|delay| delay.store).collect();
    let lookup = Lookup {
        table: table.node,
        key,
        left,
        joiner,
    };
    let wire = match buffer {
        None => lookup.wire(),
        Some(delay) => lookup.delayed_wire(delay),
    };
    let mut node = processor(name, vec![stream.node], wire, formats);
    node.stores = own_stores;
    node.stores.extend(stores);
    let role = Role {
        relaxed_null_keys: left,
        keeps_by_time: grace_ms.is_some(),
        ..Role::default()
    };
    let node = graph.add_as(role, node);
    copartition(&mut graph, node, table.node, forgotten);
    drop(graph);
    KStream::at(app, node, false)
}

/// The join at `node` reads the rows of `table` beside its stream's records, so their topics must be partitioned alike.
fn copartition(graph: &mut Graph, node: usize, table: usize, forgotten: bool) {
    graph.beside.insert(node, table);
    if forgotten {
        graph.forget_sources(node);
    }
    graph.copartition(&[node]);
}

/// The stream as the join reads it: behind a repartition topic where its key has changed.
fn partitioned<'a, K: Clone + 'static, V: Clone + 'static, R>(
    stream: KStream<'a, K, V>,
    rows: &Formats<K, R>,
) -> Partitioned<'a, K, V> {
    if !stream.rekeyed {
        return Partitioned::already(stream);
    }
    let known = stream.formats();
    let formats = Formats {
        key: known.key.or_else(|| rows.key.clone()),
        value: known.value,
    };
    repartition_for_join(stream, stream.name, "", formats)
}

/// The store of a join that waits; problems are kept for `build`.
fn buffer(
    graph: &mut Graph,
    (join, generated): (&str, bool),
    table: usize,
    grace_ms: i64,
) -> usize {
    match graph.history_ms(table) {
        None => graph.problem(format!(
            "{join}: the table does not keep versions, which a join with grace looks up; give its store Store::versioned(..), or \
             leave out KTable::grace"
        )),
        Some(history_ms) if history_ms < grace_ms => graph.problem(format!(
            "{join}: the table keeps versions for {history_ms} ms, less than the grace of {grace_ms} ms; give Store::versioned a \
             longer history, or KTable::grace less"
        )),
        Some(_) => {}
    }
    let name = format!("{join}-Buffer");
    if generated {
        graph.generated.push(name.clone());
    }
    graph.add_store(StoreSpec {
        name,
        layout: Layout::KeyValue,
        in_memory: None,
        cached: false,
        logged: true,
        timestamped: false,
        kept: Kept::Whole,
        duplicates: false,
        observed: false,
        tumbling_ms: None,
        changelog_config: TopicConfig::new(),
        java_expiry: None,
        timer_keys: None,
        time_to_live_ms: None,
        changelog_topic: None,
        missing: None,
        held: Some(HeldRows {
            row: |key, bytes| {
                let (time, _) = crate::operator::parse_delayed_key(key)?;
                // Without the time that a suppressed row has beside its key.
                let bytes = HeldRow::decode(bytes)?.counted_len(key).saturating_sub(8);
                Some(Held { time, bytes })
            },
            java_lag_ms: Some(grace_ms),
        }),
        // Rows are records that wait: no view reads them.
        formats: Arc::new(()),
    })
}

/// How a join waits.
struct Delay<V> {
    store: usize,
    value: FormatOf<V>,
    grace_ms: i64,
}

fn delay<V>(
    graph: &mut Graph,
    join: &str,
    store: usize,
    value: Option<FormatOf<V>>,
    grace_ms: i64,
) -> Option<Delay<V>> {
    let Some(value) = value else {
        graph.problem(format!(
            "{join}: the format of the stream's values is not known, in which they wait; give KStream::values"
        ));
        return None;
    };
    Some(Delay {
        store,
        value,
        grace_ms,
    })
}

/// What a join does with a record and the table.
struct Lookup<K, V, R, O> {
    table: usize,
    key: FormatOf<K>,
    left: bool,
    joiner: Joiner<K, V, R, O>,
}

impl<K, V, R, O> Lookup<K, V, R, O>
where
    K: Clone + 'static,
    V: Clone + 'static,
    R: Clone + 'static,
    O: Clone + 'static,
{
    fn join(&self, wiring: &mut Wiring<'_>, node: usize) -> TableJoin<K, V, R, O> {
        TableJoin {
            key: self.key.clone(),
            rows: wiring.rows::<K, R>(self.table),
            apply: self.joiner.clone(),
            left: self.left,
            outputs: wiring.outputs(node),
        }
    }

    fn wire(self) -> Wire {
        Box::new(move |wiring, node| {
            let join = self.join(wiring, node);
            boxed::<K, V>(wiring, node, join)
        })
    }

    fn delayed_wire(self, delay: Delay<V>) -> Wire {
        Box::new(move |wiring, node| {
            let settings = &wiring.topology.settings;
            let (java, on_error) = (
                settings.semantics == Semantics::Java,
                settings.on_error.clone(),
            );
            let join = Rc::new(DelayedJoin {
                join: self.join(wiring, node),
                store: delay.store,
                name: wiring.topology.nodes[node].name.as_str().into(),
                value: delay.value.clone(),
                grace_ms: delay.grace_ms,
                on_error,
                java,
                observed_time: ObservedTime::wire(wiring, delay.store, None),
                first_time: Cell::new(i64::MIN),
                sequence: Cell::new(0),
                releasing: Cell::new(false),
                key_bytes: Scratch::default(),
                value_bytes: Scratch::default(),
                row: Scratch::default(),
            });
            wiring.open_with_task(node, join.clone());
            wiring.closers.push(join.clone());
            boxed_whole::<K, V>(wiring, node, DelayedJoinNode(join))
        })
    }
}

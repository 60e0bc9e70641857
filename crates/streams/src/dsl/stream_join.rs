//! Joins of two streams within a window of time: `orders.join(payments.within(Duration::from_secs(60)), ..)`.
//! Not joins with tables, which look up one row. Invariant: names and numbers are those of Kafka Streams' `KStreamImplJoin`,
//! in its order.

use super::app::processor;
use super::join::{JoinTable, Joiner, Partitioned, repartition_for_join};
use super::nulls::WithNulls;
use super::{JoinWindows, KStream};
use crate::format::{FormatOf, Formats};
use crate::operator::{
    Found, JoinNothing, JoinOf, Keep, MatchSide, OtherSide, SelfJoin, SharedSide, Unmatched,
    UnmatchedRows, UnmatchedTimes,
};
use crate::task::{Input, Scratch, StoreOrder, Wire, Wiring, boxed_whole, guarded};
use crate::topology::{
    Graph, Kept, NameId, Role, Semantics, StoreSpec, StreamJoin, StreamJoinNodes, StreamJoinStores,
};
use crate::window::{Ends, window_store_keys};
use headwater_log::TopicConfig;
use headwater_store::Layout;
use std::any::Any;
use std::{cell::Cell, rc::Rc, sync::Arc};

/// The least time a segment of windows spans (`Stores.persistentWindowStore`).
const SEGMENT_INTERVAL_MS_MIN: i64 = 60_000;

/// The right side of a join of streams, with its window and the options of the stores that both sides get.
pub struct StreamWithin<'a, K, V> {
    stream: KStream<'a, K, V>,
    windows: JoinWindows,
    stores: Stores,
}

/// Options of a join's stores (`StreamJoined`).
#[derive(Clone, Debug, Default)]
struct Stores {
    name: Option<String>,
    in_memory: Option<bool>,
    without_changelog: bool,
    changelog_config: TopicConfig,
}

impl<'a, K: Clone + 'static, V: Clone + 'static> KStream<'a, K, V> {
    /// The stream as the right side of a join: its records are met by those of the left side that are not further away in
    /// time.
    ///
    /// ```
    /// # use headwater_streams::*;
    /// # use std::time::Duration;
    /// let app = App::new("checkout");
    /// let orders = app.stream::<String, String>("orders");
    /// let payments = app.stream::<String, String>("payments");
    /// let window = JoinWindows::of(Duration::from_secs(60)).grace(Duration::from_secs(5));
    /// orders
    ///     .left_join(payments.within(window), |order, payment| match payment {
    ///         Some(payment) => format!("{order} paid with {payment}"),
    ///         None => format!("{order} not paid"),
    ///     })
    ///     .to("outcomes");
    /// app.build().unwrap();
    /// ```
    pub fn within(self, windows: impl Into<JoinWindows>) -> StreamWithin<'a, K, V> {
        StreamWithin {
            stream: self,
            windows: windows.into(),
            stores: Stores::default(),
        }
    }

    /// Joins records of both streams whose keys are equal and whose times are within the window; one that meets none while
    /// its window is open, grace included, is joined with `None`.
    pub fn outer_join<R: Clone + 'static, O: Clone + 'static>(
        self,
        right: StreamWithin<'a, K, R>,
        joiner: impl Fn(Option<&V>, Option<&R>) -> O + Send + Sync + 'static,
    ) -> KStream<'a, K, O> {
        self.with_nulls()
            .outer_join(right, move |_, left, right| Some(joiner(left, right)))
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KStream<'a, K, V>> {
    /// As `KStream::outer_join`, with the key in view.
    pub fn outer_join<R: Clone + 'static, O: Clone + 'static>(
        self,
        right: StreamWithin<'a, K, R>,
        joiner: impl Fn(&K, Option<&V>, Option<&R>) -> Option<O> + Send + Sync + 'static,
    ) -> KStream<'a, K, O> {
        connect(self.0, right, Kind::OUTER, Arc::new(joiner))
    }
}

impl<K, V> StreamWithin<'_, K, V> {
    /// Names the stores of the join, which their changelogs are named after (`StreamJoined.withStoreName`); otherwise they
    /// are numbered.
    pub fn stores_named(mut self, name: impl Into<String>) -> Self {
        self.stores.name = Some(name.into());
        self
    }

    /// Keeps the stores in memory only; a restart restores all of them from their changelogs.
    pub fn in_memory(mut self) -> Self {
        self.stores.in_memory = Some(true);
        self
    }

    /// Keeps the stores on disk, also where the application's stores are in memory by default.
    pub fn on_disk(mut self) -> Self {
        self.stores.in_memory = Some(false);
        self
    }

    /// Keeps no changelogs: what waits is lost with the machine.
    pub fn without_changelog(mut self) -> Self {
        self.stores.without_changelog = true;
        self
    }

    /// A setting of the changelog topics, by Kafka's name.
    pub fn changelog_setting(mut self, name: &str, value: &str) -> Self {
        self.stores
            .changelog_config
            .insert(name.into(), value.into());
        self
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static, R: Clone + 'static> JoinTable<'a, K, V>
    for StreamWithin<'a, K, R>
{
    type Row = R;

    fn connect<O: Clone + 'static>(
        self,
        stream: KStream<'a, K, V>,
        left: bool,
        joiner: Joiner<K, V, R, O>,
    ) -> KStream<'a, K, O> {
        let kind = if left { Kind::LEFT } else { Kind::INNER };
        let joiner = move |key: &K, left: Option<&V>, right: Option<&R>| {
            left.and_then(|left| joiner(key, left, right))
        };
        connect(stream, self, kind, Arc::new(joiner))
    }
}

/// Whose records are results without a partner.
#[derive(Clone, Copy)]
struct Kind {
    left: bool,
    right: bool,
}

impl Kind {
    const INNER: Self = Self {
        left: false,
        right: false,
    };
    const LEFT: Self = Self {
        left: true,
        right: false,
    };
    const OUTER: Self = Self {
        left: true,
        right: true,
    };

    /// The suffixes of what belongs to the left and right side.
    fn suffixes(self) -> (&'static str, &'static str) {
        let left = if self.right {
            "-outer-this-join"
        } else {
            "-this-join"
        };
        let right = if self.left {
            "-outer-other-join"
        } else {
            "-other-join"
        };
        (left, right)
    }
}

/// Names of a join's operators; those of its stores without the `-store` at their end.
struct Names {
    keep: [String; 2],
    sides: [String; 2],
    merge: String,
    stores: [String; 2],
    unmatched: String,
}

impl Names {
    fn new(graph: &mut Graph, kind: Kind, given: Option<NameId>, stores: Option<&str>) -> Self {
        let (left, right) = kind.suffixes();
        let keep = ["-this-windowed", "-other-windowed"]
            .map(|suffix| graph.suffixed("KSTREAM-WINDOWED-", given, suffix));
        let this = if kind.right {
            "KSTREAM-OUTERTHIS-"
        } else {
            "KSTREAM-JOINTHIS-"
        };
        let other = if kind.left {
            "KSTREAM-OUTEROTHER-"
        } else {
            "KSTREAM-JOINOTHER-"
        };
        let (numbered_this, numbered_other) = (graph.number(this), graph.number(other));
        let merge = graph.suffixed("KSTREAM-MERGE-", given, "-merge");
        let named = |numbered: &String, suffix: &str| {
            given.map_or(numbered.clone(), |given| {
                format!("{}{suffix}", graph.given(given))
            })
        };
        let stored = |numbered: &String, suffix: &str| {
            stores.map_or(numbered.clone(), |name| format!("{name}{suffix}"))
        };
        let shared = if kind.right {
            "-outer-shared-join"
        } else {
            "-left-shared-join"
        };
        Self {
            keep,
            sides: [named(&numbered_this, left), named(&numbered_other, right)],
            merge,
            stores: [stored(&numbered_this, left), stored(&numbered_other, right)],
            unmatched: stores.map_or_else(
                || format!("KSTREAM-OUTERSHARED-{}", &numbered_this[this.len()..]),
                |name| format!("{name}{shared}"),
            ),
        }
    }
}

/// What the operators of a join are wired from; shared by all tasks.
struct Parts<K, L, R, O> {
    key: FormatOf<K>,
    left: FormatOf<L>,
    right: FormatOf<R>,
    windows: JoinWindows,
    kind: Kind,
    joiner: JoinOf<K, L, R, O>,
}

fn connect<'a, K, L, R, O>(
    left: KStream<'a, K, L>,
    right: StreamWithin<'a, K, R>,
    kind: Kind,
    joiner: JoinOf<K, L, R, O>,
) -> KStream<'a, K, O>
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    O: Clone + 'static,
{
    let (app, given) = (left.app, left.name);
    let StreamWithin {
        stream: right,
        windows,
        stores,
    } = right;
    let (left_formats, right_formats) = (left.formats(), right.formats());
    let key = left_formats.key.or(right_formats.key);
    let left = partitioned(left, given, "-left", &key, &left_formats.value);
    let right = partitioned(right, given, "-right", &key, &right_formats.value);
    let mut graph = app.graph.borrow_mut();
    let names = Names::new(&mut graph, kind, given, stores.name.as_deref());
    if let Some(problem) = windows.problem() {
        graph.problem(format!("{}: {problem}", names.merge));
    }
    let (Some(key), Some(left_value), Some(right_value)) =
        (key, left_formats.value, right_formats.value)
    else {
        graph.problem(format!(
            "{}: the join keeps records of both streams, and the format of keys or values of one is not known; give \
             KStream::keys and KStream::values on both",
            names.merge
        ));
        drop(graph);
        return KStream::at(app, left.stream.node, false);
    };
    let parts = Arc::new(Parts {
        key,
        left: left_value,
        right: right_value,
        windows,
        kind,
        joiner,
    });
    let sides = (left.stream.node, right.stream.node);
    let nodes = add(&mut graph, sides, &parts, names, &stores);
    for (forgotten, keep) in [
        (left.forgotten, nodes.keep_left),
        (right.forgotten, nodes.keep_right),
    ] {
        if forgotten {
            graph.forget_sources(keep);
        }
    }
    graph.copartition(&[nodes.merge]);
    drop(graph);
    KStream::at(app, nodes.merge, false)
}

/// One side as the join reads it: behind a repartition topic where its key has changed.
fn partitioned<'a, K: Clone + 'static, V: Clone + 'static>(
    stream: KStream<'a, K, V>,
    join: Option<NameId>,
    suffix: &str,
    key: &Option<FormatOf<K>>,
    value: &Option<FormatOf<V>>,
) -> Partitioned<'a, K, V> {
    if !stream.rekeyed {
        return Partitioned::already(stream);
    }
    let formats = Formats {
        key: key.clone(),
        value: value.clone(),
    };
    repartition_for_join(stream, join, suffix, formats)
}

/// Adds the operators: two that keep records, two that match them, one that merges.
fn add<K, L, R, O>(
    graph: &mut Graph,
    (left, right): (usize, usize),
    parts: &Arc<Parts<K, L, R, O>>,
    names: Names,
    stores: &Stores,
) -> StreamJoinNodes
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    O: Clone + 'static,
{
    let specs = specs(graph, parts, &names, stores);
    let Names {
        keep: [keep_left, keep_right],
        sides: [match_left, match_right],
        merge,
        ..
    } = names;
    let formats = |value| Formats {
        key: Some(parts.key.clone()),
        value,
    };
    let left_formats: Formats<K, L> = formats_of(&parts.key, &parts.left);
    let right_formats: Formats<K, R> = formats_of(&parts.key, &parts.right);
    let wire = keep_wire(parts.clone(), |parts| parts.left.clone());
    let keep_left = graph.add(processor(keep_left, vec![left], wire, left_formats));
    let wire = keep_wire(parts.clone(), |parts| parts.right.clone());
    let keep_right = graph.add(processor(keep_right, vec![right], wire, right_formats));
    let role = Role {
        keeps_by_time: true,
        relaxed_null_keys: parts.kind.left,
        ..Role::default()
    };
    let group = graph.add_group(role, &[left, right]);
    let side = |name, keep, wire| processor::<K, O>(name, vec![keep], wire, formats(None));
    let match_left = side(match_left, keep_left, left_wire(parts.clone()));
    let match_left = graph.add_to(group, match_left);
    let match_right = side(match_right, keep_right, right_wire(parts.clone()));
    let match_right = graph.add_to(group, match_right);
    let wire = super::app::pass_wire::<K, O>();
    let merge_node = processor::<K, O>(merge, vec![match_left, match_right], wire, formats(None));
    let merge = graph.add_to(group, merge_node);
    let zero = 0 <= parts.windows.before_ms && 0 <= parts.windows.after_ms;
    let nodes = StreamJoinNodes {
        keep_left,
        keep_right,
        match_left,
        match_right,
        merge,
    };
    graph.stream_joins.push(StreamJoin {
        group,
        nodes,
        stores: specs,
        self_join: self_wire(parts.clone()),
        meets_itself: zero && !parts.kind.left,
    });
    nodes
}

fn formats_of<K, V>(key: &FormatOf<K>, value: &FormatOf<V>) -> Formats<K, V> {
    Formats {
        key: Some(key.clone()),
        value: Some(value.clone()),
    }
}

/// The stores of the join, which the build adds once it knows whether one is enough.
fn specs<K, L, R, O>(
    graph: &mut Graph,
    parts: &Parts<K, L, R, O>,
    names: &Names,
    stores: &Stores,
) -> StreamJoinStores
where
    K: Clone + 'static,
    L: 'static,
    R: 'static,
{
    let [left, right] = &names.stores;
    let spec = |name: &str, layout, changelog_config, formats| StoreSpec {
        name: format!("{name}-store"),
        layout,
        in_memory: stores.in_memory,
        cached: false,
        logged: !stores.without_changelog,
        timestamped: false,
        kept: Kept::Whole,
        duplicates: true,
        observed: true,
        tumbling_ms: None,
        java_expiry: Some(StoreOrder::KeyFirst),
        changelog_config,
        timer_keys: None,
        time_to_live_ms: None,
        changelog_topic: None,
        held: None,
        missing: None,
        formats,
    };
    let retention_ms = parts.windows.retention_ms().max(0);
    let layout = Layout::Window {
        retention_ms,
        segment_interval_ms: (retention_ms / 2).max(SEGMENT_INTERVAL_MS_MIN),
    };
    // Duplicates have keys of their own, so there is nothing to compact.
    let mut config = stores.changelog_config.clone();
    config.insert("cleanup.policy".into(), "delete".into());
    let key = window_store_keys(parts.key.clone(), Ends::After(parts.windows.size_ms()));
    let left_formats = Arc::new(formats_of(&key, &parts.left));
    let right_formats = Arc::new(formats_of(&key, &parts.right));
    let answer = StreamJoinStores {
        left: spec(left, layout.clone(), config.clone(), left_formats),
        right: spec(right, layout, config, right_formats),
        unmatched: parts.kind.left.then(|| {
            let formats = Arc::new(UnmatchedRows);
            let config = stores.changelog_config.clone();
            spec(&names.unmatched, Layout::KeyValue, config, formats)
        }),
    };
    if stores.name.is_none() {
        let all = [Some(&answer.left), Some(&answer.right)];
        let all = all.into_iter().chain([answer.unmatched.as_ref()]);
        graph
            .generated
            .extend(all.flatten().map(|spec| spec.name.clone()));
    }
    answer
}

fn is_java(wiring: &Wiring<'_>) -> bool {
    wiring.topology.settings.semantics == Semantics::Java
}

/// The mark with the largest time kept in a store.
fn observed(wiring: &mut Wiring<'_>, store: usize) -> usize {
    let name = format!("{}.observed", wiring.topology.stores[store].name);
    wiring.marks.add(&name)
}

/// The mark with the number given last in a store.
fn last_number(wiring: &mut Wiring<'_>, store: usize) -> usize {
    let name = format!("{}.number", wiring.topology.stores[store].name);
    wiring.marks.add(&name)
}

fn keep_wire<K, L, R, O, V>(
    parts: Arc<Parts<K, L, R, O>>,
    value: fn(&Parts<K, L, R, O>) -> FormatOf<V>,
) -> Wire
where
    K: Clone + 'static,
    L: 'static,
    R: 'static,
    O: 'static,
    V: Clone + 'static,
{
    Box::new(move |wiring, node| {
        let store = wiring.topology.nodes[node].stores[0];
        let keep = Keep {
            key: parts.key.clone(),
            value: value(&parts),
            store,
            topic: wiring.topology.changelog(store).into(),
            observed: observed(wiring, store),
            timestamped: wiring.topology.stores[store].timestamped,
            last_number: last_number(wiring, store),
            overwrites: is_java(wiring),
            observes_tombstones: is_java(wiring)
                && wiring.topology.stores[store].in_memory == Some(true),
            outputs: wiring.outputs::<K, V>(node),
            number: Cell::new(0),
            restored: Cell::new(None),
            key_bytes: Scratch::default(),
            value_bytes: Scratch::default(),
        };
        boxed_whole::<K, V>(wiring, node, keep)
    })
}

fn left_wire<K, L, R, O>(parts: Arc<Parts<K, L, R, O>>) -> Wire
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    O: Clone + 'static,
{
    Box::new(move |wiring, node| {
        let joiner = parts.joiner.clone();
        let values = (parts.left.clone(), parts.right.clone());
        let side = Rc::new(match_side(wiring, node, &parts, true, values, joiner));
        // One of the two is enough: the rows of both sides are in one store.
        if !is_java(wiring) {
            wiring.closers.push(side.clone());
        }
        boxed_whole::<K, L>(wiring, node, SharedSide(side))
    })
}

fn right_wire<K, L, R, O>(parts: Arc<Parts<K, L, R, O>>) -> Wire
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: Clone + 'static,
    O: Clone + 'static,
{
    let joiner = parts.joiner.clone();
    let reversed: JoinOf<K, R, L, O> = Arc::new(move |key, right, left| joiner(key, left, right));
    Box::new(move |wiring, node| {
        let joiner = reversed.clone();
        let values = (parts.right.clone(), parts.left.clone());
        let side = match_side(wiring, node, &parts, false, values, joiner);
        boxed_whole::<K, R>(wiring, node, side)
    })
}

/// One side's operator: `T` are its own values, `V` those of the other side.
fn match_side<K, L, R, O, T, V>(
    wiring: &mut Wiring<'_>,
    node: usize,
    parts: &Parts<K, L, R, O>,
    left: bool,
    (value, other_value): (FormatOf<T>, FormatOf<V>),
    joiner: JoinOf<K, T, V, O>,
) -> MatchSide<K, T, V, O>
where
    K: Clone + 'static,
    T: 'static,
    V: 'static,
    O: Clone + 'static,
{
    let stores = wiring.topology.nodes[node].stores.clone();
    let (windows, keeps_unmatched) = if left {
        (parts.windows, parts.kind.left)
    } else {
        (parts.windows.reversed(), parts.kind.right)
    };
    let outputs = wiring.outputs::<K, O>(node);
    let nothing = JoinNothing {
        joiner: joiner.clone(),
        outputs: outputs.clone(),
    };
    let found: Input<K, Found<T, V>> = if is_java(wiring) {
        Rc::new(Box::new(nothing))
    } else {
        guarded(wiring, node, nothing)
    };
    MatchSide {
        key: parts.key.clone(),
        value,
        other_value,
        windows,
        other: other_side(wiring, stores[0], parts.windows.retention_ms()),
        keeps_unmatched,
        unmatched: stores
            .get(1)
            .map(|store| unmatched(wiring, *store, parts.windows, left)),
        found,
        joiner,
        outputs,
        key_bytes: Scratch::default(),
        value_bytes: Scratch::default(),
    }
}

fn other_side(wiring: &mut Wiring<'_>, store: usize, retention_ms: i64) -> OtherSide {
    OtherSide {
        store,
        topic: wiring.topology.changelog(store).into(),
        retention_ms,
        observed: observed(wiring, store),
        from: Scratch::default(),
        to: Scratch::default(),
        found: Scratch::default(),
    }
}

fn unmatched(wiring: &mut Wiring<'_>, store: usize, windows: JoinWindows, left: bool) -> Unmatched {
    let name = format!("{}.time", wiring.topology.stores[store].name);
    Unmatched {
        store,
        topic: wiring.topology.changelog(store).into(),
        times: wiring.shared(store, |marks| UnmatchedTimes::new(marks.add(&name))),
        windows,
        left,
        java: is_java(wiring),
        key: Scratch::default(),
        row: Scratch::default(),
        closed: Scratch::default(),
    }
}

/// How the join is wired when both sides are one stream; `None` where their types differ, so that they cannot be.
fn self_wire<K, L, R, O>(parts: Arc<Parts<K, L, R, O>>) -> Option<Wire>
where
    K: Clone + 'static,
    L: Clone + 'static,
    R: 'static,
    O: Clone + 'static,
{
    let joiner: &dyn Any = &parts.joiner;
    let joiner = joiner.downcast_ref::<JoinOf<K, L, L, O>>()?.clone();
    Some(Box::new(move |wiring, node| {
        let store = wiring.topology.nodes[node].stores[0];
        let join = SelfJoin {
            key: parts.key.clone(),
            value: parts.left.clone(),
            windows: parts.windows,
            kept: other_side(wiring, store, parts.windows.retention_ms()),
            joiner: joiner.clone(),
            outputs: wiring.outputs::<K, O>(node),
            expires_early: is_java(wiring),
            observed_time: Cell::new(-1),
            key_bytes: Scratch::default(),
        };
        boxed_whole::<K, L>(wiring, node, join)
    }))
}

//! The graph that the DSL builds. Operators of one verb form a [`GraphNode`], which is what Kafka Streams orders and optimises;
//! a [`Node`] is one operator under Java's name, with how it is wired.
//! Not executable: a task wires it. Invariant: node and store names come from one counter, burned exactly as Kafka Streams burns it.

use super::{Kept, Semantics, StreamJoin};
use crate::format::Formats;
use crate::task::{FeedWire, StoreOrder, Wire};
use headwater_log::TopicConfig;
use headwater_store::Layout;
use rustc_hash::FxHashMap;
use std::any::{Any, TypeId};
use std::sync::Arc;

/// A topic of the topology.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum TopicName {
    /// Named by the application.
    External(String),
    /// Named by the topology; the application id goes in front.
    Internal(String),
    /// All topics whose names match this pattern.
    Matching(String),
}

impl TopicName {
    pub(crate) fn plain(&self) -> &str {
        match self {
            Self::External(name) | Self::Internal(name) | Self::Matching(name) => name,
        }
    }

    pub(crate) fn full(&self, prefix: &str) -> String {
        match self {
            Self::External(name) | Self::Matching(name) => name.clone(),
            Self::Internal(name) => format!("{prefix}-{name}"),
        }
    }
}

pub(crate) enum NodeKind {
    Source {
        topics: Vec<TopicName>,
        feed: FeedWire,
    },
    Processor,
    Sink {
        /// `None` when the topic is chosen for each record.
        topic: Option<TopicName>,
        /// How `describe` names what chooses the topic.
        chosen_by: String,
        /// The application chooses the partitions: not always those of the keys' hashes.
        chooses_partitions: bool,
    },
}

/// How a table's operator comes to know the row before an update (`enableSendingOldValues`).
#[derive(Clone, Debug)]
pub(crate) enum OldValues {
    /// A table read from a topic: it needs a store.
    Source,
    /// An operator that always keeps its rows.
    Stored,
    /// An operator over these tables: it can if it keeps its rows, or else if they can.
    Derived(Vec<usize>),
    /// A join of these tables, or what a cogroup's operators make together: they must send theirs.
    Joined(Vec<usize>),
}

/// What makes a node a table.
pub(crate) struct TableNode {
    /// Someone downstream needs the row as it was.
    pub(crate) sends_old: bool,
    pub(crate) old_values: OldValues,
    /// The store to open once someone needs the rows.
    pub(crate) lazy_store: Option<StoreSpec>,
    /// Number of the store that holds the rows.
    pub(crate) store: Option<usize>,
    /// Makes an `Rc<dyn Rows<K, V>>`.
    pub(crate) rows: Wire,
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) kind: NodeKind,
    pub(crate) parents: Vec<usize>,
    /// Filled in by the build, in the order in which Kafka Streams connects them.
    pub(crate) children: Vec<usize>,
    pub(crate) stores: Vec<usize>,
    pub(crate) wire: Wire,
    /// `Formats<K, V>` of the records it sends.
    pub(crate) formats: Arc<dyn Any + Send + Sync>,
    pub(crate) table: Option<TableNode>,
    /// In front of a repartition topic: null keys pass, since a left join behind it takes them. Decided by the build.
    pub(crate) keeps_null_keys: bool,
    /// The table above keeps versions: an operator over tables passes over updates that are not the latest. Decided by the build.
    pub(crate) reads_versions: bool,
    /// Of a processor that may have timers: the type of its keys.
    pub(crate) timer_keys: Option<TypeId>,
    pub(crate) group: usize,
}

/// What the order and the optimisations of the build need to know of a verb.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Role {
    pub(crate) changes_key: bool,
    pub(crate) changes_value: bool,
    pub(crate) merges: bool,
    /// A repartition topic; true when `merge.repartition.topics` may merge it.
    pub(crate) repartition: Option<bool>,
    /// A source that reads streams: sources of equal topics become one.
    pub(crate) stream_source: bool,
    /// A join that takes null keys (KIP-962).
    pub(crate) relaxed_null_keys: bool,
    /// Whether its rows are versioned, where it keeps rows.
    pub(crate) versioned: Option<bool>,
    /// Holds a table's updates back.
    pub(crate) suppresses: bool,
    /// Keeps records until time has passed them: a join of streams, or one that waits for its table.
    pub(crate) keeps_by_time: bool,
    /// Fills a global store.
    pub(crate) global: bool,
    /// A windowed aggregate: the time after a window's end at which it closes, for `suppress`.
    pub(crate) grace_ms: Option<i64>,
}

/// One verb: the unit that Kafka Streams orders (`graph.GraphNode`).
#[derive(Clone)]
pub(crate) struct GraphNode {
    pub(crate) role: Role,
    pub(crate) priority: usize,
    /// Empty below the root.
    pub(crate) parents: Vec<usize>,
    pub(crate) children: Vec<usize>,
    /// Its operators, in the order in which they are written.
    pub(crate) nodes: Vec<usize>,
    /// Taken out by an optimisation.
    pub(crate) removed: bool,
}

/// What is counted of a row that an operator holds back in a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// When it is due, ms since the epoch.
    pub(crate) time: i64,
    /// As Kafka Streams counts them.
    pub(crate) bytes: usize,
}

/// The rows that an operator holds back in a store.
#[derive(Clone, Copy)]
pub(crate) struct HeldRows {
    /// Reads what is counted from a row's key and bytes; `None` for what is no such row.
    pub(crate) row: fn(&[u8], &[u8]) -> Option<Held>,
    /// Kafka Streams tells as the least time the largest one less so many ms, plus one, and not that of a row.
    pub(crate) java_lag_ms: Option<i64>,
}

/// A store as tasks open it.
#[derive(Clone)]
pub(crate) struct StoreSpec {
    pub(crate) name: String,
    pub(crate) layout: Layout,
    /// `None` until the build decides by the application's default.
    pub(crate) in_memory: Option<bool>,
    pub(crate) cached: bool,
    pub(crate) logged: bool,
    /// Values are `timestamp (8) | value`; the changelog holds the plain value under that timestamp.
    pub(crate) timestamped: bool,
    /// What the store keeps of a value.
    pub(crate) kept: Kept,
    /// A window store keeps every value put under one key and start.
    pub(crate) duplicates: bool,
    /// Rows are of windows or sessions of an operator, which says what time the store has seen.
    pub(crate) observed: bool,
    /// Rows are of windows of this size that follow each other, where they are.
    pub(crate) tumbling_ms: Option<i64>,
    /// Under Kafka Streams' semantics rows expire as in its store of this order; `None` leaves that to the operator.
    pub(crate) java_expiry: Option<StoreOrder>,
    pub(crate) changelog_config: TopicConfig,
    /// The topic whose records are the store's changelog, where it is not its own.
    pub(crate) changelog_topic: Option<String>,
    /// For stores of timers: the type of their keys.
    pub(crate) timer_keys: Option<TypeId>,
    /// Rows leave so long after their timestamps, in ms of stream time.
    pub(crate) time_to_live_ms: Option<i64>,
    /// For stores whose rows are held back (`TimeOrderedKeyValueBuffer`).
    pub(crate) held: Option<HeldRows>,
    /// `Formats<K, V>` with both formats known.
    pub(crate) formats: Arc<dyn Any + Send + Sync>,
    /// What is wrong while a format is not known: a problem once the store is opened.
    pub(crate) missing: Option<String>,
}

impl Node {
    /// The store that a table opens once someone needs its rows.
    pub(crate) fn lazy_store(&mut self) -> Option<&mut StoreSpec> {
        self.table.as_mut()?.lazy_store.as_mut()
    }
}

impl StoreSpec {
    /// Fills in the formats that are not known.
    pub(crate) fn complete<K: 'static, V: 'static>(&mut self, known: &Formats<K, V>) {
        let Some(own) = self.formats.downcast_ref::<Formats<K, V>>() else {
            return;
        };
        let formats = Formats {
            key: own.key.clone().or_else(|| known.key.clone()),
            value: own.value.clone().or_else(|| known.value.clone()),
        };
        if formats.key.is_some() && formats.value.is_some() {
            self.missing = None;
        }
        self.formats = Arc::new(formats);
    }

    /// The topic that the store is restored from.
    pub(crate) fn changelog(&self, prefix: &str) -> String {
        match &self.changelog_topic {
            Some(topic) => topic.clone(),
            None => format!("{prefix}-{}-changelog", self.name),
        }
    }

    /// Updates go to the changelog; those of a table read from a topic that is its changelog are there already.
    pub(crate) fn writes_changelog(&self) -> bool {
        self.logged && self.changelog_topic.is_none()
    }
}

pub(crate) struct Repartition {
    pub(crate) topic: TopicName,
    pub(crate) partitions: u32,
}

/// A name that the application gave to the next operator of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NameId(u32);

#[derive(Default)]
pub(crate) struct Graph {
    pub(super) counter: u32,
    pub(super) priorities: usize,
    pub(super) given_names: Vec<String>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) groups: Vec<GraphNode>,
    pub(crate) stores: Vec<StoreSpec>,
    pub(crate) repartitions: Vec<Repartition>,
    /// Sets of source nodes whose topics must have equal partition counts.
    pub(crate) copartitions: Vec<Vec<usize>>,
    /// The same as Kafka Streams has them, which does not look past the nodes below.
    pub(crate) java_copartitions: Vec<Vec<usize>>,
    /// Nodes above which Kafka Streams forgets the sources (`KTableImpl.suppress`, `CogroupedStreamAggregateBuilder`).
    pub(super) forgetful: Vec<usize>,
    /// By the result of a join with a table that table, from which no edge leads: by foreign key the left one, and that of a
    /// stream.
    pub(crate) beside: FxHashMap<usize, usize>,
    /// Generated names of stores and internal topics, for the explicit-name check.
    pub(crate) generated: Vec<String>,
    /// Joins of streams, which the build gives their stores.
    pub(crate) stream_joins: Vec<StreamJoin>,
    /// The repartition of a stream that joins share, by the stream's node (`KStreamImpl.repartitionForJoin`).
    pub(crate) join_repartitions: FxHashMap<usize, (usize, String)>,
    /// The repartition of a named group that its aggregates share, by group.
    pub(crate) grouped_repartitions: FxHashMap<usize, usize>,
    pub(crate) grouped: usize,
    /// The repartition of a named group of a table that its aggregates share, by the node that makes the groups.
    pub(crate) table_repartitions: FxHashMap<usize, usize>,
    /// Stores that an operator asked for by name, to be found by the build.
    pub(super) named_stores: Vec<(usize, String)>,
    /// What the DSL found wrong; `build` reports the first.
    pub(crate) problems: Vec<String>,
    /// Names that are wrong once an operator has them: Kafka Streams takes any for a group that is only used for its topic.
    pub(super) odd_names: Vec<(String, String)>,
    /// Whose semantics the application has set.
    pub(crate) semantics: Semantics,
}

impl Graph {
    /// `PREFIX` and the next number, ten digits.
    pub(crate) fn number(&mut self, prefix: &str) -> String {
        let name = format!("{prefix}{:010}", self.counter);
        self.counter += 1;
        name
    }

    /// Keeps a name for the next operator; a bad one is a problem (`Named.validate`).
    pub(crate) fn give_name(&mut self, name: String) -> NameId {
        if !is_legal_name(&name) {
            let problem = format!(
                "'{name}' is no name for an operator; use 1 to 249 of the letters a-z, A-Z, 0-9, '.', '_' and '-'"
            );
            match self.semantics {
                Semantics::Headwater => self.problem(problem),
                Semantics::Java => self.odd_names.push((name.clone(), problem)),
            }
        }
        self.given_names.push(name);
        NameId(self.given_names.len() as u32 - 1)
    }

    /// A name that was given.
    pub(crate) fn given(&self, name: NameId) -> &str {
        &self.given_names[name.0 as usize]
    }

    /// The name of an operator: the given one, or `PREFIX` and the number that is burned either way.
    pub(crate) fn name(&mut self, prefix: &str, given: Option<NameId>) -> String {
        let numbered = self.number(prefix);
        self.chosen(given).unwrap_or(numbered)
    }

    /// As [`Graph::name`], with a suffix on a given name.
    pub(crate) fn suffixed(&mut self, prefix: &str, given: Option<NameId>, suffix: &str) -> String {
        let numbered = self.number(prefix);
        let chosen = self.chosen(given);
        chosen.map_or(numbered, |chosen| format!("{chosen}{suffix}"))
    }

    /// A given name that an operator gets.
    pub(crate) fn chosen(&mut self, given: Option<NameId>) -> Option<String> {
        let name = self.given(given?).to_owned();
        self.check_name(&name);
        Some(name)
    }

    fn check_name(&mut self, name: &str) {
        let odd = self.odd_names.iter().find(|(odd, _)| odd == name);
        if let Some((_, problem)) = odd {
            let problem = problem.clone();
            self.problem(problem);
        }
    }

    /// A verb of one operator.
    pub(crate) fn add(&mut self, node: Node) -> usize {
        self.add_as(Role::default(), node)
    }

    /// As [`Graph::add`], with what the build needs to know of it.
    pub(crate) fn add_as(&mut self, role: Role, node: Node) -> usize {
        let group = self.add_group(role, &node.parents.clone());
        self.add_to(group, node)
    }

    /// A verb of several operators, below the verbs of these nodes; [`Graph::add_to`] adds its operators in the order in which
    /// they are written.
    pub(crate) fn add_group(&mut self, role: Role, parents: &[usize]) -> usize {
        let group = self.groups.len();
        let mut above: Vec<usize> = Vec::new();
        // Each edge takes a priority, and the last one stays.
        self.priorities += parents.len().max(1);
        for parent in parents {
            let parent = self.nodes[*parent].group;
            if !above.contains(&parent) {
                above.push(parent);
                self.groups[parent].children.push(group);
            }
        }
        self.groups.push(GraphNode {
            role,
            priority: self.priorities,
            parents: above,
            children: Vec::new(),
            nodes: Vec::new(),
            removed: false,
        });
        group
    }

    /// Puts a verb below one more.
    pub(crate) fn add_parent(&mut self, group: usize, parent: usize) {
        self.priorities += 1;
        self.groups[group].priority = self.priorities;
        let parent = self.nodes[parent].group;
        if !self.groups[group].parents.contains(&parent) {
            self.groups[group].parents.push(parent);
            self.groups[parent].children.push(group);
        }
    }

    /// An operator of a verb.
    pub(crate) fn add_to(&mut self, group: usize, mut node: Node) -> usize {
        let index = self.nodes.len();
        node.group = group;
        let mut parents = Vec::with_capacity(node.parents.len());
        for parent in node.parents {
            if !parents.contains(&parent) {
                parents.push(parent);
            }
        }
        node.parents = parents;
        self.groups[group].nodes.push(index);
        self.nodes.push(node);
        index
    }

    /// Gives a node the name that the application chose for it.
    pub(crate) fn rename(&mut self, node: usize, name: &str) {
        self.check_name(name);
        self.nodes[node].name = name.into();
    }

    pub(crate) fn add_store(&mut self, spec: StoreSpec) -> usize {
        if self.stores.iter().any(|other| other.name == spec.name) {
            self.problems.push(format!(
                "two stores are named '{}'; give each its own name",
                spec.name
            ));
        }
        if !is_legal_name(&spec.name) {
            self.problem(format!(
                "'{}' is no name for a store; use 1 to 249 of the letters a-z, A-Z, 0-9, '.', '_' and '-'",
                spec.name
            ));
        }
        self.problems.extend(spec.missing.clone());
        self.stores.push(spec);
        self.stores.len() - 1
    }

    /// Connects an operator to stores that may be added later.
    pub(crate) fn connect_named(&mut self, node: usize, names: Vec<String>) {
        let named = names.into_iter().map(|name| (node, name));
        self.named_stores.extend(named);
    }

    /// Finds the stores that operators asked for by name.
    pub(crate) fn find_stores(&mut self) {
        for (node, name) in std::mem::take(&mut self.named_stores) {
            match self.stores.iter().position(|store| store.name == name) {
                Some(store) if self.nodes[node].stores.contains(&store) => {}
                Some(store) => self.nodes[node].stores.push(store),
                None => {
                    let operator = self.nodes[node].name.clone();
                    self.problem(format!(
                        "{operator}: there is no store '{name}'; add it, as App::store does, or correct the name"
                    ));
                }
            }
        }
    }

    /// Timers are called by one processor, with its keys.
    pub(crate) fn check_timers(&mut self) {
        for store in 0..self.stores.len() {
            let Some(keys) = self.stores[store].timer_keys else {
                continue;
            };
            let users = self.nodes.iter();
            let users: Vec<&Node> = users.filter(|node| node.stores.contains(&store)).collect();
            let name = &self.stores[store].name;
            let problem = match users[..] {
                [] => None,
                [one] if one.timer_keys == Some(keys) => None,
                [one] => Some(format!(
                    "{}: the timers '{name}' have keys of another type than its records; give App::timers the type of its keys",
                    one.name
                )),
                [one, two, ..] => Some(format!(
                    "{} and {}: both are connected to the timers '{name}', which one processor is to be called for; give each its own",
                    one.name, two.name
                )),
            };
            self.problems.extend(problem);
        }
    }

    /// Global stores are open to all processors: to connect one would make its users fill it.
    pub(crate) fn refuse_connected_globals(&mut self) {
        let fills = |store: usize| {
            let mut nodes = (0..self.nodes.len()).filter(|node| self.is_global(*node));
            nodes.any(|node| self.nodes[node].stores.contains(&store))
        };
        let connected = (0..self.nodes.len()).filter(|node| !self.is_global(*node));
        let found = connected.flat_map(|node| {
            let stores = self.nodes[node].stores.iter();
            stores.map(move |store| (node, *store))
        });
        let found = found.into_iter().find(|(_, store)| fills(*store));
        if let Some((node, store)) = found {
            self.problem(format!(
                "{}: store '{}' is global, and every processor may open it; leave it out of the stores that the processor is connected to",
                self.nodes[node].name, self.stores[store].name
            ));
        }
    }

    /// The store that holds a table's rows, opened for it if it had none; `None` for tables that are computed from others.
    pub(crate) fn materialize(&mut self, table: usize) -> Option<usize> {
        let spec = self.nodes[table].table.as_mut()?.lazy_store.take();
        if let Some(spec) = spec {
            let store = self.add_store(spec);
            self.nodes[table].stores.push(store);
            if let Some(table) = &mut self.nodes[table].table {
                table.store = Some(store);
            }
        }
        self.nodes[table].table.as_ref()?.store
    }

    /// The stores that reading a table's rows needs, opened where they were not (`KTableValueGetterSupplier.storeNames`).
    pub(crate) fn row_stores(&mut self, table: usize) -> Vec<usize> {
        if let Some(store) = self.materialize(table) {
            return vec![store];
        }
        let Some(TableNode {
            old_values: OldValues::Derived(parents) | OldValues::Joined(parents),
            ..
        }) = &self.nodes[table].table
        else {
            return Vec::new();
        };
        // Kafka Streams' readers do not get the stores of a transformer that they call (`KTableTransformValues.view`).
        let mut stores = self.nodes[table].stores.clone();
        if self.semantics == Semantics::Java {
            stores.retain(|store| self.stores[*store].held.is_some());
        }
        for parent in parents.clone() {
            for store in self.row_stores(parent) {
                if !stores.contains(&store) {
                    stores.push(store);
                }
            }
        }
        stores
    }

    /// How long back the rows of `table` can be looked up, in ms; `None` where only the present ones can.
    pub(crate) fn history_ms(&self, table: usize) -> Option<i64> {
        let node = self.nodes[table].table.as_ref()?;
        let spec = node.store.map(|store| &self.stores[store]);
        if let Some(spec) = spec.or(node.lazy_store.as_ref()) {
            return match spec.layout {
                Layout::Versioned {
                    history_retention_ms,
                } => Some(history_retention_ms),
                _ => None,
            };
        }
        match node.old_values.clone() {
            OldValues::Derived(parents) => {
                let histories = parents.into_iter().map(|parent| self.history_ms(parent));
                histories.min().flatten()
            }
            OldValues::Source | OldValues::Stored | OldValues::Joined(_) => None,
        }
    }

    /// Asks the table at `node` to send the row as it was with each update; `force` opens the stores that this takes.
    /// Answers whether it will.
    pub(crate) fn send_old(&mut self, node: usize, force: bool) -> bool {
        let Some(table) = &self.nodes[node].table else {
            return false;
        };
        if table.sends_old {
            return true;
        }
        let sends = match table.old_values.clone() {
            OldValues::Stored => true,
            OldValues::Source if force || table.store.is_some() => {
                self.materialize(node);
                true
            }
            OldValues::Source => false,
            OldValues::Joined(parents) => {
                for parent in parents {
                    self.send_old(parent, true);
                }
                true
            }
            OldValues::Derived(_) if table.store.is_some() => true,
            OldValues::Derived(parents) => {
                let mut all = true;
                for parent in parents {
                    all &= self.send_old(parent, force);
                }
                all
            }
        };
        if let Some(table) = &mut self.nodes[node].table {
            table.sends_old = sends;
        }
        sends
    }

    /// True for the operators that fill a global store.
    pub(crate) fn is_global(&self, node: usize) -> bool {
        self.groups[self.nodes[node].group].role.global
    }

    /// The source nodes that feed `node` within its sub-topology, but not those that only edges out of `ends` lead to.
    fn sources_below(&self, node: usize, ends: &[usize]) -> Vec<usize> {
        let mut sources = Vec::new();
        let mut open = vec![node];
        while let Some(index) = open.pop() {
            open.extend(self.beside.get(&index));
            if ends.contains(&index) {
                continue;
            }
            let node = &self.nodes[index];
            if matches!(node.kind, NodeKind::Source { .. }) && !sources.contains(&index) {
                sources.push(index);
            }
            open.extend(&node.parents);
        }
        sources.sort_unstable();
        sources
    }

    /// The sources of these nodes must have equal partition counts.
    pub(crate) fn copartition(&mut self, nodes: &[usize]) {
        let all = |ends: &[usize]| {
            let of_node = |node: &usize| self.sources_below(*node, ends);
            let mut sources: Vec<usize> = nodes.iter().flat_map(of_node).collect();
            sources.sort_unstable();
            sources.dedup();
            sources
        };
        let (sources, java) = (all(&[]), all(&self.forgetful));
        self.copartitions.push(sources);
        self.java_copartitions.push(java);
    }

    /// Kafka Streams forgets at this node which sources are above it.
    pub(crate) fn forget_sources(&mut self, node: usize) {
        self.forgetful.push(node);
    }

    pub(crate) fn problem(&mut self, message: String) {
        self.problems.push(message);
    }
}

/// True for what may be part of a topic's name (`Named.validate`).
fn is_legal_name(name: &str) -> bool {
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let reserved = matches!(name, "" | "." | "..");
    !reserved && name.len() <= 249 && name.chars().all(legal)
}

//! A topology while it is being made up: its nodes so far, and what later nodes can be built on. It draws the random
//! numbers and hands out names; the operators themselves are in the files beside it, one family each.
//! Invariant: every handle tells the kinds its node has in Kafka Streams, and a node refers only to earlier ones.

use super::{function, kind::Kind, random::Random};
use serde_json::{Map, Value};

/// A node's fields.
pub(crate) type Node = Map<String, Value>;

/// Setting fields of nodes, stores and branches.
pub(crate) trait Fields {
    fn set(&mut self, field: &str, value: impl Into<Value>);
}

impl Fields for Node {
    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.insert(field.to_owned(), value.into());
    }
}

/// A stream that later nodes can be built on.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) id: String,
    pub(crate) key: Kind,
    pub(crate) value: Kind,
}

/// A table that later nodes can be built on.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) id: String,
    pub(crate) key: Kind,
    pub(crate) value: Kind,
    /// Its own store is versioned and keeps this much.
    pub(crate) history_ms: Option<i64>,
    /// Its results come from a versioned store, its own or an earlier one.
    pub(crate) versioned: bool,
    /// Its windows close at a time Kafka Streams can tell.
    pub(crate) closes: bool,
    /// Kafka Streams knows the serializer of its values; where not it takes the default, which is for strings.
    pub(crate) stated: bool,
}

impl Table {
    /// What serializes its values without being told how does so rightly.
    pub(crate) fn serializes(&self) -> bool {
        self.stated || self.value == Kind::String
    }
}

/// A global table or global store.
#[derive(Debug, Clone)]
pub(crate) struct Global {
    pub(crate) id: String,
    pub(crate) key: Kind,
    pub(crate) value: Kind,
}

/// A grouped stream.
#[derive(Debug, Clone)]
pub(crate) struct Grouped {
    pub(crate) id: String,
    pub(crate) key: Kind,
    pub(crate) value: Kind,
}

/// A store that processors share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) name: String,
    /// `kv`, `timestamped_kv`, `window`, `session` or `versioned`.
    pub(crate) family: &'static str,
    pub(crate) value: Kind,
    pub(crate) cached: bool,
}

/// A topic that inputs are sent to.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) key: Kind,
    pub(crate) value: Kind,
}

/// How nodes are named in one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Naming {
    Never,
    Sometimes,
    Always,
}

/// The topology so far.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) random: Random,
    pub(crate) nodes: Vec<Node>,
    pub(crate) streams: Vec<Stream>,
    pub(crate) tables: Vec<Table>,
    pub(crate) globals: Vec<Global>,
    /// Global stores and tables with a name, which every processor may read.
    pub(crate) global_stores: Vec<Shared>,
    /// Stores of tables, which processors may look things up in.
    pub(crate) table_stores: Vec<Shared>,
    pub(crate) grouped: Vec<Grouped>,
    pub(crate) stores: Vec<Shared>,
    pub(crate) topics: Vec<Topic>,
    /// Some functions fail on some records.
    pub(crate) fails: bool,
    naming: Naming,
    used: Vec<String>,
    ids: usize,
    names: usize,
}

impl Draft {
    pub(crate) fn new(mut random: Random) -> Self {
        let naming = random.weighted(&[
            (50, Naming::Never),
            (35, Naming::Sometimes),
            (15, Naming::Always),
        ]);
        let fails = random.chance(6);
        Self {
            random,
            nodes: Vec::new(),
            streams: Vec::new(),
            tables: Vec::new(),
            globals: Vec::new(),
            global_stores: Vec::new(),
            table_stores: Vec::new(),
            grouped: Vec::new(),
            stores: Vec::new(),
            topics: Vec::new(),
            fails,
            naming,
            used: Vec::new(),
            ids: 0,
            names: 0,
        }
    }

    /// An id no node has yet.
    pub(crate) fn id(&mut self, prefix: &str) -> String {
        self.ids += 1;
        format!("{prefix}{}", self.ids)
    }

    /// A name for Kafka Streams that nothing has yet.
    pub(crate) fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        let separator = self
            .random
            .weighted(&[(8, ""), (1, "-"), (1, "_"), (1, ".")]);
        format!("{prefix}{separator}{}", self.names)
    }

    /// A node's Java name, or none: as this case names its nodes.
    pub(crate) fn maybe_name(&mut self, node: &mut Node, prefix: &str) {
        let named = match self.naming {
            Naming::Never => false,
            Naming::Sometimes => self.random.chance(40),
            Naming::Always => true,
        };
        if named {
            let name = self.name(prefix);
            node.set("name", name.as_str());
        }
    }

    /// Whether stores get names by this case's habit.
    pub(crate) fn names_store(&mut self) -> bool {
        match self.naming {
            Naming::Never => self.random.chance(35),
            Naming::Sometimes => self.random.chance(60),
            Naming::Always => true,
        }
    }

    /// Adds a node; `value` is an object.
    pub(crate) fn add(&mut self, value: Value) {
        let Value::Object(node) = value else {
            unreachable!("nodes are written as objects");
        };
        self.add_node(node);
    }

    pub(crate) fn add_node(&mut self, node: Node) {
        for field in ["from", "left", "right"] {
            if let Some(id) = node.get(field).and_then(Value::as_str) {
                self.used.push(id.to_owned());
            }
        }
        self.nodes.push(node);
    }

    /// No node has been built on this one.
    pub(crate) fn is_unused(&self, id: &str) -> bool {
        !self.used.iter().any(|used| used == id)
    }

    pub(crate) fn add_stream(&mut self, id: &str, key: Kind, value: Kind) {
        let id = id.to_owned();
        self.streams.push(Stream { id, key, value });
    }

    /// One stream; the later ones and those without a successor more often.
    pub(crate) fn stream(&mut self) -> Option<Stream> {
        self.stream_where(|_| true)
    }

    pub(crate) fn stream_where(&mut self, fits: impl Fn(&Stream) -> bool) -> Option<Stream> {
        let fitting: Vec<(usize, usize)> = (0..self.streams.len())
            .filter(|at| fits(&self.streams[*at]))
            .map(|at| {
                (
                    if self.is_unused(&self.streams[at].id) {
                        4
                    } else {
                        1
                    },
                    at,
                )
            })
            .collect();
        if fitting.is_empty() {
            return None;
        }
        Some(self.streams[self.random.weighted(&fitting)].clone())
    }

    pub(crate) fn table_where(&mut self, fits: impl Fn(&Table) -> bool) -> Option<Table> {
        let fitting: Vec<(usize, usize)> = (0..self.tables.len())
            .filter(|at| fits(&self.tables[*at]))
            .map(|at| {
                (
                    if self.is_unused(&self.tables[at].id) {
                        4
                    } else {
                        1
                    },
                    at,
                )
            })
            .collect();
        if fitting.is_empty() {
            return None;
        }
        Some(self.tables[self.random.weighted(&fitting)].clone())
    }

    /// A function of (key, value) to a value.
    pub(crate) fn value_function(&mut self, key: Kind, value: Kind) -> (String, Kind) {
        function::of_value(&mut self.random, key, value, self.fails)
    }

    pub(crate) fn key_function(&mut self, key: Kind, value: Kind, wanted: Kind) -> String {
        function::of_key(&mut self.random, key, value, wanted)
    }

    pub(crate) fn test(&mut self, key: Kind, value: Kind) -> String {
        function::test(&mut self.random, key, value, self.fails)
    }

    /// The kind of a key made by a function: nearly always a string.
    pub(crate) fn key_kind(&mut self) -> Kind {
        self.random
            .weighted(&[(85, Kind::String), (15, Kind::Long)])
    }

    /// The kind of a value at a source.
    pub(crate) fn value_kind(&mut self) -> Kind {
        self.random
            .weighted(&[(75, Kind::String), (25, Kind::Long)])
    }
}

//! Turns the nodes of a case into operators: one file per family, each with the arms of its own ops.
//! Not the operators. Invariant: a family that does not know a node leaves it to the next; what none knows is unsupported.

mod cogroup;
mod foreign_key;
mod global;
mod group;
mod grouped_table;
mod handle;
mod low_level;
mod process;
mod repartition;
mod sink;
mod source;
mod split;
mod stateless;
mod stream_join;
mod suppress;
mod table;
mod table_join;
mod window;

use crate::case::Spec;
use crate::store::StoreRef;
use crate::value::{Key, Ty, Val};
use crate::{Case, Refusal};
pub(crate) use handle::Handle;
use handle::{by_type, on_stream, on_table};
use headwater::TopologyBuilder;
use headwater::{FormatOf, KStream, KTable};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A named result of a node: what the DSL gave for it, with its static types.
#[derive(Clone)]
pub(crate) struct Node<'a> {
    pub(crate) handle: Handle<'a>,
    pub(crate) key: Ty,
    pub(crate) value: Ty,
    /// Java's table knows the serde of its values; where not it takes the default, which is for text.
    pub(crate) stated: bool,
}

impl Node<'_> {
    /// The format of a table's values where Java's calls take no serde.
    pub(crate) fn values(&self) -> FormatOf<Val> {
        let ty = if self.stated { self.value } else { Ty::Str };
        ty.values()
    }
}

/// The DSL while a case is carried out on it.
pub(crate) struct Graph<'a> {
    pub(crate) app: &'a TopologyBuilder,
    /// By id.
    nodes: BTreeMap<String, Node<'a>>,
    /// Of `add_store`, by name.
    pub(crate) stores: BTreeMap<String, StoreRef>,
    /// Of the low-level topology: the types that an operator sends, by name.
    sends: BTreeMap<String, (Ty, Ty)>,
}

/// A family's arms: true when the node is one of its own.
type Family = for<'a> fn(&mut Graph<'a>, &Spec) -> Result<bool, Refusal>;

const FAMILIES: &[Family] = &[
    source::add,
    global::add,
    stateless::add,
    split::add,
    repartition::add,
    sink::add,
    table::add,
    group::add,
    grouped_table::add,
    window::add,
    cogroup::add,
    suppress::add,
    stream_join::add,
    table_join::add,
    foreign_key::add,
    process::add,
    low_level::add,
];

/// Carries out the nodes of a case, in order.
pub(crate) fn build(app: &TopologyBuilder, case: &Case) -> Result<(), Refusal> {
    let mut graph = Graph {
        app,
        nodes: BTreeMap::new(),
        stores: BTreeMap::new(),
        sends: BTreeMap::new(),
    };
    // Processors of a low-level topology may come before their stores, whose handles they are made with.
    let low_level = case.nodes.iter().any(low_level::is_low_level);
    let early = |node: &&Spec| low_level && node.op() == "add_store";
    for node in case.nodes.iter().filter(early) {
        process::add_store(&mut graph, node)?;
    }
    for node in &case.nodes {
        if early(&node) {
            for name in node.texts("processors") {
                let spec = node.required_object("store")?;
                app.connect(&name, spec.required("name")?);
            }
            continue;
        }
        graph.add(node)?;
    }
    Ok(())
}

impl<'a> Graph<'a> {
    fn add(&mut self, node: &Spec) -> Result<(), Refusal> {
        for add in FAMILIES {
            if add(self, node)? {
                return self.note_store(node);
            }
        }
        Err(Refusal::Unsupported(node.op().into()))
    }

    /// Later processors may use the store of a table under its name.
    fn note_store(&mut self, node: &Spec) -> Result<(), Refusal> {
        let made = node.text("id").and_then(|id| self.nodes.get(id));
        if let Some(made) = made
            && let Some(of_table) = self.table_store(node, &made.handle)
            && let Some(store) = node.object("store")?
            && let Some(name) = store.text("name")
        {
            let stored = match store.text("kind") {
                Some("versioned") => StoreRef::VersionedTable(name.into()),
                _ => of_table(name.into()),
            };
            self.stores.entry(name.into()).or_insert(stored);
        }
        Ok(())
    }

    /// What a processor finds in the store of `node`, which made `made`; `None` where it is no table, or not one it knows to read.
    fn table_store(&self, node: &Spec, made: &Handle<'a>) -> Option<fn(Arc<str>) -> StoreRef> {
        let from = node.text("from").and_then(|from| self.nodes.get(from));
        match (made, from.map(|from| &from.handle)) {
            (Handle::Table(_) | Handle::GlobalTable(_), _) => Some(StoreRef::Table),
            (Handle::WindowedTable(_), Some(Handle::Windowed(_))) => Some(StoreRef::WindowTable),
            (Handle::WindowedTable(_), Some(Handle::Sessions(_))) => Some(StoreRef::SessionTable),
            _ => None,
        }
    }

    /// The result that field `field` of `node` refers to.
    pub(crate) fn input(&self, node: &Spec, field: &str) -> Result<Node<'a>, Refusal> {
        let id = node.required(field)?;
        let found = self.nodes.get(id).cloned();
        found.ok_or_else(|| Refusal::Case(format!("no node with id {id}")))
    }

    /// Keeps the result of `node` for later ones.
    pub(crate) fn put(&mut self, node: &Spec, handle: Handle<'a>, key: Ty, value: Ty) {
        self.put_table(node, handle, key, value, true);
    }

    /// As [`Graph::put`], for a table whose serde of values Java may not know.
    pub(crate) fn put_table(
        &mut self,
        node: &Spec,
        handle: Handle<'a>,
        key: Ty,
        value: Ty,
        stated: bool,
    ) {
        if let Some(id) = node.text("id") {
            let made = Node {
                handle,
                key,
                value,
                stated,
            };
            self.nodes.insert(id.into(), made);
        }
    }
}

/// Names the operator that is made next from `handle`, where the node has a name.
macro_rules! named {
    ($handle:expr, $node:expr) => {
        match $node.text("name") {
            Some(name) => $handle.named(name),
            None => $handle,
        }
    };
}
use named;

/// The stream with the formats of its static types, which Java's calls are given as serdes.
pub(crate) fn typed<'a, K: Key>(
    stream: KStream<'a, K, Val>,
    key: Ty,
    value: Ty,
) -> KStream<'a, K, Val> {
    stream.keys(K::keys(key)).values(value.values())
}

/// The table with the formats of its static types, which Java's calls are given as serdes.
pub(crate) fn typed_table<'a, K: Key>(
    table: KTable<'a, K, Val>,
    key: Ty,
    value: Ty,
) -> KTable<'a, K, Val> {
    table.keys(K::keys(key)).values(value.values())
}

/// An option of a node that the DSL does not take.
pub(crate) fn unsupported(node: &Spec, what: &str) -> Refusal {
    Refusal::Unsupported(format!("{} {what}", node.op()))
}

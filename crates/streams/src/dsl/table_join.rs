//! Joins of a table with what stands on its right: another table; the trait leaves room for tables under a foreign key.
//! Invariant: both sides are partitioned alike, and both keep their rows or can compute them.

use super::app::{processor, store_spec};
use super::nulls::WithNulls;
use super::table::{boxed_rows, stored_rows};
use super::{App, KTable, Store};
use crate::Change;
use crate::format::Formats;
use crate::operator::{JoinedRows, Kept, Needs, TableJoinMerger, TableJoinSide, TableJoiner};
use crate::task::{Wire, boxed_whole};
use crate::topology::{OldValues, Role, TableNode};
use headwater_store::Layout;
use std::sync::Arc;

/// Which rows without a match a join of tables keeps.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableJoinKind {
    /// None.
    Inner,
    /// The left side's.
    Left,
    /// Both sides'.
    Outer,
}

/// What may stand on the right of a table's join.
#[diagnostic::on_unimplemented(
    message = "a table with keys of type `{K}` cannot be joined with `{Self}`",
    label = "the keys differ, or this is no table",
    note = "both sides of a join need the same key type"
)]
pub trait JoinRows<'a, K, V> {
    /// The type of its rows.
    type Row: 'static;
    /// Adds the join to the graph.
    #[doc(hidden)]
    fn connect<O: Clone + 'static>(
        self,
        table: KTable<'a, K, V>,
        kind: TableJoinKind,
        joiner: TableJoiner<K, V, Self::Row, O>,
        store: Option<Store<K, O>>,
    ) -> KTable<'a, K, O>;
}

impl<'a, K: Clone + 'static, V: Clone + 'static> KTable<'a, K, V> {
    /// The rows that both tables have, joined: an update of either side updates the result.
    ///
    /// ```
    /// # use headwater_streams::App;
    /// let app = App::new("prices");
    /// let amounts = app.table::<String, u64>("amounts");
    /// let prices = app.table::<String, u64>("prices");
    /// amounts
    ///     .join(prices, |amount, price| amount * price)
    ///     .to_stream()
    ///     .to("sums");
    /// app.build()?;
    /// # Ok::<_, headwater_streams::Error>(())
    /// ```
    pub fn join<R: JoinRows<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&V, &R::Row) -> O + Send + Sync + 'static,
    ) -> KTable<'a, K, O> {
        right.connect(self, TableJoinKind::Inner, inner(joiner), None)
    }

    /// As [`KTable::join`], with the result kept in `store`.
    pub fn join_in<R: JoinRows<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&V, &R::Row) -> O + Send + Sync + 'static,
        store: impl Into<Store<K, O>>,
    ) -> KTable<'a, K, O> {
        let store = Some(store.into());
        right.connect(self, TableJoinKind::Inner, inner(joiner), store)
    }

    /// All rows of this table, joined with the other's where it has one.
    pub fn left_join<R: JoinRows<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&V, Option<&R::Row>) -> O + Send + Sync + 'static,
    ) -> KTable<'a, K, O> {
        right.connect(self, TableJoinKind::Left, left(joiner), None)
    }

    /// As [`KTable::left_join`], with the result kept in `store`.
    pub fn left_join_in<R: JoinRows<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&V, Option<&R::Row>) -> O + Send + Sync + 'static,
        store: impl Into<Store<K, O>>,
    ) -> KTable<'a, K, O> {
        let store = Some(store.into());
        right.connect(self, TableJoinKind::Left, left(joiner), store)
    }

    /// The rows that either table has, joined; at least one side is there.
    pub fn outer_join<R: Clone + 'static, O: Clone + 'static>(
        self,
        right: KTable<'a, K, R>,
        joiner: impl Fn(Option<&V>, Option<&R>) -> O + Send + Sync + 'static,
    ) -> KTable<'a, K, O> {
        right.connect(self, TableJoinKind::Outer, outer(joiner), None)
    }

    /// As [`KTable::outer_join`], with the result kept in `store`.
    pub fn outer_join_in<R: Clone + 'static, O: Clone + 'static>(
        self,
        right: KTable<'a, K, R>,
        joiner: impl Fn(Option<&V>, Option<&R>) -> O + Send + Sync + 'static,
        store: impl Into<Store<K, O>>,
    ) -> KTable<'a, K, O> {
        let store = Some(store.into());
        right.connect(self, TableJoinKind::Outer, outer(joiner), store)
    }
}

fn inner<K, V, R, O>(
    joiner: impl Fn(&V, &R) -> O + Send + Sync + 'static,
) -> TableJoiner<K, V, R, O> {
    Arc::new(move |_: &K, left: Option<&V>, right: Option<&R>| Some(joiner(left?, right?)))
}

// A left join's right side makes a result of its row alone, which only says that there is none.
fn left<K, V, R, O>(
    joiner: impl Fn(&V, Option<&R>) -> O + Send + Sync + 'static,
) -> TableJoiner<K, V, R, O> {
    Arc::new(move |_: &K, left: Option<&V>, right: Option<&R>| Some(joiner(left?, right)))
}

fn outer<K, V, R, O>(
    joiner: impl Fn(Option<&V>, Option<&R>) -> O + Send + Sync + 'static,
) -> TableJoiner<K, V, R, O> {
    Arc::new(move |_: &K, left: Option<&V>, right: Option<&R>| Some(joiner(left, right)))
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KTable<'a, K, V>> {
    /// As `KTable::join`, with the key in view.
    pub fn join<R: JoinRows<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&K, Option<&V>, Option<&R::Row>) -> Option<O> + Send + Sync + 'static,
    ) -> KTable<'a, K, O> {
        right.connect(self.0, TableJoinKind::Inner, Arc::new(joiner), None)
    }

    /// As `KTable::join_in`, with the key in view.
    pub fn join_in<R: JoinRows<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&K, Option<&V>, Option<&R::Row>) -> Option<O> + Send + Sync + 'static,
        store: impl Into<Store<K, O>>,
    ) -> KTable<'a, K, O> {
        let store = Some(store.into());
        right.connect(self.0, TableJoinKind::Inner, Arc::new(joiner), store)
    }

    /// As `KTable::left_join`, with the key in view.
    pub fn left_join<R: JoinRows<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&K, Option<&V>, Option<&R::Row>) -> Option<O> + Send + Sync + 'static,
    ) -> KTable<'a, K, O> {
        right.connect(self.0, TableJoinKind::Left, Arc::new(joiner), None)
    }

    /// As `KTable::left_join_in`, with the key in view.
    pub fn left_join_in<R: JoinRows<'a, K, V>, O: Clone + 'static>(
        self,
        right: R,
        joiner: impl Fn(&K, Option<&V>, Option<&R::Row>) -> Option<O> + Send + Sync + 'static,
        store: impl Into<Store<K, O>>,
    ) -> KTable<'a, K, O> {
        let store = Some(store.into());
        right.connect(self.0, TableJoinKind::Left, Arc::new(joiner), store)
    }

    /// As `KTable::outer_join`, with the key in view.
    pub fn outer_join<R: Clone + 'static, O: Clone + 'static>(
        self,
        right: KTable<'a, K, R>,
        joiner: impl Fn(&K, Option<&V>, Option<&R>) -> Option<O> + Send + Sync + 'static,
    ) -> KTable<'a, K, O> {
        right.connect(self.0, TableJoinKind::Outer, Arc::new(joiner), None)
    }

    /// As `KTable::outer_join_in`, with the key in view.
    pub fn outer_join_in<R: Clone + 'static, O: Clone + 'static>(
        self,
        right: KTable<'a, K, R>,
        joiner: impl Fn(&K, Option<&V>, Option<&R>) -> Option<O> + Send + Sync + 'static,
        store: impl Into<Store<K, O>>,
    ) -> KTable<'a, K, O> {
        let store = Some(store.into());
        right.connect(self.0, TableJoinKind::Outer, Arc::new(joiner), store)
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static, R: Clone + 'static> JoinRows<'a, K, V>
    for KTable<'a, K, R>
{
    type Row = R;

    fn connect<O: Clone + 'static>(
        self,
        table: KTable<'a, K, V>,
        kind: TableJoinKind,
        joiner: TableJoiner<K, V, R, O>,
        store: Option<Store<K, O>>,
    ) -> KTable<'a, K, O> {
        let app = table.app;
        if !app.owns(self.app, "join of tables") {
            return KTable::at(app, table.node);
        }
        let key = table.formats_in(&app.graph.borrow()).key;
        let store = store.map(|store| store.or_formats(key.clone(), None));
        let store = store.map(|store| named_store(app, store));
        let mut graph = app.graph.borrow_mut();
        let merge = graph.name("KTABLE-MERGE-", table.name);
        graph.copartition(&[table.node, self.node]);
        let (left_stores, right_stores) =
            (graph.row_stores(table.node), graph.row_stores(self.node));
        // The side whose rows may stand alone must tell when they no longer do.
        if kind != TableJoinKind::Inner {
            graph.send_old(table.node, true);
        }
        if kind == TableJoinKind::Outer {
            graph.send_old(self.node, true);
        }
        let names = (
            graph.suffixed("KTABLE-JOINTHIS-", table.name, "-join-this"),
            graph.suffixed("KTABLE-JOINOTHER-", table.name, "-join-other"),
        );
        drop(graph);
        let join = Join {
            left: table,
            right: self,
            kind,
            joiner,
            merge,
            store,
        };
        join.add(names, left_stores, right_stores)
    }
}

/// Gives a store its number where it has no name: a join opens it all the same.
fn named_store<K, O>(app: &App, mut store: Store<K, O>) -> Store<K, O> {
    if store.name.is_none() {
        let mut graph = app.graph.borrow_mut();
        let name = graph.number("KTABLE-MERGE-STATE-STORE-");
        graph.generated.push(name.clone());
        store.name = Some(name);
    }
    store
}

struct Join<'a, K, V, R, O> {
    left: KTable<'a, K, V>,
    right: KTable<'a, K, R>,
    kind: TableJoinKind,
    joiner: TableJoiner<K, V, R, O>,
    merge: String,
    store: Option<Store<K, O>>,
}

impl<'a, K, V, R, O> Join<'a, K, V, R, O>
where
    K: Clone + 'static,
    V: Clone + 'static,
    R: Clone + 'static,
    O: Clone + 'static,
{
    /// Adds the two sides, each connected to the other's stores, and what brings their results together.
    fn add(
        self,
        names: (String, String),
        left_stores: Vec<usize>,
        right_stores: Vec<usize>,
    ) -> KTable<'a, K, O> {
        let app = self.left.app;
        let (left, right) = (self.left.node, self.right.node);
        let needs = match self.kind {
            TableJoinKind::Inner => (Needs::Both, Needs::Both),
            TableJoinKind::Left => (Needs::Own, Needs::Other),
            TableJoinKind::Outer => (Needs::Either, Needs::Either),
        };
        let role = Role {
            versioned: Some(self.store.as_ref().is_some_and(Store::is_versioned)),
            ..Role::default()
        };
        let formats = self.formats();
        let joiner = self.joiner;
        let reversed = joiner.clone();
        let reversed: TableJoiner<K, R, V, O> =
            Arc::new(move |key, right, left| reversed(key, left, right));
        let spec = self
            .store
            .map(|store| store_spec(app, &self.merge, store, Layout::KeyValue));
        let mut graph = app.graph.borrow_mut();
        let store = spec.map(|spec| graph.add_store(spec));
        let group = graph.add_group(role, &[left, right]);
        let side = side_wire::<K, V, R, O>(right, joiner.clone(), needs.0);
        let mut this = processor::<K, O>(names.0, vec![left], side, Formats::UNKNOWN);
        this.stores = right_stores;
        let this = graph.add_to(group, this);
        let side = side_wire::<K, R, V, O>(left, reversed, needs.1);
        let mut other = processor::<K, O>(names.1, vec![right], side, Formats::UNKNOWN);
        other.stores = left_stores;
        let other = graph.add_to(group, other);
        let mut merge = processor(self.merge, vec![this, other], merge_wire::<K, O>(), formats);
        merge.stores.extend(store);
        let computed: Wire = Box::new(move |wiring, _| {
            boxed_rows(JoinedRows {
                left: wiring.rows::<K, V>(left),
                right: wiring.rows::<K, R>(right),
                joiner: joiner.clone(),
                needs: needs.0,
            })
        });
        let stored = store.is_some();
        merge.table = Some(TableNode {
            sends_old: false,
            old_values: OldValues::Joined(vec![left, right]),
            lazy_store: None,
            store,
            rows: if stored {
                stored_rows::<K, O>()
            } else {
                computed
            },
        });
        let node = graph.add_to(group, merge);
        drop(graph);
        KTable::at(app, node)
    }

    fn formats(&self) -> Formats<K, O> {
        match &self.store {
            Some(store) => Formats {
                key: store.key.clone(),
                value: store.value.clone(),
            },
            None => self.left.key_format(),
        }
    }
}

/// One side of a join, whose updates meet the rows of the table at `other`. It tells the result before an update if the operator
/// below it, which brings both sides together, does.
fn side_wire<K, V, R, O>(other: usize, joiner: TableJoiner<K, V, R, O>, needs: Needs) -> Wire
where
    K: Clone + 'static,
    V: 'static,
    R: Clone + 'static,
    O: Clone + 'static,
{
    Box::new(move |wiring, node| {
        let merge = wiring.topology.nodes[node].children[0];
        let side = TableJoinSide {
            other: wiring.rows::<K, R>(other),
            joiner: joiner.clone(),
            needs,
            sends_old: wiring.topology.sends_old(merge),
            reads_versions: wiring.topology.nodes[node].reads_versions,
            outputs: wiring.outputs::<K, Change<O>>(node),
        };
        boxed_whole::<K, Change<V>>(wiring, node, side)
    })
}

fn merge_wire<K: Clone + 'static, O: Clone + 'static>() -> Wire {
    Box::new(move |wiring, node| {
        let table = wiring.topology.nodes[node].table.as_ref();
        let store = table.and_then(|table| table.store);
        let merger = TableJoinMerger {
            kept: store.map(|store| Kept::wire(wiring, node, store)),
            sends_old: wiring.topology.sends_old(node),
            outputs: wiring.outputs::<K, Change<O>>(node),
        };
        boxed_whole::<K, Change<O>>(wiring, node, merger)
    })
}

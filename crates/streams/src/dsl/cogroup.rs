//! `KCogroupedStream`: several grouped streams whose values go into one aggregate, each by a closure of its own.
//! Not a join: each record updates the row by itself. Invariant: all of them share one store, hence one sub-topology.

use super::app::{App, pass_wire, processor, store_spec};
use super::grouped::aggregate_wire;
use super::nulls::WithNulls;
use super::session::{session_store, session_table_rows, session_wire};
use super::table::stored_rows;
use super::windowed::{WindowedBy, WindowedStore, windowed_store, windowed_wire};
use super::{KGroupedStream, KTable, Store};
use crate::Change;
use crate::format::Formats;
use crate::operator::{Fold, FoldOf, Unreadable};
use crate::task::Wire;
use crate::topology::{NameId, OldValues, Role, Semantics, TableNode};
use crate::window::{EmitStrategy, SessionWindows, Windowed, Windowing, WindowsKind};
use headwater_store::Layout;
use rustc_hash::FxHashMap;
use std::{cell::RefCell, rc::Rc, sync::Arc};

type Add<K, V, A> = dyn Fn(&K, Option<V>, Option<A>) -> Option<A> + Send + Sync;
type Initial<A> = Arc<dyn Fn() -> Option<A> + Send + Sync>;
type Merge<K, A> = Arc<dyn Fn(&K, Option<A>, Option<A>) -> Option<A> + Send + Sync>;

/// Grouped streams that are aggregated together. A handle: clone it to aggregate twice.
pub struct KCogroupedStream<'a, K, A> {
    app: &'a App,
    members: Vec<Rc<dyn Member<K, A> + 'a>>,
    next: Option<NameId>,
    /// The nodes that members read, repartitioned where they must be, by group: two aggregations share them.
    sources: Rc<RefCell<FxHashMap<usize, usize>>>,
}

impl<K, A> Clone for KCogroupedStream<'_, K, A> {
    fn clone(&self) -> Self {
        Self {
            app: self.app,
            members: self.members.clone(),
            next: self.next,
            sources: self.sources.clone(),
        }
    }
}

/// A grouped stream of a cogroup, behind the type of its values.
trait Member<K, A> {
    /// Tells its group from others.
    fn number(&self) -> usize;
    /// The node that the group reads.
    fn node(&self) -> usize;
    fn is_rekeyed(&self) -> bool;
    /// The node of the group's repartition topic, named after the group or the store.
    fn repartition(&self, store: &Store<K, A>, explicit: bool) -> usize;
    /// The wire of its operator; `member` is its number in the cogroup.
    fn wire(&self, member: usize, kind: &Kind<K, A>) -> Wire;
}

/// What the members of a cogroup aggregate by.
enum Kind<K, A> {
    Plain(Initial<A>),
    Windowing(ErasedWindows, WindowedKey<K>, Initial<A>),
    Sessions(SessionWindows, WindowedKey<K>, Initial<A>, Merge<K, A>),
}

type WindowedKey<K> = Option<crate::FormatOf<K>>;

struct MemberOf<'a, K, V, A> {
    grouped: KGroupedStream<'a, K, V>,
    add: Arc<Add<K, V, A>>,
    takes_tombstones: bool,
}

impl<'a, K, V, A> Member<K, A> for MemberOf<'a, K, V, A>
where
    K: Clone + 'static,
    V: Clone + 'static,
    A: Clone + 'static,
{
    fn number(&self) -> usize {
        self.grouped.number
    }

    fn node(&self) -> usize {
        self.grouped.stream.node
    }

    fn is_rekeyed(&self) -> bool {
        self.grouped.stream.rekeyed
    }

    fn repartition(&self, store: &Store<K, A>, explicit: bool) -> usize {
        self.grouped.own_repartition(store, explicit).node
    }

    fn wire(&self, member: usize, kind: &Kind<K, A>) -> Wire {
        let emit = EmitStrategy::OnWindowUpdate;
        match kind {
            Kind::Plain(initial) => aggregate_wire::<K, V, A, _>(self.fold(initial, None)),
            Kind::Windowing(windows, key, initial) => windowed_wire::<K, V, A, _, _>(
                windows.clone(),
                emit,
                key.clone(),
                self.takes_tombstones,
                Some(member),
                self.fold(initial, None),
            ),
            Kind::Sessions(windows, key, initial, merge) => session_wire::<K, V, A, _>(
                *windows,
                emit,
                key.clone(),
                self.takes_tombstones,
                Some(member),
                self.fold(initial, Some(merge)),
            ),
        }
    }
}

impl<K: 'static, V: 'static, A: 'static> MemberOf<'_, K, V, A> {
    fn fold(&self, initial: &Initial<A>, merge: Option<&Merge<K, A>>) -> Arc<impl Fold<K, V, A>> {
        let (initial, add, merge) = (initial.clone(), self.add.clone(), merge.cloned());
        Arc::new(FoldOf {
            initial: move || initial(),
            add: move |key: &K, value: Option<V>, row: Option<A>| add(key, value, row),
            merge: move |key: &K, one: Option<A>, two: Option<A>| match &merge {
                Some(merge) => merge(key, one, two),
                None => one,
            },
        })
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> KGroupedStream<'a, K, V> {
    /// Begins an aggregate of several grouped streams: `add` puts the values of this one into its rows.
    ///
    /// ```
    /// # use headwater_streams::App;
    /// let app = App::new("carts");
    /// let added = app.stream::<String, u64>("added").group_by_key();
    /// let removed = app.stream::<String, u64>("removed").group_by_key();
    /// added
    ///     .cogroup(|_, amount, total: u64| total + amount)
    ///     .cogroup(removed, |_, amount, total| total.saturating_sub(amount))
    ///     .aggregate(|| 0, "totals")
    ///     .to_stream()
    ///     .to("totals");
    /// ```
    pub fn cogroup<A: Clone + 'static>(
        self,
        add: impl Fn(&K, V, A) -> A + Send + Sync + 'static,
    ) -> KCogroupedStream<'a, K, A> {
        KCogroupedStream::empty(self.stream.app).cogroup(self, add)
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KGroupedStream<'a, K, V>> {
    /// As `KGroupedStream::cogroup`; windowed aggregates are given tombstones too.
    pub fn cogroup<A: Clone + 'static>(
        self,
        add: impl Fn(&K, Option<V>, Option<A>) -> Option<A> + Send + Sync + 'static,
    ) -> KCogroupedStream<'a, K, A> {
        let cogrouped = KCogroupedStream::empty(self.0.stream.app);
        cogrouped.with_nulls().cogroup(self.0, add)
    }
}

impl<'a, K: Clone + 'static, A: Clone + 'static> KCogroupedStream<'a, K, A> {
    fn empty(app: &'a App) -> Self {
        Self {
            app,
            members: Vec::new(),
            next: None,
            sources: Rc::default(),
        }
    }

    /// Adds a grouped stream.
    pub fn cogroup<V: Clone + 'static>(
        self,
        grouped: KGroupedStream<'a, K, V>,
        add: impl Fn(&K, V, A) -> A + Send + Sync + 'static,
    ) -> Self {
        let add = move |key: &K, value: Option<V>, row: Option<A>| Some(add(key, value?, row?));
        self.with(grouped, Arc::new(add), false)
    }

    fn with<V: Clone + 'static>(
        mut self,
        grouped: KGroupedStream<'a, K, V>,
        add: Arc<Add<K, V, A>>,
        takes_tombstones: bool,
    ) -> Self {
        let member: Rc<dyn Member<K, A> + 'a> = Rc::new(MemberOf {
            grouped,
            add,
            takes_tombstones,
        });
        // The same group again takes the new closure, in its old place, as in Kafka Streams.
        match (self.members.iter_mut()).find(|known| known.number() == grouped.number) {
            Some(known) => *known = member,
            None => self.members.push(member),
        }
        self
    }

    /// Names the next operators, `<name>-cogroup-agg-0` and on, and `<name>-cogroup-merge` (`Named`).
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.next = Some(self.app.graph.borrow_mut().give_name(name.into()));
        self
    }

    /// The next verb's closures see and give nulls.
    pub fn with_nulls(self) -> WithNulls<Self> {
        WithNulls(self)
    }

    /// Aggregates into rows that begin as `initial`.
    pub fn aggregate(
        self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, K, A> {
        self.build(Arc::new(move || Some(initial())), store.into())
    }

    /// Aggregates by window too.
    pub fn windowed_by<W: WindowedBy<Self>>(self, windows: W) -> W::Windowed {
        windows.windowed(self)
    }

    fn build(self, initial: Initial<A>, store: Store<K, A>) -> KTable<'a, K, A> {
        let (store, explicit) = self.store_name(store);
        let sources = self.sources(&store, explicit);
        let formats = Formats {
            key: store.key.clone(),
            value: store.value.clone(),
        };
        let role = Role {
            versioned: Some(store.is_versioned()),
            ..Role::default()
        };
        let spec = store_spec(self.app, "cogroup", store, Layout::KeyValue);
        let spec = self.app.graph.borrow_mut().add_store(spec);
        let kind = Kind::Plain(initial);
        let nodes = self.operators(&sources, role, spec, &kind, &formats);
        self.merge(nodes, spec, formats, stored_rows::<K, A>())
    }

    fn build_windowed(
        self,
        kept: WindowedStore<K, A>,
        sources: &[usize],
        kind: impl FnOnce(WindowedKey<K>) -> Kind<K, A>,
        rows: Wire,
    ) -> KTable<'a, Windowed<K>, A> {
        let spec = self.app.graph.borrow_mut().add_store(kept.spec);
        let kind = kind(kept.key);
        let nodes = self.operators(sources, kept.role, spec, &kind, &kept.formats);
        self.merge(nodes, spec, kept.formats, readable(rows))
    }

    /// The store with a name, and whether it was given.
    fn store_name(&self, mut store: Store<K, A>) -> (Store<K, A>, bool) {
        let explicit = store.name.is_some();
        if !explicit {
            let mut graph = self.app.graph.borrow_mut();
            let name = graph.number("COGROUPKSTREAM-AGGREGATE-STATE-STORE-");
            graph.generated.push(name.clone());
            store.name = Some(name);
        }
        (store, explicit)
    }

    /// The nodes that the members' operators read.
    fn sources(&self, store: &Store<K, A>, explicit: bool) -> Vec<usize> {
        let mut sources = Vec::new();
        for member in &self.members {
            let known = self.sources.borrow().get(&member.number()).copied();
            let source = match known {
                _ if !member.is_rekeyed() => member.node(),
                Some(node) => {
                    super::repartition::burn(self.app);
                    node
                }
                None => member.repartition(store, explicit),
            };
            self.sources.borrow_mut().insert(member.number(), source);
            sources.push(source);
        }
        let mut graph = self.app.graph.borrow_mut();
        // As in Kafka Streams, of what the groups read before any repartition.
        let read: Vec<usize> = self.members.iter().map(|member| member.node()).collect();
        graph.copartition(&read);
        sources
    }

    /// The members' operators, which share the store.
    fn operators<K2: 'static>(
        &self,
        sources: &[usize],
        role: Role,
        store: usize,
        kind: &Kind<K, A>,
        formats: &Formats<K2, A>,
    ) -> Vec<usize> {
        let mut nodes = Vec::new();
        for (number, (member, source)) in self.members.iter().zip(sources).enumerate() {
            let wire = member.wire(number, kind);
            let mut graph = self.app.graph.borrow_mut();
            let suffix = format!("-cogroup-agg-{number}");
            let name = graph.suffixed("COGROUPKSTREAM-AGGREGATE-", self.next, &suffix);
            let mut node = processor(name, vec![*source], wire, formats.clone());
            node.stores.push(store);
            node.table = Some(TableNode {
                sends_old: false,
                old_values: OldValues::Stored,
                lazy_store: None,
                store: Some(store),
                rows: Box::new(|_, _| Box::new(())),
            });
            nodes.push(graph.add_as(role, node));
        }
        nodes
    }

    /// The table that the operators make together (`KTablePassThrough`).
    fn merge<K2: Clone + 'static>(
        &self,
        nodes: Vec<usize>,
        store: usize,
        formats: Formats<K2, A>,
        rows: Wire,
    ) -> KTable<'a, K2, A> {
        let mut graph = self.app.graph.borrow_mut();
        let name = graph.suffixed("COGROUPKSTREAM-MERGE-", self.next, "-cogroup-merge");
        let wire = pass_wire::<K2, Change<A>>();
        let mut node = processor(name, nodes.clone(), wire, formats);
        node.table = Some(TableNode {
            sends_old: false,
            old_values: OldValues::Joined(nodes),
            lazy_store: None,
            store: Some(store),
            rows,
        });
        let node = graph.add(node);
        graph.forget_sources(node);
        drop(graph);
        KTable::at(self.app, node)
    }
}

impl<'a, K: Clone + 'static, A: Clone + 'static> WithNulls<KCogroupedStream<'a, K, A>> {
    /// As `KCogroupedStream::cogroup`; windowed aggregates are given tombstones too.
    pub fn cogroup<V: Clone + 'static>(
        self,
        grouped: KGroupedStream<'a, K, V>,
        add: impl Fn(&K, Option<V>, Option<A>) -> Option<A> + Send + Sync + 'static,
    ) -> KCogroupedStream<'a, K, A> {
        self.0.with(grouped, Arc::new(add), true)
    }

    /// As `KCogroupedStream::aggregate`.
    pub fn aggregate(
        self,
        initial: impl Fn() -> Option<A> + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, K, A> {
        self.0.build(Arc::new(initial), store.into())
    }
}

/// A cogroup by window of time (`TimeWindowedCogroupedKStream`, `SlidingWindowedCogroupedKStream`). Results are sent with each
/// update.
pub struct KWindowedCogroup<'a, K, A> {
    cogrouped: KCogroupedStream<'a, K, A>,
    windows: ErasedWindows,
}

impl<K, A> Clone for KWindowedCogroup<'_, K, A> {
    fn clone(&self) -> Self {
        Self {
            cogrouped: self.cogrouped.clone(),
            windows: self.windows.clone(),
        }
    }
}

impl<'a, K, A, W: Windowing> WindowedBy<KCogroupedStream<'a, K, A>> for W {
    type Windowed = KWindowedCogroup<'a, K, A>;

    fn windowed(self, cogrouped: KCogroupedStream<'a, K, A>) -> Self::Windowed {
        KWindowedCogroup {
            cogrouped,
            windows: ErasedWindows::of(self),
        }
    }
}

impl<'a, K: Clone + 'static, A: Clone + 'static> KWindowedCogroup<'a, K, A> {
    /// Names the next operators, as `KCogroupedStream::named`.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.cogrouped = self.cogrouped.named(name);
        self
    }

    /// The next verb's closures see and give nulls.
    pub fn with_nulls(self) -> WithNulls<Self> {
        WithNulls(self)
    }

    /// Aggregates into rows that begin as `initial`.
    pub fn aggregate(
        self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, Windowed<K>, A> {
        self.build(Arc::new(move || Some(initial())), store.into())
    }

    fn build(self, initial: Initial<A>, store: Store<K, A>) -> KTable<'a, Windowed<K>, A> {
        let (cogrouped, windows) = (self.cogrouped, self.windows);
        let (store, explicit) = cogrouped.store_name(store);
        let sources = cogrouped.sources(&store, explicit);
        let emit = EmitStrategy::OnWindowUpdate;
        let kept = windowed_store(cogrouped.app, "cogroup", &windows, emit, store);
        let kind = |key| Kind::Windowing(windows, key, initial);
        let rows = stored_rows::<Windowed<K>, A>();
        cogrouped.build_windowed(kept, &sources, kind, rows)
    }
}

impl<'a, K: Clone + 'static, A: Clone + 'static> WithNulls<KWindowedCogroup<'a, K, A>> {
    /// As `KWindowedCogroup::aggregate`.
    pub fn aggregate(
        self,
        initial: impl Fn() -> Option<A> + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, Windowed<K>, A> {
        self.0.build(Arc::new(initial), store.into())
    }
}

/// A cogroup by session (`SessionWindowedCogroupedKStream`). Results are sent with each update.
pub struct KSessionCogroup<'a, K, A> {
    cogrouped: KCogroupedStream<'a, K, A>,
    windows: SessionWindows,
}

impl<K, A> Clone for KSessionCogroup<'_, K, A> {
    fn clone(&self) -> Self {
        Self {
            cogrouped: self.cogrouped.clone(),
            windows: self.windows,
        }
    }
}

impl<'a, K, A> WindowedBy<KCogroupedStream<'a, K, A>> for SessionWindows {
    type Windowed = KSessionCogroup<'a, K, A>;

    fn windowed(self, cogrouped: KCogroupedStream<'a, K, A>) -> Self::Windowed {
        KSessionCogroup {
            cogrouped,
            windows: self,
        }
    }
}

impl<'a, K: Clone + 'static, A: Clone + 'static> KSessionCogroup<'a, K, A> {
    /// Names the next operators, as `KCogroupedStream::named`.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.cogrouped = self.cogrouped.named(name);
        self
    }

    /// The next verb's closures see and give nulls.
    pub fn with_nulls(self) -> WithNulls<Self> {
        WithNulls(self)
    }

    /// Aggregates into rows that begin as `initial`; `merge` makes one row of two when sessions become one.
    pub fn aggregate(
        self,
        initial: impl Fn() -> A + Send + Sync + 'static,
        merge: impl Fn(&K, A, A) -> A + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, Windowed<K>, A> {
        let merge = move |key: &K, one: Option<A>, two: Option<A>| Some(merge(key, one?, two?));
        let initial = move || Some(initial());
        self.build(Arc::new(initial), Arc::new(merge), store.into())
    }

    fn build(
        self,
        initial: Initial<A>,
        merge: Merge<K, A>,
        store: Store<K, A>,
    ) -> KTable<'a, Windowed<K>, A> {
        let (cogrouped, windows) = (self.cogrouped, self.windows);
        let (store, explicit) = cogrouped.store_name(store);
        let sources = cogrouped.sources(&store, explicit);
        let emit = EmitStrategy::OnWindowUpdate;
        let kept = session_store(cogrouped.app, "cogroup", windows, emit, store);
        let kind = |key| Kind::Sessions(windows, key, initial, merge);
        let rows = session_table_rows::<K, A>();
        cogrouped.build_windowed(kept, &sources, kind, rows)
    }
}

impl<'a, K: Clone + 'static, A: Clone + 'static> WithNulls<KSessionCogroup<'a, K, A>> {
    /// As `KSessionCogroup::aggregate`.
    pub fn aggregate(
        self,
        initial: impl Fn() -> Option<A> + Send + Sync + 'static,
        merge: impl Fn(&K, Option<A>, Option<A>) -> Option<A> + Send + Sync + 'static,
        store: impl Into<Store<K, A>>,
    ) -> KTable<'a, Windowed<K>, A> {
        self.0
            .build(Arc::new(initial), Arc::new(merge), store.into())
    }
}

/// Kafka Streams reads the rows of every cogroup as those of a key-value store, which fails for windows
/// (`KTablePassThrough.KTablePassThroughValueGetter`).
fn readable(rows: Wire) -> Wire {
    Box::new(move |wiring, node| {
        let topology = wiring.topology;
        if topology.settings.semantics == Semantics::Java {
            let name = &topology.nodes[node].name;
            let reason = format!("{name}: its windows are not kept as plain rows");
            wiring.open_with_task(node, Rc::new(Unreadable(reason)));
        }
        rows(wiring, node)
    })
}

/// Windows behind their type: a cogroup's members have types of their own already.
#[derive(Clone)]
struct ErasedWindows {
    kind: WindowsKind,
    size_ms: i64,
    grace_ms: i64,
    problem: Option<String>,
    starts: Arc<dyn Fn(i64) -> Vec<i64> + Send + Sync>,
    end: Arc<dyn Fn(i64) -> i64 + Send + Sync>,
}

impl ErasedWindows {
    fn of<W: Windowing>(windows: W) -> Self {
        let ends = windows.clone();
        Self {
            kind: windows.kind(),
            size_ms: windows.size_ms(),
            grace_ms: windows.grace_ms(),
            problem: windows.problem(),
            end: Arc::new(move |start| ends.end(start)),
            starts: Arc::new(move |timestamp| windows.starts(timestamp).collect()),
        }
    }
}

impl Windowing for ErasedWindows {
    fn size_ms(&self) -> i64 {
        self.size_ms
    }

    fn grace_ms(&self) -> i64 {
        self.grace_ms
    }

    fn starts(&self, timestamp: i64) -> impl Iterator<Item = i64> {
        let time = match &self.kind {
            WindowsKind::Time(windows) => Some(windows.starts(timestamp)),
            _ => None,
        };
        let others = match time {
            Some(_) => Vec::new(),
            None => (self.starts)(timestamp),
        };
        time.into_iter().flatten().chain(others)
    }

    fn end(&self, start: i64) -> i64 {
        (self.end)(start)
    }

    fn kind(&self) -> WindowsKind {
        self.kind
    }

    fn problem(&self) -> Option<String> {
        self.problem.clone()
    }
}

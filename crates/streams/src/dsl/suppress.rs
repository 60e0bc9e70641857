//! `KTable::suppress`: holding updates back for a time, or until their windows have closed. Not a filter: of each key the last
//! update arrives. Invariant: final results leave once, when no record can change them any more.

use super::KTable;
use super::app::processor;
use super::table::boxed_rows;
use crate::Change;
use crate::format::{FormatOf, Formats};
use crate::operator::ObservedTime;
use crate::operator::suppress::{
    Buffer, HeldRow, Rule, Shared, SuppressedRows, Suppression, WhenFull,
};
use crate::task::{Scratch, Wire, Wiring, boxed_whole};
use crate::topology::{Held, HeldRows, Kept, OldValues, Role, Semantics, StoreSpec, TableNode};
use crate::window::{Windowed, millis};
use headwater_log::TopicConfig;
use headwater_store::Layout;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// The default of [`Suppress::memory_bytes_max`]: 64 MiB for each partition.
const MEMORY_BYTES_MAX: usize = 64 << 20;

/// Rows leave some time after they were first held back (`Suppressed.untilTimeLimit`).
#[derive(Clone, Copy, Debug)]
pub struct TimeLimit(());

/// Rows leave when their windows have closed (`Suppressed.untilWindowCloses`).
#[derive(Clone, Copy, Debug)]
pub struct WindowClose(());

/// How long a table's updates are held back, and how many of them (`Suppressed`). By default without bound: what does not fit
/// into [`Suppress::memory_bytes_max`] waits on disk.
#[derive(Clone, Debug)]
pub struct Suppress<T> {
    /// `None` for the grace of the windows upstream.
    wait_ms: Option<i64>,
    records_max: usize,
    bytes_max: usize,
    when_full: WhenFull,
    memory_bytes_max: usize,
    logged: bool,
    changelog_config: TopicConfig,
    until: PhantomData<fn() -> T>,
}

impl Suppress<TimeLimit> {
    /// Holds each update back until stream time has passed the time of the key's first one by `limit`; of those that come in the
    /// meantime the last one leaves. Tombstones leave too.
    pub fn until_time_limit(limit: Duration) -> Self {
        Self::of(Some(millis(limit)))
    }

    /// When a bound is passed the rows that are due first leave early.
    pub fn emit_early_when_full(mut self) -> Self {
        self.when_full = WhenFull::EmitEarly;
        self
    }
}

impl Suppress<WindowClose> {
    /// Holds each window's result back until the window has closed: until stream time has passed its end by the grace given
    /// upstream. Each result leaves once, and windows without one send nothing.
    pub fn until_window_closes() -> Self {
        Self::of(None)
    }
}

impl<T> Suppress<T> {
    fn of(wait_ms: Option<i64>) -> Self {
        Self {
            wait_ms,
            records_max: usize::MAX,
            bytes_max: usize::MAX,
            when_full: WhenFull::ShutDown,
            memory_bytes_max: MEMORY_BYTES_MAX,
            logged: true,
            changelog_config: TopicConfig::new(),
            until: PhantomData,
        }
    }

    /// Rows that may wait in one partition.
    pub fn max_records(mut self, rows: usize) -> Self {
        self.records_max = rows;
        self
    }

    /// Bytes that may wait in one partition, as Kafka Streams counts them: keys, values and the context of their records.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.bytes_max = bytes;
        self
    }

    /// When a bound is passed the application stops with an error that names it: the default.
    pub fn shut_down_when_full(mut self) -> Self {
        self.when_full = WhenFull::ShutDown;
        self
    }

    /// Memory for rows that wait in one partition, 64 MiB unless said otherwise. Rows beyond it that are due last wait in the
    /// store on disk and change nothing in the results. Kafka Streams keeps all rows in memory.
    pub fn memory_bytes_max(mut self, bytes: usize) -> Self {
        self.memory_bytes_max = bytes;
        self
    }

    /// Keeps no changelog: what waits is lost with the machine.
    pub fn without_changelog(mut self) -> Self {
        self.logged = false;
        self
    }

    /// A setting of the changelog topic, by Kafka's name.
    pub fn changelog_setting(mut self, name: &str, value: &str) -> Self {
        self.changelog_config.insert(name.into(), value.into());
        self
    }

    fn rule(&self, wait_ms: i64) -> Rule {
        Rule {
            wait_ms,
            records_max: self.records_max,
            bytes_max: self.bytes_max,
            when_full: self.when_full,
            drops_tombstones: self.wait_ms.is_none(),
        }
    }
}

/// What suppression may wait for in a table with keys `K`: a time limit in any, the close of windows where keys have one.
pub trait SuppressUntil<K> {
    /// The time of a row, from its key and its record's timestamp.
    #[doc(hidden)]
    fn time(key: &K, timestamp: i64) -> i64;
}

impl<K> SuppressUntil<K> for TimeLimit {
    fn time(_: &K, timestamp: i64) -> i64 {
        timestamp
    }
}

impl<K> SuppressUntil<Windowed<K>> for WindowClose {
    fn time(key: &Windowed<K>, _: i64) -> i64 {
        key.end
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> KTable<'a, K, V> {
    /// Holds updates back: `counts.suppress(Suppress::until_window_closes())` sends each window's final result,
    /// `table.suppress(Suppress::until_time_limit(minute))` at most one update of a key a minute.
    ///
    /// Time is stream time: without records nothing leaves. Rows leave in the order of their times, then of their keys' bytes.
    /// The store is called `KTABLE-SUPPRESS-STATE-STORE-..`, or `NAME-store` after [`KTable::named`].
    pub fn suppress<T: SuppressUntil<K> + 'static>(self, suppress: Suppress<T>) -> Self {
        let app = self.app;
        let formats = self.formats_in(&app.graph.borrow());
        let mut graph = app.graph.borrow_mut();
        let given = self.name.map(|name| graph.given(name).to_owned());
        let name = match &given {
            Some(given) => given.clone(),
            None => graph.number("KTABLE-SUPPRESS-"),
        };
        let parent_group = graph.nodes[self.node].group;
        let grace_ms = match suppress.wait_ms {
            Some(_) => None,
            None => graph.grace_of(parent_group),
        };
        let wait_ms = suppress.wait_ms.or(grace_ms).unwrap_or_else(|| {
            graph.problem(format!(
                "{name}: not all that comes in is aggregated in windows, so that nothing says when they close; suppress the table \
                 of a windowed aggregation, or use Suppress::until_time_limit"
            ));
            0
        });
        let store_name = match given {
            Some(given) => format!("{given}-store"),
            None => {
                let store = graph.number("KTABLE-SUPPRESS-STATE-STORE-");
                if suppress.logged {
                    graph.generated.push(store.clone());
                }
                store
            }
        };
        graph.send_old(self.node, true);
        if formats.key.is_none() || formats.value.is_none() {
            graph.problem(format!(
                "{name}: the table has no format for its keys or values; give KTable::keys and KTable::values before suppress"
            ));
        }
        let store = graph.add_store(store_spec(store_name, &suppress));
        let rule = suppress.rule(wait_ms);
        let memory_bytes_max = suppress.memory_bytes_max;
        let parts = (formats.clone(), rule, memory_bytes_max);
        let mut node = processor(
            name,
            vec![self.node],
            wire::<K, V, T>(parts),
            formats.clone(),
        );
        node.stores.push(store);
        node.table = Some(TableNode {
            sends_old: false,
            old_values: OldValues::Derived(vec![self.node]),
            lazy_store: None,
            store: None,
            rows: rows::<K, V>(self.node, formats, memory_bytes_max),
        });
        let role = Role {
            versioned: Some(false),
            suppresses: true,
            ..Role::default()
        };
        let node = graph.add_as(role, node);
        graph.forget_sources(node);
        drop(graph);
        KTable::at(app, node)
    }
}

fn store_spec<T>(name: String, suppress: &Suppress<T>) -> StoreSpec {
    StoreSpec {
        name,
        layout: Layout::KeyValue,
        in_memory: None,
        cached: false,
        logged: suppress.logged,
        timestamped: false,
        kept: Kept::Whole,
        duplicates: false,
        observed: false,
        tumbling_ms: None,
        changelog_config: suppress.changelog_config.clone(),
        java_expiry: None,
        timer_keys: None,
        time_to_live_ms: None,
        changelog_topic: None,
        missing: None,
        held: Some(HeldRows {
            row: |key, bytes| {
                HeldRow::decode(bytes).map(|row| Held {
                    time: row.time,
                    bytes: row.counted_len(key),
                })
            },
            java_lag_ms: None,
        }),
        // Rows are not values of the table: no view reads them.
        formats: Arc::new(()),
    }
}

/// The buffer that the operator and whoever reads the table's rows share.
fn buffer(wiring: &mut Wiring<'_>, store: usize, memory_bytes_max: usize) -> Rc<Buffer> {
    wiring.shared(store, |_| Buffer::new(store, memory_bytes_max))
}

fn known<T>(format: &Option<FormatOf<T>>) -> FormatOf<T> {
    let format = format.clone();
    format.expect("a built table has its formats")
}

fn wire<K, V, T>((formats, rule, memory_bytes_max): (Formats<K, V>, Rule, usize)) -> Wire
where
    K: Clone + 'static,
    V: Clone + 'static,
    T: SuppressUntil<K> + 'static,
{
    Box::new(move |wiring, node| {
        let store = wiring.topology.nodes[node].stores[0];
        let buffer = buffer(wiring, store, memory_bytes_max);
        wiring.before_commit[store] = Some(buffer.clone());
        wiring.open_with_task(node, buffer.clone());
        let suppression = Suppression {
            name: wiring.topology.nodes[node].name.as_str().into(),
            topic: wiring.topology.changelog(store).into(),
            key: known(&formats.key),
            value: known(&formats.value),
            rule,
            sends_prior: wiring.topology.settings.semantics == Semantics::Headwater,
            full_stops: wiring.topology.settings.semantics == Semantics::Headwater,
            buffer,
            time: T::time,
            observed_time: ObservedTime::wire(wiring, store, None),
            outputs: wiring.outputs(node),
            key_bytes: Scratch::default(),
            old_bytes: Scratch::default(),
            new_bytes: Scratch::default(),
        };
        let suppression = Rc::new(suppression);
        wiring.closers.push(suppression.clone());
        boxed_whole::<K, Change<V>>(wiring, node, Shared(suppression))
    })
}

fn rows<K: Clone + 'static, V: Clone + 'static>(
    parent: usize,
    formats: Formats<K, V>,
    memory_bytes_max: usize,
) -> Wire {
    Box::new(move |wiring, node| {
        let store = wiring.topology.nodes[node].stores[0];
        boxed_rows(SuppressedRows {
            topic: wiring.topology.changelog(store).into(),
            key: known(&formats.key),
            value: known(&formats.value),
            buffer: buffer(wiring, store, memory_bytes_max),
            parent: wiring.rows::<K, V>(parent),
            key_bytes: Scratch::default(),
        })
    })
}

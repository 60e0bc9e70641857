//! What a task begins with: its stores as operators see them, and the state around them.
//! Not its inputs. Invariant: nothing here reads a record.

use crate::Position;
use crate::task::{
    ClosingTime, Counters, Globals, JavaExpiry, Schedules, StateStore, TaskState, Wiring,
};
use crate::topology::{Semantics, StoreSpec, Topology};
use headwater_log::TaskId;
use headwater_store::{Layout, RecordCache};

/// What Kafka Streams' own store would hide; under its semantics only.
fn java_expiry(topology: &Topology, spec: &StoreSpec) -> Option<Box<JavaExpiry>> {
    if topology.settings.semantics != Semantics::Java {
        return None;
    }
    let in_memory = spec.in_memory == Some(true);
    JavaExpiry::new(&spec.layout, in_memory, spec.java_expiry?, spec.kept).map(Box::new)
}

/// The state of what was wired, before the first record.
pub(in crate::task) fn open_state(
    topology: &Topology,
    wiring: Wiring<'_>,
    id: TaskId,
    stores: Vec<Option<StateStore>>,
    timed: Vec<u32>,
) -> TaskState {
    let closing = ClosingTime::new(timed, &wiring.marks);
    TaskState {
        id,
        semantics: topology.settings.semantics,
        stores,
        globals: Globals::default(),
        flushers: wiring.flushers,
        before_commit: wiring.before_commit,
        marks: wiring.marks,
        executor: None,
        stream_time: -1,
        closing,
        said_idle: false,
        now_ms: 0,
        counters: Counters::default(),
        failed: wiring.failed,
        schedules: Schedules::default(),
        commit_requested: false,
        topics: topology.source_topics.clone(),
        source: topology.settings.sends_letters().then(Box::default),
        flushing: Position::NONE,
        buffers: Default::default(),
        value: Vec::new(),
    }
}

pub(in crate::task) fn open_stores(
    topology: &Topology,
    stores: Vec<(usize, headwater_store::Store)>,
    cache: &mut RecordCache,
) -> Vec<Option<StateStore>> {
    let mut opened: Vec<Option<StateStore>> = topology.stores.iter().map(|_| None).collect();
    for (number, bytes) in stores {
        let spec = &topology.stores[number];
        opened[number] = Some(StateStore {
            name: spec.name.as_str().into(),
            bytes,
            logged: spec.writes_changelog(),
            timestamped: spec.timestamped,
            cache: spec.cached.then(|| cache.add_store()),
            is_flushing: false,
            caches_reads: matches!(spec.layout, Layout::KeyValue | Layout::Lru { .. }),
            topic: topology.changelog(number).into(),
            kept: spec.kept,
            duplicates: spec.duplicates,
            observed: spec.observed,
            sequence: 0,
            logs_evicted: matches!(spec.layout, Layout::Lru { .. }) && !spec.timestamped,
            formats: spec.formats.clone(),
            observed_time: -1,
            observers: Vec::new(),
            java: java_expiry(topology, spec),
            observed_mark: None,
            first_timers: [i64::MAX; 2],
            sealed_time: -1,
        });
    }
    opened
}

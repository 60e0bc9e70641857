//! What was consumed of repartition topics is deleted at `repartition.purge.interval.ms`. Not the log's own deletion, which its suite has.
//! Invariant: no topic begins later than the group's committed position in it, at no step.

use crate::application::{
    APPLICATION, differences, expected, impatient, load_until, results, topology_in_memory,
};
use headwater_log::{
    ClientOptions, Guarantee, Log, MemoryLog, OffsetSpec, Request, Response, TopicPartition, call,
};
use headwater_runtime::{Settings, Worker};
use headwater_world::{Simulation, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const PURGE_MS: u64 = 200;
/// Records of one round; all of them in [`ROUNDS`].
const ROUND: u64 = 12;
const ROUNDS: u64 = 5;
const CALL_MS_MAX: u64 = 30_000;
const REPARTITION: &str = "app-regions-repartition";
/// Nothing of these is ever deleted.
const KEPT: [&str; 3] = ["in", "sums-out", "app-regions-changelog"];
const PARTITIONS: u32 = 2;

type Offsets = BTreeMap<TopicPartition, i64>;

struct Scene {
    simulation: Simulation,
    log: Arc<MemoryLog>,
    worker: Worker,
    settings: Settings,
    loaded: u64,
    /// As last seen, and when each was seen to move.
    starts: Offsets,
    moved_at_ms: Vec<u128>,
}

impl Scene {
    fn new(kafka_like: bool, guarantee: Guarantee) -> Self {
        let simulation = World::simulated(3);
        let log = match kafka_like {
            true => MemoryLog::kafka_like(&simulation.world),
            false => MemoryLog::new(&simulation.world),
        };
        let settings = Settings {
            world: simulation.world.clone(),
            guarantee,
            commit_interval_ms: 5,
            purge_interval_ms: PURGE_MS,
            ..Settings::default()
        };
        let (worker, _) = Worker::join(&topology_in_memory(), &*log, settings.clone(), 1).unwrap();
        Self {
            simulation,
            log,
            worker,
            settings,
            loaded: 0,
            starts: Offsets::new(),
            moved_at_ms: Vec::new(),
        }
    }

    fn ask(&self, request: Request) -> Response {
        let mut client = self.log.client(ClientOptions::default()).unwrap();
        let clock = impatient(&self.simulation).clock;
        call(&mut *client, &*clock, request, CALL_MS_MAX).unwrap()
    }

    fn starts_of(&self, topic: &str) -> Offsets {
        let specs = (0..PARTITIONS).map(|p| (TopicPartition::new(topic, p), OffsetSpec::Start));
        match self.ask(Request::Offsets(specs.collect())) {
            Response::Offsets(offsets) => offsets.into_iter().collect(),
            other => panic!("{other:?}"),
        }
    }

    fn committed(&self) -> Offsets {
        let request = Request::CommittedOffsets {
            group: APPLICATION.into(),
            partitions: None,
        };
        match self.ask(request) {
            Response::Committed(offsets) => {
                let offsets = offsets.into_iter().map(|(at, to)| (at, to.offset));
                offsets.collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// A round's records, and steps for longer than the interval; after each step nothing that is not committed is gone.
    fn round(&mut self) {
        self.loaded += ROUND;
        let loader = Settings {
            world: impatient(&self.simulation),
            ..self.settings.clone()
        };
        load_until(&*self.log, &loader, self.loaded).unwrap();
        let clock = self.settings.world.clock.clone();
        let until = clock.elapsed() + Duration::from_millis(2 * PURGE_MS);
        while clock.elapsed() < until {
            self.simulation.clock.advance(Duration::from_millis(1));
            self.worker.step().unwrap();
            if self.worker.running().count() == 0 {
                continue;
            }
            let (committed, starts) = (self.committed(), self.starts_of(REPARTITION));
            for (at, start) in &starts {
                let position = committed.get(at).copied().unwrap_or(0);
                assert!(*start <= position, "{at}: {start} > {position}");
            }
            if self.starts.iter().any(|(at, start)| starts[at] > *start) {
                self.moved_at_ms.push(clock.elapsed().as_millis());
            }
            self.starts = starts;
        }
    }
}

fn check(kafka_like: bool, guarantee: Guarantee) {
    let what = format!("kafka-like: {kafka_like}, {guarantee:?}");
    let mut scene = Scene::new(kafka_like, guarantee);
    let mut before = Offsets::new();
    for round in 0..ROUNDS {
        scene.round();
        // At the first commit of a round the interval is over: then at the latest what earlier rounds left is deleted.
        for (at, start) in &scene.starts {
            let left = before.get(at).copied().unwrap_or(0);
            assert!(
                *start >= left,
                "{what}, round {round}: {at}: {start} < {left}"
            );
        }
        before = scene.committed();
    }
    let gone: i64 = scene.starts.values().sum();
    assert!(gone > 0, "{what}: {:?}", scene.starts);
    let moves = &scene.moved_at_ms;
    assert!(moves.len() as u64 >= ROUNDS - 1, "{what}: {moves:?}");
    for pair in moves.windows(2) {
        assert!(pair[1] - pair[0] >= PURGE_MS.into(), "{what}: {moves:?}");
    }
    for topic in KEPT {
        let starts = scene.starts_of(topic);
        assert!(starts.values().all(|start| *start == 0), "{what}: {topic}");
    }
    // What is deleted is no longer there to be counted.
    let mut found = results(&*scene.log, &impatient(&scene.simulation));
    assert!(found.repartitioned < expected().repartitioned, "{what}");
    found.repartitioned = expected().repartitioned;
    let differences = differences(&found, &expected());
    assert!(differences.is_empty(), "{what}: {differences:#?}");
}

#[test]
fn repartition_topics_lose_what_is_committed_at_the_interval_and_nothing_else() {
    for kafka_like in [false, true] {
        for guarantee in [Guarantee::ExactlyOnce, Guarantee::AtLeastOnce] {
            check(kafka_like, guarantee);
        }
    }
}

//! A task moves from a worker whose other tasks go on. Not a worker that stops: see `process`. Invariant: the worker never rests, and
//! while each of its commits is under way it processes more.

use headwater_log::MemoryLog;
use headwater_runtime::{Settings, SourceWriter, Worker};
use headwater_streams::App;
use headwater_world::World;
use std::sync::Arc;
use std::time::Duration;

const PARTITIONS: u32 = 4;
const RECORDS: u64 = 8_000;
const ROUNDS_MAX: usize = 100;

#[test]
fn a_task_is_handed_over_while_the_others_of_its_worker_go_on() {
    let simulation = World::simulated(1);
    let log = MemoryLog::new(&simulation.world);
    let settings = Settings {
        world: crate::application::impatient(&simulation),
        commit_interval_ms: 5,
        step_records_max: 1,
        ..Settings::default()
    };
    let mut writer = SourceWriter::open(&*log, "app", "file", &settings).unwrap();
    writer.ensure_topic("in", PARTITIONS).unwrap();
    writer.ensure_topic("out", PARTITIONS).unwrap();
    for number in 0..RECORDS {
        writer.append("in", &number, &1_i64, 1).unwrap();
    }
    writer.commit(RECORDS).unwrap();
    let app = App::new("app");
    app.stream::<u64, i64>("in").to("out");
    let topology = Arc::new(app.build().unwrap());
    let join = |number| {
        Worker::join(&topology, &*log, settings.clone(), number)
            .unwrap()
            .0
    };
    let mut busy = join(1);
    while busy.running().count() < PARTITIONS as usize {
        simulation.clock.advance(Duration::from_millis(1));
        busy.step().unwrap();
    }
    let mut other = join(2);
    for _ in 0..ROUNDS_MAX {
        log.freeze(busy.client_id());
        for _ in 0..2 {
            simulation.clock.advance(Duration::from_millis(1));
            assert!(busy.step().unwrap().records > 0, "it rests");
        }
        log.thaw(busy.client_id());
        busy.step().unwrap();
        other.step().unwrap();
        if other.running().count() == PARTITIONS as usize / 2 {
            return;
        }
    }
    panic!("{}\n{}", busy.describe(), other.describe());
}

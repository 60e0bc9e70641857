//! Positions pass the marker of a transaction although no record follows it. Not the lag that tools compute from them.
//! Invariant: an application at rest has committed the end of what it reads.

use headwater_log::{
    Client, ClientOptions, Log, MemoryLog, OffsetSpec, Request, Response, TopicPartition, call,
};
use headwater_runtime::{Settings, SourceWriter, Worker};
use headwater_streams::App;
use headwater_world::World;
use std::sync::Arc;
use std::time::Duration;

const STEPS_MAX: usize = 50;
const CALL_MS_MAX: u64 = 1_000;

#[test]
fn a_position_passes_the_marker_behind_the_last_record() {
    let simulation = World::simulated(1);
    let log = MemoryLog::kafka_like(&simulation.world);
    let settings = Settings {
        world: crate::application::impatient(&simulation),
        commit_interval_ms: 0,
        // A commit lies between the record and what is read of the chunk behind it.
        step_records_max: 1,
        ..Settings::default()
    };
    let mut writer = SourceWriter::open(&*log, "app", "file", &settings).unwrap();
    writer.ensure_topic("in", 1).unwrap();
    writer.ensure_topic("out", 1).unwrap();
    writer.append("in", &1_u64, &1_i64, 1).unwrap();
    writer.commit(1).unwrap();
    let app = App::new("app");
    app.stream::<u64, i64>("in").to("out");
    let topology = Arc::new(app.build().unwrap());
    let (mut worker, _) = Worker::join(&topology, &*log, settings.clone(), 1).unwrap();
    for _ in 0..STEPS_MAX {
        simulation.clock.advance(Duration::from_millis(1));
        worker.step().unwrap();
    }
    let mut client = log.client(ClientOptions::default()).unwrap();
    let end = end(&mut *client, &settings.world);
    assert_eq!(end, 2, "a record and a marker");
    assert_eq!(committed(&mut *client, &settings.world), Some(end));
    let commits = worker.commits();
    for _ in 0..STEPS_MAX {
        simulation.clock.advance(Duration::from_millis(1));
        worker.step().unwrap();
    }
    assert_eq!(
        worker.commits(),
        commits,
        "an application at rest commits nothing"
    );
}

fn end(client: &mut dyn Client, world: &World) -> i64 {
    let asked = vec![(TopicPartition::new("in", 0), OffsetSpec::End)];
    match call(client, &*world.clock, Request::Offsets(asked), CALL_MS_MAX).unwrap() {
        Response::Offsets(ends) => ends[0].1,
        other => panic!("{other:?}"),
    }
}

fn committed(client: &mut dyn Client, world: &World) -> Option<i64> {
    let request = Request::CommittedOffsets {
        group: "app".into(),
        partitions: None,
    };
    match call(client, &*world.clock, request, CALL_MS_MAX).unwrap() {
        Response::Committed(known) => known.first().map(|(_, at)| at.offset),
        other => panic!("{other:?}"),
    }
}

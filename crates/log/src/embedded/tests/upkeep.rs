//! Retention, compaction, deletion of records, many partitions, reading beside the owner. Not crashes: see `crash`.
//! Invariant checked: upkeep removes what the settings say, and offsets never change.

use super::kit::{DIR, Line, Session, partition, topic};
use crate::{
    Error, OffsetSpec, Request,
    embedded::{EmbeddedLog, EmbeddedOptions, verify},
};
use headwater_world::{Simulation, World};
use std::{path::Path, time::Duration};

fn options() -> EmbeddedOptions {
    EmbeddedOptions {
        maintenance_interval_ms: 1000,
        ..EmbeddedOptions::default()
    }
}

fn open(simulation: &Simulation) -> Session {
    Session::open(Path::new(DIR), &simulation.world, options()).unwrap()
}

/// Time passes, and everything that is due is done.
fn idle(simulation: &Simulation, session: &Session) {
    for _ in 0..4 {
        simulation.clock.advance(Duration::from_secs(2));
        while session.log.turn() {}
    }
}

fn files(simulation: &Simulation, ending: &str) -> Vec<String> {
    let paths = simulation.disk.paths();
    let names = paths.iter().map(|path| path.display().to_string());
    names.filter(|name| name.ends_with(ending)).collect()
}

fn last_values(lines: &[Line]) -> Vec<(String, String)> {
    let mut last = std::collections::BTreeMap::new();
    for (_, key, value) in lines {
        match value {
            Some(value) => last.insert(key.clone().unwrap(), value.clone()),
            None => last.remove(key.as_ref().unwrap()),
        };
    }
    last.into_iter().collect()
}

#[test]
fn compaction_keeps_the_last_value_of_each_key_and_its_offset() {
    let simulation = World::simulated(1);
    let mut session = open(&simulation);
    let compact = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1000"),
        ("delete.retention.ms", "60000"),
    ];
    session.create(&[topic("table", 1, &compact)]).unwrap();
    let table = partition("table", 0);
    for round in 0..200 {
        let key = format!("key {}", round % 7);
        let value = format!("value {round}");
        // Key 3 ends deleted.
        let value = (round < 180 || round % 7 != 3).then_some(value.as_str());
        session.append(&table, Some(&key), value, round);
        if round % 3 == 0 {
            session.commit(&[]).unwrap();
        }
    }
    session.commit(&[]).unwrap();
    let before = session.read(&table, 0).unwrap();
    idle(&simulation, &session);
    let after = session.read(&table, 0).unwrap();
    assert!(after.len() < 40, "{} records of 200 stay", after.len());
    assert!(after.iter().all(|line| before.contains(line)));
    assert_eq!(last_values(&after), last_values(&before));
    let tombstones = |lines: &[Line]| lines.iter().filter(|line| line.2.is_none()).count();
    assert!(
        tombstones(&after) > 0,
        "a tombstone outlives its first compaction"
    );
    // Reading from within a gap goes on after it; nothing is left over; everything verifies and opens again.
    assert_eq!(
        session.read(&table, 50).unwrap(),
        after
            .iter()
            .filter(|line| line.0 >= 50)
            .cloned()
            .collect::<Vec<_>>()
    );
    assert_eq!(session.offset(&table, OffsetSpec::End).unwrap(), 200);
    assert_eq!(files(&simulation, "cleaned"), Vec::<String>::new());
    drop(session);
    let report = verify(DIR, simulation.world.clone()).unwrap();
    assert!(report.is_sound(), "{report:?}");
    let mut session = open(&simulation);
    assert_eq!(session.read(&table, 0).unwrap(), after);
    // The tombstone goes with the first compaction after its time.
    simulation.clock.advance(Duration::from_secs(120));
    for round in 0..100 {
        session.append(&table, Some("key 0"), Some(&format!("again {round}")), 300);
        session.commit(&[]).unwrap();
    }
    idle(&simulation, &session);
    let later = session.read(&table, 0).unwrap();
    let old: Vec<_> = later.iter().filter(|line| line.0 < 190).cloned().collect();
    assert_eq!(tombstones(&old), 0, "{old:?}");
    assert!(!last_values(&later).iter().any(|(key, _)| key == "key 3"));
    assert!(verify(DIR, simulation.world.clone()).unwrap().is_sound());
}

#[test]
fn retention_by_time_and_size_removes_whole_old_segments() {
    let simulation = World::simulated(1);
    let mut session = open(&simulation);
    let by_time = [("retention.ms", "3600000"), ("segment.bytes", "1000")];
    let by_size = [("retention.bytes", "3000"), ("segment.bytes", "1000")];
    let forever = [("segment.bytes", "1000")];
    session
        .create(&[
            topic("time", 1, &by_time),
            topic("size", 1, &by_size),
            topic("ever", 1, &forever),
        ])
        .unwrap();
    let start_ms = simulation.world.clock.now_ms();
    for round in 0..100 {
        for name in ["time", "size", "ever"] {
            session.append(
                &partition(name, 0),
                None,
                Some("some value"),
                start_ms + round * 60_000,
            );
        }
        session.commit(&[]).unwrap();
    }
    let files_before = files(&simulation, ".log").len();
    simulation.clock.advance(Duration::from_secs(110 * 60));
    idle(&simulation, &session);
    let start = |session: &mut Session, name| {
        session
            .offset(&partition(name, 0), OffsetSpec::Start)
            .unwrap()
    };
    // The newest record is of minute 99: those before minute 39 are more than an hour older. Whole segments only.
    let (time, size) = (start(&mut session, "time"), start(&mut session, "size"));
    assert!((25..=39).contains(&time), "{time}");
    assert!((55..=70).contains(&size), "{size}");
    assert_eq!(start(&mut session, "ever"), 0);
    assert_eq!(
        session.read(&partition("time", 0), time).unwrap().len() as i64,
        100 - time
    );
    assert!(files(&simulation, ".log").len() < files_before);
    let error = session.read(&partition("time", 0), 0).unwrap_err();
    assert!(
        matches!(error, Error::OffsetOutOfRange { start, .. } if start == time),
        "{error}"
    );
    // Age counts from the newest record: without one the rest stays, however late it is.
    simulation.clock.advance(Duration::from_secs(1000 * 60));
    idle(&simulation, &session);
    assert_eq!(start(&mut session, "time"), time);
    // A record of today makes the history old, and offsets go on.
    let now_ms = simulation.world.clock.now_ms();
    for _ in 0..20 {
        session.append(&partition("time", 0), None, Some("some value"), now_ms);
        session.commit(&[]).unwrap();
    }
    idle(&simulation, &session);
    let later = start(&mut session, "time");
    assert!((90..=100).contains(&later), "{later}");
    drop(session);
    let mut session = open(&simulation);
    assert_eq!(session.read(&partition("time", 0), 100).unwrap().len(), 20);
    assert!(verify(DIR, simulation.world.clone()).unwrap().is_sound());
}

#[test]
fn deleted_records_are_gone_for_good() {
    let simulation = World::simulated(1);
    let mut session = open(&simulation);
    session
        .create(&[topic("t", 1, &[("segment.bytes", "300")])])
        .unwrap();
    let name = partition("t", 0);
    for _ in 0..10 {
        session.append(&name, None, Some("value"), 1);
        session.commit(&[]).unwrap();
    }
    let delete = |offset| Request::DeleteRecords(vec![(name.clone(), offset)]);
    session.ask(delete(7)).unwrap();
    let error = session.ask(delete(11)).unwrap_err();
    assert!(
        matches!(error, Error::OffsetOutOfRange { end: 10, .. }),
        "{error}"
    );
    let mut session = {
        drop(session);
        open(&simulation)
    };
    assert_eq!(session.offset(&name, OffsetSpec::Start).unwrap(), 7);
    assert_eq!(session.read(&name, 7).unwrap().len(), 3);
    session.ask(delete(-1)).unwrap();
    assert_eq!(session.offset(&name, OffsetSpec::Start).unwrap(), 10);
    assert_eq!(session.read(&name, 10).unwrap(), []);
}

#[test]
fn a_thousand_partitions_need_few_open_files() {
    let dir = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions {
        open_files_max: 16,
        ..EmbeddedOptions::default()
    };
    let mut session = Session::open(dir.path(), &World::real(), options).unwrap();
    session.create(&[topic("wide", 1000, &[])]).unwrap();
    for _ in 0..2 {
        for number in 0..1000 {
            session.append(&partition("wide", number), None, Some("value"), 1);
        }
        assert_eq!(session.commit(&[]).unwrap().ends.len(), 1000);
    }
    for number in (0..1000).step_by(7) {
        assert_eq!(
            session.read(&partition("wide", number), 0).unwrap().len(),
            2
        );
    }
    // This process has other tests' files open too.
    let open = World::real()
        .disk
        .list(Path::new("/proc/self/fd"))
        .unwrap()
        .len();
    assert!(open < 700, "{open} open files");
}

#[test]
fn a_second_process_may_look_while_the_owner_writes() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::real();
    let mut owner = Session::open(dir.path(), &world, EmbeddedOptions::default()).unwrap();
    owner.create(&[topic("t", 1, &[])]).unwrap();
    let name = partition("t", 0);
    for round in 0..20 {
        owner.append(&name, None, Some("value"), 1);
        owner.commit(&[(name.clone(), round)]).unwrap();
        let log = EmbeddedLog::open_read_only(dir.path(), world.clone()).unwrap();
        let mut looker = Session::of(log, &world).unwrap();
        assert_eq!(looker.read(&name, 0).unwrap().len() as i64, round + 1);
        assert_eq!(looker.committed().unwrap(), [(name.clone(), round)]);
        let error = looker.create(&[topic("u", 1, &[])]).unwrap_err();
        assert!(error.to_string().contains("reading only"), "{error}");
        assert_eq!(looker.log.partition_files("t").unwrap()[0].end, round + 1);
    }
    assert!(verify(dir.path(), world.clone()).unwrap().is_sound());
    assert_eq!(owner.read(&name, 0).unwrap().len(), 20);
}

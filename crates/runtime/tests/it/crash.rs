//! Power cuts and kills at every write boundary of a short run on the embedded log, with every loss a medium may show.
//! Not kill -9 of a real process: the purchases example has that. Invariant: no start refuses and no result differs.

use crate::application::{differences, expected, load, process, results};
use headwater_log::Log;
use headwater_log::embedded::{EmbeddedLog, EmbeddedOptions};
use headwater_runtime::{Error, Settings};
use headwater_world::{CrashMode, Simulation, World};
use std::sync::Arc;

/// When the worker commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Commits {
    AtIntervals,
    WhenIdle,
}

fn settings(simulation: &Simulation, commits: Commits) -> Settings {
    let when_idle = commits == Commits::WhenIdle;
    Settings {
        world: simulation.world.clone(),
        commit_interval_ms: if when_idle { 600_000 } else { 5 },
        commit_when_idle: when_idle,
        ..Settings::default()
    }
}

fn open(simulation: &Simulation) -> Result<Arc<EmbeddedLog>, Error> {
    Ok(EmbeddedLog::open(
        "/log",
        simulation.world.clone(),
        EmbeddedOptions::default(),
    )?)
}

/// One life of the process: open, load, process, stop.
fn live(simulation: &Simulation, commits: Commits) -> Result<Arc<EmbeddedLog>, Error> {
    let log = open(simulation)?;
    let settings = settings(simulation, commits);
    load(&*log, &settings)?;
    process(&*log, &settings, &simulation.clock)?;
    Ok(log)
}

fn check(log: &Arc<EmbeddedLog>, simulation: &Simulation, what: &str) {
    let log: Arc<dyn Log> = log.clone();
    let differences = differences(&results(&*log, &simulation.world), &expected());
    assert!(differences.is_empty(), "{what}: {differences:#?}");
}

#[test]
fn an_undisturbed_run_gives_the_expected_results() {
    let simulation = World::simulated(1);
    let log = live(&simulation, Commits::AtIntervals).unwrap();
    check(&log, &simulation, "undisturbed");
    drop(log);
    let log = live(&simulation, Commits::AtIntervals).unwrap();
    check(&log, &simulation, "run again");
}

#[test]
fn a_crash_at_any_write_loses_and_doubles_nothing() {
    crash_everywhere(Commits::AtIntervals);
}

#[test]
fn nor_does_one_of_a_worker_that_commits_when_it_is_idle() {
    crash_everywhere(Commits::WhenIdle);
}

#[track_caller]
fn crash_everywhere(commits: Commits) {
    let undisturbed = World::simulated(1);
    drop(live(&undisturbed, commits).unwrap());
    let mutations = undisturbed.disk.mutations();
    assert!(mutations > 50, "only {mutations} write boundaries");
    let mut crashed = 0;
    for boundary in 1..=mutations {
        let modes = [
            CrashMode::KeepAll,
            CrashMode::LoseUnsynced,
            CrashMode::Torn { seed: boundary },
        ];
        for mode in modes {
            let simulation = World::simulated(1);
            simulation.disk.fail_after_writes(boundary);
            crashed += u64::from(live(&simulation, commits).is_err());
            let what = format!("crash at write {boundary} of {mutations}, {mode:?}");
            let simulation = simulation.restart(mode, boundary);
            let log = live(&simulation, commits).unwrap_or_else(|error| panic!("{what}: {error}"));
            check(&log, &simulation, &what);
        }
    }
    // A failed removal of what is no longer needed need not stop anyone.
    assert!(
        crashed >= mutations,
        "{crashed} crashes at {mutations} boundaries in three modes"
    );
    println!(
        "{commits:?}: {crashed} crashes at {mutations} write boundaries, none lost or doubled anything"
    );
}

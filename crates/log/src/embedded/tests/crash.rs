//! Power cuts and kills at every change of the disk. Not damage: what a crash leaves is always opened.
//! Invariant checked: an answered step is there, whole; the step under way is there whole or not at all; and it goes on from there.

use super::{
    kit::{DIR, Session},
    model::{Model, Step, options, steps},
};
use crate::Result;
use headwater_world::{CrashMode, Simulation, World};
use std::path::Path;

fn open(simulation: &Simulation) -> Result<Session> {
    Session::open(Path::new(DIR), &simulation.world, options())
}

/// Runs steps until one fails; how many were answered.
fn run(simulation: &Simulation, steps: &[Step]) -> (usize, Option<Session>) {
    let Ok(mut session) = open(simulation) else {
        return (0, None);
    };
    for (number, step) in steps.iter().enumerate() {
        if step.run(number, &mut session, simulation).is_err() {
            return (number, Some(session));
        }
    }
    (steps.len(), Some(session))
}

/// Opens what a crash left, compares, goes on, opens once more.
fn check(after: &Simulation, steps: &[Step], answered: usize, place: &str) {
    let mut session = open(after).unwrap_or_else(|error| panic!("{place}: {error}"));
    let step = steps.get(answered).cloned();
    let before = Model::after(steps, answered);
    let mut differs = before
        .differs(&mut session)
        .unwrap_or_else(|error| panic!("{place}: {error}"));
    let mut model = before;
    if let (Some(why), Some(step)) = (&differs, &step) {
        let why = why.clone();
        model.apply(answered, step);
        let still = model
            .differs(&mut session)
            .unwrap_or_else(|error| panic!("{place}: {error}"));
        differs = still.map(|still| format!("neither before ({why}) nor after ({still}) {step:?}"));
    }
    assert!(
        differs.is_none(),
        "{place}, {answered} steps: {}",
        differs.unwrap()
    );
    if answered < 3 {
        return;
    }
    let on = Step::Commit(vec![("plain", 0, "on"), ("table", 0, "b")], 999);
    for number in 1000..1003 {
        on.run(number, &mut session, after)
            .unwrap_or_else(|error| panic!("{place}: going on: {error}"));
        model.apply(number, &on);
    }
    // What is answered after a recovery survives a power cut, whatever the first crash had left in the page cache.
    let after = &after.restart(CrashMode::LoseUnsynced, 7);
    let mut session =
        open(after).unwrap_or_else(|error| panic!("{place}: after going on: {error}"));
    let differs = model.differs(&mut session).unwrap();
    assert!(
        differs.is_none(),
        "{place}: after going on: {}",
        differs.unwrap()
    );
}

fn modes(seed: u64) -> [CrashMode; 5] {
    let torn = |seed| CrashMode::Torn { seed };
    [
        CrashMode::KeepAll,
        CrashMode::LoseUnsynced,
        torn(seed * 3),
        torn(seed * 3 + 1),
        torn(seed * 3 + 2),
    ]
}

#[test]
fn every_answered_step_survives_a_crash_at_every_change_of_the_disk() {
    let steps = steps();
    let dry = World::simulated(1);
    let (answered, session) = run(&dry, &steps);
    assert_eq!(answered, steps.len());
    drop(session);
    let mutations = dry.disk.mutations();
    let mut crashes = 0;
    for n in 1..=mutations {
        let simulation = World::simulated(1);
        simulation.disk.fail_after_writes(n);
        let (answered, session) = run(&simulation, &steps);
        for mode in modes(n) {
            let after = simulation.restart(mode, n);
            check(
                &after,
                &steps,
                answered,
                &format!("change {n} of {mutations}, {mode:?}"),
            );
            crashes += 1;
        }
        drop(session);
    }
    eprintln!("{crashes} crashes at {mutations} changes");
}

#[test]
fn a_crash_during_recovery_is_recovered_from() {
    let steps = steps();
    let dry = World::simulated(1);
    run(&dry, &steps);
    let mutations = dry.disk.mutations();
    let mut crashes = 0;
    for n in (5..=mutations).step_by(17) {
        let simulation = World::simulated(1);
        simulation.disk.fail_after_writes(n);
        let (answered, _session) = run(&simulation, &steps);
        for mode in modes(n) {
            for second in 1.. {
                let between = simulation.restart(mode, n);
                between.disk.fail_after_writes(second);
                let done = open(&between).is_ok();
                let after = between.restart(CrashMode::Torn { seed: n + second }, n);
                let place = format!("change {n}, {mode:?}, then change {second} of recovery");
                check(&after, &steps, answered, &place);
                crashes += 1;
                if done {
                    break;
                }
            }
        }
    }
    eprintln!("{crashes} crashes during recovery");
}

#[test]
fn a_failed_sync_closes_the_log_for_writing_and_is_not_retried() {
    let simulation = World::simulated(1);
    let steps = steps();
    let (_, session) = run(&simulation, &steps[..6]);
    let mut session = session.unwrap();
    simulation.disk.fail_syncs(1);
    let error = steps[6].run(6, &mut session, &simulation).unwrap_err();
    assert!(matches!(error, crate::Error::Poisoned(_)), "{error}");
    let error = steps[6].run(7, &mut session, &simulation).unwrap_err();
    assert!(matches!(error, crate::Error::Poisoned(_)), "{error}");
    // What was published can still be read.
    assert!(
        Model::after(&steps, 6)
            .differs(&mut session)
            .unwrap()
            .is_none()
    );
    assert!(
        session
            .log
            .warnings()
            .iter()
            .any(|warning| warning.contains("restart"))
    );
}

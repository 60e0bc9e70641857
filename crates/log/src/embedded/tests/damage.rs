//! Damaged directories, from seeds: bits flipped, files cut or deleted, a full or read-only disk. Not crashes: those leave nothing damaged.
//! Invariant checked: a damaged log opens with exactly what was committed, or says which file is damaged; never a panic, never other content.

use super::{
    kit::{DIR, Session},
    model::{Model, Step, options, steps},
};
use crate::{Error, embedded::verify};
use headwater_world::{CrashMode, Random, SeededRandom, Simulation, World};
use std::{path::Path, sync::Arc};

/// A directory before the damage, and what it holds: the model of the answered steps, or of one more.
struct Sound {
    simulation: Simulation,
    models: Vec<Model>,
}

/// The log is killed at a random change of the disk, or closed.
fn sound(random: &SeededRandom, mutations: u64) -> Sound {
    let steps = steps();
    let simulation = World::simulated(1);
    let killed = random.below(4) > 0;
    if killed {
        simulation
            .disk
            .fail_after_writes(30 + random.below(mutations - 30));
    }
    let mut answered = 0;
    if let Ok(mut session) = Session::open(Path::new(DIR), &simulation.world, options()) {
        let mut answers = steps.iter().enumerate();
        answered = answers
            .position(|(number, step): (usize, &Step)| {
                step.run(number, &mut session, &simulation).is_err()
            })
            .unwrap_or(steps.len());
    }
    let last = if killed { answered + 1 } else { answered };
    Sound {
        simulation: simulation.restart(CrashMode::KeepAll, 1),
        models: (answered..=last)
            .map(|count| Model::after(&steps, count))
            .collect(),
    }
}

/// Damages one thing; what it did.
fn damage(random: &SeededRandom, simulation: &Simulation) -> String {
    let disk = &simulation.disk;
    let paths = disk.paths();
    let path = paths[random.below(paths.len() as u64) as usize].clone();
    let len = disk.contents(&path).unwrap().len() as u64;
    let shown = path.display();
    match random.below(12) {
        0..=5 if len > 0 => {
            let (position, bit) = (random.below(len), random.below(8) as u8);
            disk.flip_bit(&path, position, bit).unwrap();
            format!("bit {bit} of byte {position} of {shown} ({len} bytes)")
        }
        6..=8 if len > 0 => {
            let cut = random.below(len);
            disk.truncate(&path, cut).unwrap();
            format!("{shown} cut from {len} to {cut} bytes")
        }
        9 => {
            disk.set_capacity_bytes(Some(random.below(6000)));
            "a full disk".into()
        }
        10 => {
            disk.set_read_only(true);
            "a read-only disk".into()
        }
        _ => {
            disk.delete(&path).unwrap();
            format!("{shown} deleted")
        }
    }
}

/// An error is fine when a person can find the file by it.
#[track_caller]
fn names_a_file(error: &Error, place: &str) {
    let named = match error {
        Error::Corrupt { path, .. } | Error::Io { path, .. } => path.starts_with(DIR),
        Error::Poisoned(why) => why.contains(DIR),
        _ => false,
    };
    assert!(named, "{place}: {error:?}");
}

#[derive(Default, Debug)]
struct Tally {
    opened: u32,
    refused: u32,
    refused_when_read: u32,
}

fn campaign(seeds: std::ops::Range<u64>) {
    let dry = World::simulated(1);
    let mut session = Session::open(Path::new(DIR), &dry.world, options()).unwrap();
    for (number, step) in steps().iter().enumerate() {
        step.run(number, &mut session, &dry).unwrap();
    }
    drop(session);
    let mutations = dry.disk.mutations();
    let mut tally = Tally::default();
    for seed in seeds {
        let random = SeededRandom::new(seed);
        let sound = sound(&random, mutations);
        let harm = damage(&random, &sound.simulation);
        let place = format!("seed {seed}: {harm}");
        one(&sound, &place, &mut tally);
    }
    eprintln!("damage: {tally:?}");
}

fn one(sound: &Sound, place: &str, tally: &mut Tally) {
    let world = &sound.simulation.world;
    // The check changes nothing and never panics; whether it finds the damage is compared below.
    let verified = verify(DIR, world.clone());
    let mut session = match Session::open(Path::new(DIR), world, options()) {
        Ok(session) => session,
        Err(error) => {
            tally.refused += 1;
            return names_a_file(&error, place);
        }
    };
    let mut differences = Vec::new();
    for model in &sound.models {
        match model.differs(&mut session) {
            Ok(None) => {
                tally.opened += 1;
                return;
            }
            Ok(Some(difference)) => differences.push(difference),
            Err(error) => {
                tally.refused_when_read += 1;
                let found = verified.map(|report| report.is_sound());
                assert!(
                    !matches!(found, Ok(true)),
                    "{place}: verify found nothing, but: {error}"
                );
                return names_a_file(&error, place);
            }
        }
    }
    panic!(
        "{place}: other content: {differences:?}; {:?}",
        session.log.warnings()
    );
}

#[test]
fn damage_is_named_or_harmless() {
    campaign(0..300);
}

#[test]
#[ignore = "2,000 seeds take minutes without optimisation: cargo test -p headwater-log --release -- --ignored damage"]
fn damage_is_named_or_harmless_at_length() {
    campaign(1000..3000);
}

#[test]
fn a_lost_journal_end_is_refused_and_can_be_accepted() {
    let simulation = World::simulated(1);
    let steps = steps();
    let mut session = Session::open(Path::new(DIR), &simulation.world, options()).unwrap();
    for (number, step) in steps[..4].iter().enumerate() {
        step.run(number, &mut session, &simulation).unwrap();
    }
    let after = simulation.restart(CrashMode::KeepAll, 1);
    let paths = after.disk.paths();
    let journal = paths
        .iter()
        .rfind(|path| path.extension().is_some_and(|it| it == "journal"));
    let journal = journal.unwrap();
    let len = after.disk.contents(journal).unwrap().len() as u64;
    after.disk.truncate(journal, len - 1).unwrap();
    let error = Session::open(Path::new(DIR), &after.world, options())
        .err()
        .unwrap();
    assert!(
        matches!(&error, Error::Corrupt { path, .. } if path == journal),
        "{error}"
    );
    assert!(error.to_string().contains("accept_lost_commits"), "{error}");
    let accepting = crate::embedded::EmbeddedOptions {
        accept_lost_commits: true,
        ..options()
    };
    let mut session = Session::open(Path::new(DIR), &after.world, accepting).unwrap();
    assert_eq!(Model::after(&steps, 3).differs(&mut session).unwrap(), None);
    assert_eq!(
        session.log.warnings().len(),
        2,
        "{:?}",
        session.log.warnings()
    );
    steps[3].run(3, &mut session, &after).unwrap();
    let again = Arc::new(after.restart(CrashMode::KeepAll, 1));
    let mut session = Session::open(Path::new(DIR), &again.world, options()).unwrap();
    assert_eq!(Model::after(&steps, 4).differs(&mut session).unwrap(), None);
}

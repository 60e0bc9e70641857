//! Whether an output is right: by itself, and the same as that of whoever did the job before.
//! Not the reading of it, which the judge does. Invariant: a figure is kept only after this has passed.

use super::{
    contender::Entry,
    job::{Verdict, Work},
    measured::Measured,
    scene::parse,
};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Outputs found right so far, by job: what all others have to equal.
#[derive(Default)]
pub(super) struct Verdicts(BTreeMap<&'static str, (&'static str, Value)>);

impl Verdicts {
    /// What was written, if it is right.
    pub(super) fn judge(&mut self, entry: &Entry<'_>, measured: &Measured) -> Result<Value> {
        if entry.job.verdict == Verdict::ByWork {
            return by_work(entry, measured);
        }
        let (scene, input) = (entry.scene, entry.job.input);
        let found = scene.ask(&format!("read {}-out", entry.name))?;
        let seen = input.seen(scene.size);
        let essence = match entry.job.verdict {
            Verdict::EachRecord => {
                ensure!(found["records"] == seen, "{seen} records came to {found}");
                json!({"records": found["records"], "digest": found["digest"]})
            }
            Verdict::AllRecords => {
                ensure!(found["records"] != 0, "nothing was written");
                json!({"records": found["records"], "digest": found["digest"]})
            }
            verdict => {
                let is_right = verdict != Verdict::Counts || found["sum"] == seen;
                ensure!(is_right, "{seen} records were counted as {found}");
                ensure!(found["keys"] != 0, "nothing was written");
                json!({"keys": found["keys"], "sum": found["sum"], "last_digest": found["last_digest"]})
            }
        };
        if entry.job.work == Work::Topology("count") {
            let keys = scene.keys_held(input);
            ensure!(found["keys"] == keys, "{keys} keys were counted as {found}");
        }
        let mine = (entry.system.name(), essence.clone());
        let (system, first) = self.0.entry(entry.job.name).or_insert(mine);
        ensure!(*first == essence, "{essence} is not {first} of {system}");
        Ok(found)
    }
}

fn by_work(entry: &Entry<'_>, measured: &Measured) -> Result<Value> {
    let (scene, input) = (entry.scene, entry.job.input);
    match entry.job.work {
        Work::Produce => {
            let found = scene.ask(&format!("held {}", entry.name))?;
            let records = input.records(scene.size);
            ensure!(found["records"] == records, "{records} became {found}");
            Ok(found)
        }
        Work::Restore => {
            let said = parse(measured.stdout.as_bytes())?;
            let found = json!({"keys": said["keys"], "sum": said["sum"]});
            let whole = json!({"keys": scene.keys_held(input), "sum": input.records(scene.size)});
            ensure!(found == whole, "{whole} was restored as {found}");
            Ok(found)
        }
        // It ends after so many records, or when its tasks run, and not before.
        _ => Ok(json!({})),
    }
}

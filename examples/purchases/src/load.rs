//! Brings the history into its topics. Not the processing, which knows only the topics.
//! Invariant: the place in the history commits with the records up to it, so a killed load goes on with the next record.

use crate::history::{Entry, History};
use crate::phases::Phases;
use crate::progress::Progress;
use crate::topology::{APPLICATION, ENRICHED, LOYALTY, PARTITIONS, PURCHASES};
use anyhow::Result;
use headwater::{
    Settings, SourceWriter,
    log::{Fate, Log},
};

/// Records in one commit: a few milliseconds of work to lose, and a sync of the disk for each so many.
const COMMIT_RECORDS: u64 = 5_000;
/// Commits that fail in a row before the load gives up.
const FAILURES_MAX: u32 = 10;

/// Appends what is missing of `repeat` repetitions; answers how many records that were. Ends early when asked to stop.
pub(crate) fn load(
    log: &dyn Log,
    history: &History,
    repeat: u32,
    phases: &Phases,
    stop: fn() -> bool,
) -> Result<u64> {
    let settings = Settings::default();
    let mut writer = SourceWriter::open(log, APPLICATION, &history.source(), &settings)?;
    for topic in [PURCHASES, LOYALTY, ENRICHED] {
        writer.ensure_topic(topic, PARTITIONS)?;
    }
    let (begin, end) = (writer.position(), history.len(repeat));
    if begin >= end {
        return Ok(0);
    }
    phases.enter("append");
    let progress = Progress::new("appending", end - begin);
    let mut failures = 0;
    while writer.position() < end && !stop() {
        let next = (writer.position() + COMMIT_RECORDS).min(end);
        for place in writer.position()..next {
            append(&mut writer, history.entry(place)?)?;
        }
        match writer.commit(next) {
            Ok(()) => failures = 0,
            // The writer has read anew how far it came.
            Err(error) if error.fate() == Fate::Retry && failures < FAILURES_MAX => {
                progress.note(&format!("a commit failed and is tried again: {error}"));
                failures += 1;
            }
            Err(error) => return Err(error.into()),
        }
        progress.at(writer.position() - begin);
    }
    progress.done();
    Ok(writer.position() - begin)
}

fn append(writer: &mut SourceWriter, entry: Entry) -> Result<()> {
    match entry {
        Entry::Card {
            customer,
            card,
            timestamp,
        } => writer.append(LOYALTY, &customer, &card, timestamp)?,
        Entry::Purchase {
            customer,
            purchase,
            timestamp,
        } => writer.append(PURCHASES, &customer, &purchase, timestamp)?,
    }
    Ok(())
}

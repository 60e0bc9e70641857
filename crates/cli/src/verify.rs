//! `headwater verify`: walks every checksum and offset of a log. Not a repair: a damaged log comes back from a backup.
//! Invariant: it fails when anything is wrong, and names file and byte.

use crate::{
    counting_disk::counting_world, data::Data, data::patiently, data::refused, holder::Holder,
    place::Place, topics,
};
use anyhow::{Result, bail};
use headwater::EmbeddedLog;
use headwater::log::{Error, embedded::VerifyReport};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use std::io::Write;

pub(crate) fn run(place: &Place, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let dir = place.dir()?;
    let bar = progress_bar(place)?;
    let checked = patiently(dir, || EmbeddedLog::verify(counting_world(&bar), dir));
    bar.finish_and_clear();
    let report = match checked {
        // What keeps a log from being opened is a finding like others.
        Err(headwater::Error::Log(error @ Error::Corrupt { .. })) => VerifyReport {
            findings: vec![error],
            ..VerifyReport::default()
        },
        checked => checked.map_err(|error| refused(dir, error))?,
    };
    match as_json {
        true => print_json(&report, out)?,
        false => print(&report, out)?,
    }
    if report.is_sound() {
        return Ok(());
    }
    let (count, s) = match report.findings.len() {
        1 => ("1 finding".to_owned(), "s"),
        more => (format!("{more} findings"), ""),
    };
    match Holder::of(dir) {
        Holder::Process { id, name } => bail!(
            "{count}, while process {id} ({name}) changes the log; verify again when it is stopped"
        ),
        _ => bail!(
            "{count} show{s} damage; restore {} from a backup",
            dir.display()
        ),
    }
}

/// A bar over the bytes of all segments, on a terminal. A log that cannot be opened has none; the check says why.
fn progress_bar(place: &Place) -> Result<ProgressBar> {
    let Ok(mut data) = Data::open(place) else {
        return Ok(ProgressBar::hidden());
    };
    let mut total = 0;
    for topic in data.topics()? {
        let files = data.files(&topic.name)?;
        total += topics::bytes(&files.unwrap_or_default());
    }
    let style = "{wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}";
    Ok(ProgressBar::new(total).with_style(ProgressStyle::with_template(style)?))
}

fn print(report: &VerifyReport, out: &mut dyn Write) -> Result<()> {
    let figures = [
        ("partitions", report.partitions),
        ("segments", report.segments),
        ("batches", report.batches),
        ("records", report.records),
        ("bytes", report.bytes),
    ];
    let width = report.bytes.to_string().len();
    for (name, figure) in figures {
        writeln!(out, "{name:<10}  {figure:>width$}")?;
    }
    for warning in &report.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    for finding in &report.findings {
        writeln!(out, "damage: {finding}")?;
    }
    if report.is_sound() {
        writeln!(out, "sound")?;
    }
    Ok(())
}

fn print_json(report: &VerifyReport, out: &mut dyn Write) -> Result<()> {
    let finding = |finding: &Error| match finding {
        Error::Corrupt {
            path,
            position,
            message,
        } => {
            json!({ "file": path.display().to_string(), "position": position, "message": message })
        }
        other => json!({ "message": other.to_string() }),
    };
    let json = json!({
        "sound": report.is_sound(),
        "partitions": report.partitions,
        "segments": report.segments,
        "batches": report.batches,
        "records": report.records,
        "bytes": report.bytes,
        "warnings": report.warnings,
        "findings": report.findings.iter().map(finding).collect::<Vec<_>>(),
    });
    Ok(writeln!(out, "{json:#}")?)
}

//! The medians of what was measured, by job and system, and how the others stand to ours, for a terminal. Not a verdict.
//! Invariant: a ratio is of two medians of the same job in the same invocation.

use super::lines::{Lines, shown, thousands};
use serde_json::Value;

const OURS: &str = "headwater";
/// Figures by which a job is told, in the order in which they are told; of most jobs some are missing.
const FIGURES: [(&str, &str); 10] = [
    ("requests_per_second", "requests/s"),
    ("cpu_us_per_request", "CPU us"),
    ("records_per_second", "records/s"),
    ("cpu_us_per_record", "CPU us"),
    ("peak_mb", "peak MB"),
    ("start_to_running_ms", "to running ms"),
    ("p50_ms", "p50 ms"),
    ("p99_ms", "p99 ms"),
    ("p999_ms", "p99.9 ms"),
    ("load_after", "load"),
];

/// What a run wrote, which the judge has counted; a record cache may leave out results that others follow at once.
const WRITTEN: [(&str, &str); 2] = [("records", "results"), ("keys", "of keys")];

/// Prints a table for each job.
pub(super) fn print(lines: &[Value]) {
    let right = Lines::right(lines);
    for job in right.each("job") {
        let of_job = right.with("job", &job);
        let records = of_job.first().map_or(0, |line| {
            line["input"]["records"].as_u64().unwrap_or_default()
        });
        println!("\n{job}: input of {} records", shown(Some(records as f64)));
        for system in of_job.each("system") {
            row(&system, &of_job.with("system", &system));
        }
        let ours = of_job.with("system", OURS);
        if ours.is_empty() {
            continue;
        }
        for system in of_job.each("system").iter().filter(|it| *it != OURS) {
            ratios(&ours, system, &of_job.with("system", system));
        }
    }
}

fn row(system: &str, lines: &Lines<'_>) {
    print!("  {system:<16}");
    for (name, told) in FIGURES {
        let figures = lines.sorted(name);
        let (Some(lowest), Some(highest)) = (figures.first(), figures.last()) else {
            continue;
        };
        print!("  {told} {}", shown(lines.median(name)));
        if figures.len() > 1 {
            print!(" ({} to {})", shown(Some(*lowest)), shown(Some(*highest)));
        }
    }
    for (what, told) in WRITTEN {
        match lines.written(what) {
            Some((fewest, most)) if fewest == most => print!("  {told} {}", thousands(most)),
            Some((fewest, most)) => print!("  {told} {} to {}", thousands(fewest), thousands(most)),
            None => {}
        }
    }
    println!();
}

fn ratios(ours: &Lines<'_>, system: &str, others: &Lines<'_>) {
    let ratio = |figure: &str| Some(ours.median(figure)? / others.median(figure)?);
    let mut told = Vec::new();
    for (name, figure) in FIGURES.iter().filter(|figure| figure.0 != "load_after") {
        if let Some(ratio) = ratio(name) {
            told.push(match *name {
                "records_per_second" | "requests_per_second" => format!("{ratio:.1} x {figure}"),
                _ => format!("1/{:.1} {figure}", 1.0 / ratio),
            });
        }
    }
    println!("  ours to {system}: {}", told.join(", "));
}

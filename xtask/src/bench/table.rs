//! The medians of what was measured, by job and system, and how the others stand to ours. Not a verdict.
//! Invariant: a ratio is of two medians of the same job in the same invocation.

use serde_json::Value;

const OURS: &str = "headwater";

/// Prints a table for each job that has lines.
pub(super) fn print(lines: &[Value]) {
    for job in firsts(lines.iter().map(|line| text(line, "job"))) {
        let of_job: Vec<&Value> = lines.iter().filter(|it| text(it, "job") == job).collect();
        println!(
            "\n{job}: {} records{:>24}{:>34}{:>18}{:>10}{:>12}{:>8}",
            of_job[0]["records"],
            "records/s (median)",
            "lowest to highest",
            "to the close",
            "CPU us",
            "peak MB",
            "load"
        );
        let systems = firsts(of_job.iter().map(|line| text(line, "system")));
        for system in &systems {
            row(system, &of_job);
        }
        for system in systems.iter().filter(|system| *system != OURS) {
            let ratio = |figure: &str| {
                let of = |system: &str| median(&of_system(&of_job, system), figure);
                of(OURS) / of(system)
            };
            println!(
                "  ours to {system}: {:.1} x records/s, 1/{:.1} of the CPU per record, 1/{:.1} of the memory",
                ratio("records_per_second"),
                1.0 / ratio("cpu_us_per_record"),
                1.0 / ratio("peak_mb")
            );
        }
    }
}

fn row(system: &str, of_job: &[&Value]) {
    let lines = of_system(of_job, system);
    let speeds = sorted(&lines, "records_per_second");
    let spread = format!(
        "{} to {}",
        speeds.first().copied().unwrap_or(f64::NAN),
        speeds.last().copied().unwrap_or(f64::NAN)
    );
    println!(
        "  {system:<36}{:>14}{spread:>34}{:>18}{:>10.2}{:>12}{:>8.1}",
        median(&lines, "records_per_second"),
        median(&lines, "records_per_second_closed"),
        median(&lines, "cpu_us_per_record"),
        median(&lines, "peak_mb"),
        median(&lines, "load_after"),
    );
}

fn of_system<'a>(lines: &[&'a Value], system: &str) -> Vec<&'a Value> {
    let lines = lines.iter().copied();
    lines.filter(|it| text(it, "system") == system).collect()
}

fn sorted(lines: &[&Value], figure: &str) -> Vec<f64> {
    let figures = lines.iter().filter_map(|line| line[figure].as_f64());
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

fn median(lines: &[&Value], figure: &str) -> f64 {
    let figures = sorted(lines, figure);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

fn text(line: &Value, field: &str) -> String {
    line[field].as_str().unwrap_or_default().to_owned()
}

/// Each once, in order.
fn firsts(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut firsts = Vec::new();
    for name in names {
        if !firsts.contains(&name) {
            firsts.push(name);
        }
    }
    firsts
}

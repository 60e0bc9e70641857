//! `cargo xtask bench report`: the page of figures and its pictures from the results that are kept.
//! Not the measuring. Invariant: page and pictures follow from the results alone; a test compares them.

use super::{
    asked,
    chosen::RESULTS,
    grown, growth,
    job::JOBS,
    lines::{Lines, shown},
    svg::Bars,
};
use crate::root;
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{fs, path::Path};

const PAGE: &str = "docs/performance.md";
/// What stands between these lines of the page is written here; the rest is written by people.
const BEGIN: &str = "<!-- figures: written by `cargo xtask bench report` -->";
const END: &str = "<!-- end of figures -->";
const OURS: &str = "headwater";
const THEIRS: &str = "kafka-streams";

/// A picture: its file, its title, the figure it shows.
const PICTURES: [(&str, &str, &str); 4] = [
    (
        "docs/performance/throughput.svg",
        "Records per second, medians",
        "records_per_second",
    ),
    (
        "docs/performance/cpu.svg",
        "CPU time per record in microseconds, medians",
        "cpu_us_per_record",
    ),
    (
        "docs/performance/memory.svg",
        "Peak resident memory in MB, medians",
        "peak_mb",
    ),
    (
        "docs/performance/latency.svg",
        "99th percentile from writing a record to seeing its result, ms, medians",
        "p99_ms",
    ),
];

/// Writes page and pictures.
pub(super) fn run(arguments: &[String]) -> Result<()> {
    let results = match arguments {
        [] => root().join(RESULTS),
        [flag, file] if flag == "--json" => std::path::absolute(file)?,
        _ => bail!("cargo xtask bench report [--json FILE]"),
    };
    for (file, text) in made(&results)? {
        let path = root().join(&file);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&path, text).with_context(|| file.clone())?;
        println!("{file}");
    }
    Ok(())
}

/// Files and what is to stand in them.
fn made(results: &Path) -> Result<Vec<(String, String)>> {
    let (lines, points) = (read(results)?, read(&root().join(growth::RESULTS))?);
    let latest = Lines::right(&lines).latest();
    let page = fs::read_to_string(root().join(PAGE)).with_context(|| PAGE)?;
    let points = Lines::right(&points).latest();
    let text = figures(&latest) + &grown::section(&points);
    let mut made = vec![(PAGE.to_owned(), put(&page, &text)?)];
    made.extend(grown::pictures(&points));
    for (file, title, figure) in PICTURES {
        let groups = jobs_with(&latest, figure).into_iter().map(|job| {
            let of_job = latest.with("job", job);
            let of = |system| of_job.with("system", system).median(figure);
            (job.to_owned(), vec![of(OURS), of(THEIRS)])
        });
        let bars = Bars {
            title,
            series: &["Headwater", "Kafka Streams"],
            groups: groups.collect(),
        };
        made.push((file.to_owned(), bars.svg()));
    }
    let groups = asked::groups(&latest);
    if !groups.is_empty() {
        let bars = Bars {
            title: "Answers per second to GETs of a count, medians",
            series: &asked::SYSTEMS.map(|(_, name)| name),
            groups,
        };
        made.push((asked::PICTURE.to_owned(), bars.svg()));
    }
    Ok(made)
}

fn read(results: &Path) -> Result<Vec<Value>> {
    let text = fs::read_to_string(results).unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.collect::<Result<_, _>>()?)
}

/// The page with `figures` between the marks.
fn put(page: &str, figures: &str) -> Result<String> {
    let begin = page.find(BEGIN).context("no begin of figures")? + BEGIN.len();
    let end = page.find(END).context("no end of figures")?;
    let (before, after) = (&page[..begin], page.get(end..).unwrap_or_default());
    Ok(format!("{before}\n\n{figures}\n{after}"))
}

/// Jobs of both systems that have the figure, in their order.
fn jobs_with(lines: &Lines<'_>, figure: &str) -> Vec<&'static str> {
    let has = |job: &&str| {
        let of_job = lines.with("job", job);
        let of = |system| of_job.with("system", system).median(figure).is_some();
        of(OURS) && of(THEIRS)
    };
    JOBS.iter().map(|job| job.name).filter(has).collect()
}

fn figures(lines: &Lines<'_>) -> String {
    if lines.is_empty() {
        return format!("No results are kept in `{RESULTS}`.\n");
    }
    let throughput = jobs_with(lines, "records_per_second");
    let mut text = conditions(lines);
    text += "\n### Throughput, CPU, memory\n\n";
    text += "| job | records/s: Headwater | Kafka Streams | | CPU us a record: Headwater | Kafka Streams | | peak MB: Headwater | Kafka Streams | |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|\n";
    for job in throughput {
        text += &row(
            lines,
            job,
            &[
                ("records_per_second", true),
                ("cpu_us_per_record", false),
                ("peak_mb", false),
            ],
        );
    }
    text += &floor(lines);
    text += &beside_clients(lines);
    text += "\n![Records per second](performance/throughput.svg)\n\n![CPU per record](performance/cpu.svg)\n\n";
    text += "![Peak memory](performance/memory.svg)\n\n### Start\n\n";
    text += "| job | ms from the start of the process until all tasks run: Headwater | Kafka Streams | |\n|---|---|---|---|\n";
    for job in jobs_with(lines, "start_to_running_ms") {
        text += &row(lines, job, &[("start_to_running_ms", false)]);
    }
    text += "\n### Latency\n\n| job | p50 ms: Headwater | Kafka Streams | | p99 ms: Headwater | Kafka Streams | | p99.9 ms: Headwater | Kafka Streams | |\n";
    text += "|---|---|---|---|---|---|---|---|---|---|\n";
    for job in jobs_with(lines, "p99_ms") {
        text += &row(
            lines,
            job,
            &[("p50_ms", false), ("p99_ms", false), ("p999_ms", false)],
        );
    }
    text += "\n![Latency](performance/latency.svg)\n";
    text + &asked::section(lines)
}

/// Of each figure ours, theirs, and how they stand to each other.
fn row(lines: &Lines<'_>, job: &str, figures: &[(&str, bool)]) -> String {
    let of_job = lines.with("job", job);
    let (ours, theirs) = (of_job.with("system", OURS), of_job.with("system", THEIRS));
    let mut row = format!("| {job} |");
    for (figure, is_more_better) in figures {
        let ratio = theirs.median(figure).zip(ours.median(figure));
        let ratio = ratio.map_or_else(String::new, |(theirs, ours)| match is_more_better {
            true => format!("{:.1} x", ours / theirs),
            false => format!("1/{:.1}", theirs / ours),
        });
        row += &format!(
            " {} | {} | {ratio} |",
            spread(&ours, figure),
            spread(&theirs, figure)
        );
    }
    row + "\n"
}

/// The median, and between what it lies where there are several.
pub(super) fn spread(lines: &Lines<'_>, figure: &str) -> String {
    let (median, sorted) = (shown(lines.median(figure)), lines.sorted(figure));
    match (sorted.first(), sorted.last()) {
        (Some(lowest), Some(highest)) if sorted.len() > 1 => format!(
            "**{median}** ({} to {})",
            shown(Some(*lowest)),
            shown(Some(*highest))
        ),
        _ => format!("**{median}**"),
    }
}

/// What the count costs at the least, and how ours stands to that.
fn floor(lines: &Lines<'_>) -> String {
    let floor = lines.with("job", "limit");
    let count = lines.with("job", "count").with("system", OURS);
    let cpu = |lines: &Lines<'_>| lines.median("cpu_us_per_record");
    let Some((floor_cpu, count_cpu)) = cpu(&floor).zip(cpu(&count)) else {
        return String::new();
    };
    format!(
        "\n`limit`, the count by bare sockets and a hash map, without framework, transaction or state on disk: {} records/s, {} us \
         of CPU a record, {} MB. Headwater's exactly-once count takes {:.1} times its CPU.\n",
        spread(&floor, "records_per_second"),
        spread(&floor, "cpu_us_per_record"),
        spread(&floor, "peak_mb"),
        count_cpu / floor_cpu
    )
}

/// Jobs beside clients that are no stream processors.
fn beside_clients(lines: &Lines<'_>) -> String {
    let mut text = String::new();
    for job in lines.each("job") {
        let of_job = lines.with("job", &job);
        let ours = of_job.with("system", OURS);
        let is_client = |system: &String| ![OURS, THEIRS].contains(&system.as_str());
        for system in of_job.each("system").into_iter().filter(is_client) {
            let theirs = of_job.with("system", &system);
            let figure = "records_per_second";
            let Some((rate, theirs_rate)) = ours.median(figure).zip(theirs.median(figure)) else {
                continue;
            };
            text += &format!("| {job} | {system} |");
            for figure in [figure, "cpu_us_per_record", "peak_mb"] {
                text += &format!(" {} | {} |", spread(&ours, figure), spread(&theirs, figure));
            }
            text += &format!(" {:.1} x |\n", rate / theirs_rate);
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "\nBeside clients alone: reading a topic to its end, writing one, and `map` as a loop of librdkafka with transactions.\n\n\
         | job | beside | records/s: Headwater | it | CPU us a record: Headwater | it | peak MB: Headwater | it | records/s |\n\
         |---|---|---|---|---|---|---|---|---|\n{text}"
    )
}

/// What was measured, where, and how busy it was.
fn conditions(lines: &Lines<'_>) -> String {
    let mut text = String::new();
    let mut told = Vec::new();
    for job in lines.each("job") {
        let of_job = lines.with("job", &job);
        let Some(line) = of_job.first() else { continue };
        if told.contains(&line["measurement"]) {
            continue;
        }
        told.push(line["measurement"].clone());
        let measured = line["measurement"].as_u64().unwrap_or_default();
        let together = lines.at("measurement", measured);
        let of = |group: &str, name: &str| line[group][name].as_str().unwrap_or("?").to_owned();
        let systems = of_job.each("system").into_iter();
        let runs = systems.map(|system| of_job.with("system", &system).len());
        let runs = runs.max().unwrap_or(0);
        text += &format!(
            "Measured from `{job}` on: commit {}, {runs} runs of each system in turn, {} cores ({}), {} of memory, Linux {}; Apache Kafka \
             and Kafka Streams {}, {}, {}; load average {} (the broker runs on the same cores); {} thread, {} ms between commits, record cache of {} \
             bytes.\n",
            line["commit"].as_str().unwrap_or("?"),
            line["machine"]["cores"],
            of("machine", "cpu"),
            of("machine", "memory"),
            of("machine", "kernel"),
            of("versions", "kafka"),
            of("versions", "java"),
            of("versions", "rustc"),
            spread(&together, "load_after").replace("**", ""),
            line["threads"],
            line["commit_interval_ms"],
            shown(line["cache_bytes"].as_f64()),
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_and_pictures_show_the_results_that_are_kept() {
        for (file, text) in made(&root().join(RESULTS)).unwrap() {
            let held = fs::read_to_string(root().join(&file)).unwrap_or_default();
            assert!(held == text, "{file} differs: cargo xtask bench report");
        }
    }
}

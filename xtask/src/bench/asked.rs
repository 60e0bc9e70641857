//! The figures of questions on the page: each case beside the same asked of Kafka Streams behind its REST layers.
//! Not the other jobs, of which two systems have figures. Invariant: without results of questions there is no section.

use super::{
    lines::{Lines, shown},
    report::spread,
};
use std::fmt::Write as _;

pub(super) const PICTURE: &str = "docs/performance/queries.svg";
/// Cases as they are asked, and in words.
const CASES: [(&str, &str); 4] = [
    ("query-local", "of the instance that has the key"),
    ("query-forwarded", "of the other instance"),
    ("query-mixed", "of any instance"),
    ("query-token", "of the owner, as new as a token"),
];
/// Who answers, and how the page calls them.
pub(super) const SYSTEMS: [(&str, &str); 3] = [
    ("headwater", "Headwater"),
    ("kafka-streams", "Kafka Streams, Jersey"),
    ("kafka-streams-jetty", "Kafka Streams, bare Jetty"),
];
/// A figure, in words, and whether more of it is better.
const FIGURES: [(&str, &str, bool); 4] = [
    ("requests_per_second", "requests/s", true),
    ("cpu_us_per_request", "CPU us a request", false),
    ("p50_ms", "p50 ms", false),
    ("p99_ms", "p99 ms", false),
];

/// The section; empty without results.
pub(super) fn section(lines: &Lines<'_>) -> String {
    let asked = |case: &str| lines.with("job", case);
    let Some(first) = asked(CASES[0].0).first() else {
        return String::new();
    };
    let number = |name: &str| shown(first[name].as_f64());
    let mut text = format!(
        "\n### Questions\n\nGETs of counts by key over HTTP/1.1, 64 connections kept, two instances with two of four partitions each, {} keys, \
         while 10,000 records/s are counted, after 40 s of questions. Requests/s with each connection asking again once it is answered; p50 and p99 at {} \
         requests/s, from when each is due. CPU is that of both instances, less what the records alone cost. Asker, records and \
         broker share the cores.\n",
        number("keys"),
        number("rate_per_second"),
    );
    for (figure, words, is_more_better) in FIGURES {
        let _ = write!(text, "\n| {words} |");
        for (_, name) in SYSTEMS {
            let _ = write!(text, " {name} | |");
        }
        // Ours is what the others are compared with.
        text = text.replace("| Headwater | |", "| Headwater |");
        text += "\n|---|---|---|---|---|---|\n";
        for (case, words) in CASES {
            if !asked(case).is_empty() {
                text += &row(&asked(case), words, figure, is_more_better);
            }
        }
    }
    text += "\n![Requests per second](performance/queries.svg)\n";
    text + &overload(&lines.with("job", "query-overload"))
}

/// What becomes of cheap questions when there are too many dear ones.
fn overload(lines: &Lines<'_>) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let of = |figure: &str| spread(lines, figure);
    format!(
        "\nOverload, Headwater: while twice as many pages of 500 entries are asked for as both instances answered before ({} a second), on \
         1,500 connections, gets at the same fixed rate take p50 {} ms, p99 {} ms; {} of each run were answered, {} refused with 503.\n",
        of("pages_per_second_max"),
        of("p50_ms"),
        of("p99_ms"),
        of("requests"),
        of("refused"),
    )
}

fn row(case: &Lines<'_>, words: &str, figure: &str, is_more_better: bool) -> String {
    let ours = case.with("system", SYSTEMS[0].0);
    let mut row = format!("| {words} | {} |", spread(&ours, figure));
    for (system, _) in &SYSTEMS[1..] {
        let theirs = case.with("system", system);
        let ratio = ours.median(figure).zip(theirs.median(figure));
        let ratio = ratio.map_or_else(String::new, |(ours, theirs)| match is_more_better {
            true => format!("{:.1} x", ours / theirs),
            false => format!("1/{:.1}", theirs / ours),
        });
        row += &format!(" {} | {ratio} |", spread(&theirs, figure));
    }
    row + "\n"
}

/// Of the picture: each case and what the systems answered a second.
pub(super) fn groups(lines: &Lines<'_>) -> Vec<(String, Vec<Option<f64>>)> {
    let asked = CASES.iter().filter_map(|(case, _)| {
        let lines = lines.with("job", case);
        let of = |system: &str| lines.with("system", system).median("requests_per_second");
        let figures = SYSTEMS.iter().map(|(system, _)| of(system)).collect();
        (!lines.is_empty()).then(|| ((*case).to_owned(), figures))
    });
    asked.collect()
}

//! The section "How cost grows" of the page: a table and a picture for each axis that has results.
//! Not the measuring. Invariant: of an axis only points of its last measurement stand beside each other.

use super::{
    axis::{AXES, Axis},
    curve::{Curve, Panel},
    growth::{self, FIGURES, places, told},
    lines::Lines,
    report::spread,
};
use std::fmt::Write as _;

/// Figures that are drawn, of those that are told.
const DRAWN: [usize; 2] = [1, 2];

/// The section; empty without results.
pub(super) fn section(lines: &Lines<'_>) -> String {
    let mut text = String::new();
    for axis in AXES {
        let places = places(axis, lines);
        if places.is_empty() {
            continue;
        }
        let _ = write!(
            text,
            "\n#### {}\n\n{}{}.{}{}\n\n",
            axis.name,
            axis.what[..1].to_uppercase(),
            &axis.what[1..],
            if axis.remark.is_empty() { "" } else { " " },
            axis.remark
        );
        text += &table(axis, &places);
        let _ = writeln!(text, "\n![{}](performance/{})", axis.name, file(axis));
    }
    if text.is_empty() {
        return text;
    }
    format!("\n### How cost grows\n\n{}{text}", preface(lines))
}

/// What all axes have in common, and where and when each was measured.
fn preface(lines: &Lines<'_>) -> String {
    let mut text = "\
Records counted by key on the embedded log, in the same process: exactly once, each commit one fsync, state on disk, 100 ms between \
commits, record cache of 10 MiB; 2,000,000 records of 100 bytes, 200,000 keys, 4 partitions, one worker, one store, unless the axis says otherwise. \
Each point is a process of its own; every key's count is looked at in every store afterwards. `cargo xtask bench growth` repeats it. Where the \
machine is shared, CPU a record is the figure to trust.\n"
        .to_owned();
    text.push('\n');
    for axis in AXES {
        let of_axis = lines.with("job", &growth::job(axis));
        let Some(first) = of_axis.first() else {
            continue;
        };
        let runs = places(axis, lines)
            .iter()
            .map(|(_, lines)| lines.len())
            .min();
        let _ = writeln!(
            text,
            "- {}: commit {}, {} runs of each point, load average {} on {} cores ({}).",
            axis.name,
            first["commit"].as_str().unwrap_or("?"),
            runs.unwrap_or_default(),
            spread(&of_axis, "load_before").replace("**", ""),
            first["machine"]["cores"],
            first["machine"]["cpu"].as_str().unwrap_or("?"),
        );
    }
    text
}

fn table(axis: &Axis, places: &[(u64, Lines<'_>)]) -> String {
    let mut text = format!("| {} |", axis.name);
    let mut rule = "|---|".to_owned();
    for (_, words) in FIGURES {
        let _ = write!(text, " {words} |");
        rule += "---|";
    }
    let _ = writeln!(text, "\n{rule}");
    for (place, lines) in places {
        let _ = write!(text, "| {} |", told(*place));
        for (figure, _) in FIGURES {
            let _ = write!(text, " {} |", spread(lines, figure));
        }
        text.push('\n');
    }
    text
}

fn file(axis: &Axis) -> String {
    format!("growth-{}.svg", axis.name)
}

/// Files of pictures and what is to stand in them.
pub(super) fn pictures(lines: &Lines<'_>) -> Vec<(String, String)> {
    let mut pictures = Vec::new();
    for axis in AXES {
        let places = places(axis, lines);
        if places.is_empty() {
            continue;
        }
        let panels = DRAWN.map(|drawn| {
            let (figure, words) = FIGURES[drawn];
            let points = places.iter().filter_map(|(place, lines)| {
                let sorted = lines.sorted(figure);
                let ends = (*sorted.first()?, *sorted.last()?);
                Some((*place as f64, lines.median(figure)?, ends))
            });
            Panel {
                title: words,
                points: points.collect(),
            }
        });
        let curve = Curve {
            title: &format!("How cost grows with {}", axis.name),
            along: axis.what,
            panels: &panels,
        };
        pictures.push((format!("docs/performance/{}", file(axis)), curve.svg()));
    }
    pictures
}

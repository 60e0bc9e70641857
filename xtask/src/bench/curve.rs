//! Pictures of curves, as text: panels side by side, a logarithmic axis below, a linear one from zero at the left.
//! Not a plotting library, and no bars. Invariant: the same points give the same bytes.

use super::{
    lines::shown,
    svg::{COLOURS, text},
};
use std::fmt::Write as _;

const WIDTH: usize = 760;
const HEIGHT: usize = 270;
const TOP: usize = 64;
const BOTTOM: usize = 214;
const LEFT_MARGIN: usize = 56;
const RIGHT_MARGIN: usize = 24;
/// Lines across a panel, that at zero not counted.
const STEPS: usize = 4;

/// One figure along the axis.
pub(super) struct Panel<'a> {
    pub(super) title: &'a str,
    /// Place, median, and lowest and highest, by place.
    pub(super) points: Vec<(f64, f64, (f64, f64))>,
}

/// Panels over the same axis.
pub(super) struct Curve<'a> {
    pub(super) title: &'a str,
    pub(super) along: &'a str,
    pub(super) panels: &'a [Panel<'a>],
}

impl Curve<'_> {
    /// The picture.
    pub(super) fn svg(&self) -> String {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, 10, 20, "start\" font-weight=\"bold", self.title);
        text(&mut svg, WIDTH / 2, HEIGHT - 14, "middle", self.along);
        let width = WIDTH / self.panels.len().max(1);
        for (number, panel) in self.panels.iter().enumerate() {
            panel.draw(
                &mut svg,
                number * width,
                width,
                COLOURS[number % COLOURS.len()],
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

impl Panel<'_> {
    fn draw(&self, svg: &mut String, from: usize, width: usize, colour: &str) {
        let (left, right) = (from + LEFT_MARGIN, from + width - RIGHT_MARGIN);
        text(svg, left, TOP - 18, "start", self.title);
        let most = self.points.iter().map(|(_, _, (_, highest))| *highest);
        let top = round_up(most.fold(0.0, f64::max));
        let y = |figure: f64| BOTTOM as f64 - (BOTTOM - TOP) as f64 * figure / top;
        for step in 0..=STEPS {
            let figure = top * step as f64 / STEPS as f64;
            let (y, told) = (y(figure).round() as usize, shown(Some(figure)));
            line(svg, (left, y), (right, y), "#d8dce2");
            text(svg, left - 6, y + 4, "end", &told);
        }
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return;
        };
        let span = (last.0 / first.0).ln();
        let x = |place: f64| {
            let share = if span > 0.0 {
                (place / first.0).ln() / span
            } else {
                0.5
            };
            left as f64 + (right - left) as f64 * share
        };
        let mut path = String::new();
        for (place, median, (lowest, highest)) in &self.points {
            let (x, y_median) = (x(*place), y(*median));
            let across = x.round() as usize;
            let ends = (y(*lowest).round() as usize, y(*highest).round() as usize);
            line(svg, (across, ends.0), (across, ends.1), colour);
            let dot =
                format!("<circle cx=\"{x:.1}\" cy=\"{y_median:.1}\" r=\"3\" fill=\"{colour}\"/>");
            writeln!(svg, "{dot}").expect("a String takes every line");
            text(svg, across, BOTTOM + 18, "middle", &short(*place));
            let _ = write!(path, "{x:.1},{y_median:.1} ");
        }
        let path = path.trim_end();
        let polyline = format!(
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        writeln!(svg, "{polyline}").expect("a String takes every line");
    }
}

fn line(svg: &mut String, from: (usize, usize), to: (usize, usize), colour: &str) {
    let line = format!(
        "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{colour}\"/>",
        from.0, from.1, to.0, to.1
    );
    writeln!(svg, "{line}").expect("a String takes every line");
}

/// The next of 1, 2, 4, 8 times a power of ten: a fourth of it has few digits.
fn round_up(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let unit = 10_f64.powf(most.log10().floor());
    let factors = [1.0, 2.0, 4.0, 8.0, 10.0];
    let fit = factors.into_iter().find(|factor| factor * unit >= most);
    fit.unwrap_or(10.0) * unit
}

/// A place in few letters: 10k, 3M.
fn short(place: f64) -> String {
    match place {
        place if place >= 1e6 => format!("{}M", place / 1e6),
        place if place >= 1e3 => format!("{}k", place / 1e3),
        place => place.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_ends_of_axes_are_told_in_few_letters() {
        assert_eq!(
            [1.0, 256.0, 30_000.0, 1e7].map(short),
            ["1", "256", "30k", "10M"]
        );
        assert_eq!(
            [0.0, 0.9, 1.0, 3.1, 81.0, 220.0].map(round_up),
            [1.0, 1.0, 1.0, 4.0, 100.0, 400.0]
        );
    }

    #[test]
    fn a_curve_of_one_point_is_a_dot_in_the_middle() {
        let panel = Panel {
            title: "MB",
            points: vec![(4.0, 50.0, (40.0, 60.0))],
        };
        let curve = Curve {
            title: "memory",
            along: "partitions",
            panels: &[panel],
        };
        assert!(curve.svg().contains("<circle cx=\"396.0\""));
    }
}

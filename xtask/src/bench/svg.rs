//! Pictures of bars, as text. Not a plotting library: one kind of picture, which is what figures by job and system need.
//! Invariant: the same figures give the same bytes.

use super::lines::shown;
use std::fmt::Write as _;

const WIDTH: usize = 760;
const LABEL_WIDTH: usize = 170;
/// Right of the longest bar, for its figure.
const FIGURE_WIDTH: usize = 90;
const BAR_HEIGHT: usize = 14;
const GROUP_GAP: usize = 12;
const HEAD_HEIGHT: usize = 56;
pub(super) const COLOURS: [&str; 4] = ["#1f6feb", "#c9702d", "#7a7f87", "#3f9a5f"];

/// Groups of bars, one bar for each series.
pub(super) struct Bars<'a> {
    pub(super) title: &'a str,
    pub(super) series: &'a [&'a str],
    /// A label, and the figures in the order of the series.
    pub(super) groups: Vec<(String, Vec<Option<f64>>)>,
}

impl Bars<'_> {
    /// The picture.
    pub(super) fn svg(&self) -> String {
        let figures = self.groups.iter().flat_map(|(_, figures)| figures);
        let most = figures.flatten().fold(0.0, |most: f64, it| most.max(*it));
        let group_height = self.series.len() * BAR_HEIGHT + GROUP_GAP;
        let height = HEAD_HEIGHT + self.groups.len() * group_height;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, 10, 20, "start\" font-weight=\"bold", self.title);
        self.legend(&mut svg);
        for (number, (label, figures)) in self.groups.iter().enumerate() {
            let top = HEAD_HEIGHT + number * group_height;
            let middle = top + self.series.len() * BAR_HEIGHT / 2 + 4;
            text(&mut svg, LABEL_WIDTH - 8, middle, "end", label);
            for (place, figure) in figures.iter().enumerate() {
                let Some(figure) = figure else { continue };
                let share = if most > 0.0 { figure / most } else { 0.0 };
                let room = (WIDTH - LABEL_WIDTH - FIGURE_WIDTH) as f64;
                let length = ((room * share).round() as usize).max(1);
                let y = top + place * BAR_HEIGHT;
                bar(&mut svg, LABEL_WIDTH, y, length, place);
                let told = shown(Some(*figure));
                text(&mut svg, LABEL_WIDTH + length + 5, y + 10, "start", &told);
            }
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn legend(&self, svg: &mut String) {
        let mut x = LABEL_WIDTH;
        for (place, name) in self.series.iter().enumerate() {
            bar(svg, x, 32, 12, place);
            text(svg, x + 18, 42, "start", name);
            x += 40 + 8 * name.len();
        }
    }
}

fn bar(svg: &mut String, x: usize, y: usize, width: usize, place: usize) {
    let (height, colour) = (BAR_HEIGHT - 2, COLOURS[place % COLOURS.len()]);
    let rectangle = format!(
        "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{colour}\"/>"
    );
    writeln!(svg, "{rectangle}").expect("a String takes every line");
}

/// Words at a place.
pub(super) fn text(svg: &mut String, x: usize, y: usize, anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let text = format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>");
    writeln!(svg, "{text}").expect("a String takes every line");
}

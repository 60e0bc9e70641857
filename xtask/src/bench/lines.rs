//! Lines of results, picked and summed up. Not their printing.
//! Invariant: a line that tells an error gives no figure.

use serde_json::Value;

/// Some lines, in the order in which they were written.
#[derive(Clone)]
pub(super) struct Lines<'a>(Vec<&'a Value>);

impl<'a> Lines<'a> {
    /// Those that tell no error.
    pub(super) fn right(lines: &'a [Value]) -> Self {
        let lines = lines.iter();
        Self(lines.filter(|line| line["error"].is_null()).collect())
    }

    /// Of each job those of its last measurement.
    pub(super) fn latest(&self) -> Self {
        let mut latest = Vec::new();
        for job in self.each("job") {
            let of_job = self.with("job", &job);
            let last = of_job.0.iter().map(|line| line["measurement"].as_u64());
            let last = last.max().flatten();
            let lines = of_job.0.into_iter();
            latest.extend(lines.filter(|line| line["measurement"].as_u64() == last));
        }
        Self(latest)
    }

    /// Those whose `field` says so.
    pub(super) fn with(&self, field: &str, value: &str) -> Self {
        let lines = self.0.iter().copied();
        Self(lines.filter(|line| line[field] == value).collect())
    }

    /// Those whose `field` is this number.
    pub(super) fn at(&self, field: &str, number: u64) -> Self {
        let lines = self.0.iter().copied();
        Self(lines.filter(|line| line[field] == number).collect())
    }

    /// What `field` says, each once, in order.
    pub(super) fn each(&self, field: &str) -> Vec<String> {
        let mut each = Vec::new();
        for line in &self.0 {
            let text = line[field].as_str().unwrap_or_default().to_owned();
            if !each.contains(&text) {
                each.push(text);
            }
        }
        each
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn first(&self) -> Option<&'a Value> {
        self.0.first().copied()
    }

    /// The figures of this name, the lowest first.
    pub(super) fn sorted(&self, figure: &str) -> Vec<f64> {
        let figures = self.0.iter().filter_map(|line| line[figure].as_f64());
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        figures
    }

    /// The lowest and the highest of what each run wrote, by its name.
    pub(super) fn written(&self, what: &str) -> Option<(i64, i64)> {
        let written = self
            .0
            .iter()
            .filter_map(|line| line["output"][what].as_i64());
        let written: Vec<i64> = written.collect();
        Some((*written.iter().min()?, *written.iter().max()?))
    }

    /// The median; of an even number the mean of the middle two.
    pub(super) fn median(&self, figure: &str) -> Option<f64> {
        let figures = self.sorted(figure);
        let (low, high) = (figures.len().checked_sub(1)? / 2, figures.len() / 2);
        Some(f64::midpoint(*figures.get(low)?, *figures.get(high)?))
    }
}

/// Rounded for people: three digits that count, thousands set apart.
pub(super) fn shown(figure: Option<f64>) -> String {
    let Some(figure) = figure else {
        return "-".to_owned();
    };
    if figure == 0.0 {
        return "0".to_owned();
    }
    let digits = figure.abs().log10().floor() as i32;
    if digits < 2 {
        return format!("{figure:.*}", (2 - digits).clamp(0, 4) as usize);
    }
    let unit = 10_f64.powi(digits - 2);
    thousands(((figure / unit).round() * unit).round() as i64)
}

/// A whole number, thousands set apart.
pub(super) fn thousands(whole: i64) -> String {
    let plain = whole.to_string();
    let mut shown = String::new();
    for (index, digit) in plain.chars().enumerate() {
        if index > 0 && (plain.len() - index).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_are_shown_with_three_digits() {
        let shown: Vec<String> = [
            0.0,
            0.012_34,
            1.0 / 3.0,
            17.26,
            999.6,
            83_456.0,
            2_650_499.0,
        ]
        .map(|figure| shown(Some(figure)))
        .into();
        let expected = [
            "0",
            "0.0123",
            "0.333",
            "17.3",
            "1,000",
            "83,500",
            "2,650,000",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn only_the_last_measurement_of_a_job_counts_and_no_error() {
        let lines = [
            json!({"job": "a", "measurement": 1, "x": 1.0}),
            json!({"job": "a", "measurement": 2, "x": 5.0}),
            json!({"job": "a", "measurement": 2, "x": 9.0}),
            json!({"job": "a", "measurement": 3, "error": "wrong"}),
            json!({"job": "b", "measurement": 1, "x": 4.0}),
        ];
        let latest = Lines::right(&lines).latest();
        assert_eq!(latest.with("job", "a").median("x"), Some(7.0));
        assert_eq!(latest.with("job", "b").median("x"), Some(4.0));
    }
}

//! Rows under headings, aligned: text to the left, numbers to the right. Not wrapped to the width of a terminal.
//! Invariant: no line ends with spaces.

use std::io::{Result, Write};

/// A table that is printed when it is complete.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// Headings; those that begin with `>` stand over numbers.
    pub(crate) fn new(headings: &[&str]) -> Self {
        let names = headings
            .iter()
            .map(|heading| heading.trim_start_matches('>').to_owned());
        Self {
            rows: vec![names.collect()],
            right: headings
                .iter()
                .map(|heading| heading.starts_with('>'))
                .collect(),
        }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Prints it.
    pub(crate) fn print(&self, out: &mut dyn Write) -> Result<()> {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.right.len()).map(width).collect();
        for row in &self.rows {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let gap = if line.is_empty() { "" } else { "  " };
                line += gap;
                line += &match right {
                    true => format!("{cell:>width$}"),
                    false => format!("{cell:<width$}"),
                };
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

//! How far a long step has come: a bar on a terminal, a line now and then elsewhere. Always on standard error.
//! Not part of the result. Invariant: nothing is printed for a step that ends within the first interval of lines.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
    cell::Cell,
    io::IsTerminal,
    time::{Duration, Instant},
};

/// Time between two lines where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(2);

/// The progress of one step.
pub(crate) struct Progress {
    name: &'static str,
    total: u64,
    bar: Option<ProgressBar>,
    line_at: Cell<Instant>,
}

impl Progress {
    /// A step of `total` records.
    pub(crate) fn new(name: &'static str, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template(
                "{msg:>10} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}",
            )
            .unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(total).with_style(style).with_message(name)
        });
        Self {
            name,
            total,
            bar,
            line_at: Cell::new(Instant::now()),
        }
    }

    /// So many records are done.
    pub(crate) fn at(&self, done: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        } else if self.line_at.get().elapsed() >= LINE_INTERVAL {
            self.line_at.set(Instant::now());
            eprintln!("{}: {done} of {} records", self.name, self.total);
        }
    }

    /// Something a person should know.
    pub(crate) fn note(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("purchases: {message}")),
            None => eprintln!("purchases: {message}"),
        }
    }

    /// The step ended.
    pub(crate) fn done(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

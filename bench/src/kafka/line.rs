//! What one run prints. Not what it cost: CPU and memory are measured from outside.
//! Invariant: one line, the last of the output, the same fields as the Java program's.

use serde_json::json;
use std::time::Duration;

/// What a run found out about itself.
pub(super) struct Line<'a> {
    pub(super) job: &'a str,
    pub(super) records: u64,
    /// From the first record to the last.
    pub(super) seconds: Duration,
    /// From the first record until all is committed and closed.
    pub(super) seconds_closed: Duration,
    /// From the start of the process until tasks run; zero where there are none.
    pub(super) start_to_running: Duration,
}

impl Line<'_> {
    pub(super) fn print(&self) {
        let line = json!({
            "job": self.job,
            "records": self.records,
            "seconds": self.seconds.as_secs_f64(),
            "seconds_closed": self.seconds_closed.as_secs_f64(),
            "start_to_running_ms": self.start_to_running.as_millis() as u64,
        });
        println!("{line}");
    }
}

//! What this process, or another, used: CPU time and memory, from `/proc`. Not what the machine did meanwhile.
//! Invariant: CPU time counts all threads of the process.

use std::fs;

/// Ticks a second of the times in `/proc/self/stat`: the kernel fixes USER_HZ.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of the process so far, in seconds.
pub(crate) fn cpu_seconds() -> f64 {
    cpu_seconds_of("self")
}

/// The same of the process with this id.
pub(crate) fn cpu_seconds_of(process: &str) -> f64 {
    let (user, system) = times_of(process);
    user + system
}

/// User time of this process so far, in seconds: what its own code took, without what the system did for it.
pub(crate) fn user_seconds() -> f64 {
    times_of("self").0
}

fn times_of(process: &str) -> (f64, f64) {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name in parentheses may hold spaces: count fields after it.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
            / TICKS_PER_SECOND
    };
    (ticks(11), ticks(12))
}

/// Peak resident memory in MB since [`reset_peak`], page cache not included.
pub(crate) fn peak_mb() -> f64 {
    peak_mb_of("self")
}

/// The same of the process with this id.
pub(crate) fn peak_mb_of(process: &str) -> f64 {
    memory_mb(process, "VmHWM:")
}

/// MB of the process with this id that are in memory; 0 when there is no such process.
pub(crate) fn resident_mb_of(process: &str) -> f64 {
    memory_mb(process, "VmRSS:")
}

fn memory_mb(process: &str, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with(name))
        .unwrap_or_default();
    line.split_whitespace()
        .nth(1)
        .and_then(|kb| kb.parse::<f64>().ok())
        .unwrap_or(0.0)
        / 1024.0
}

/// Forgets the peak so far: what filled the input is not the job's.
pub(crate) fn reset_peak() {
    // Where the kernel refuses, the peak is that of the process and only ever too high.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

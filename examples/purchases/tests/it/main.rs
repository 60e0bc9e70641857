//! The job as a program: the real binary over directories of its own. Not its parts, which have tests beside them.
//! Invariant: every result is compared with `expected`, which shares no code with the job.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test at the rim: it starts processes, reads files and waits, and fails by a panic"
)]

mod cluster;
mod expected;
mod job;
mod kill;
mod program;

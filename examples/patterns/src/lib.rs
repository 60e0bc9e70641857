//! Four small patterns, each a file that can be read alone. Not an application: nothing here knows the others.
//! Invariant: each is tested, restarts included.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "programs at the rim: one waits for a log with a deadline"
)]

pub mod counters;
pub mod latest;
pub mod memory_image;
pub mod rewards;

//! A whole cluster in one thread, from a seed: members of one application on a log that delays, loses and forgets, killed and
//! frozen in seeded order, judged by properties that hold whatever happens. Not published, and not a model: the runtime, the
//! stores and the coordinator are the real ones. Invariant: one seed is one course of events, to the last step.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    reason = "a harness: what fails here fails the test that runs it"
)]

#[allow(dead_code, reason = "the runtime's own tests use the rest")]
mod application;
mod cluster;
mod faults;
mod planted;
mod properties;

pub use cluster::{Plan, Report, run};
pub use faults::{Fault, FaultCounts, Stage};
pub use planted::Planted;

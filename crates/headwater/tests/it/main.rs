//! Applications end to end, as their authors write them: through the facade only. Not the crates below, which have their own tests.
//! Invariant: what an application answers is computed here a second time, by a plain loop.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test at the rim: it uses real time and files, and fails by a panic"
)]

mod async_calls;
mod failure;
mod fixture;
mod guarantee;
mod java;
mod lifecycle;
mod memory;
mod quarantine;
mod settings;

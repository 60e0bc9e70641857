//! The `headwater` binary as an operator meets it: text in, text out. Not its modules: those have tests of their own.
//! Invariant: every test has a directory of its own.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test at the rim: it starts processes, reads files and waits, and fails by a panic"
)]

mod beside;
mod cluster;
mod commands;
mod damage;
mod fixture;
mod reset;

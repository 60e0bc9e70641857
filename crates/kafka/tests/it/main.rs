//! The client against real brokers: the contract of a log, then faults. Not its decoders and state machines, which are tested beside
//! their code. Invariant: one broker serves the whole binary, and every name begins with the behaviour's own prefix.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run on real time, processes and sockets, and a wrong answer ends them"
)]

mod broker;
mod compression;
mod contract;
mod early;
mod foreign;
mod group;
mod hygiene;
mod instance;
mod rights;
mod settings;
mod truncated;

//! Brokers start, fall, come back and are gone. Not tests of Kafka. Invariant: no test leaves a process.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests look at real processes, files and sockets, and a wrong answer ends them"
)]

mod life;
mod proxy;
mod security;

//! The runtime end to end on simulated worlds: the same application whatever happens to disk, log and members.
//! Not the log's or the stores' own tests. Invariant: results after faults equal the results without them.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

#[allow(dead_code, reason = "the simulated cluster uses the rest")]
#[path = "../../../sim/src/application.rs"]
mod application;
mod awaited_topic;
mod closing_time;
mod configuration;
mod crash;
mod damage;
mod foreign_key;
mod forgetful;
mod globals;
mod hand_over;
mod idle;
mod internal_topics;
mod marker;
mod missing_topic;
mod process;
mod purge;
mod standby;
mod timers;
mod uncaught;

//! The shop, service by service and as a whole: the tests of the Java original with their data, and its faults as tests.
//! Invariant: expected results are written down here, or are those of the Java tests.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test at the rim: it starts services and waits, and fails by a panic"
)]

mod details;
mod email;
mod end_to_end;
mod fraud;
mod instances;
mod inventory;
mod kills;
mod overload;
mod page;
mod place;
mod process;
mod rest;
mod samples;
mod server;
mod services;
mod shops;
mod validations;

//! Questions to running applications of several instances, as a service asks them. Not HTTP. Invariant: what is answered is compared
//! with what a plain loop over the input says.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test at the rim: it uses real time and files, and fails by a panic"
)]

mod http;
mod instance;
mod kinds;
mod partitioned;
mod routing;
mod tokens;
mod waits;
mod watched_windows;
mod watches;
mod wire;

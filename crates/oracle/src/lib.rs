//! Runs topologies written as JSON, the judge's case files, on Headwater and renders what happened in the judge's form, so that
//! both can be compared. Not published and not for applications. Invariant: a case that cannot be run is refused; no result is made up.
#![forbid(unsafe_code)]

mod case;
mod cluster;
mod combine;
mod difference;
mod function;
pub mod fuzz;
mod live;
mod node;
mod processor;
mod result;
mod run;
mod show;
mod store;
mod value;

pub use case::{Case, Input, Spec};
pub use cluster::{Options, Outcome, live_run};
pub use difference::{Difference, difference};
pub use live::{Stage, Topics, live};
pub use run::run;
pub use show::show;
pub use value::{Ty, Val};

use std::fmt;

/// Why a case has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The case file itself is wrong.
    Case(String),
    /// It uses something that Headwater does not have.
    Unsupported(String),
    /// An argument that Headwater's types do not let through: refused earlier than at `build`.
    Inexpressible(String),
    /// Headwater broke in a way that is no result: a panic outside the case's functions.
    Broken(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Case(what) => write!(f, "not a case: {what}"),
            Self::Unsupported(what) => write!(f, "unsupported: {what}"),
            Self::Inexpressible(what) => write!(f, "cannot be said: {what}"),
            Self::Broken(what) => write!(f, "broken: {what}"),
        }
    }
}

impl std::error::Error for Refusal {}

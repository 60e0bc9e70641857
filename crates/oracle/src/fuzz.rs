//! The random differential fuzz: makes up cases, has both judges run them, and shrinks what differs. Not a judge itself:
//! what Kafka Streams does is right, except for the faults that are listed.
//! Invariant: every case comes from a seed and an index, so whoever has these two numbers can make it again.
#![allow(
    clippy::disallowed_methods,
    reason = "a tool that runs another program on files and waits for it; nothing here is ever simulated"
)]

mod campaign;
mod coverage;
mod draft;
mod fault;
mod function;
mod generate;
mod group;
mod input;
mod invalid;
mod join;
mod judge;
mod kept;
mod kind;
mod low_level;
mod process;
mod random;
pub mod recorded;
mod settings;
mod shrink;
mod source;
mod stateless;
mod store;
mod table;
mod verdict;

pub use campaign::{Plan, Report, record, run};
pub use coverage::{Count, Coverage};
pub use generate::case;
pub use judge::{Hearing, Judge};
pub use kept::text;
pub use shrink::shrink;
pub use verdict::{Verdict, ours, verdict};

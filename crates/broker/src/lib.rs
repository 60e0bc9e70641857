//! Real Apache Kafka brokers as child processes, for `cargo xtask kafka`, tests and benches, and a proxy that spoils connections.
//! Not for production, and no client: what is written or read goes through Kafka's own tools or kcat.
//! Invariant: only processes started here are ever ended, and none outlives the process that started it unless it was detached.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test tool around real processes, files and sockets; nothing here is ever simulated"
)]

mod certificate;
mod cluster;
mod jars;
mod listener;
mod node;
mod port;
mod process;
mod proxy;
mod random;
mod reader;
mod settings;
mod tool;
mod watch;

pub use certificate::Certificates;
pub use cluster::{Cluster, Options, end_recorded};
pub use jars::{VERSIONS, class_path, has_streams_groups, is_usable};
pub use listener::{Listener, Mechanism};
pub use proxy::{Fault, Proxy, Weather};
pub use reader::{Record, read_committed};
pub use tool::{java, listing, tool};

/// Who a secured cluster knows: names with their passwords, for PLAIN and SCRAM alike.
pub const USERS: &[(&str, &str)] = &[("alice", "alice-secret"), ("bob", "bob-secret")];

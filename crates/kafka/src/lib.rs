//! Apache Kafka as a [`headwater_log::Log`]: our own data path, transactions and Streams group membership (KIP-1071).
//! Not a general Kafka client: it speaks what a stream processor needs. Invariant: the worker's side never blocks; one background
//! thread for each client does the network.
#![forbid(unsafe_code)]

mod admin;
mod client;
mod cluster;
mod compression;
mod connection;
mod coordinator;
mod description;
mod fetcher;
mod kafka;
mod membership;
mod operator;
mod producer;
mod protocol;
mod settings;
mod spare;
mod transaction;
mod watch;
#[doc(hidden)]
pub mod yardstick;

pub use description::{
    GroupDescription, MemberDescription, PartitionReplicas, SubtopologyDescription, Tasks,
};
pub use kafka::Kafka;
pub use settings::{TokenSource, setting_names};

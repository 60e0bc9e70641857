//! Apache Kafka as a [`headwater_log::Log`]: our own data path, transactions and Streams group membership (KIP-1071).
//! Not a general Kafka client: it speaks what a stream processor needs. Invariant: the worker's side never blocks; one background
//! thread for each client does the network.
#![forbid(unsafe_code)]

#[allow(dead_code, reason = "called by the parts that are being added")]
mod admin;
mod client;
#[allow(dead_code, reason = "called by the parts that are being added")]
mod cluster;
mod compression;
#[allow(dead_code, reason = "called by the parts that are being added")]
mod connection;
mod fetcher;
mod membership;
mod producer;
mod protocol;
#[allow(dead_code, reason = "read by the parts that are being added")]
mod settings;

pub use settings::{SettingName, SettingVerdict, TokenSource, setting_names};

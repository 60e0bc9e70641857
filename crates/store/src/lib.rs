//! Bytes by key: ordered stores that follow a changelog, their caches and engines, and the key layouts of Kafka Streams.
//! Not typed, and not a database: the changelog topic is the write-ahead log, so a store has no journal of its own.
//! Invariant: what a checkpoint holds is never older than the changelog position stored with it. See `docs/design/store.md`.
#![deny(unsafe_code)]

mod ahead;
mod budget;
mod byte_store;
mod checkpoint;
mod committed;
mod compactor;
mod engine;
mod error;
mod families;
mod huge;
mod index;
mod lru;
mod options;
mod order;
mod overlay;
mod reader;
mod recency;
mod record_cache;
mod routing;
mod scan;
mod short_bytes;
mod stats;
mod store;
#[cfg(test)]
mod suite;
mod undo;
mod write_back;

pub mod session;
pub mod versioned;
pub mod window;

pub use ahead::{KEYS_AHEAD_MAX, KeysAhead};
pub use budget::Budget;
pub use byte_store::{ByteStore, Direction, KeyRange, ReadBytes, Visit};
pub use checkpoint::{Attach, CheckpointSource};
pub use error::{Error, Result};
pub use families::PlainKey;
pub use options::{EngineKind, Layout, StoreOptions};
pub use reader::{Snapshot, StoreReader};
pub use record_cache::{Entry, RecordCache};
pub use short_bytes::ShortBytes;
pub use stats::{CheckpointStats, StoreStats};
pub use store::{KEY_BYTES_MAX, Store, VALUE_BYTES_MAX};

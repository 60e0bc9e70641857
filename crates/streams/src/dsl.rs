//! The language of topologies: `App`, `KStream`, `KTable`, groups and windows, and the nouns they take.
//! Not what runs: every verb adds a node to the graph. Invariant: handles are `Copy` and borrow the app; two type
//! parameters, key and value.

mod app;
mod branch;
mod cogroup;
mod foreign_key;
mod global;
mod grouped;
mod grouped_table;
mod join;
mod join_windows;
mod map_async;
mod nulls;
mod repartition;
mod session;
mod store;
mod store_handle;
mod stream;
mod stream_join;
mod stream_table_join;
mod suppress;
mod table;
mod table_join;
mod table_verb;
mod topic;
mod topology_builder;
mod windowed;

pub use app::App;
pub use branch::Branches;
pub use cogroup::{KCogroupedStream, KSessionCogroup, KWindowedCogroup};
pub use foreign_key::ByForeignKey;
pub use global::{ByGlobalKey, GlobalKTable};
pub use grouped::KGroupedStream;
pub use grouped_table::KGroupedTable;
pub use join::JoinTable;
pub use join_windows::JoinWindows;
pub use nulls::WithNulls;
pub use repartition::Repartitioned;
pub use session::KSessionStream;
pub use store::Store;
pub use store_handle::{
    ByKey, BySession, ByTime, KeyValues, KeyValuesWithHeaders, Plain, Sessions,
    SessionsWithHeaders, StoreHandle, StoreSet, Timed, TimedWithHeaders, Timers,
    TimestampedKeyValues, TimestampedWindows, Versions, Windows, WindowsWithHeaders, WithHeaders,
};
pub use stream::KStream;
pub use stream_join::StreamWithin;
pub use stream_table_join::GraceTable;
pub use suppress::{Suppress, SuppressUntil, TimeLimit, WindowClose};
pub use table::KTable;
pub use table_join::JoinRows;
pub use topic::{BadData, TimestampArgs, Topic};
pub use topology_builder::{Parents, TopologyBuilder};
pub use windowed::{KWindowedStream, WindowedBy};

pub(crate) use app::store_formats;
pub(crate) use join::Joiner;
pub(crate) use topic::{PartitionOf, PartitionsOf, TimestampOf};

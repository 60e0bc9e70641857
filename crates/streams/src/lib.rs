//! Typed programs over logs and stores: the DSL, the topology it builds, the tasks that run it, and a test driver.
//! Not a runtime: nothing here opens a log, starts a thread or decides when to commit.
//! Invariant: types are erased once per edge when a task is wired, never per record.
#![forbid(unsafe_code)]

mod driver;
mod dsl;
mod error;
mod format;
mod operator;
mod record;
mod task;
mod topology;
mod window;

pub use driver::{StoreContents, StoreRow, TestDriver, TestRecord};
pub use dsl::{
    App, BadData, Branches, ByForeignKey, ByGlobalKey, ByKey, BySession, ByTime, GlobalKTable,
    GraceTable, JoinRows, JoinTable, JoinWindows, KCogroupedStream, KGroupedStream, KGroupedTable,
    KSessionCogroup, KSessionStream, KStream, KTable, KWindowedCogroup, KWindowedStream, KeyValues,
    KeyValuesWithHeaders, Parents, Plain, Repartitioned, Sessions, SessionsWithHeaders, Store,
    StoreHandle, StoreSet, StreamWithin, Suppress, SuppressUntil, TimeLimit, Timed,
    TimedWithHeaders, Timers, TimestampArgs, TimestampedKeyValues, TimestampedWindows, Topic,
    TopologyBuilder, Versions, WindowClose, WindowedBy, Windows, WindowsWithHeaders, WithHeaders,
    WithNulls,
};
pub use error::{Error, Result};
pub use format::{Data, Format, FormatError, FormatOf, json};
pub use operator::{
    AggregationWithHeaders, FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Processor,
    ProcessorContext, RowKind, Scheduled, StoreView, Timer, Timestamped, TransformContext,
    ValueTimestampHeaders, ValueTransformer, VersionPut, VersionedRecord,
};
pub use record::{Change, Headers, Position, Record};
pub use task::{
    Counters, GlobalUpdate, Globals, InputState, Output, Progress, Punctuation, PunctuationKind,
    QuarantinedRecord, Route, Task, decode_metadata, encode_metadata,
};
pub use topology::{OnError, Semantics, StoreInfo, SubtopologyInfo, Topology, TopologySettings};
pub use window::{
    EmitStrategy, SessionWindows, SlidingWindows, TimeWindows, UnlimitedWindows, Windowed,
    Windowing, WindowsKind, session_windowed, windowed,
};

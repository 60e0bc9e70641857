//! Headwater: stateful event-driven services on a log. Build a topology with [`App`], run it with [`run`] or [`start`].
//! Not an implementation: this crate names the parts an application uses and wires signals and defaults.
//! Invariant: an application depends on this crate only.
//!
//! ```no_run
//! use headwater::prelude::*;
//!
//! fn main() -> Result<()> {
//!     let app = App::new("word-count");
//!     app.stream::<String, String>("lines")
//!         .flat_map_values(|line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
//!         .group_by(|_, word| word.clone())
//!         .count("word-counts")
//!         .to_stream()
//!         .to("counts");
//!     headwater::run(app.build()?, EmbeddedLog::open("./data"))
//! }
//! ```
#![forbid(unsafe_code)]

mod app;
mod embedded;
mod error;
mod into_log;
mod offsets;
mod signal;

pub use app::App;
pub use embedded::EmbeddedLog;
pub use error::{Error, Result};
#[cfg(feature = "kafka")]
pub use headwater_kafka::{
    GroupDescription, Kafka, MemberDescription, PartitionReplicas, SubtopologyDescription, Tasks,
    setting_names,
};
pub use headwater_log as log;
pub use headwater_log::setting::{SettingName, SettingVerdict, parse_properties};
pub use headwater_log::{Guarantee, MemoryLog, TaskId, TopicPartition};
#[cfg(feature = "query")]
pub use headwater_query as query;
/// What [`Running::stop`] and [`SourceWriter`] say went wrong, to be told apart by name; `?` makes an [`Error`] of it.
pub use headwater_runtime::Error as RuntimeError;
pub use headwater_runtime::{
    Committed, Listener, Quiet, Reset, ResetPlan, ResetTo, RestoreProgress, Role, Running,
    Settings, SourceWriter, TaskStatus, UncaughtHandler, UncaughtResponse, View, Worker,
    config_names, reset,
};
pub use headwater_store as store;
pub use headwater_streams as streams;
pub use headwater_streams::{
    AggregationWithHeaders, BadData, ByKey, BySession, ByTime, Change, Counters, Data,
    EmitStrategy, FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Format, FormatError,
    FormatOf, Headers, JoinWindows, KCogroupedStream, KGroupedStream, KGroupedTable,
    KSessionCogroup, KSessionStream, KStream, KTable, KWindowedCogroup, KWindowedStream, KeyValues,
    KeyValuesWithHeaders, OnError, Plain, Position, Processor, ProcessorContext, Punctuation,
    PunctuationKind, QuarantinedRecord, Record, Repartitioned, RowKind, Scheduled, SessionWindows,
    Sessions, SessionsWithHeaders, SlidingWindows, Store, StoreHandle, StoreView, StreamWithin,
    Suppress, TestDriver, TestRecord, TimeWindows, Timed, TimedWithHeaders, Timer, Timers,
    Timestamped, TimestampedKeyValues, TimestampedWindows, Topic, Topology, TopologyBuilder,
    TopologySettings, TransformContext, UnlimitedWindows, ValueTimestampHeaders, ValueTransformer,
    VersionPut, VersionedRecord, Versions, Windowed, Windowing, Windows, WindowsWithHeaders,
    WithHeaders, json, session_windowed, windowed,
};
/// What closures of processors answer: [`Result`]'s `?` takes it, and [`ProcessorError::failed`] makes one of any error.
pub use headwater_streams::{Error as ProcessorError, Result as ProcessorResult};
pub use headwater_world as world;
pub use into_log::IntoLog;
pub use offsets::{committed_offsets, count_records, end_offsets};
pub use signal::{stop_requested, watch_signals};

/// What most applications use.
pub mod prelude {
    #[cfg(feature = "kafka")]
    pub use crate::Kafka;
    pub use crate::{
        App, BadData, Data, EmbeddedLog, EmitStrategy, FixedKeyContext, FixedKeyProcessor,
        FixedKeyRecord, FormatOf, JoinWindows, KStream, KTable, Processor, ProcessorContext,
        ProcessorError, ProcessorResult, Punctuation, PunctuationKind, Record, Repartitioned,
        Result, Running, Scheduled, SessionWindows, Settings, SlidingWindows, Store, StoreHandle,
        Suppress, TestDriver, TimeWindows, Timer, Timers, Topic, Topology, TransformContext,
        UnlimitedWindows, ValueTransformer, Windowed, Windowing, json, windowed,
    };
}

/// Runs `topology` until ctrl-c, SIGTERM or a failure, and ends cleanly: what was processed is committed, state is
/// checkpointed. Exactly once, one worker, state beside the embedded log (on Kafka in a temporary directory, as Kafka Streams
/// does); [`run_with`] takes other settings.
pub fn run(topology: Topology, log: impl IntoLog) -> Result<()> {
    run_with(topology, log, Settings::default())
}

/// As [`run`], with settings.
pub fn run_with(topology: Topology, log: impl IntoLog, mut settings: Settings) -> Result<()> {
    let (log, state_dir) = log.into_log()?;
    settings.state_dir = settings.state_dir.or(state_dir);
    let requested = signal::watch_signals()?;
    Ok(headwater_runtime::run(topology, &log, settings, requested)?)
}

/// Processes what the topics of `topology` hold now and what follows from it, commits, and returns: a batch job over the log.
/// Run again, it goes on where it ended. Ctrl-c and SIGTERM end it early and cleanly.
pub fn run_to_end(topology: Topology, log: impl IntoLog) -> Result<()> {
    run_to_end_with(topology, log, Settings::default())
}

/// As [`run_to_end`], with settings.
pub fn run_to_end_with(
    topology: Topology,
    log: impl IntoLog,
    mut settings: Settings,
) -> Result<()> {
    let (log, state_dir) = log.into_log()?;
    settings.state_dir = settings.state_dir.or(state_dir);
    let requested = signal::watch_signals()?;
    Ok(headwater_runtime::run_to_end(
        topology, &log, settings, requested,
    )?)
}

/// Starts `topology` and returns at once.
pub fn start(topology: Topology, log: impl IntoLog) -> Result<Running> {
    start_with(topology, log, Settings::default())
}

/// As [`start`], with settings.
pub fn start_with(
    topology: Topology,
    log: impl IntoLog,
    mut settings: Settings,
) -> Result<Running> {
    let (log, state_dir) = log.into_log()?;
    settings.state_dir = settings.state_dir.or(state_dir);
    Ok(headwater_runtime::start(topology, &log, settings)?)
}

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

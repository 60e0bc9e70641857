//! Runs a case on `TestDriver`: builds the topology, feeds the inputs, collects what happened. Not the driver.
//! Invariant: a result is what Headwater did; a panic that is not turned into an error by Headwater is never one.

use crate::case::Input;
use crate::{Case, Refusal, node, result};
use headwater::streams::{Semantics, TopologySettings};
use headwater::{TestDriver, TopologyBuilder};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The judge's name for every application, unless a case gives another.
const APPLICATION: &str = "oracle";

/// Settings that are no topology's: read here, or without a meaning for one partition and a commit after each record.
const ELSEWHERE: [&str; 9] = [
    "application.id",
    "buffered.records.per.partition",
    "commit.interval.ms",
    IDLE,
    "num.standby.replicas",
    "num.stream.threads",
    "processing.guarantee",
    "replication.factor",
    "statestore.cache.max.bytes",
];

/// How long records wait for inputs that have none.
const IDLE: &str = "max.task.idle.ms";

/// Runs a case to its result.
pub fn run(case: &Case) -> Result<Value, Refusal> {
    catch_unwind(AssertUnwindSafe(|| run_unguarded(case))).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()));
        let message: String = message.unwrap_or_default();
        Err(Refusal::Broken(format!("panicked: {message}")))
    })
}

fn run_unguarded(case: &Case) -> Result<Value, Refusal> {
    let mut out = result::empty(&case.name);
    let app = TopologyBuilder::new(application(case));
    match settings(case)? {
        Ok(settings) => app.configure(settings),
        Err(error) => {
            out["error"] = result::error("build", None, &error);
            return Ok(out);
        }
    }
    match node::build(&app, case) {
        Err(Refusal::Inexpressible(reason)) => {
            let error = headwater::streams::Error::Topology(reason);
            out["error"] = result::error("build", None, &error);
            return Ok(out);
        }
        built => built?,
    }
    let topology = match app.build() {
        Ok(topology) => topology,
        Err(error) => {
            out["error"] = result::error("build", None, &error);
            return Ok(out);
        }
    };
    out["description"] = topology.describe().into();
    let internal_topics = result::internal_topics(&topology);
    let subtopologies = result::subtopologies(&topology);
    let driver = match cache_bytes(case)? {
        Some(bytes) => TestDriver::with_cache(topology, bytes),
        None => TestDriver::new(topology),
    };
    let mut driver = match driver {
        Ok(driver) => driver,
        Err(error) => {
            out["error"] = result::error("start", None, &error);
            return Ok(out);
        }
    };
    if let Some(idle) = case.config.get(IDLE) {
        let idle = idle.parse();
        driver.set_idle_ms_max(idle.map_err(|_| Refusal::Case(format!("{IDLE} is no number")))?);
    }
    out["internal_topics"] = internal_topics;
    out["subtopologies"] = subtopologies;
    feed(case, &mut driver, &mut out);
    if out["error"].is_null() {
        let stores = result::stores(&mut driver);
        out["stores"] = stores.map_err(|error| Refusal::Broken(format!("stores: {error}")))?;
    }
    Ok(out)
}

/// The case's application id.
pub(crate) fn application(case: &Case) -> &str {
    let given = case.config.get("application.id");
    given.map_or(APPLICATION, String::as_str)
}

/// Feeds the inputs up to the first that fails.
fn feed(case: &Case, driver: &mut TestDriver, out: &mut Value) {
    let mut records = Vec::new();
    let waiting = result::waiting_changelogs(driver.topology());
    let guarantee = case.config.get("processing.guarantee");
    let exactly_once = guarantee.is_some_and(|guarantee| guarantee == "exactly_once_v2");
    for (step, input) in case.input.iter().enumerate() {
        let done = match input {
            Input::AdvanceWallClock(ms) => driver.advance_wall_clock(*ms),
            Input::Record { topic, record } => driver.pipe_raw(topic, record.clone()),
        };
        if done.is_err() && exactly_once {
            driver.discard_uncommitted();
        }
        let mut produced = driver.read_all();
        result::sort_waiting(&mut produced, &waiting);
        records.extend(
            produced
                .iter()
                .map(|(topic, record)| result::record(step, topic, record)),
        );
        if let Err(error) = done {
            out["error"] = result::error("input", Some(step), &error);
            break;
        }
    }
    out["records"] = records.into();
}

/// The case's settings of the topology; the inner error is one of the topology.
pub(crate) fn settings(
    case: &Case,
) -> Result<headwater::streams::Result<TopologySettings>, Refusal> {
    let mut settings = TopologySettings {
        // Where Kafka Streams is wrong, so is the expected result.
        semantics: Semantics::Java,
        ..TopologySettings::default()
    };
    for (name, value) in &case.config {
        match settings.set(name, value) {
            Ok(true) => {}
            Ok(false) if ELSEWHERE.contains(&name.as_str()) => {}
            Ok(false) => return Err(Refusal::Unsupported(format!("setting {name}"))),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok(settings))
}

pub(crate) fn cache_bytes(case: &Case) -> Result<Option<usize>, Refusal> {
    let bytes = case.config.get("statestore.cache.max.bytes");
    let parsed = bytes.map(|bytes| bytes.parse()).transpose();
    parsed.map_err(|_| Refusal::Case("statestore.cache.max.bytes is no number".into()))
}

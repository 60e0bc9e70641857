//! Runs a case on a Kafka cluster, as a client among others: the command `live run`, with the judge's options, output and exit status.
//! Not its other commands: topics, input and dumps are the judge's, so that both sides read and write through one program.
//! Invariant: `--to-end` says yes only when nothing that the application reads is uncommitted, by the broker's word and not by ours.

mod end;
mod options;
mod told;

use crate::{Case, Refusal, node, result};
use end::End;
use headwater::{Kafka, Running, Topology, TopologyBuilder, start_with, watch_signals};
pub use options::Options;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How long everything must have been at its end.
const QUIET: Duration = Duration::from_secs(2);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How soon a signal is seen.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(10);
/// Commits and closes that take longer are given up.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// How a run ended.
pub struct Outcome {
    /// The line to print.
    pub line: Value,
    /// Whether it ended as it should.
    pub is_success: bool,
}

/// Runs `case` until SIGTERM, the end or the time given.
pub fn live_run(case: &Case, options: &Options) -> Result<Outcome, Refusal> {
    let mut plan = options.plan(case)?;
    let clock = plan.settings.world.clock.clone();
    plan.settings.listener = Arc::new(told::Told::new(clock.clone()));
    let app = TopologyBuilder::new(options.application_id.clone());
    app.configure(plan.topology);
    node::build(&app, case)?;
    let topology = app.build().map_err(broken)?;
    let requested = watch_signals().map_err(broken)?;
    let begin = clock.elapsed();
    let mut end = match options.to_end {
        true => Some(End::new(&plan.kafka, &topology, clock.clone())?),
        false => None,
    };
    let running = start(topology, plan.kafka, plan.settings)?;
    let mut slow = told::Slow::default();
    let mut quiet_since = None;
    let mut is_at_end = false;
    while !requested() && !running.failed() {
        let now = clock.elapsed();
        if options.limit.is_some_and(|limit| now - begin >= limit) {
            break;
        }
        if let Some(end) = &mut end {
            match end.is_reached()? {
                false => quiet_since = None,
                true => is_at_end = now - *quiet_since.get_or_insert(now) >= QUIET,
            }
            if is_at_end {
                break;
            }
        }
        slow.look(now, &running);
        std::thread::park_timeout(match end {
            Some(_) => LOOK_INTERVAL,
            None => SIGNAL_INTERVAL,
        });
    }
    let is_asked = requested();
    let stopped = running.stop(STOP_DEADLINE);
    let tenths = (clock.elapsed() - begin).as_millis() / 100;
    let mut line = json!({
        "application_id": options.application_id,
        "seconds": tenths as f64 / 10.0,
        "state": "stopped",
    });
    if let Err(error) = stopped {
        eprintln!("{error}");
        line["state"] = "error".into();
        line["error"] = result::failure("run", None, &error);
        return Ok(Outcome {
            line,
            is_success: false,
        });
    }
    let is_success = end.is_none() || is_at_end || is_asked;
    if !is_success {
        eprintln!("not at the end after --seconds");
    }
    Ok(Outcome { line, is_success })
}

fn start(
    topology: Topology,
    kafka: Kafka,
    settings: headwater::Settings,
) -> Result<Running, Refusal> {
    start_with(topology, kafka, settings).map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> Refusal {
    Refusal::Broken(error.to_string())
}

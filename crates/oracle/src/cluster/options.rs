//! The options of `live run` and what they mean for topology, runtime and client. Not their defaults' reasons: those are the judge's.
//! Invariant: every setting goes to the one part that honours it; one that nobody takes is refused, as in an application.

use super::broken;
use crate::{Case, Refusal};
use headwater::streams::{Semantics, TopologySettings};
use headwater::{Kafka, SettingVerdict, Settings, config_names};
use std::collections::BTreeMap;
use std::time::Duration;

/// Long enough that no broker's clock deletes windows whose records carry a case's small timestamps.
const CENTURY_MS: &str = "3155760000000";

/// The command line of `live run`.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `--kafka`, brokers to begin with.
    pub servers: String,
    /// `--application-id`.
    pub application_id: String,
    /// `--state-dir`.
    pub state_dir: String,
    /// `--to-end`.
    pub to_end: bool,
    /// `--seconds`.
    pub limit: Option<Duration>,
    /// `--guarantee`, `--group-protocol`, `--threads` and each `--set`, by Kafka's names.
    pub settings: BTreeMap<String, String>,
}

/// What a run is started with.
pub(super) struct Plan {
    pub(super) topology: TopologySettings,
    pub(super) settings: Settings,
    pub(super) kafka: Kafka,
}

impl Options {
    /// Reads what follows `live run CASE.json`.
    pub fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self::default();
        let mut words = words.iter();
        while let Some(name) = words.next() {
            if name == "--to-end" {
                options.to_end = true;
                continue;
            }
            let value = words
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--kafka" => options.servers.clone_from(value),
                "--application-id" => options.application_id.clone_from(value),
                "--state-dir" => options.state_dir.clone_from(value),
                "--guarantee" => options.put("processing.guarantee", value),
                "--group-protocol" => options.put("group.protocol", value),
                "--threads" => options.put("num.stream.threads", value),
                "--seconds" => {
                    let seconds: f64 = value.parse().map_err(|_| format!("--seconds {value}"))?;
                    let limit = Duration::try_from_secs_f64(seconds);
                    options.limit = Some(limit.map_err(|_| format!("--seconds {value}"))?);
                }
                "--set" => {
                    let pair = value.split_once('=');
                    let (name, value) = pair.ok_or("--set wants KEY=VALUE")?;
                    options.put(name, value);
                }
                other => return Err(format!("no option {other}")),
            }
        }
        for (name, value) in [
            ("--kafka", &options.servers),
            ("--application-id", &options.application_id),
            ("--state-dir", &options.state_dir),
        ] {
            if value.is_empty() {
                return Err(format!("{name} is needed"));
            }
        }
        Ok(options)
    }

    fn put(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
    }

    pub(super) fn plan(&self, case: &Case) -> Result<Plan, Refusal> {
        let mut plan = Plan {
            topology: TopologySettings {
                // Where Kafka Streams is wrong, so is who takes over from it.
                semantics: Semantics::Java,
                ..TopologySettings::default()
            },
            settings: Settings::in_dir(&self.state_dir),
            kafka: Kafka::at(&self.servers).map_err(broken)?,
        };
        let mut all: BTreeMap<&str, &str> = BTreeMap::from([
            ("commit.interval.ms", "100"),
            // Kafka Streams' default, not ours.
            ("processing.guarantee", "at_least_once"),
            ("windowstore.changelog.additional.retention.ms", CENTURY_MS),
        ]);
        for (name, value) in case.config.iter().chain(&self.settings) {
            all.insert(name, value);
        }
        let mut runtime = Vec::new();
        for (name, value) in all {
            if name == "application.id" || plan.topology.set(name, value).map_err(broken)? {
                continue;
            }
            match verdict(name) {
                Some(SettingVerdict::Honoured) => runtime.push((name, value)),
                _ => plan.kafka = client_setting(plan.kafka, name, value)?,
            }
        }
        plan.settings = plan.settings.with_properties(runtime).map_err(broken)?;
        Ok(plan)
    }
}

fn verdict(name: &str) -> Option<SettingVerdict> {
    let mut known = config_names().iter();
    let known = known.find(|known| known.name == name);
    known.map(|known| known.verdict)
}

fn client_setting(kafka: Kafka, name: &str, value: &str) -> Result<Kafka, Refusal> {
    match (kafka.clone().with(name, value), verdict(name)) {
        (Ok(kafka), _) => Ok(kafka),
        (Err(_), Some(SettingVerdict::NoEffect)) => Ok(kafka),
        (Err(error), _) => Err(Refusal::Unsupported(format!("setting {name}: {error}"))),
    }
}

//! The settings of a running application, by field and by Kafka's names. Not the topology's: those ride on its nouns.
//! Invariant: an unknown name is refused with the nearest known one; nothing is silently ignored.

use crate::config::{lookup, nearest};
use crate::{Error, Listener, Quiet, Result, UncaughtHandler};
use headwater_log::setting::SettingVerdict;
use headwater_log::{Endpoint, Guarantee};
use headwater_world::World;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

/// How an application runs.
#[derive(Clone)]
pub struct Settings {
    /// `processing.guarantee`; exactly once unless said otherwise.
    pub guarantee: Guarantee,
    /// `commit.interval.ms`; 100 unless said otherwise. Properties that choose at least once and give no interval make it Kafka's 30,000.
    pub commit_interval_ms: u64,
    /// `headwater.commit.when.idle`: a worker that has processed all it has been handed commits at once and does not wait for the
    /// interval, which still bounds how long a busy one goes without. One commit at a time, and a few ms between two of them:
    /// what comes meanwhile goes with the next. Off unless said otherwise: more and smaller commits cost the log more, and each
    /// flushes the record caches.
    pub commit_when_idle: bool,
    /// `linger.ms`, of Kafka's producer and with its default: at least once, how long a record waits at most for others that go out
    /// with it. Exactly once it waits for the commit in any case: nobody may see it before.
    pub linger_ms: u64,
    /// `num.stream.threads`: workers of this process.
    pub workers: usize,
    /// `state.dir`: where stores live, under `<state.dir>/<application>/<task>/<store>`. `None` keeps all state in memory.
    pub state_dir: Option<PathBuf>,
    /// `statestore.cache.max.bytes`: the record caches of all workers together.
    pub cache_bytes_max: usize,
    /// Committed updates that wait in memory for the next checkpoint, and hot rows, of the whole process.
    pub write_back_bytes_max: usize,
    /// The disk engines' block cache, of the whole process.
    pub block_cache_bytes: usize,
    /// A checkpoint is taken at least this often, in ms, of stores that changed.
    pub checkpoint_interval_ms: u64,
    /// `num.standby.replicas`. `None`, where nothing is said, leaves the setting of a streams group on Kafka as it is; elsewhere it is
    /// none.
    pub standby_replicas: Option<u32>,
    /// A worker silent for longer is fenced.
    pub session_timeout_ms: i64,
    /// `max.poll.interval.ms`: a worker that does not give up a revoked task within it is fenced.
    pub rebalance_timeout_ms: i64,
    /// How long a commit waits for the calls of `map_async` that it must cover; below the transaction's timeout. A commit that
    /// waits longer fails, and the records are processed again.
    pub async_wait_ms_max: u64,
    /// `max.task.idle.ms`: how long a task's records wait for an input that is at its end; below 0, never, not even for what is
    /// known to be there.
    pub task_idle_ms_max: i64,
    /// `repartition.purge.interval.ms`.
    pub purge_interval_ms: u64,
    /// Bytes that wait in the inputs of a worker's tasks before fetching pauses; each has an equal share, 256 KiB at least.
    pub input_bytes_max: usize,
    /// Records of one task processed per step.
    pub step_records_max: usize,
    /// `application.server`: where this instance answers queries; the others of the application hear it. `None` where nobody
    /// asks it.
    pub application_server: Option<Endpoint>,
    /// What follows when a worker ends by an error or a panic; the process stops unless said otherwise.
    pub uncaught: UncaughtHandler,
    /// Hears what happens.
    pub listener: Arc<dyn Listener>,
    /// Clock, disk, randomness.
    pub world: World,
    /// `app.*`: the user's own settings, handed through.
    pub app: BTreeMap<String, String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            guarantee: Guarantee::ExactlyOnce,
            commit_interval_ms: 100,
            commit_when_idle: false,
            linger_ms: 5,
            workers: 1,
            state_dir: None,
            cache_bytes_max: 10 << 20,
            write_back_bytes_max: 64 << 20,
            block_cache_bytes: 32 << 20,
            checkpoint_interval_ms: 10_000,
            standby_replicas: None,
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 300_000,
            async_wait_ms_max: 5_000,
            task_idle_ms_max: 0,
            purge_interval_ms: 30_000,
            input_bytes_max: 8 << 20,
            step_records_max: 20_000,
            application_server: None,
            uncaught: UncaughtHandler::default(),
            listener: Arc::new(Quiet),
            world: World::real(),
            app: BTreeMap::new(),
        }
    }
}

impl Settings {
    /// The defaults with state under `dir`.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: Some(dir.into()),
            ..Self::default()
        }
    }

    /// Applies settings by Kafka's names. A name that cannot be honoured and would change results is an error; one
    /// without effect here is a notice to the listener.
    pub fn with_properties<'a>(
        mut self,
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        let (mut interval_given, mut guarantee_given) = (false, false);
        for (name, value) in properties {
            if let Some(own) = name.strip_prefix("app.") {
                self.app.insert(own.into(), value.into());
                continue;
            }
            let Some(known) = lookup(name) else {
                return Err(Error::Config(format!(
                    "unknown setting '{name}'; did you mean '{}'?",
                    nearest(name)
                )));
            };
            match known.verdict {
                SettingVerdict::Honoured => self.set(name, value)?,
                SettingVerdict::NoEffect => self.listener.notice(&format!(
                    "setting '{name}' has no effect here: {}",
                    known.note
                )),
                SettingVerdict::Refused => {
                    return Err(Error::Config(format!(
                        "setting '{name}' cannot be honoured: {}",
                        known.note
                    )));
                }
            }
            interval_given |= name == "commit.interval.ms";
            guarantee_given |= name == "processing.guarantee";
        }
        // Kafka's default follows the guarantee; an interval set in code stays.
        if guarantee_given && !interval_given && self.guarantee == Guarantee::AtLeastOnce {
            self.commit_interval_ms = 30_000;
        }
        Ok(self)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<()> {
        match name {
            "processing.guarantee" => {
                self.guarantee = match value {
                    "exactly_once_v2" => Guarantee::ExactlyOnce,
                    "at_least_once" => Guarantee::AtLeastOnce,
                    _ => return Err(bad(name, value, "exactly_once_v2 or at_least_once")),
                };
            }
            "commit.interval.ms" => self.commit_interval_ms = number(name, value)?,
            "num.stream.threads" => self.workers = number::<usize>(name, value)?.max(1),
            "state.dir" => self.state_dir = Some(value.into()),
            "statestore.cache.max.bytes" | "cache.max.bytes.buffering" => {
                self.cache_bytes_max = number(name, value)?
            }
            "application.server" => {
                self.application_server = match value {
                    "" => None,
                    value => Some(value.parse().map_err(|_| bad(name, value, "host:port"))?),
                }
            }
            "num.standby.replicas" => self.standby_replicas = Some(number(name, value)?),
            "session.timeout.ms" | "consumer.session.timeout.ms" => {
                self.session_timeout_ms = number(name, value)?
            }
            "max.poll.interval.ms" | "consumer.max.poll.interval.ms" => {
                self.rebalance_timeout_ms = number(name, value)?
            }
            "max.task.idle.ms" => {
                self.task_idle_ms_max = value
                    .trim()
                    .parse()
                    .map_err(|_| bad(name, value, "a number of ms, or -1"))?;
            }
            "repartition.purge.interval.ms" => self.purge_interval_ms = number(name, value)?,
            "linger.ms" | "producer.linger.ms" => self.linger_ms = number(name, value)?,
            "headwater.write.back.max.bytes" => self.write_back_bytes_max = number(name, value)?,
            "headwater.block.cache.bytes" => self.block_cache_bytes = number(name, value)?,
            "headwater.async.wait.max.ms" => self.async_wait_ms_max = number(name, value)?,
            "headwater.commit.when.idle" => {
                let value = value.trim();
                self.commit_when_idle = value
                    .parse()
                    .map_err(|_| bad(name, value, "true or false"))?
            }
            "headwater.checkpoint.interval.ms" => {
                self.checkpoint_interval_ms = number(name, value)?
            }
            _ => {
                return Err(Error::Config(format!(
                    "setting '{name}' is listed as honoured but nothing reads it"
                )));
            }
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T> {
    value
        .trim()
        .parse()
        .map_err(|_| bad(name, value, "a whole number that is not negative"))
}

fn bad(name: &str, value: &str, expected: &str) -> Error {
    Error::Config(format!(
        "setting '{name}' is '{value}'; expected {expected}"
    ))
}

//! A client's settings by Kafka's names.
//! Not the settings of a stream application. Invariant: every name is honoured, refused or warned of.

pub(crate) mod address;
pub(crate) mod jaas;
mod names;
pub(crate) mod secret;
pub(crate) mod security;
#[cfg(test)]
mod tests;
mod value;

pub use names::setting_names;
pub use security::TokenSource;

use crate::compression::Codec;
use crate::settings::{address::Address, security::Security};
use headwater_log::{Error, Result, setting::SettingVerdict};
use names::{lookup, nearest};
use std::{collections::BTreeMap, time::Duration};

/// `isolation.level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsolationLevel {
    ReadUncommitted,
    ReadCommitted,
}

/// `group.protocol`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupProtocol {
    Streams,
    Classic,
}

/// `headwater.endpoint`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndpointChoice {
    /// A free port at the interface towards the brokers.
    Auto,
    Off,
    At(Address),
}

/// `headwater.eviction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EvictionChoice {
    ExactlyOnce,
    Always,
    Never,
}

/// All settings of a client; defaults are Kafka's unless a field says otherwise.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) bootstrap: Vec<Address>,
    /// Replaces the name a worker gives its client.
    pub(crate) client_id: Option<String>,
    pub(crate) security: Security,
    pub(crate) request_timeout: Duration,
    /// How long administrative requests are retried. 25 s, not Kafka's 60 s: below the 30 s that callers wait, so that they hear
    /// the reason.
    pub(crate) api_timeout: Duration,
    pub(crate) delivery_timeout: Duration,
    /// Over what a client's options say.
    pub(crate) transaction_timeout: Option<Duration>,
    pub(crate) retry_backoff: Backoff,
    pub(crate) reconnect_backoff: Backoff,
    pub(crate) connection_setup_timeout: Backoff,
    pub(crate) connection_idle_max: Duration,
    pub(crate) metadata_age_max: Duration,
    /// The bootstrap servers are asked when brokers that are known do not answer.
    pub(crate) rebootstraps: bool,
    /// The system's default when absent.
    pub(crate) send_buffer_bytes: Option<u32>,
    pub(crate) receive_buffer_bytes: Option<u32>,
    pub(crate) compression: Codec,
    /// By codec, where set.
    pub(crate) compression_levels: [Option<i32>; 3],
    /// 1 MiB, not Kafka's 16 KiB: batches are cut by commits, not by time.
    pub(crate) batch_bytes_max: usize,
    pub(crate) request_bytes_max: usize,
    pub(crate) fetch_min_bytes: i32,
    pub(crate) fetch_max_bytes: i32,
    pub(crate) fetch_max_wait: Duration,
    pub(crate) fetch_partition_max_bytes: i32,
    pub(crate) isolation: Option<IsolationLevel>,
    pub(crate) group_protocol: Option<GroupProtocol>,
    /// Of static members; each worker adds its number.
    pub(crate) group_instance_id: Option<String>,
    pub(crate) endpoint: EndpointChoice,
    /// Where others are told to find the endpoint, if that is not where it listens.
    pub(crate) endpoint_advertised: Option<Address>,
    pub(crate) eviction: EvictionChoice,
    /// Of topics created without a word on it; -1 is the broker's default.
    pub(crate) replication_factor: i16,
    /// What was given and has no effect here.
    pub(crate) notices: Vec<String>,
    given: BTreeMap<&'static str, secret::Secret>,
}

/// A wait that doubles from `first` up to `max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) max: Duration,
}

impl Backoff {
    const fn of_ms(first: u64, max: u64) -> Self {
        Self {
            first: Duration::from_millis(first),
            max: Duration::from_millis(max),
        }
    }

    /// The wait before attempt `attempt` (0 is the first retry), spread by a fifth with `random`.
    pub(crate) fn wait(&self, attempt: u32, random: u64) -> Duration {
        // KIP-580: exponent base 2, jitter 0.2.
        let doubled = self.first.saturating_mul(1 << attempt.min(16));
        let spread = 0.8 + 0.4 * (random % 1_000) as f64 / 1_000.0;
        doubled.min(self.max).mul_f64(spread)
    }
}

/// Prefixes by which Kafka Streams hands settings to one kind of client; here one client is all of them.
const PREFIXES: [&str; 6] = [
    "main.consumer.",
    "restore.consumer.",
    "global.consumer.",
    "consumer.",
    "producer.",
    "admin.",
];

impl Settings {
    /// The defaults, with brokers to begin with: `host:port,host:port`.
    pub(crate) fn at(servers: &str) -> Result<Self> {
        let mut settings = Self {
            bootstrap: Vec::new(),
            client_id: None,
            security: Security::default(),
            request_timeout: Duration::from_secs(30),
            api_timeout: Duration::from_secs(25),
            delivery_timeout: Duration::from_secs(120),
            transaction_timeout: None,
            retry_backoff: Backoff::of_ms(100, 1_000),
            reconnect_backoff: Backoff::of_ms(50, 1_000),
            connection_setup_timeout: Backoff::of_ms(10_000, 30_000),
            connection_idle_max: Duration::from_secs(540),
            metadata_age_max: Duration::from_secs(300),
            rebootstraps: true,
            send_buffer_bytes: None,
            receive_buffer_bytes: None,
            compression: Codec::None,
            compression_levels: [None; 3],
            batch_bytes_max: 1 << 20,
            request_bytes_max: 1 << 20,
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 << 20,
            fetch_max_wait: Duration::from_millis(500),
            fetch_partition_max_bytes: 1 << 20,
            isolation: None,
            group_protocol: None,
            group_instance_id: None,
            endpoint: EndpointChoice::Auto,
            endpoint_advertised: None,
            eviction: EvictionChoice::ExactlyOnce,
            replication_factor: -1,
            notices: Vec::new(),
            given: BTreeMap::new(),
        };
        settings.set("bootstrap.servers", servers)?;
        Ok(settings)
    }

    /// Applies one setting by Kafka's name, also with Kafka Streams' prefix of a client kind. Both must say the same.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let bare = PREFIXES
            .iter()
            .find_map(|prefix| name.strip_prefix(prefix))
            .unwrap_or(name);
        let Some(known) = lookup(bare) else {
            return Err(Error::Invalid(format!(
                "unknown setting '{name}'; did you mean '{}'?",
                nearest(bare)
            )));
        };
        match known.verdict {
            SettingVerdict::Honoured => {
                let has_prefix = bare.len() < name.len();
                if let Some(given) = self.given.get(known.name)
                    && has_prefix
                    && given.reveal() != value
                {
                    return Err(Error::Invalid(format!(
                        "setting '{name}' differs from what was given for '{bare}' before; one client does the work of all"
                    )));
                }
                self.honour(known.name, value.trim())
                    .map_err(|expected| Error::Invalid(format!("setting '{name}': {expected}")))?;
                self.given.insert(known.name, secret::Secret::new(value));
                Ok(())
            }
            SettingVerdict::NoEffect => {
                self.notices.push(format!(
                    "setting '{name}' has no effect here: {}",
                    known.note
                ));
                Ok(())
            }
            SettingVerdict::Refused => Err(Error::Invalid(format!(
                "setting '{name}' cannot be honoured: {}",
                known.note
            ))),
        }
    }

    /// Finds combinations that cannot work.
    pub(crate) fn check(&self) -> Result<()> {
        self.security.check().map_err(Error::Invalid)?;
        if self.delivery_timeout < self.request_timeout {
            return Err(Error::Invalid(
                "delivery.timeout.ms must not be below request.timeout.ms".into(),
            ));
        }
        let is_classic = self.group_protocol == Some(GroupProtocol::Classic);
        if let Some(id) = self.group_instance_id.as_ref().filter(|_| !is_classic) {
            return Err(Error::Invalid(format!(
                "group.instance.id '{id}' needs group.protocol=classic, which is to be set with it: brokers refuse static members in \
                 streams groups, so leave it out for those"
            )));
        }
        Ok(())
    }
}

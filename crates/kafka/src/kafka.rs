//! A Kafka cluster as a log: where it is and how to speak to it. Not a connection: each client opens its own.
//! Invariant: settings are checked when they are given, not when they are used.

use crate::{client::KafkaClient, settings::Settings, watch::Watches};
use headwater_log::{Client, ClientOptions, Log, Result};
use std::{fmt, sync::Arc};

/// An Apache Kafka cluster, 3.9 or newer.
///
/// ```no_run
/// # use headwater_kafka::Kafka;
/// let kafka = Kafka::at("localhost:9092")?.with("compression.type", "lz4")?;
/// # Ok::<(), headwater_log::Error>(())
/// ```
#[derive(Clone)]
pub struct Kafka {
    pub(crate) settings: Settings,
    watches: Watches,
}

impl Kafka {
    /// The cluster that these brokers, `host:port,host:port`, belong to. Nothing is connected yet.
    ///
    /// # Errors
    /// `Invalid` when the addresses cannot be read.
    pub fn at(servers: &str) -> Result<Self> {
        Ok(Self {
            settings: Settings::at(servers)?,
            watches: Watches::default(),
        })
    }

    /// With one setting by Kafka's name, for instance `security.protocol`; prefixes such as `producer.` are understood.
    ///
    /// # Errors
    /// `Invalid` when the name is unknown (the nearest one is suggested), the value cannot be read, or the setting cannot be
    /// honoured.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self> {
        self.settings.set(name, value)?;
        Ok(self)
    }

    /// With several settings, in order, as [`Kafka::with`].
    ///
    /// # Errors
    /// As of the first that cannot be taken.
    pub fn with_properties<'a>(
        self,
        properties: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self> {
        properties
            .into_iter()
            .try_fold(self, |kafka, (name, value)| kafka.with(name, value))
    }

    /// With a source of tokens for `sasl.mechanism` OAUTHBEARER. It is asked at each login, on the client's network thread, and
    /// must be quick; its error ends the login and is shown.
    #[must_use]
    pub fn with_token(
        mut self,
        source: impl Fn() -> std::result::Result<String, String> + Send + Sync + 'static,
    ) -> Self {
        self.settings.security.token_source = Some(Arc::new(source));
        self
    }

    /// What was given and has no effect here, in words.
    pub fn notices(&self) -> &[String] {
        &self.settings.notices
    }
}

impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Log for Kafka {
    fn client(&self, options: ClientOptions) -> Result<Box<dyn Client>> {
        self.settings.check()?;
        Ok(Box::new(KafkaClient::open(
            &self.settings,
            options,
            &self.watches,
        )?))
    }

    fn describe(&self) -> String {
        let servers: Vec<_> = self
            .settings
            .bootstrap
            .iter()
            .map(ToString::to_string)
            .collect();
        format!("Kafka at {}", servers.join(","))
    }
}

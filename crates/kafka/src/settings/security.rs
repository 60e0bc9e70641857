//! How a client proves who it is and whom it trusts, as set. Not a handshake: those are the connection's.
//! Invariant: a combination that cannot work is told before the first connection.

use super::{jaas::Jaas, secret::Secret};
use std::{fmt, path::PathBuf, sync::Arc};

/// `security.protocol`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    #[default]
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Protocol {
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    pub(crate) fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// `sasl.mechanism`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MechanismName {
    Plain,
    ScramSha256,
    ScramSha512,
    OauthBearer,
}

impl MechanismName {
    /// As the protocol spells it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// PEM text, or the file it is in.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Pem {
    Text(Secret),
    File(PathBuf),
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("PEM text"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// `ssl.*`.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    /// Whom to trust; the system's roots when absent.
    pub(crate) trusted: Option<Pem>,
    /// The client's own key, where brokers ask for one.
    pub(crate) key: Option<Pem>,
    /// The certificates that go with `key`, own first.
    pub(crate) chain: Option<Pem>,
    pub(crate) is_host_checked: bool,
    pub(crate) is_1_2_allowed: bool,
    pub(crate) is_1_3_allowed: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            trusted: None,
            key: None,
            chain: None,
            is_host_checked: true,
            is_1_2_allowed: true,
            is_1_3_allowed: true,
        }
    }
}

/// Gives a token whenever a broker asks for one; runs on the client's network thread and must be quick.
pub type TokenSource = dyn Fn() -> Result<String, String> + Send + Sync;

/// Everything about security.
#[derive(Clone, Default)]
pub(crate) struct Security {
    pub(crate) protocol: Protocol,
    pub(crate) tls: Tls,
    pub(crate) mechanism: Option<MechanismName>,
    pub(crate) jaas: Option<Jaas>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) token_source: Option<Arc<TokenSource>>,
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Security")
            .field("protocol", &self.protocol.name())
            .field("tls", &self.tls)
            .field("mechanism", &self.mechanism)
            .field("jaas", &self.jaas)
            .field("token_file", &self.token_file)
            .finish_non_exhaustive()
    }
}

impl Security {
    /// Names what is missing.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.tls.key.is_some() && self.tls.chain.is_none() {
            return Err("ssl.keystore.key is given without ssl.keystore.certificate.chain".into());
        }
        if self.tls.chain.is_some() && self.tls.key.is_none() {
            return Err("ssl.keystore.certificate.chain is given without ssl.keystore.key".into());
        }
        if !self.tls.is_1_2_allowed && !self.tls.is_1_3_allowed {
            return Err(
                "ssl.enabled.protocols and ssl.protocol leave neither TLSv1.2 nor TLSv1.3".into(),
            );
        }
        if !self.protocol.is_sasl() {
            return Ok(());
        }
        let Some(mechanism) = self.mechanism else {
            return Err(format!(
                "security.protocol {} needs sasl.mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER",
                self.protocol.name()
            ));
        };
        match mechanism {
            MechanismName::OauthBearer => self.check_token(),
            _ => self.check_password(mechanism),
        }
    }

    fn check_password(&self, mechanism: MechanismName) -> Result<(), String> {
        let module = match mechanism {
            MechanismName::Plain => "PlainLoginModule",
            _ => "ScramLoginModule",
        };
        let name = mechanism.name();
        let Some(jaas) = &self.jaas else {
            return Err(format!(
                "sasl.mechanism {name} needs sasl.jaas.config: {module} required username=\"..\" password=\"..\";"
            ));
        };
        if jaas.module != module {
            return Err(format!(
                "sasl.jaas.config names {}, but sasl.mechanism {name} needs {module}",
                jaas.module
            ));
        }
        for option in ["username", "password"] {
            if jaas
                .option(option)
                .is_none_or(|value| value.reveal().is_empty())
            {
                return Err(format!("sasl.jaas.config has no {option} for {name}"));
            }
        }
        Ok(())
    }

    fn check_token(&self) -> Result<(), String> {
        let unsecured = self
            .jaas
            .as_ref()
            .is_some_and(|jaas| jaas.options_of("unsecuredLogin").next().is_some());
        if self.token_source.is_none() && self.token_file.is_none() && !unsecured {
            return Err("sasl.mechanism OAUTHBEARER needs a token: Kafka::with_token, sasl.oauthbearer.token.endpoint.url=file:///path, \
                 or (for tests) unsecuredLoginStringClaim_sub in sasl.jaas.config"
                .into());
        }
        Ok(())
    }
}

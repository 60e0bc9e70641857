//! The ports of a node and what is spoken there. Not the certificates and users: see `certificate` and [`crate::USERS`].
//! Invariant: a listener has the same place in the node's block of ports in every cluster.

/// Ports that a node takes, used or not.
pub(crate) const PORTS_PER_NODE: u16 = 10;

/// One way in. [`Listener::Plaintext`] is always there, brokers use it among themselves, and whoever comes through it may do all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// Neither encryption nor identity.
    Plaintext,
    /// As `Plaintext`, but the broker tells clients an address at which nobody listens until a [`crate::Proxy`] does.
    Proxied,
    /// TLS; the client shows no certificate.
    Tls,
    /// TLS; the client must show a certificate.
    MutualTls,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL over TLS.
    SaslTls,
    /// TLS with a certificate that is over.
    ExpiredTls,
    /// TLS with a sound certificate of another host.
    OtherHostTls,
}

impl Listener {
    /// Those that need certificates.
    #[must_use]
    pub fn is_tls(self) -> bool {
        self.protocol().ends_with("SSL")
    }

    pub(crate) fn is_sasl(self) -> bool {
        self.protocol().starts_with("SASL")
    }

    /// Kafka's name for the listener.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Proxied => "PROXIED",
            Self::Tls => "TLS",
            Self::MutualTls => "MUTUAL",
            Self::SaslPlaintext => "SASLPLAIN",
            Self::SaslTls => "SASLTLS",
            Self::ExpiredTls => "EXPIRED",
            Self::OtherHostTls => "OTHERHOST",
        }
    }

    /// Kafka's name for what is spoken.
    pub(crate) fn protocol(self) -> &'static str {
        match self {
            Self::Plaintext | Self::Proxied => "PLAINTEXT",
            Self::Tls | Self::MutualTls | Self::ExpiredTls | Self::OtherHostTls => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslTls => "SASL_SSL",
        }
    }

    /// Place in the node's block; 1 is the controller's.
    pub(crate) fn place(self) -> u16 {
        match self {
            Self::Plaintext => 0,
            Self::Tls => 2,
            Self::MutualTls => 3,
            Self::SaslPlaintext => 4,
            Self::SaslTls => 5,
            Self::ExpiredTls => 6,
            Self::OtherHostTls => 7,
            Self::Proxied => 8,
        }
    }

    /// Place of the port that clients are told.
    pub(crate) fn advertised_place(self) -> u16 {
        match self {
            Self::Proxied => 9,
            other => other.place(),
        }
    }
}

/// Place of the controller's port.
pub(crate) const CONTROLLER_PLACE: u16 = 1;

/// How a client proves who it is; a SASL listener takes those of [`crate::Options::mechanisms`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Name and password as they are.
    Plain,
    /// Salted challenge and response, SHA-256.
    Scram256,
    /// Salted challenge and response, SHA-512.
    Scram512,
    /// A token; the test brokers believe unsigned ones.
    OauthBearer,
}

impl Mechanism {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Plain,
        Self::Scram256,
        Self::Scram512,
        Self::OauthBearer,
    ];

    /// Kafka's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Scram256 => "SCRAM-SHA-256",
            Self::Scram512 => "SCRAM-SHA-512",
            Self::OauthBearer => "OAUTHBEARER",
        }
    }
}

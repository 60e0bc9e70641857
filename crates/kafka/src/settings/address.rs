//! Where a broker listens: host and port, as `bootstrap.servers` and metadata give them.
//! Not a resolved address: names are looked up for each connection. Invariant: the host is without brackets.

use std::fmt;

/// A host name or IP address with a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    pub(crate) fn new(host: impl Into<String>, port: u16) -> Self {
        Self {
            host: host.into(),
            port,
        }
    }

    /// Reads `host:port`, `[::1]:port` or, as Java does, either with a scheme (`PLAINTEXT://host:port`).
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let address = Self::parse_listener(text)?;
        match address.port {
            0 => Err(format!("'{text}' has no port; expected host:port")),
            _ => Ok(address),
        }
    }

    /// As [`Address::parse`], of a place to listen at: port 0 is a free one.
    pub(crate) fn parse_listener(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not an address; expected host:port");
        let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = after_scheme.rsplit_once(':').ok_or_else(wrong)?;
        let bracketed = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let is_host = match bracketed {
            Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && !host.contains(|c: char| ":/@[] ".contains(c)),
        };
        match port.parse::<u16>() {
            Ok(port) if is_host => Ok(Self::new(bracketed.unwrap_or(host), port)),
            _ => Err(wrong()),
        }
    }

    /// Reads a list separated by commas, at least one.
    pub(crate) fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let addresses = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Self::parse)
            .collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() {
            return Err("no address given; expected host:port,host:port".into());
        }
        Ok(addresses)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

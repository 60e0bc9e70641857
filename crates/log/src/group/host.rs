//! Where the members of a group can be asked, and what each of them holds. Not a connection: nobody here speaks to an endpoint.
//! Invariant: a host lists a task as active as long as its member may still commit for it.

use super::TaskId;
use crate::Error;
use std::{fmt, str::FromStr};

/// Where an instance answers queries (`application.server`): a host and a port. Prints as `host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// A name or an address; of IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    /// Reads `host:port`, an IPv6 address in brackets; a scheme before it is passed over, as `HostInfo.buildFromEndpoint` does.
    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::Invalid(format!("'{text}' is no endpoint; expected host:port"));
        let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
        let (host, port) = after_scheme.trim().rsplit_once(':').ok_or_else(bad)?;
        let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        let is_plain = bare.is_some() || !host.contains([':', '[', ']', '/', ' ']);
        let host = bare.unwrap_or(host);
        match port.parse() {
            Ok(port) if is_plain && !host.is_empty() && port > 0 => Ok(Self {
                host: host.into(),
                port,
            }),
            _ => Err(bad()),
        }
    }
}

/// An instance of an application and the tasks of its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Where it answers.
    pub endpoint: Endpoint,
    /// Tasks it runs or is to run, ascending.
    pub active: Vec<TaskId>,
    /// Tasks it follows as standby, ascending.
    pub standby: Vec<TaskId>,
}

impl Host {
    /// One host for each endpoint, by endpoint: the members of a process have the same.
    pub fn merged(hosts: impl IntoIterator<Item = Host>) -> Vec<Host> {
        let mut merged: Vec<Host> = Vec::new();
        for host in hosts {
            match merged.iter_mut().find(|it| it.endpoint == host.endpoint) {
                Some(known) => {
                    known.active.extend(host.active);
                    known.standby.extend(host.standby);
                }
                None => merged.push(host),
            }
        }
        for host in &mut merged {
            for tasks in [&mut host.active, &mut host.standby] {
                tasks.sort_unstable();
                tasks.dedup();
            }
        }
        merged.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        merged
    }
}

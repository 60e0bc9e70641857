//! Where the log is: a directory of this machine, or a Kafka cluster. Not an open log: see `data`.
//! Invariant: what one kind of log cannot answer is refused with the reason.

use crate::args::Args;
use anyhow::{Context, Result, bail};
use headwater::{Kafka, parse_properties, world::World};
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// Where the log is when nobody says.
const DIR: &str = "./data";
/// The largest file of settings; PEM texts fit.
const CONFIG_BYTES_MAX: u64 = 1 << 20;

pub(crate) enum Place {
    Dir(PathBuf),
    Kafka(Box<Kafka>),
}

impl Place {
    pub(crate) fn of(args: &Args) -> Result<Self> {
        let servers = match (&args.kafka, &args.data, &args.config) {
            (Some(_), Some(_), _) => bail!("--data and --kafka are two logs; name one"),
            (None, _, Some(_)) => bail!("--config is for --kafka HOST:PORT"),
            (None, dir, None) => {
                return Ok(Self::Dir(dir.clone().unwrap_or_else(|| DIR.into())));
            }
            (Some(servers), None, _) => servers,
        };
        // What a transaction has not committed is not shown, unless the file says otherwise.
        let mut kafka = Kafka::at(servers)?.with("isolation.level", "read_committed")?;
        if let Some(path) = &args.config {
            let text = text(path)?;
            let properties = parse_properties(&text)
                .map_err(anyhow::Error::msg)
                .with_context(|| path.display().to_string())?;
            let properties = properties
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            // Where the cluster is, the command line has said.
            let properties = properties.filter(|(name, _)| *name != "bootstrap.servers");
            kafka = kafka
                .with_properties(properties)
                .with_context(|| path.display().to_string())?;
        }
        Ok(Self::Kafka(Box::new(kafka)))
    }

    /// The directory, for what only an embedded log has.
    pub(crate) fn dir(&self) -> Result<&Path> {
        match self {
            Self::Dir(dir) => Ok(dir),
            Self::Kafka(_) => {
                bail!("a cluster's files are its brokers'; this command is for --data DIR")
            }
        }
    }

    /// The cluster, for what only brokers know.
    pub(crate) fn kafka(&self) -> Result<&Kafka> {
        match self {
            Self::Kafka(kafka) => Ok(kafka),
            Self::Dir(_) => bail!(
                "the groups of an embedded log live in the process that holds it; this command is for --kafka HOST:PORT"
            ),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(dir) => write!(f, "{}", dir.display()),
            Self::Kafka(kafka) => write!(f, "{kafka:?}"),
        }
    }
}

/// A small text file, whole.
pub(crate) fn text(path: &Path) -> Result<String> {
    let read = || -> Result<String> {
        let file = World::real()
            .disk
            .open(path, headwater::world::OpenMode::Read)?;
        let len = file.len()?;
        if len > CONFIG_BYTES_MAX {
            bail!("{len} bytes are more than {CONFIG_BYTES_MAX}");
        }
        let mut bytes = vec![0; len as usize];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(String::from_utf8(bytes)?)
    };
    read().with_context(|| format!("cannot read {}", path.display()))
}

//! What `run` and `start` accept as a log. Not a way to open one.
//! Invariant: a log that has a directory proposes where state lives; settings may say otherwise.

use crate::{EmbeddedLog, Result};
use headwater_log::{Log, MemoryLog};
use std::{path::PathBuf, sync::Arc};

/// Something to run on: an [`EmbeddedLog`], Apache Kafka, a [`MemoryLog`], any shared log, or the result of opening one.
pub trait IntoLog {
    /// The log, and where the state of its applications lives by default.
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)>;
}

impl IntoLog for &EmbeddedLog {
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)> {
        Ok((self.shared(), Some(self.dir().join("state"))))
    }
}

impl IntoLog for EmbeddedLog {
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)> {
        (&self).into_log()
    }
}

impl IntoLog for Arc<dyn Log> {
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)> {
        Ok((self, None))
    }
}

impl IntoLog for &Arc<dyn Log> {
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)> {
        Ok((self.clone(), None))
    }
}

impl IntoLog for Arc<MemoryLog> {
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)> {
        Ok((self, None))
    }
}

impl IntoLog for &Arc<MemoryLog> {
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)> {
        self.clone().into_log()
    }
}

/// State lies in `headwater` in the directory for temporary files, as Kafka Streams' does in `kafka-streams` there. One process
/// uses it at a time: a second on the same machine is given a `state.dir` of its own.
#[cfg(feature = "kafka")]
impl IntoLog for headwater_kafka::Kafka {
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)> {
        Ok((Arc::new(self), Some(std::env::temp_dir().join("headwater"))))
    }
}

#[cfg(feature = "kafka")]
impl IntoLog for &headwater_kafka::Kafka {
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)> {
        self.clone().into_log()
    }
}

/// What [`headwater_kafka::Kafka::at`] and `with` return.
#[cfg(feature = "kafka")]
impl IntoLog for headwater_log::Result<headwater_kafka::Kafka> {
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)> {
        self?.into_log()
    }
}

impl<L: IntoLog> IntoLog for Result<L> {
    fn into_log(self) -> Result<(Arc<dyn Log>, Option<PathBuf>)> {
        self?.into_log()
    }
}

//! The embedded log as an application opens it. Not its implementation: `headwater_log::embedded` is.
//! Invariant: one process at a time holds the directory; readers beside it open it read-only.

use crate::Result;
use headwater_log::{
    Client, ClientOptions, Log, NewTopic, Offset, Request, TopicConfig, TopicInfo, TopicPartition,
    call, call_deadline_default_ms,
    embedded::{PartitionFiles, VerifyReport},
};
use headwater_runtime::{Settings, SourceWriter};
use headwater_world::World;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// A durable log in a directory of this machine: topics in `<dir>`, state of applications in `<dir>/state`.
#[derive(Clone)]
pub struct EmbeddedLog {
    log: Arc<headwater_log::embedded::EmbeddedLog>,
    world: World,
    dir: PathBuf,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, or founds one there.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        Ok(Self {
            log: headwater_log::embedded::EmbeddedLog::open_default(&dir)?,
            world: World::real(),
            dir,
        })
    }

    /// Opens the log in `dir` for reading only, also beside the application that owns it. It shows this moment: open it
    /// anew to see what was committed since.
    pub fn open_read_only(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_read_only_in(World::real(), dir)
    }

    /// As [`EmbeddedLog::open_read_only`], with reads going through a disk of the caller's.
    pub fn open_read_only_in(world: World, dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref().to_owned();
        let log = headwater_log::embedded::EmbeddedLog::open_read_only(&dir, world.clone())?;
        Ok(Self { log, world, dir })
    }

    /// Checks every CRC and offset of the log in `dir`, also beside the application that owns it. Reads go through `world`,
    /// so that a caller can count them. An error means that the log could not be opened; other damage is in the report.
    pub fn verify(world: World, dir: impl AsRef<Path>) -> Result<VerifyReport> {
        Ok(headwater_log::embedded::verify(dir, world)?)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The log behind its trait.
    pub fn shared(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    /// All topics, by name.
    pub fn topics(&self) -> Vec<TopicInfo> {
        self.log.topics()
    }

    /// The partitions of a topic with their files.
    pub fn partition_files(&self, topic: &str) -> Result<Vec<PartitionFiles>> {
        Ok(self.log.partition_files(topic)?)
    }

    /// A client, for reading and writing topics by hand.
    pub fn client(&self, options: ClientOptions) -> Result<Box<dyn Client>> {
        Ok(self.log.client(options)?)
    }

    /// Creates a topic with `partitions` unless it is there.
    pub fn ensure_topic(&self, name: &str, partitions: u32) -> Result<()> {
        let mut client = self.client(ClientOptions::default())?;
        let topic = NewTopic {
            name: name.into(),
            partitions,
            config: TopicConfig::new(),
        };
        let request = Request::CreateTopics(vec![topic]);
        match call(
            &mut *client,
            &*self.world.clock,
            request,
            call_deadline_default_ms(),
        ) {
            Ok(_) | Err(headwater_log::Error::TopicExists(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Where each partition of `topic` ends, as [`crate::end_offsets`].
    pub fn end_offsets(&self, topic: &str) -> Result<Vec<(TopicPartition, Offset)>> {
        crate::end_offsets(&*self.log, topic)
    }

    /// The positions that `application` has committed, as [`crate::committed_offsets`].
    pub fn committed_offsets(&self, application: &str) -> Result<Vec<(TopicPartition, Offset)>> {
        crate::committed_offsets(&*self.log, application)
    }

    /// A writer that brings `source` (a file, a feed) into topics, exactly once across crashes.
    pub fn source_writer(&self, application: &str, source: &str) -> Result<SourceWriter> {
        Ok(SourceWriter::open(
            &*self.log,
            application,
            source,
            &Settings::default(),
        )?)
    }
}

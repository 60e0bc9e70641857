//! What operators ask of a cluster beyond what every log answers: groups with kind, state and topology, replicas of a topic, members
//! put out. Not for workers: each call opens connections of its own and waits. Invariant: nothing is kept between calls.

use crate::{
    Kafka, admin,
    cluster::Cluster,
    description::{GroupDescription, PartitionReplicas},
    settings::Settings,
};
use headwater_log::{Error, Result};
use std::{future::Future, rc::Rc};
use tokio::task::LocalSet;

/// Waits within `default.api.timeout.ms`.
impl Kafka {
    /// The groups of the cluster by name: all, or the one of this name, which may be missing.
    ///
    /// # Errors
    /// `Invalid` where the principal lacks a right, `Unavailable` when the deadline passes.
    pub fn describe_groups(&self, name: Option<&str>) -> Result<Vec<GroupDescription>> {
        let settings = &self.settings;
        wait(settings, async |cluster| {
            admin::describe_groups(&cluster, settings, name).await
        })
    }

    /// Puts all members out of a group, as `--force` of Kafka's own reset tool does; answers how many. For members that have died
    /// and whose session is long: one that lives joins again.
    ///
    /// # Errors
    /// As [`Kafka::describe_groups`]; `Invalid` for consumer and share groups, whose members cannot be put out from outside.
    pub fn remove_members(&self, group: &str) -> Result<usize> {
        let settings = &self.settings;
        wait(settings, async |cluster| {
            admin::remove_members(&cluster, settings, group).await
        })
    }

    /// Which brokers keep the partitions of a topic, by partition.
    ///
    /// # Errors
    /// `UnknownTopic`, and as [`Kafka::describe_groups`].
    pub fn replicas(&self, topic: &str) -> Result<Vec<PartitionReplicas>> {
        let settings = &self.settings;
        wait(settings, async |cluster| {
            admin::replicas(&cluster, settings, topic).await
        })
    }
}

fn wait<T, F: Future<Output = Result<T>>>(
    settings: &Settings,
    question: impl FnOnce(Rc<Cluster>) -> F,
) -> Result<T> {
    settings.check()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| Error::io("the network", "starting its event loop", &error))?;
    LocalSet::new().block_on(&runtime, async {
        question(Cluster::new(
            Rc::new(settings.clone()),
            "headwater-operator",
        ))
        .await
    })
}

//! Questions and changes about topics, offsets and groups, answered by the cluster's brokers.
//! Not the commit's path. Invariant: an answer is whole, or an error that says what was asked, what the broker said and what helps.

mod descriptions;
mod endings;
mod eviction;
mod groups;
mod java_assignment;
mod offsets;
mod patience;
mod positions;
mod refusal;
#[cfg(test)]
mod tests;
mod told;
mod topics;

use crate::{
    cluster::Cluster,
    description::{GroupDescription, PartitionReplicas},
    settings::Settings,
};
use headwater_log::{Error, Request, Response, Result};
use patience::Patience;
use std::rc::Rc;
pub(crate) use topics::creation;

/// Answers a request that is not about the client's own commits, within `default.api.timeout.ms`.
pub(crate) async fn ask(
    cluster: &Rc<Cluster>,
    settings: &Settings,
    request: Request,
) -> Result<Response> {
    let patience = &mut Patience::new(cluster, settings.api_timeout);
    match request {
        Request::CreateTopics(wanted) => {
            topics::create(patience, settings.replication_factor, &wanted).await?;
        }
        Request::DeleteTopics(names) => topics::delete(patience, &names).await?,
        Request::AlterTopic { topic, config } => topics::alter(patience, &topic, &config).await?,
        Request::CreatePartitions { topic, partitions } => {
            topics::grow(patience, &topic, partitions).await?;
        }
        Request::DescribeTopics(names) => {
            let described = topics::describe(patience, names.as_deref()).await?;
            return Ok(Response::Topics(described));
        }
        Request::Offsets(wanted) => {
            return Ok(Response::Offsets(
                offsets::look_up(patience, &wanted).await?,
            ));
        }
        Request::CommittedOffsets { group, partitions } => {
            let committed = positions::committed(patience, &group, partitions.as_deref()).await?;
            return Ok(Response::Committed(committed));
        }
        Request::SetOffsets { group, offsets } => {
            positions::set(patience, &group, &offsets).await?;
        }
        Request::DeleteGroup(group) => groups::delete(patience, &group).await?,
        Request::ListGroups => return Ok(Response::Groups(groups::list(patience).await?)),
        Request::DeleteRecords(starts) => offsets::delete_before(patience, &starts).await?,
        Request::Commit(_) | Request::Abort | Request::Settle => {
            return Err(Error::Invalid("a commit is not asked for here".into()));
        }
    }
    Ok(Response::Done)
}

/// Groups as operators see them: all, or the one of this name.
pub(crate) async fn describe_groups(
    cluster: &Rc<Cluster>,
    settings: &Settings,
    name: Option<&str>,
) -> Result<Vec<GroupDescription>> {
    let patience = &mut Patience::new(cluster, settings.api_timeout);
    descriptions::describe(patience, name).await
}

/// Puts all members out of a group; answers how many.
pub(crate) async fn remove_members(
    cluster: &Rc<Cluster>,
    settings: &Settings,
    group: &str,
) -> Result<usize> {
    let patience = &mut Patience::new(cluster, settings.api_timeout);
    eviction::remove_members(patience, group).await
}

/// Which brokers keep the partitions of a topic.
pub(crate) async fn replicas(
    cluster: &Rc<Cluster>,
    settings: &Settings,
    topic: &str,
) -> Result<Vec<PartitionReplicas>> {
    let patience = &mut Patience::new(cluster, settings.api_timeout);
    topics::replicas(patience, topic).await
}

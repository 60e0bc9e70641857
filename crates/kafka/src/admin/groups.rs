//! Groups of all kinds listed, described and deleted. Not membership.
//! Invariant: a group that one broker lists appears once, with its members where its kind can tell them.

use super::{
    descriptions::task_ids,
    patience::Patience,
    positions::is_worth_waiting,
    refusal::of_group,
    told::{Told, kind, told},
};
use crate::membership::classic::described;
use crate::protocol::{
    ErrorCode,
    delete_groups::DeleteGroupsRequest,
    describe_groups,
    list_groups::{ListGroupsRequest, ListedGroup},
    streams_group_describe,
};
use headwater_log::{GroupInfo, MemberEpoch, MemberInfo, Result};
use std::collections::BTreeMap;

pub(super) async fn delete(patience: &mut Patience<'_>, group: &str) -> Result<()> {
    let request = DeleteGroupsRequest {
        groups_names: vec![group.into()],
    };
    let tried = format!("deleting group '{group}'");
    loop {
        let response = match patience.coordinator(group, &request, i16::MAX).await {
            Ok(response) => response,
            Err(error) => {
                patience.survive(&tried, error).await?;
                continue;
            }
        };
        let code = response
            .results
            .first()
            .map_or(ErrorCode::NONE, |it| it.error_code);
        match code {
            ErrorCode::NONE | ErrorCode::GROUP_ID_NOT_FOUND => return Ok(()),
            code => {
                if !is_worth_waiting(patience, group, code).await? {
                    return Err(of_group(code, None, "Delete", group));
                }
            }
        }
    }
}

/// Every broker lists the groups it coordinates.
pub(super) async fn list(patience: &mut Patience<'_>) -> Result<Vec<GroupInfo>> {
    let listed = listed(patience).await?;
    let mut groups = Vec::with_capacity(listed.len());
    for (name, group) in listed {
        groups.push(GroupInfo {
            group: name.as_str().into(),
            members: members(patience, &name, &group).await?,
        });
    }
    Ok(groups)
}

/// What brokers list, by name.
pub(super) async fn listed(patience: &mut Patience<'_>) -> Result<BTreeMap<String, ListedGroup>> {
    let mut listed: BTreeMap<String, ListedGroup> = BTreeMap::new();
    patience.know_brokers().await?;
    for node in patience.cluster.brokers() {
        let tried = format!("listing groups of broker {node}");
        loop {
            match patience.at(node, &ListGroupsRequest::default()).await {
                Ok(response) if response.error_code.is_ok() => {
                    let groups = response.groups.into_iter();
                    listed.extend(groups.map(|group| (group.group_id.clone(), group)));
                    break;
                }
                Ok(response) if response.error_code.is_retriable() => {
                    let code = response.error_code.to_string();
                    patience.pause(&tried, &code).await?;
                }
                Ok(response) => return Err(of_group(response.error_code, None, "Describe", "*")),
                // Its groups have moved to brokers that answer, or are out of reach now.
                Err(error) if error.is_retriable() => break,
                Err(error) => return Err(error.to_log(&tried)),
            }
        }
    }
    Ok(listed)
}

async fn members(
    patience: &mut Patience<'_>,
    name: &str,
    group: &ListedGroup,
) -> Result<Vec<MemberInfo>> {
    Ok(match told(patience, name, &kind(group)).await? {
        Told::Streams(group) => group.members.iter().map(streams_member).collect(),
        Told::Consumer(group) => {
            let members = group.members.iter();
            let members = members.map(|it| without_tasks(&it.member_id, it.member_epoch));
            members.collect()
        }
        Told::Classic(group) => group.members.iter().map(classic_member).collect(),
        Told::Nothing => Vec::new(),
    })
}

fn streams_member(member: &streams_group_describe::Member) -> MemberInfo {
    MemberInfo {
        member: member.member_id.as_str().into(),
        epoch: MemberEpoch(member.member_epoch),
        tasks: task_ids(&member.assignment.active_tasks),
    }
}

/// One of a group of ours; others have no tasks that one could name.
fn classic_member(member: &describe_groups::DescribedGroupMember) -> MemberInfo {
    described(&member.member_metadata, &member.member_assignment)
        .unwrap_or_else(|| without_tasks(&member.member_id, 0))
}

/// A member of a group that shares no tasks.
fn without_tasks(id: &str, epoch: i32) -> MemberInfo {
    MemberInfo {
        member: id.into(),
        epoch: MemberEpoch(epoch),
        tasks: Vec::new(),
    }
}

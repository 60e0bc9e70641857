//! Members put out of a group from outside. Not a reset, and no protection from members that live: they join again.
//! Invariant: a member that has gone by itself meanwhile is no failure.

use super::{descriptions::describe, patience::Patience, refusal::of_group};
use crate::cluster::RequestError;
use crate::description::GroupDescription;
use crate::protocol::{
    ErrorCode,
    leave_group::{LeaveGroupRequest, MemberIdentity},
    streams_group_heartbeat::StreamsGroupHeartbeatRequest,
};
use headwater_log::{Error, Result};

pub(super) async fn remove_members(patience: &mut Patience<'_>, name: &str) -> Result<usize> {
    let Some(group) = describe(patience, Some(name)).await?.pop() else {
        return Ok(0);
    };
    let members: Vec<&str> = group.members.iter().map(|it| it.member.as_str()).collect();
    for member in &members {
        remove(patience, &group, member).await?;
    }
    Ok(members.len())
}

async fn remove(patience: &mut Patience<'_>, group: &GroupDescription, member: &str) -> Result<()> {
    let name = group.group.as_str();
    let tried = format!("putting member {member} out of group '{name}'");
    loop {
        let answered = match group.kind.as_str() {
            "streams" => out_of_streams(patience, name, member).await,
            "classic" => out_of_classic(patience, name, member).await,
            kind => {
                return Err(Error::Invalid(format!(
                    "members of {kind} group '{name}' cannot be put out; stop them"
                )));
            }
        };
        match answered {
            Ok(ErrorCode::NONE | ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::GROUP_ID_NOT_FOUND) => {
                return Ok(());
            }
            Ok(code) => {
                if !patience.is_passing(name, code).await? {
                    return Err(of_group(code, None, "Read", name));
                }
            }
            Err(error) => patience.survive(&tried, error).await?,
        }
    }
}

async fn out_of_streams(
    patience: &mut Patience<'_>,
    group: &str,
    member: &str,
) -> Result<ErrorCode, RequestError> {
    let request = StreamsGroupHeartbeatRequest::leave(group, member);
    let response = patience.coordinator(group, &request, i16::MAX).await?;
    Ok(response.error_code)
}

async fn out_of_classic(
    patience: &mut Patience<'_>,
    group: &str,
    member: &str,
) -> Result<ErrorCode, RequestError> {
    let request = LeaveGroupRequest {
        group_id: group.into(),
        members: vec![MemberIdentity {
            member_id: member.into(),
            group_instance_id: None,
            reason: Some("put out by an operator".into()),
        }],
    };
    let response = patience.coordinator(group, &request, i16::MAX).await?;
    let of_member = response.members.first().map(|it| it.error_code);
    Ok(match response.error_code {
        ErrorCode::NONE => of_member.unwrap_or(ErrorCode::NONE),
        code => code,
    })
}

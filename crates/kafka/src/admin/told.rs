//! One group as its coordinator tells it, asked by the group's kind. Not what is made of that: see `groups` and `descriptions`.
//! Invariant: a group that has gone meanwhile is nothing, not a failure.

use super::{patience::Patience, refusal::of_group};
use crate::cluster::RequestError;
use crate::protocol::{
    ErrorCode,
    consumer_group_describe::{self, ConsumerGroupDescribeRequest},
    describe_groups::{self, DescribeGroupsRequest},
    list_groups::ListedGroup,
    streams_group_describe::{self, StreamsGroupDescribeRequest},
};
use headwater_log::Result;

pub(super) enum Told {
    Streams(streams_group_describe::DescribedGroup),
    Consumer(consumer_group_describe::DescribedGroup),
    Classic(describe_groups::DescribedGroup),
    /// It is gone, or of a kind that has no tasks (share groups) or is not known here.
    Nothing,
}

/// In small letters; groups of brokers that tell no kind are classic.
pub(super) fn kind(group: &ListedGroup) -> String {
    match group.group_type.to_ascii_lowercase() {
        kind if kind.is_empty() => "classic".into(),
        kind => kind,
    }
}

pub(super) async fn told(patience: &mut Patience<'_>, name: &str, kind: &str) -> Result<Told> {
    let tried = format!("describing group '{name}'");
    loop {
        let answer = match kind {
            "streams" => of_streams(patience, name).await,
            "consumer" => of_consumers(patience, name).await,
            "classic" => of_classic(patience, name).await,
            _ => return Ok(Told::Nothing),
        };
        match answer {
            Ok((ErrorCode::NONE, told)) => return Ok(told),
            Ok((ErrorCode::GROUP_ID_NOT_FOUND, _)) => return Ok(Told::Nothing),
            Ok((code, _)) => {
                if !patience.is_passing(name, code).await? {
                    return Err(of_group(code, None, "Describe", name));
                }
            }
            Err(error) => patience.survive(&tried, error).await?,
        }
    }
}

type Answer = Result<(ErrorCode, Told), RequestError>;

/// An answer about no group says nothing about the one that was asked for.
const NO_GROUP: (ErrorCode, Told) = (ErrorCode::UNKNOWN_SERVER_ERROR, Told::Nothing);

async fn of_streams(patience: &mut Patience<'_>, name: &str) -> Answer {
    let request = StreamsGroupDescribeRequest {
        group_ids: vec![name.into()],
        include_authorized_operations: false,
    };
    let mut response = patience.coordinator(name, &request, i16::MAX).await?;
    let told = response.groups.pop();
    Ok(told.map_or(NO_GROUP, |it| (it.error_code, Told::Streams(it))))
}

async fn of_consumers(patience: &mut Patience<'_>, name: &str) -> Answer {
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec![name.into()],
        include_authorized_operations: false,
    };
    let mut response = patience.coordinator(name, &request, i16::MAX).await?;
    let told = response.groups.pop();
    Ok(told.map_or(NO_GROUP, |it| (it.error_code, Told::Consumer(it))))
}

async fn of_classic(patience: &mut Patience<'_>, name: &str) -> Answer {
    let request = DescribeGroupsRequest {
        groups: vec![name.into()],
        include_authorized_operations: false,
    };
    let mut response = patience.coordinator(name, &request, i16::MAX).await?;
    let told = response.groups.pop();
    Ok(told.map_or(NO_GROUP, |it| (it.error_code, Told::Classic(it))))
}

//! What a broker's refusal means for whoever asked. Not what may pass: that is tried again before it comes here.
//! Invariant: the message names Kafka's error, the thing it is about, and what helps.

use crate::protocol::ErrorCode;
use headwater_log::Error;

/// A refusal about a topic; `right` is what the request needs there.
pub(super) fn of_topic(code: ErrorCode, message: Option<&str>, right: &str, topic: &str) -> Error {
    match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID => {
            Error::UnknownTopic(topic.into())
        }
        ErrorCode::TOPIC_ALREADY_EXISTS => Error::TopicExists(topic.into()),
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => Error::Invalid(format!(
            "topic '{topic}': {code}: the principal lacks the right {right}; \
             grant it: kafka-acls --add --allow-principal User:.. --operation {right} --topic {topic}"
        )),
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => Error::Invalid(format!(
            "topic '{topic}': {code}: the principal lacks the right {right} on the cluster; \
             grant it: kafka-acls --add --allow-principal User:.. --operation {right} --cluster"
        )),
        code => Error::Invalid(format!("topic '{topic}': {}", said(code, message))),
    }
}

/// A refusal about a group.
pub(super) fn of_group(code: ErrorCode, message: Option<&str>, right: &str, group: &str) -> Error {
    match code {
        ErrorCode::GROUP_AUTHORIZATION_FAILED => Error::Invalid(format!(
            "group '{group}': {code}: the principal lacks the right {right}; \
             grant it: kafka-acls --add --allow-principal User:.. --operation {right} --group {group}"
        )),
        ErrorCode::NON_EMPTY_GROUP
        | ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC
        | ErrorCode::UNKNOWN_MEMBER_ID
        | ErrorCode::ILLEGAL_GENERATION
        | ErrorCode::REBALANCE_IN_PROGRESS
        | ErrorCode::STALE_MEMBER_EPOCH => Error::Invalid(format!(
            "group '{group}' has active members; stop them first ({code})"
        )),
        code => Error::Invalid(format!("group '{group}': {}", said(code, message))),
    }
}

fn said(code: ErrorCode, message: Option<&str>) -> String {
    match message {
        Some(message) if !message.is_empty() => format!("{message} ({code})"),
        _ => code.to_string(),
    }
}

//! What the broker's answer to a batch means. Not what is done about it. Invariant: a batch that may have been written is never
//! given up as unwritten.

use crate::{
    cluster::RequestError,
    protocol::{ErrorCode, produce::PartitionProduceResponse},
};
use headwater_log::{Error, Offset, TopicPartition};

/// Why a commit cannot succeed.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// It would be refused again: the caller hears this error.
    Refused(Error),
    /// The same work, replayed, may succeed.
    Aborted(String),
    /// The epoch is not the latest: another owner, or our own transaction timed out.
    Epoch(String),
    /// The group's coordinator does not know the member, or not with this epoch.
    Member(String),
}

/// How long until the next try.
pub(super) enum Wait {
    /// The transaction before is still ending.
    Short,
    Backoff,
}

pub(super) enum Verdict {
    /// At this offset; or somewhere, long ago.
    Written(Option<Offset>),
    Again(Wait),
    Failed(Failure),
    /// As it is; of a batch of several records the parts may not be.
    TooLarge(Failure),
}

pub(super) fn verdict(
    answer: &PartitionProduceResponse,
    partition: &TopicPartition,
    is_first: bool,
) -> Verdict {
    let message = answer.error_message.as_deref().unwrap_or_default();
    let said = || format!("{partition}: {} {message}", answer.error_code);
    let refused = |what: &str| {
        Verdict::Failed(Failure::Refused(Error::Invalid(format!(
            "{what} {}",
            said().trim_end()
        ))))
    };
    match answer.error_code {
        ErrorCode::NONE => Verdict::Written(Some(answer.base_offset).filter(|base| *base >= 0)),
        ErrorCode::DUPLICATE_SEQUENCE_NUMBER => Verdict::Written(None),
        ErrorCode::CONCURRENT_TRANSACTIONS => Verdict::Again(Wait::Short),
        // Another partition of the request could not join the transaction, and its own answer says why.
        ErrorCode::OPERATION_NOT_ATTEMPTED => Verdict::Again(Wait::Backoff),
        // A batch before it was not written, and is sent again before this one.
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER if !is_first => Verdict::Again(Wait::Short),
        ErrorCode::INVALID_PRODUCER_EPOCH | ErrorCode::PRODUCER_FENCED => {
            Verdict::Failed(Failure::Epoch(said()))
        }
        ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER
        | ErrorCode::UNKNOWN_PRODUCER_ID
        | ErrorCode::INVALID_PRODUCER_ID_MAPPING
        | ErrorCode::INVALID_TXN_STATE
        | ErrorCode::TRANSACTION_ABORTABLE => Verdict::Failed(Failure::Aborted(said())),
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => {
            Verdict::TooLarge(Failure::Refused(Error::TooLarge(format!(
                "one record: {}; raise the topic's max.message.bytes",
                said()
            ))))
        }
        ErrorCode::INVALID_TIMESTAMP => refused(
            "a timestamp outside message.timestamp.before.max.ms and message.timestamp.after.max.ms:",
        ),
        ErrorCode::TOPIC_AUTHORIZATION_FAILED => {
            refused("the principal may not Write to the topic:")
        }
        ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => {
            refused("the principal may not Write with its transactional id:")
        }
        ErrorCode::CLUSTER_AUTHORIZATION_FAILED => {
            refused("the principal may not IdempotentWrite:")
        }
        code if code.is_retriable() => Verdict::Again(Wait::Backoff),
        _ => refused("the broker refused a batch:"),
    }
}

/// What a missing answer means for the commit; mostly nothing, the batches go again.
pub(super) fn of_silence(error: &RequestError) -> Option<Failure> {
    match error {
        RequestError::Authentication(_) | RequestError::Unsupported(_) => {
            Some(Failure::Refused(error.to_log("Produce")))
        }
        _ => None,
    }
}

//! The operators behind the DSL: each turns one record into effects on stores and records for the next.
//! Not the DSL and not a scheduler. Invariant: an operator keeps no state that a commit would have to save, except in stores.

mod aggregate;
mod delayed_join;
mod emit_on_close;
mod fold;
pub(crate) mod foreign_key;
mod global_join;
mod join;
mod map_async;
mod materialized;
mod observed_time;
mod open_windows;
mod process;
mod row_list;
mod session_aggregate;
mod session_rows;
mod sink;
mod sliding_aggregate;
mod source;
mod stream_join;
pub(crate) mod suppress;
mod table_derive;
mod table_group;
mod table_join;
mod table_transform;
mod time_to_live;
mod versioned;
mod window_aggregate;

pub use process::{
    AggregationWithHeaders, FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Processor,
    ProcessorContext, RowKind, Scheduled, StoreView, Timer, Timestamped, ValueTimestampHeaders,
    VersionPut, VersionedRecord,
};
pub use table_transform::{TransformContext, ValueTransformer};

pub(crate) use aggregate::{Aggregate, TableSource};
pub(crate) use delayed_join::{DelayedJoin, DelayedJoinNode, parse_key as parse_delayed_key};
pub(crate) use emit_on_close::{Closes, Closing};
pub(crate) use fold::{Fold, FoldOf, fold};
pub(crate) use global_join::GlobalJoin;
pub(crate) use join::TableJoin;
pub(crate) use map_async::{Call, MapAsync};
pub(crate) use materialized::{Kept, Materialized, StoredRows};
pub(crate) use observed_time::ObservedTime;
pub(crate) use process::{FixedKey, Place, ProcessorNode};
pub(crate) use session_aggregate::SessionAggregate;
pub(crate) use session_rows::{SessionRows, StoredSessions};
pub(crate) use sink::{NullKeyFilter, Sink, Target, TopicOf};
pub(crate) use sliding_aggregate::SlidingAggregate;
pub(crate) use source::Source;
pub(crate) use stream_join::{
    Found, JoinNothing, JoinOf, Keep, MatchSide, OtherSide, SelfJoin, SharedSide, Unmatched,
    UnmatchedRows, UnmatchedTimes,
};
pub(crate) use table_derive::{DerivedRows, TableDerive};
pub(crate) use table_group::{TableAggregate, TableGroup};
pub(crate) use table_join::{JoinedRows, Needs, TableJoinMerger, TableJoinSide, TableJoiner};
pub(crate) use table_transform::{TransformerNode, Unreadable};
pub(crate) use versioned::VersionedRows;
pub(crate) use window_aggregate::WindowAggregate;

use crate::format::Code;
use crate::task::Step;
use crate::{Error, Headers, Result};
use headwater_log::HeadersRef;

/// Encodes a key into `bytes` (cleared first); false when it is null.
#[inline(always)]
pub(crate) fn encode_key<K>(
    format: &impl Code<K>,
    topic: &str,
    key: &K,
    bytes: &mut Vec<u8>,
) -> Step<bool> {
    bytes.clear();
    match format.encode_present(topic, &mut Headers::default(), key, bytes) {
        Ok(present) => Ok(present),
        Err(error) => Err(Error::format(topic, &error).into()),
    }
}

/// Decodes what a store keeps; `topic` is its changelog.
#[inline]
pub(crate) fn decode<T>(format: &impl Code<T>, topic: &str, bytes: &[u8]) -> Result<T> {
    format
        .decode(topic, HeadersRef::NONE, bytes)
        .map_err(|error| Error::BadData {
            topic: topic.into(),
            partition: 0,
            offset: 0,
            reason: error.to_string(),
        })
}

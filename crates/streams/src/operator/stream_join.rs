//! Joins of two streams within a window of time: a record is kept in its own side's store and looks for partners in the
//! other's. Not joins with tables.
//! Invariant: what a record meets is looked up before it is kept, so it meets nothing of its own side (`KStreamJoinWindow`).

mod keep;
mod match_side;
mod other_side;
mod self_join;
mod unmatched;

pub(crate) use keep::Keep;
pub(crate) use match_side::{Found, JoinNothing, MatchSide, SharedSide};
pub(crate) use other_side::OtherSide;
pub(crate) use self_join::SelfJoin;
pub(crate) use unmatched::{Unmatched, UnmatchedRows, UnmatchedTimes};

use std::sync::Arc;

/// What a record and one of the other side become. `None` on one side: there is no such record.
pub(crate) type JoinOf<K, L, R, O> =
    Arc<dyn Fn(&K, Option<&L>, Option<&R>) -> Option<O> + Send + Sync>;

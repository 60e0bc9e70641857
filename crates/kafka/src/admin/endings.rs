//! Transactions that have been decided and not yet written to a group's positions. Not open ones: what they hold is not committed.
//! Invariant: each ending seen at first is waited for once, so that a busy group cannot keep the asker for ever.
//!
//! Asked for all positions of a group, a broker names those that have one, and a partition whose first position is being written is
//! not among them; only where partitions are named it says that they are unstable (`require_stable`).

use super::patience::Patience;
use crate::cluster::NodeId;
use crate::protocol::{
    describe_transactions::DescribeTransactionsRequest, list_transactions::ListTransactionsRequest,
};
use headwater_log::Result;

/// Where positions lie.
const POSITIONS: &str = "__consumer_offsets";
/// `TransactionState.PREPARE_COMMIT`.
const DECIDED: &str = "PrepareCommit";
/// Transactions described at once.
const DESCRIBED_AT_ONCE: usize = 100;

/// A transaction that is being ended: its coordinator, id and beginning, which tells it from the next of the same id.
struct Ending {
    coordinator: NodeId,
    id: String,
    start_ms: i64,
}

/// Waits until every commit to the group's positions that was decided before this call is written. What the principal may not see is
/// not waited for.
pub(super) async fn wait(patience: &mut Patience<'_>, group: &str) -> Result<()> {
    let mut endings = Vec::new();
    patience.know_brokers().await?;
    // Before the first position of any group that topic is not there; every partition of it is looked at then.
    let deadline = patience.deadline();
    drop(
        patience
            .cluster
            .refresh_by(&[POSITIONS.into()], deadline)
            .await,
    );
    for node in patience.cluster.brokers() {
        let ids = decided(patience, node).await;
        for some in ids.chunks(DESCRIBED_AT_ONCE) {
            endings.extend(touching(patience, node, some, group).await);
        }
    }
    let tried = format!("reading positions of group '{group}'");
    while !endings.is_empty() {
        let mut left = Vec::new();
        for ending in endings {
            let ids = [ending.id.clone()];
            let now = touching(patience, ending.coordinator, &ids, group).await;
            if now.iter().any(|it| it.start_ms == ending.start_ms) {
                left.push(ending);
            }
        }
        endings = left;
        if !endings.is_empty() {
            patience.pause(&tried, "a commit is being ended").await?;
        }
    }
    Ok(())
}

/// Ids whose transactions are decided at this coordinator; none where it does not answer: another one has them then.
async fn decided(patience: &Patience<'_>, node: NodeId) -> Vec<String> {
    let request = ListTransactionsRequest {
        state_filters: vec![DECIDED.into()],
        ..ListTransactionsRequest::default()
    };
    match patience.at(node, &request).await {
        Ok(response) => {
            let states = response.transaction_states.into_iter();
            states.map(|it| it.transactional_id).collect()
        }
        Err(_) => Vec::new(),
    }
}

/// Those of the ids whose transactions are decided and hold positions of the group, or of another one beside it.
async fn touching(
    patience: &Patience<'_>,
    node: NodeId,
    ids: &[String],
    group: &str,
) -> Vec<Ending> {
    let request = DescribeTransactionsRequest {
        transactional_ids: ids.to_vec(),
    };
    let Ok(response) = patience.at(node, &request).await else {
        return Vec::new();
    };
    let count = patience.cluster.partitions(POSITIONS);
    let states = response.transaction_states.into_iter();
    let touching = states.filter(|it| {
        let mut topics = it.topics.iter().filter(|topic| topic.topic == POSITIONS);
        it.transaction_state == DECIDED
            && topics.any(|topic| match count {
                Some(count) => topic.partitions.contains(&place(group, count)),
                None => true,
            })
    });
    touching
        .map(|it| Ending {
            coordinator: node,
            id: it.transactional_id,
            start_ms: it.transaction_start_time_ms,
        })
        .collect()
}

/// The partition that holds the group's positions: Java's `String.hashCode` without its sign (`Utils.abs`), modulo.
fn place(group: &str, count: u32) -> i32 {
    let hash = group.encode_utf16().fold(0i32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    });
    // The smallest number has no positive one.
    let place = hash.checked_abs().unwrap_or(0).unsigned_abs() % count.max(1);
    i32::try_from(place).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_group_lies_where_java_says() {
        // "hello".hashCode() is 99162322, "polygenelubricants".hashCode() is the smallest i32.
        assert_eq!(place("hello", 50), 22);
        // "group".hashCode() is 98629247, "app".hashCode() is 96801, "-".hashCode() is 45.
        assert_eq!(
            (place("group", 50), place("app", 50), place("-", 50)),
            (47, 1, 45)
        );
        assert_eq!(place("polygenelubricants", 50), 0);
        assert_eq!(place("", 50), 0);
    }
}

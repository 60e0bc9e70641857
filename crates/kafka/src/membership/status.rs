//! What a coordinator says about a group that cannot run, in sentences for a person.
//! Not errors: the member stays in the group and hears when it is over. Invariant: what passes by itself at every start
//! is not reported.

use crate::protocol::streams_group_heartbeat::Status;

const STALE_TOPOLOGY: i8 = 0;
const MISSING_SOURCE_TOPICS: i8 = 1;
const INCORRECTLY_PARTITIONED_TOPICS: i8 = 2;
const MISSING_INTERNAL_TOPICS: i8 = 3;
const SHUTDOWN_APPLICATION: i8 = 4;

/// ms that internal topics may be missing before it is told: the coordinator creates them in about 100 ms.
const CREATION_MS_MAX: u64 = 5_000;

/// What the statuses of an answer amount to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing to report.
    Fine,
    /// The group waits for something that may take a while, or for good.
    NotReady(String),
    /// Another member asked the whole application to stop; which one, in the coordinator's words.
    Shutdown(String),
}

/// Judges statuses that have been there, of whatever kind, for `waiting_ms`.
pub(super) fn judge(statuses: &[Status], waiting_ms: u64) -> Verdict {
    let mut all = statuses.iter();
    if let Some(status) = all.find(|status| status.status_code == SHUTDOWN_APPLICATION) {
        return Verdict::Shutdown(status.status_detail.clone());
    }
    let told: Vec<_> = statuses
        .iter()
        .filter_map(|status| sentence(status, waiting_ms))
        .collect();
    match told.is_empty() {
        true => Verdict::Fine,
        false => Verdict::NotReady(told.join("; ")),
    }
}

fn sentence(status: &Status, waiting_ms: u64) -> Option<String> {
    let detail = &status.status_detail;
    match status.status_code {
        STALE_TOPOLOGY => Some(format!(
            "the group runs a later version of the topology: {detail}"
        )),
        MISSING_SOURCE_TOPICS => Some(format!("source topics are missing: {detail}")),
        INCORRECTLY_PARTITIONED_TOPICS => Some(format!("partition counts do not fit: {detail}")),
        MISSING_INTERNAL_TOPICS if waiting_ms >= CREATION_MS_MAX || has_failed(detail) => {
            Some(format!("internal topics are missing: {detail}"))
        }
        _ => None,
    }
}

/// Two members that join at once have the coordinator create twice, and the second time fails.
fn has_failed(detail: &str) -> bool {
    let failures = detail.split_once("Creation failed").map(|(_, rest)| rest);
    failures.is_some_and(|rest| rest.matches(" (").count() > rest.matches("already exists").count())
}

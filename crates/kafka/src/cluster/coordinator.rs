//! Finding the broker that coordinates a group or a transactional id.
//! Not what is asked of it. Invariant: a coordinator that was forgotten is asked for anew.

use super::{Cluster, NodeId, RequestError};
use crate::protocol::{
    ErrorCode,
    find_coordinator::{Coordinator, FindCoordinatorRequest},
};
use tokio::time::{Instant, sleep_until};

/// What is coordinated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CoordinatorKind {
    Group,
    Transaction,
}

impl CoordinatorKind {
    fn code(self) -> i8 {
        match self {
            Self::Group => 0,
            Self::Transaction => 1,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Transaction => "transactional id",
        }
    }
}

impl Cluster {
    /// The coordinator of `key`; asks, and asks again while there is none yet, for at most `request.timeout.ms`.
    pub(crate) async fn coordinator(
        &self,
        kind: CoordinatorKind,
        key: &str,
    ) -> Result<NodeId, RequestError> {
        let deadline = Instant::now() + self.context.settings.request_timeout;
        self.coordinator_by(kind, key, deadline).await
    }

    /// As [`Cluster::coordinator`], with a deadline of the caller's.
    pub(crate) async fn coordinator_by(
        &self,
        kind: CoordinatorKind,
        key: &str,
        deadline: Instant,
    ) -> Result<NodeId, RequestError> {
        let entry = (kind, key.to_owned());
        if let Some(node) = self.coordinators.borrow().get(&entry) {
            return Ok(*node);
        }
        let request = FindCoordinatorRequest {
            key_type: kind.code(),
            coordinator_keys: vec![key.to_owned()],
        };
        let mut attempt = 0;
        loop {
            let mut response = self.look_up(&request, deadline).await?;
            let Some(found) = response.coordinators.pop() else {
                return Err(RequestError::Malformed(
                    "FindCoordinator: an empty answer".into(),
                ));
            };
            if found.error_code.is_ok() {
                self.found(found.node_id, &found.host, found.port);
                self.coordinators.borrow_mut().insert(entry, found.node_id);
                return Ok(found.node_id);
            }
            if !found.error_code.is_retriable() {
                return Err(refusal(kind, key, &found));
            }
            let until = Instant::now() + self.backoff(attempt);
            if until >= deadline {
                return Err(RequestError::NotSent(format!(
                    "no coordinator for {} '{key}' yet: {}",
                    kind.name(),
                    found.error_code
                )));
            }
            attempt += 1;
            sleep_until(until).await;
        }
    }

    /// It is another one now, or away.
    pub(crate) fn forget_coordinator(&self, kind: CoordinatorKind, key: &str) {
        self.coordinators
            .borrow_mut()
            .remove(&(kind, key.to_owned()));
    }
}

fn refusal(kind: CoordinatorKind, key: &str, found: &Coordinator) -> RequestError {
    let name = kind.name();
    match found.error_code {
        ErrorCode::GROUP_AUTHORIZATION_FAILED
        | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED => {
            RequestError::Authentication(format!(
                "{}: the principal lacks the right Describe on {name} '{key}'",
                found.error_code
            ))
        }
        code => RequestError::Unsupported(format!(
            "no coordinator for {name} '{key}': {code} {}",
            found.error_message.as_deref().unwrap_or_default()
        )),
    }
}

//! Requests to a group's or a transaction's coordinator, asked again until it answers or the deadline has passed.
//! Not a judge of what the coordinator refuses: the caller knows what a code means. Invariant: whoever asked learns whether a
//! try of the request may have reached a broker without an answer.

use crate::{
    cluster::{Cluster, CoordinatorKind, Purpose, RequestError},
    protocol::{ErrorCode, Request},
};
use headwater_log::Error;
use std::{cell::Cell, fmt, rc::Rc, time::Duration};
use tokio::time::{Instant, sleep_until, timeout_at};

/// First wait after a coordinator said that it is still ending the transaction before; Java's is 20 ms.
const CONCURRENT_WAIT_MS: u64 = 2;
/// Longest of those waits.
const CONCURRENT_WAIT_MS_MAX: u64 = 50;

/// Why a coordinator's answer is no success.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It said so, and asking again would not help.
    Code(ErrorCode),
    /// No answer by the deadline; what happened last.
    Late(String),
    /// It cannot be asked: authentication, versions, bytes that are no answer.
    Fatal(Error),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => code.fmt(f),
            Self::Late(reason) => write!(f, "no answer in time: {reason}"),
            Self::Fatal(error) => error.fmt(f),
        }
    }
}

/// Where a request goes, and how long it is tried.
pub(crate) struct Asking<'a> {
    pub(crate) cluster: &'a Rc<Cluster>,
    pub(crate) kind: CoordinatorKind,
    pub(crate) key: &'a str,
    pub(crate) deadline: Instant,
    /// Set when a try may have been delivered and its answer was not seen.
    pub(crate) lost: Cell<bool>,
}

impl Asking<'_> {
    /// Asks until the code is none or one that stays.
    pub(crate) async fn ask<R: Request>(
        &self,
        request: &R,
        code: impl Fn(&R::Response) -> ErrorCode,
    ) -> Result<R::Response, Refusal> {
        let mut attempt = 0;
        let mut concurrent_wait = Duration::from_millis(CONCURRENT_WAIT_MS);
        loop {
            let reason = match self.once(request).await {
                Ok(response) => match code(&response) {
                    ErrorCode::NONE => return Ok(response),
                    ErrorCode::CONCURRENT_TRANSACTIONS => {
                        self.pause(concurrent_wait, "CONCURRENT_TRANSACTIONS")
                            .await?;
                        concurrent_wait = (2 * concurrent_wait)
                            .min(Duration::from_millis(CONCURRENT_WAIT_MS_MAX));
                        continue;
                    }
                    code @ (ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE) => {
                        self.cluster.forget_coordinator(self.kind, self.key);
                        code.to_string()
                    }
                    code if code.is_retriable() => code.to_string(),
                    code => return Err(Refusal::Code(code)),
                },
                Err(error) => self.survive(error, R::NAME)?,
            };
            let wait = self.cluster.backoff(attempt);
            attempt += 1;
            self.pause(wait, &format!("{}: {reason}", R::NAME)).await?;
        }
    }

    async fn once<R: Request>(&self, request: &R) -> Result<R::Response, RequestError> {
        let found = timeout_at(self.deadline, self.cluster.coordinator(self.kind, self.key)).await;
        let node =
            found.map_err(|_| RequestError::NotSent("no coordinator was found".into()))??;
        let asked = self.cluster.request(node, Purpose::Coordinator, request);
        match timeout_at(self.deadline, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(RequestError::TimedOut("no answer by the deadline".into())),
        }
    }

    /// What a broken conversation was about, when asking again may help.
    fn survive(&self, error: RequestError, what: &str) -> Result<String, Refusal> {
        let delivered = matches!(
            error,
            RequestError::Disconnected(_) | RequestError::TimedOut(_) | RequestError::Malformed(_)
        );
        if delivered {
            self.lost.set(true);
            self.cluster.forget_coordinator(self.kind, self.key);
        }
        match error {
            RequestError::Authentication(_)
            | RequestError::Unsupported(_)
            | RequestError::Malformed(_) => Err(Refusal::Fatal(error.to_log(what))),
            passing => Ok(passing.to_string()),
        }
    }

    async fn pause(&self, wait: Duration, reason: &str) -> Result<(), Refusal> {
        let until = Instant::now() + wait;
        if until >= self.deadline {
            return Err(Refusal::Late(reason.into()));
        }
        sleep_until(until).await;
        Ok(())
    }
}

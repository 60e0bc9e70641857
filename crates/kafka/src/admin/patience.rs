//! How long and how often one administrative request is tried. Not what is asked.
//! Invariant: the last reason for trying again is what the caller hears at the deadline.

use crate::{
    cluster::{Cluster, CoordinatorKind, NodeId, Purpose, RequestError},
    protocol::{ErrorCode, Request},
};
use headwater_log::{Error, Result};
use std::{rc::Rc, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// As long as no broker has ever answered: a wrong address or a wrong port should be told while somebody looks.
const FIRST_CONTACT_WAIT: Duration = Duration::from_secs(8);
/// In a cluster of several brokers one may not have heard of a topic that another has created.
const UNKNOWN_TOPIC_WAIT: Duration = Duration::from_millis(1_500);

/// One request's time and tries.
pub(super) struct Patience<'a> {
    pub(super) cluster: &'a Rc<Cluster>,
    began: Instant,
    deadline: Instant,
    attempt: u32,
    /// A try may have been carried out without our seeing the answer.
    pub(super) is_lost: bool,
}

impl<'a> Patience<'a> {
    pub(super) fn new(cluster: &'a Rc<Cluster>, time: Duration) -> Self {
        let began = Instant::now();
        Self {
            cluster,
            began,
            deadline: began + time,
            attempt: 0,
            is_lost: false,
        }
    }

    pub(super) fn deadline(&self) -> Instant {
        match self.cluster.is_proven() {
            true => self.deadline,
            false => self.deadline.min(self.began + FIRST_CONTACT_WAIT),
        }
    }

    /// How long this request has been tried.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Waits before the next try; at the deadline `reason` is the error.
    pub(super) async fn pause(&mut self, tried: &str, reason: &str) -> Result<()> {
        let until = Instant::now() + self.cluster.backoff(self.attempt);
        self.attempt += 1;
        if until >= self.deadline() {
            let seconds = self.elapsed().as_secs_f32();
            return Err(Error::Unavailable(format!(
                "{tried}: {reason} (tried for {seconds:.1} s)"
            )));
        }
        sleep_until(until).await;
        Ok(())
    }

    /// After a request without answer: waits if another try may help.
    pub(super) async fn survive(&mut self, tried: &str, error: RequestError) -> Result<()> {
        if !error.is_retriable() {
            return Err(error.to_log(tried));
        }
        self.is_lost |= !matches!(error, RequestError::NotSent(_));
        self.pause(tried, &error.to_string()).await
    }

    /// Asks any broker until one answers.
    pub(super) async fn any<R: Request>(
        &mut self,
        tried: &str,
        request: &R,
    ) -> Result<R::Response> {
        loop {
            match self.cluster.any_by(request, self.deadline()).await {
                Ok(response) => return Ok(response),
                Err(error) => self.survive(tried, error).await?,
            }
        }
    }

    /// At least once heard from the cluster which brokers it has.
    pub(super) async fn know_brokers(&mut self) -> Result<()> {
        while self.cluster.brokers().is_empty() {
            if let Err(error) = self.cluster.refresh_by(&[], self.deadline()).await {
                self.survive("asking for the brokers", error).await?;
            }
        }
        Ok(())
    }

    /// One try at a group's coordinator.
    pub(super) async fn coordinator<R: Request>(
        &mut self,
        group: &str,
        request: &R,
        version_max: i16,
    ) -> Result<R::Response, RequestError> {
        let (kind, deadline) = (CoordinatorKind::Group, self.deadline());
        let node = self.cluster.coordinator_by(kind, group, deadline).await?;
        let asked =
            self.cluster
                .request_capped(node, Purpose::Coordinator, request, deadline, version_max);
        let answer = asked.await;
        if answer.is_err() {
            self.cluster.forget_coordinator(kind, group);
        }
        answer
    }

    /// What a coordinator's code asks for before the next try: another coordinator, time, or nothing when it is final.
    pub(super) async fn is_passing(&mut self, group: &str, code: ErrorCode) -> Result<bool> {
        if !code.is_retriable() {
            return Ok(false);
        }
        if matches!(
            code,
            ErrorCode::NOT_COORDINATOR | ErrorCode::COORDINATOR_NOT_AVAILABLE
        ) {
            self.cluster
                .forget_coordinator(CoordinatorKind::Group, group);
        }
        self.pause(&format!("group '{group}'"), &code.to_string())
            .await?;
        Ok(true)
    }

    /// Metadata of these topics, all of which must exist.
    pub(super) async fn know(&mut self, topics: &[Arc<str>]) -> Result<()> {
        loop {
            let asked = self.cluster.refresh_by(topics, self.deadline()).await;
            if let Err(error) = asked {
                self.survive("asking for metadata", error).await?;
                continue;
            }
            let unknown = topics
                .iter()
                .find(|topic| self.cluster.partitions(topic).is_none());
            let Some(topic) = unknown else { return Ok(()) };
            let code = self.cluster.topic_error(topic).unwrap_or_default();
            match code {
                ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {
                    let is_alone = self.cluster.brokers().len() < 2;
                    if is_alone || self.elapsed() >= UNKNOWN_TOPIC_WAIT {
                        return Err(Error::UnknownTopic(topic.to_string()));
                    }
                }
                code if code.is_retriable() || code.is_ok() => {}
                code => return Err(super::refusal::of_topic(code, None, "Describe", topic)),
            }
            self.pause(&format!("topic '{topic}'"), &code.to_string())
                .await?;
        }
    }

    /// One try at a known broker.
    pub(super) async fn at<R: Request>(
        &self,
        node: NodeId,
        request: &R,
    ) -> Result<R::Response, RequestError> {
        let deadline = self.deadline();
        self.cluster
            .request_by(node, Purpose::Admin, request, deadline)
            .await
    }

    /// A timeout that brokers are told, in ms.
    pub(super) fn timeout_ms(&self) -> i32 {
        let left = self.deadline().saturating_duration_since(Instant::now());
        i32::try_from(left.as_millis()).unwrap_or(i32::MAX)
    }
}

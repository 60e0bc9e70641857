//! Which broker leads or coordinates what, and the connections to them.
//! Not a place where requests are built. Invariant: a stale leader is asked for anew, never trusted twice.

mod coordinator;
mod link;
mod metadata;
#[cfg(test)]
mod tests;

pub(crate) use crate::connection::RequestError;
pub(crate) use coordinator::CoordinatorKind;
pub(crate) use metadata::Leader;

use crate::connection::{Context, Versions, tls};
use crate::protocol::{
    ErrorCode, Request, Uuid,
    metadata::{MetadataRequest, MetadataRequestTopic},
};
use crate::settings::{Settings, address::Address};
use headwater_log::Error;
use headwater_world::World;
use link::Link;
use metadata::Metadata;
use std::{
    cell::{Cell, RefCell},
    collections::{BTreeSet, HashMap},
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::Mutex,
    task::spawn_local,
    time::{Instant, sleep, timeout_at},
};

/// A broker's number in its cluster. Bootstrap servers, whose numbers nobody knows yet, count up from the lowest.
pub(crate) type NodeId = i32;

/// How often connections are looked over for idle ones.
const IDLE_CHECK_EVERY: Duration = Duration::from_secs(5);

/// How long one broker is waited for with a question that any other can answer: a frozen one keeps its connections.
const LOOK_UP_TRY_MAX: Duration = Duration::from_secs(5);

/// What a connection is for. A broker answers one connection's requests in order, and some wait there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Long polls.
    Fetch,
    /// Fetches and offsets that must not wait behind a long poll.
    Seek,
    Produce,
    Coordinator,
    Admin,
    /// Joins of classic groups, which wait for all members.
    Membership,
}

/// One client's view of the cluster. Lives on its network thread, inside a `LocalSet`.
pub(crate) struct Cluster {
    context: Rc<Context>,
    /// What is wrong with `ssl.*`, told with the first request.
    tls_error: Option<String>,
    metadata: RefCell<Metadata>,
    links: RefCell<HashMap<(NodeId, Purpose), Rc<Link>>>,
    coordinators: RefCell<HashMap<(CoordinatorKind, String), NodeId>>,
    versions: RefCell<Option<Rc<Versions>>>,
    is_proven: Cell<bool>,
    refreshing: Mutex<()>,
    refreshes_started: Cell<u64>,
    wanted: RefCell<BTreeSet<Arc<str>>>,
    /// The number of the refresh that last answered for a topic.
    answered: RefCell<HashMap<Arc<str>, u64>>,
}

impl Cluster {
    pub(crate) fn new(settings: Rc<Settings>, client_id: &str) -> Rc<Self> {
        let world = World::real();
        let settings = Settings::clone(&settings);
        let (tls, tls_error) = match settings.security.protocol.is_tls() {
            false => (None, None),
            true => match tls::config(&settings.security.tls, &*world.disk) {
                Ok(config) => (Some(config), None),
                Err(error) => (None, Some(error)),
            },
        };
        let client_id = settings
            .client_id
            .clone()
            .unwrap_or_else(|| client_id.into());
        let cluster = Rc::new(Self {
            metadata: RefCell::new(Metadata::new(&settings.bootstrap)),
            context: Rc::new(Context {
                settings,
                client_id,
                tls,
                world,
            }),
            tls_error,
            links: RefCell::default(),
            coordinators: RefCell::default(),
            versions: RefCell::default(),
            is_proven: Cell::new(false),
            refreshing: Mutex::new(()),
            refreshes_started: Cell::new(0),
            wanted: RefCell::default(),
            answered: RefCell::default(),
        });
        spawn_local(close_idle(Rc::downgrade(&cluster)));
        cluster
    }

    /// Asks one broker and waits for at most `request.timeout.ms`. Requests of one node and purpose leave in the order of the calls.
    pub(crate) async fn request<R: Request>(
        &self,
        node: NodeId,
        purpose: Purpose,
        request: &R,
    ) -> Result<R::Response, RequestError> {
        let deadline = Instant::now() + self.context.settings.request_timeout;
        self.request_by(node, purpose, request, deadline).await
    }

    /// As [`Cluster::request`], with a deadline of the caller's.
    pub(crate) async fn request_by<R: Request>(
        &self,
        node: NodeId,
        purpose: Purpose,
        request: &R,
        deadline: Instant,
    ) -> Result<R::Response, RequestError> {
        self.request_capped(node, purpose, request, deadline, i16::MAX)
            .await
    }

    /// As [`Cluster::request_by`], in a version of at most `version_max`.
    pub(crate) async fn request_capped<R: Request>(
        &self,
        node: NodeId,
        purpose: Purpose,
        request: &R,
        deadline: Instant,
        version_max: i16,
    ) -> Result<R::Response, RequestError> {
        if let Some(error) = &self.tls_error {
            return Err(RequestError::Authentication(error.clone()));
        }
        let link = self.link(node, purpose)?;
        let Ok(connection) = timeout_at(deadline, link.connection(&self.context)).await else {
            return Err(RequestError::NotSent(format!(
                "{}: not connected by the deadline{}",
                link.address(),
                link.last_failure()
            )));
        };
        let connection = connection?;
        *self.versions.borrow_mut() = Some(connection.versions());
        let answer = connection.call(request, version_max, deadline).await;
        self.is_proven.set(self.is_proven.get() || answer.is_ok());
        answer
    }

    /// Asks brokers one after the other until one answers, known ones first, then the bootstrap servers (KIP-899): one round,
    /// within `request.timeout.ms`. For requests that may be repeated.
    pub(crate) async fn any<R: Request>(&self, request: &R) -> Result<R::Response, RequestError> {
        let deadline = Instant::now() + self.context.settings.request_timeout;
        self.any_by(request, deadline).await
    }

    /// As [`Cluster::any`], with a deadline of the caller's.
    pub(crate) async fn any_by<R: Request>(
        &self,
        request: &R,
        deadline: Instant,
    ) -> Result<R::Response, RequestError> {
        self.any_in_turn(request, deadline, None).await
    }

    /// As [`Cluster::any_by`], for questions that cost nothing to repeat: a broker that is silent is soon passed over.
    async fn look_up<R: Request>(
        &self,
        request: &R,
        deadline: Instant,
    ) -> Result<R::Response, RequestError> {
        self.any_in_turn(request, deadline, Some(LOOK_UP_TRY_MAX))
            .await
    }

    async fn any_in_turn<R: Request>(
        &self,
        request: &R,
        deadline: Instant,
        try_max: Option<Duration>,
    ) -> Result<R::Response, RequestError> {
        let mut last = RequestError::NotSent("no broker is known".into());
        let mut candidates = self.candidates().into_iter().peekable();
        while let Some(node) = candidates.next() {
            let has_other = candidates.peek().is_some();
            let until = match try_max {
                Some(time) if has_other => deadline.min(Instant::now() + time),
                _ => deadline,
            };
            match self.request_by(node, Purpose::Admin, request, until).await {
                Err(error) if error.is_retriable() => last = error,
                ended => return ended,
            }
        }
        Err(last)
    }

    /// A wait before try number `attempt` of something, by `retry.backoff.ms` and its maximum.
    pub(crate) fn backoff(&self, attempt: u32) -> Duration {
        let random = self.context.world.random.next_u64();
        self.context.settings.retry_backoff.wait(attempt, random)
    }

    /// True once any broker has answered more than a handshake, which brokers hold also with those they do not serve.
    pub(crate) fn is_proven(&self) -> bool {
        self.is_proven.get()
    }

    /// The level of a finalized feature, `None` before the first connection.
    pub(crate) fn feature(&self, name: &str) -> Option<i16> {
        Some(self.versions.borrow().as_ref()?.feature(name))
    }

    /// Whether brokers know a request at all, `None` before the first connection.
    pub(crate) fn knows<R: Request>(&self) -> Option<bool> {
        Some(self.versions.borrow().as_ref()?.knows(R::KEY))
    }

    /// The leader as last heard; `None` while it is unknown or stale.
    pub(crate) fn leader(&self, topic: &str, partition: u32) -> Option<Leader> {
        self.metadata.borrow().leader(topic, partition)
    }

    /// A partition's leader turned out to be another: none until the next refresh.
    pub(crate) fn stale(&self, topic: &str, partition: u32) {
        self.metadata.borrow_mut().stale(topic, partition);
    }

    /// A broker named the new leader (KIP-951); an older epoch than known is passed over.
    pub(crate) fn moved(&self, topic: &str, partition: u32, leader: NodeId, epoch: i32) {
        self.metadata
            .borrow_mut()
            .moved(topic, partition, leader, epoch);
    }

    /// Where a broker is, heard from another one than Metadata.
    pub(crate) fn found(&self, node: NodeId, host: &str, port: i32) {
        let found = self.metadata.borrow_mut().found(node, host, port);
        if found {
            self.unlink_moved();
        }
    }

    /// How many partitions a topic has; `None` while unknown or when it does not exist.
    pub(crate) fn partitions(&self, topic: &str) -> Option<u32> {
        self.metadata.borrow().partitions(topic)
    }

    /// What the brokers said against a topic when last asked.
    pub(crate) fn topic_error(&self, topic: &str) -> Option<ErrorCode> {
        self.metadata.borrow().error(topic)
    }

    /// What a topic that is not known means for who needs it.
    pub(crate) fn missing(&self, topic: &str) -> Error {
        match self.topic_error(topic) {
            Some(code @ ErrorCode::TOPIC_AUTHORIZATION_FAILED) => Error::Invalid(format!(
                "topic '{topic}': {code}: the principal lacks the right Describe, which Read and Write bring; \
                 grant them: kafka-acls --add --allow-principal User:.. --operation Read --topic {topic}"
            )),
            _ => Error::UnknownTopic(topic.to_owned()),
        }
    }

    pub(crate) fn topic_id(&self, topic: &str) -> Option<Uuid> {
        self.metadata.borrow().id(topic)
    }

    /// Brokers as last heard.
    pub(crate) fn brokers(&self) -> Vec<NodeId> {
        self.metadata.borrow().brokers()
    }

    /// Asks anew about topics. Calls that wait at the same time share requests; repeating with a backoff is the caller's.
    pub(crate) async fn refresh(&self, topics: &[Arc<str>]) -> Result<(), RequestError> {
        let deadline = Instant::now() + self.context.settings.request_timeout;
        self.refresh_by(topics, deadline).await
    }

    /// As [`Cluster::refresh`], with a deadline of the caller's.
    pub(crate) async fn refresh_by(
        &self,
        topics: &[Arc<str>],
        deadline: Instant,
    ) -> Result<(), RequestError> {
        let called_at = self.refreshes_started.get();
        self.wanted.borrow_mut().extend(topics.iter().cloned());
        let Ok(_turn) = timeout_at(deadline, self.refreshing.lock()).await else {
            return Err(RequestError::NotSent(
                "metadata was not asked for in time".into(),
            ));
        };
        let is_answered = |topic| {
            self.answered
                .borrow()
                .get(topic)
                .is_some_and(|at| *at > called_at)
        };
        if !topics.is_empty() && topics.iter().all(is_answered) {
            return Ok(());
        }
        let names = self.wanted.take();
        let number = called_at.max(self.refreshes_started.get()) + 1;
        self.refreshes_started.set(number);
        let request = MetadataRequest {
            topics: Some(names.iter().map(asked).collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = self.look_up(&request, deadline).await?;
        if response.error_code == ErrorCode::REBOOTSTRAP_REQUIRED {
            self.metadata.borrow_mut().forget_brokers();
            self.unlink_moved();
            return Err(RequestError::NotSent(
                "the cluster asks for a new start from the bootstrap servers".into(),
            ));
        }
        if !response.error_code.is_ok() {
            return Err(RequestError::Disconnected(format!(
                "Metadata: {}",
                response.error_code
            )));
        }
        self.metadata
            .borrow_mut()
            .take_over(&response)
            .map_err(RequestError::Unsupported)?;
        self.unlink_moved();
        self.answered
            .borrow_mut()
            .extend(names.into_iter().map(|name| (name, number)));
        Ok(())
    }

    fn link(&self, node: NodeId, purpose: Purpose) -> Result<Rc<Link>, RequestError> {
        let Some(address) = self.metadata.borrow().address(node) else {
            return Err(RequestError::NotSent(format!("broker {node} is not known")));
        };
        let mut links = self.links.borrow_mut();
        let link = links
            .entry((node, purpose))
            .or_insert_with(|| Rc::new(Link::new(address)));
        Ok(link.clone())
    }

    /// Known brokers in random order, those that failed lately last; then the bootstrap servers.
    fn candidates(&self) -> Vec<NodeId> {
        let metadata = self.metadata.borrow();
        let mut nodes = metadata.brokers();
        let random = &self.context.world.random;
        let links = self.links.borrow();
        nodes.sort_by_cached_key(|node| {
            let is_failing = links
                .get(&(*node, Purpose::Admin))
                .is_some_and(|link| link.is_failing());
            (is_failing, random.next_u64())
        });
        if nodes.is_empty() || self.context.settings.rebootstraps {
            let mut servers = metadata.bootstrap();
            servers.sort_by_cached_key(|_| random.next_u64());
            nodes.extend(servers);
        }
        nodes
    }

    /// Drops connections to where a broker no longer is.
    fn unlink_moved(&self) {
        let metadata = self.metadata.borrow();
        self.links
            .borrow_mut()
            .retain(|(node, _), link| metadata.address(*node).as_ref() == Some(link.address()));
    }
}

fn asked(name: &Arc<str>) -> MetadataRequestTopic {
    MetadataRequestTopic {
        topic_id: Uuid::ZERO,
        name: Some(name.to_string()),
    }
}

/// Closes connections that nothing was sent on for `connections.max.idle.ms`.
async fn close_idle(cluster: Weak<Cluster>) {
    loop {
        sleep(IDLE_CHECK_EVERY).await;
        let Some(cluster) = cluster.upgrade() else {
            return;
        };
        let idle_max = cluster.context.settings.connection_idle_max;
        for link in cluster.links.borrow().values() {
            link.close_if_idle(idle_max);
        }
    }
}

/// An address as protocol messages carry it.
fn address(host: &str, port: i32) -> Option<Address> {
    let port = u16::try_from(port).ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then(|| Address::new(host, port))
}

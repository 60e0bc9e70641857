//! The heartbeats of one client's membership: what the member says is sent, what came is told to it. Not the membership's rules:
//! see [`crate::membership`]. Invariant: one heartbeat is in flight at a time, and leaving is tried before the thread ends.

use super::{early, lookout::Lookout};
use crate::{
    admin,
    client::{shared::Shared, writer::Incarnation},
    cluster::{Cluster, CoordinatorKind, Purpose, RequestError},
    membership::{
        classic::{Answer, Ask},
        seat::{Answered, Badged, Due, Seat},
        standby,
    },
    protocol::{
        Request,
        streams_group_heartbeat::{KeyValue, StreamsGroupHeartbeatRequest},
    },
    settings::{GroupProtocol, Settings},
    watch::Bell,
};
use headwater_log::{CommitRequest, Error, GroupEvent, Membership, NewTopic, TaskId};
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep, timeout, timeout_at},
};

/// How long a client that is dropped tries to tell the broker that it leaves.
const LEAVE_MS_MAX: u64 = 1_000;
/// The same, when it has the whole group stop: in a classic group that takes a round, which every member joins after its next beat.
const STOP_MS_MAX: u64 = 5_000;
/// How often the worker's signs of life are looked for.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How long a member waits with joining for internal topics to be made: their absence costs a second, see [`early`].
const EARLY_MAX: Duration = Duration::from_secs(2);

/// The feature by which a cluster says that it has streams groups.
const STREAMS_FEATURE: &str = "streams.version";
/// What a round of joining may take beyond its own timeout.
const ROUND_SLACK: Duration = Duration::from_secs(5);

struct State {
    member: Option<Seat>,
    /// After this long without a sign of life the worker's tasks go to others.
    silence_max: Duration,
    heard: Instant,
}

/// The membership of a client.
pub(super) struct Beat {
    cluster: Rc<Cluster>,
    shared: Arc<Shared>,
    settings: Rc<Settings>,
    lookout: Lookout,
    /// How often the member has started over; what is written goes by it.
    incarnation: Incarnation,
    begun: Instant,
    /// Lists of tasks that were handed to the worker.
    lists: Cell<u64>,
    state: RefCell<State>,
    bell: Arc<Bell>,
}

impl Beat {
    pub(super) fn new(
        cluster: &Rc<Cluster>,
        shared: &Arc<Shared>,
        settings: &Rc<Settings>,
        lookout: Lookout,
        incarnation: &Incarnation,
    ) -> Rc<Self> {
        Rc::new(Self {
            cluster: Rc::clone(cluster),
            shared: Arc::clone(shared),
            settings: Rc::clone(settings),
            bell: Arc::clone(lookout.bell()),
            lookout,
            incarnation: Rc::clone(incarnation),
            begun: Instant::now(),
            lists: Cell::new(0),
            state: RefCell::new(State {
                member: None,
                silence_max: Duration::MAX,
                heard: Instant::now(),
            }),
        })
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn with(&self, change: impl FnOnce(&mut Seat, u64)) {
        let now_ms = self.now_ms();
        if let Some(member) = &mut self.state.borrow_mut().member {
            change(member, now_ms);
            self.incarnation.set(member.incarnation());
        }
        self.bell.rung.notify_one();
    }

    pub(super) fn join(&self, membership: Membership) {
        let silence_ms = u64::try_from(membership.rebalance_timeout_ms).unwrap_or(u64::MAX);
        let mut state = self.state.borrow_mut();
        state.silence_max = Duration::from_millis(silence_ms);
        state.heard = Instant::now();
        state.member = Some(Seat::new(membership, &self.settings));
        drop(state);
        self.bell.rung.notify_one();
    }

    /// What the worker holds, having taken so many lists.
    pub(super) fn own(&self, lists: u64, active: &[TaskId], standby: &[TaskId]) {
        let knows_all = lists == self.lists.get();
        self.with(|member, now_ms| member.own(now_ms, active, standby, knows_all));
    }

    pub(super) fn leave(&self) {
        self.with(Seat::leave);
    }

    pub(super) fn end_membership(&self) {
        self.with(Seat::end);
    }

    pub(super) fn stop_group(&self) {
        self.with(Seat::stop_group);
    }

    /// A commit of an incarnation was refused: because of the member, or because the transactional id was taken.
    pub(super) fn fenced(&self, replaced: bool, incarnation: u32) {
        self.lookout.tell_anew();
        self.with(|member, now_ms| match replaced {
            // The member has started over meanwhile.
            _ if incarnation < member.incarnation() => {}
            true => {
                if let Some(event) = member.taken_over(now_ms) {
                    self.shared.event(event);
                }
            }
            false => member.fenced_at_commit(now_ms),
        });
    }

    /// Never returns; the thread's end drops it.
    pub(super) async fn run(self: Rc<Self>) {
        loop {
            let rung = self.bell.rung.notified();
            if self.bell.take() {
                self.with(Seat::wake);
            }
            self.watch();
            let due = match self.step().await {
                true => continue,
                false => self.due(),
            };
            drop(timeout_at(due, rung).await);
        }
    }

    /// Leaves for good, if it can be done soon.
    pub(super) async fn end(&self) {
        let leaving = async {
            while self.step().await || self.is_leaving() {
                drop(timeout_at(self.due(), self.bell.rung.notified()).await);
            }
        };
        let end_ms = match self.stops_group() {
            true => STOP_MS_MAX,
            false => LEAVE_MS_MAX,
        };
        drop(timeout(Duration::from_millis(end_ms), leaving).await);
        self.lookout.end(self.is_out()).await;
    }

    fn is_out(&self) -> bool {
        let state = self.state.borrow();
        state.member.as_ref().is_none_or(Seat::is_out)
    }

    fn is_leaving(&self) -> bool {
        let state = self.state.borrow();
        state.member.as_ref().is_some_and(Seat::is_leaving)
    }

    fn stops_group(&self) -> bool {
        let state = self.state.borrow();
        state.member.as_ref().is_some_and(Seat::stops_group)
    }

    fn due(&self) -> Instant {
        let latest = Instant::now() + WATCH_EVERY;
        let state = self.state.borrow();
        let due_ms = state.member.as_ref().and_then(Seat::due_ms);
        match due_ms {
            Some(due_ms) => latest.min(self.begun + Duration::from_millis(due_ms)),
            None => latest,
        }
    }

    /// Looks whether the worker still comes by.
    fn watch(&self) {
        let is_alive = self.shared.take_sign_of_life();
        let mut state = self.state.borrow_mut();
        if is_alive {
            state.heard = Instant::now();
        }
        let is_silent = state.heard.elapsed() > state.silence_max;
        let now_ms = self.now_ms();
        match &mut state.member {
            Some(member) if is_silent => member.pause(now_ms),
            Some(member) if is_alive => member.resume(now_ms),
            _ => {}
        }
        drop(state);
        self.tell();
    }

    /// Hands the member's events to the worker.
    fn tell(&self) {
        let mut state = self.state.borrow_mut();
        let Some(member) = &mut state.member else {
            return;
        };
        for notice in self.bell.take_notices() {
            self.shared.event(GroupEvent::Notice(notice));
        }
        if let Some(mixed) = self.lookout.mixed_news() {
            self.shared.event(GroupEvent::Mixed(mixed));
        }
        // Before the event that says so: what the worker then writes is the new member's.
        self.incarnation.set(member.incarnation());
        while let Some(event) = member.event() {
            match event {
                GroupEvent::Assigned(_) => {
                    self.lists.set(self.lists.get() + 1);
                    self.lookout.group_changed();
                }
                GroupEvent::Fenced(_) => self.lookout.tell_anew(),
                _ => {}
            }
            self.shared.event(event);
        }
        if let Some(hosts) = member.hosts() {
            self.shared.hosts(hosts);
        }
    }

    /// As a commit has to name the member: see [`Seat::translate`].
    pub(super) fn translate(&self, commit: &CommitRequest) -> Result<Option<Badged>, String> {
        let state = self.state.borrow();
        state
            .member
            .as_ref()
            .map_or(Ok(None), |member| member.translate(commit))
    }

    /// Sends what is due; false when nothing is.
    async fn step(&self) -> bool {
        self.decide().await;
        let (due, group, round_ms) = {
            let mut state = self.state.borrow_mut();
            let now_ms = self.now_ms();
            let Some(member) = state
                .member
                .as_mut()
                .filter(|member| !member.is_undecided())
            else {
                return false;
            };
            let (group, round_ms) = (Arc::clone(member.group()), member.rebalance_timeout_ms());
            match member.next_request(now_ms) {
                Some(due) => (due, group, round_ms),
                None => return false,
            }
        };
        let answer = match due {
            Due::Streams(request) => self.beat(&group, &request).await,
            Due::Classic(ask) => self.classic(&group, &ask, round_ms).await,
        };
        let now_ms = self.now_ms();
        let mut forget = false;
        if let Some(member) = &mut self.state.borrow_mut().member
            // A membership that began meanwhile has nothing to do with this answer.
            && member.is_in_flight()
        {
            let was_leaving = member.is_leaving();
            forget = member.on_answer(now_ms, answer);
            if was_leaving && member.is_out() {
                self.lookout.left();
            }
        }
        if forget {
            self.cluster
                .forget_coordinator(CoordinatorKind::Group, &group);
        }
        self.tell();
        true
    }

    /// Chooses the protocol by what the brokers speak, unless a setting names it.
    async fn decide(&self) {
        let group = {
            let state = self.state.borrow();
            match state.member.as_ref().filter(|member| member.is_undecided()) {
                Some(member) => Arc::clone(member.group()),
                None => return,
            }
        };
        let classic = match self.settings.group_protocol {
            Some(protocol) => protocol == GroupProtocol::Classic,
            None => {
                // Whoever answers tells what brokers speak; who does not is asked again at the next step.
                let found = self.cluster.coordinator(CoordinatorKind::Group, &group);
                if let Err(error) = found.await
                    && error.is_retriable()
                {
                    sleep(self.settings.retry_backoff.first).await;
                    return;
                }
                let is_known = self.cluster.knows::<StreamsGroupHeartbeatRequest>();
                is_known != Some(true) || self.cluster.feature(STREAMS_FEATURE) < Some(1)
            }
        };
        let opened = match classic {
            true => None,
            false => self.introduction().await,
        };
        if let Some(member) = &mut self.state.borrow_mut().member {
            member.decide(classic);
            if let Some(tags) = opened {
                let endpoint = member.endpoint();
                member.introduce(tags, endpoint);
            }
            if let Some(replicas) = member.standby_replicas() {
                let (cluster, shared) = (Rc::clone(&self.cluster), Arc::clone(&self.shared));
                spawn_local(async move {
                    if let Err(refusal) = standby::set(&cluster, &group, replicas).await {
                        shared.event(GroupEvent::Notice(refusal));
                    }
                });
            }
        }
    }

    /// Prepares to join a streams group; the tags to join with.
    async fn introduction(&self) -> Option<Vec<KeyValue>> {
        let membership = {
            let state = self.state.borrow();
            state.member.as_ref()?.membership().clone()
        };
        let making = early::make(&self.cluster, self.settings.replication_factor, &membership);
        drop(timeout(EARLY_MAX, making).await);
        Some(self.lookout.open(&membership).await)
    }

    async fn beat(&self, group: &str, request: &StreamsGroupHeartbeatRequest) -> Answered {
        let asked = self.coordinator(group, Purpose::Coordinator, request, None);
        let asked = asked.await.map(Box::new);
        asked.map_or_else(|error| failed(group, error), Answered::Streams)
    }

    async fn classic(&self, group: &str, ask: &Ask, round_ms: u64) -> Answered {
        let purpose = Purpose::Coordinator;
        let answer = match ask {
            Ask::Join(request) => {
                let deadline = Instant::now() + Duration::from_millis(round_ms) + ROUND_SLACK;
                let asked = self.coordinator(group, Purpose::Membership, request, Some(deadline));
                asked.await.map(Answer::Join)
            }
            Ask::Sync(request) => {
                let asked = self.coordinator(group, Purpose::Membership, request, None);
                asked.await.map(Answer::Sync)
            }
            Ask::Beat(request) => {
                let asked = self.coordinator(group, purpose, request, None);
                asked.await.map(Answer::Beat)
            }
            Ask::Leave(request) => {
                let asked = self.coordinator(group, purpose, request, None);
                asked.await.map(|_| Answer::Leave)
            }
            Ask::Count(names) => {
                let names: Vec<Arc<str>> = names.iter().map(|name| name.as_str().into()).collect();
                self.cluster.refresh(&names).await.map(|()| {
                    let counts = names.iter().filter_map(|name| {
                        Some((name.to_string(), self.cluster.partitions(name)?))
                    });
                    Answer::Count(counts.collect())
                })
            }
            Ask::Create(topics) => Ok(Answer::Create(self.create(topics).await)),
        };
        answer.map_or_else(|error| failed(group, error), Answered::Classic)
    }

    /// Creates internal topics one by one: another leader may have created some.
    async fn create(&self, topics: &[NewTopic]) -> Result<(), String> {
        for topic in topics {
            let request = headwater_log::Request::CreateTopics(vec![topic.clone()]);
            match admin::ask(&self.cluster, &self.settings, request).await {
                Ok(_) | Err(Error::TopicExists(_)) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    async fn coordinator<R: Request>(
        &self,
        group: &str,
        purpose: Purpose,
        request: &R,
        deadline: Option<Instant>,
    ) -> Result<R::Response, RequestError> {
        let found = self.cluster.coordinator(CoordinatorKind::Group, group);
        let node = found.await?;
        match deadline {
            Some(deadline) => {
                let asked = self.cluster.request_by(node, purpose, request, deadline);
                asked.await
            }
            None => self.cluster.request(node, purpose, request).await,
        }
    }
}

fn failed(group: &str, error: RequestError) -> Answered {
    match error {
        RequestError::NotSent(_) => Answered::NotSent,
        error if error.is_retriable() => Answered::Lost,
        error => {
            let error = error.to_log(&format!("membership of group '{group}'"));
            Answered::Refused(error.to_string())
        }
    }
}

//! The heartbeats of one client's membership: what the member says is sent, what came is told to it. Not the membership's rules:
//! see [`crate::membership`]. Invariant: one heartbeat is in flight at a time, and leaving is tried before the thread ends.

use crate::{
    client::shared::Shared,
    cluster::{Cluster, CoordinatorKind, Purpose, RequestError},
    membership::{Member, standby},
    settings::Settings,
};
use headwater_log::{GroupEvent, Membership, TaskId};
use std::{cell::RefCell, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    task::spawn_local,
    time::{Instant, timeout, timeout_at},
};

/// How long a client that is dropped tries to tell the broker that it leaves.
const LEAVE_MS_MAX: u64 = 1_000;
/// How often the worker's signs of life are looked for.
const WATCH_EVERY: Duration = Duration::from_secs(1);

struct State {
    member: Option<Member>,
    /// After this long without a sign of life the worker's tasks go to others.
    silence_max: Duration,
    heard: Instant,
}

/// The membership of a client.
pub(super) struct Beat {
    cluster: Rc<Cluster>,
    shared: Arc<Shared>,
    settings: Rc<Settings>,
    begun: Instant,
    state: RefCell<State>,
    rung: Notify,
}

impl Beat {
    pub(super) fn new(
        cluster: &Rc<Cluster>,
        shared: &Arc<Shared>,
        settings: &Rc<Settings>,
    ) -> Rc<Self> {
        Rc::new(Self {
            cluster: Rc::clone(cluster),
            shared: Arc::clone(shared),
            settings: Rc::clone(settings),
            begun: Instant::now(),
            state: RefCell::new(State {
                member: None,
                silence_max: Duration::MAX,
                heard: Instant::now(),
            }),
            rung: Notify::new(),
        })
    }

    fn now_ms(&self) -> u64 {
        self.begun.elapsed().as_millis() as u64
    }

    fn with(&self, change: impl FnOnce(&mut Member, u64)) {
        let now_ms = self.now_ms();
        if let Some(member) = &mut self.state.borrow_mut().member {
            change(member, now_ms);
        }
        self.rung.notify_one();
    }

    pub(super) fn join(&self, membership: Membership) {
        if membership.standby_replicas > 0 {
            let (cluster, group) = (Rc::clone(&self.cluster), Arc::clone(&membership.group));
            spawn_local(standby::set(cluster, group, membership.standby_replicas));
        }
        let silence_ms = u64::try_from(membership.rebalance_timeout_ms).unwrap_or(u64::MAX);
        let mut state = self.state.borrow_mut();
        state.silence_max = Duration::from_millis(silence_ms);
        state.heard = Instant::now();
        state.member = Some(Member::new(membership, self.settings.replication_factor));
        drop(state);
        self.rung.notify_one();
    }

    pub(super) fn own(&self, active: &[TaskId], standby: &[TaskId]) {
        self.with(|member, now_ms| member.own(now_ms, active, standby));
    }

    pub(super) fn leave(&self) {
        self.with(Member::leave);
    }

    /// A commit was refused: because of the member, or because the client itself was replaced.
    pub(super) fn fenced(&self, replaced: bool) {
        self.with(|member, now_ms| match replaced {
            true => {
                member.leave(now_ms);
                self.shared.event(GroupEvent::Refused(
                    "a later client took the transactional id".into(),
                ));
            }
            false => member.fenced_at_commit(now_ms),
        });
    }

    /// Never returns; the thread's end drops it.
    pub(super) async fn run(self: Rc<Self>) {
        loop {
            let rung = self.rung.notified();
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
                drop(timeout_at(self.due(), self.rung.notified()).await);
            }
        };
        drop(timeout(Duration::from_millis(LEAVE_MS_MAX), leaving).await);
    }

    fn is_leaving(&self) -> bool {
        let state = self.state.borrow();
        state.member.as_ref().is_some_and(Member::is_leaving)
    }

    fn due(&self) -> Instant {
        let latest = Instant::now() + WATCH_EVERY;
        let state = self.state.borrow();
        let due_ms = state.member.as_ref().and_then(Member::due_ms);
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
        while let Some(event) = state.member.as_mut().and_then(Member::event) {
            self.shared.event(event);
        }
    }

    /// Sends the heartbeat that is due; false when none is.
    async fn step(&self) -> bool {
        let (request, group) = {
            let mut state = self.state.borrow_mut();
            let now_ms = self.now_ms();
            let Some(member) = &mut state.member else {
                return false;
            };
            let group = Arc::clone(member.group());
            match member.next_request(now_ms) {
                Some(request) => (request, group),
                None => return false,
            }
        };
        let asked = async {
            let found = self.cluster.coordinator(CoordinatorKind::Group, &group);
            let node = found.await?;
            self.cluster
                .request(node, Purpose::Coordinator, &request)
                .await
        };
        let answer = asked.await;
        let now_ms = self.now_ms();
        let mut forget = answer.is_err();
        if let Some(member) = &mut self.state.borrow_mut().member
            // A membership that began meanwhile has nothing to do with this answer.
            && member.is_in_flight()
        {
            match answer {
                Ok(response) => forget = member.on_response(now_ms, &response),
                Err(RequestError::NotSent(_)) => member.on_not_sent(now_ms),
                Err(error) if error.is_retriable() => member.on_lost(now_ms),
                Err(error) => {
                    let error = error.to_log(&format!("heartbeat of group '{group}'"));
                    member.on_refused(error.to_string());
                }
            }
        }
        if forget {
            self.cluster
                .forget_coordinator(CoordinatorKind::Group, &group);
        }
        self.tell();
        true
    }
}

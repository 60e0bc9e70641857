//! Groups of the embedded log: the coordinator, driven by clients and turns. Not durable: members join anew after a restart.
//! Invariant: members expire and tasks are assigned only inside a turn, so that a commit is fenced by the state at the moment
//! it is taken, and positions read later contain it or never will.

use super::{
    client::{EmbeddedClient, Mailbox},
    core::{Core, Writer, lock},
    options::{COORDINATOR_TICK_MS, HEARTBEAT_MS},
};
use crate::{
    Coordinator, Error, GroupEvent, GroupInfo, Host, MemberEpoch, Membership, NewTopic, Result,
    TaskId, TopicPartition, Topics,
};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

/// The groups, shared by all clients and the turn.
#[derive(Default)]
pub(super) struct Shared {
    coordinator: Mutex<Coordinator>,
    /// The coordinator's version when it was last unlocked.
    version: AtomicU64,
    /// Something changed that the next turn must look at.
    due: AtomicBool,
    /// Some group has members.
    active: AtomicBool,
    /// When the next turn looks at expiry, ms of the monotonic clock.
    next_tick_ms: AtomicU64,
    /// Clients that are members, to be woken.
    members: Mutex<Vec<Weak<Mailbox>>>,
}

/// One client's side of its membership.
#[derive(Default)]
pub(super) struct Member {
    membership: Option<Membership>,
    events: VecDeque<GroupEvent>,
    /// What the member said it holds since the last event it was handed.
    owned: Option<(Vec<TaskId>, Vec<TaskId>)>,
    /// The member does not know yet what `owned` says.
    unreported: bool,
    /// It was fenced and told so: it joins anew.
    rejoin: bool,
    seen: u64,
    /// What the group's hosts hold, unless it was handed on.
    hosts: Option<Vec<Host>>,
    hosts_seen: u64,
    next_heartbeat: Duration,
}

impl Shared {
    /// True when a turn has to look at the groups.
    pub(super) fn is_due(&self, now: Duration) -> bool {
        self.due.load(Ordering::Acquire)
            || (self.active.load(Ordering::Acquire)
                && now.as_millis() as u64 >= self.next_tick_ms.load(Ordering::Acquire))
    }

    /// ms that a turn without work may wait.
    pub(super) fn tick_ms(&self) -> u64 {
        COORDINATOR_TICK_MS
    }

    /// May this member commit positions in these partitions now?
    pub(super) fn validate(
        &self,
        group: &str,
        member: &str,
        epoch: MemberEpoch,
        names: &[TopicPartition],
    ) -> Result<()> {
        lock(&self.coordinator).validate(group, member, epoch, names)
    }

    /// Refuses changes to a group that is at work.
    pub(super) fn require_empty(&self, group: &str) -> Result<()> {
        match lock(&self.coordinator).has_members(group) {
            true => Err(Error::Invalid(format!(
                "group '{group}' has active members: stop them first"
            ))),
            false => Ok(()),
        }
    }

    /// All groups: those with members, and those that only have positions.
    pub(super) fn groups(&self, durable: Vec<Arc<str>>) -> Vec<GroupInfo> {
        let mut groups = lock(&self.coordinator).groups();
        for group in durable {
            if !groups.iter().any(|known| known.group == group) {
                groups.push(GroupInfo {
                    group,
                    members: Vec::new(),
                });
            }
        }
        groups.sort_by(|a, b| a.group.cmp(&b.group));
        groups
    }

    /// Calls the coordinator; true when members may have something to hear.
    fn with<T>(&self, call: impl FnOnce(&mut Coordinator) -> T) -> (T, bool) {
        let mut coordinator = lock(&self.coordinator);
        let result = call(&mut coordinator);
        let version = coordinator.version();
        let moved = self.version.swap(version, Ordering::AcqRel) != version;
        (result, moved)
    }

    fn wake_members(&self) {
        let mut members = lock(&self.members);
        members.retain(|member| member.strong_count() > 0);
        for mailbox in members.iter().filter_map(Weak::upgrade) {
            mailbox.wake();
        }
    }

    fn watch(&self, mailbox: &Arc<Mailbox>) {
        let known = Arc::downgrade(mailbox);
        let mut members = lock(&self.members);
        if !members.iter().any(|member| member.ptr_eq(&known)) {
            members.push(known);
        }
    }
}

/// Topics as the coordinator sees them during a tick: those that are there, and those it creates.
struct TickTopics<'a> {
    core: &'a Core,
    payload: Vec<u8>,
    created: BTreeMap<String, u32>,
}

impl Topics for TickTopics<'_> {
    fn partitions(&self, topic: &str) -> Option<u32> {
        let known = self.core.state.topic(topic);
        let known = known.map(|topic| topic.partitions.len() as u32);
        known.or_else(|| self.created.get(topic).copied())
    }

    fn create(&mut self, topic: NewTopic) -> Result<()> {
        self.core.check_poison()?;
        if self.partitions(&topic.name).is_some() {
            return Ok(());
        }
        self.core.plan_topic(&topic, &mut self.payload)?;
        self.created.insert(topic.name, topic.partitions);
        Ok(())
    }
}

impl Core {
    /// Expires members, creates internal topics and assigns tasks, when that is due.
    pub(super) fn tick_groups(&self, writer: &mut Writer) -> bool {
        let now = self.world.clock.elapsed();
        if !self.membership.is_due(now) {
            return false;
        }
        let next = now.as_millis() as u64 + COORDINATOR_TICK_MS;
        self.membership.next_tick_ms.store(next, Ordering::Release);
        let due = self.membership.due.swap(false, Ordering::AcqRel);
        let mut topics = TickTopics {
            core: self,
            payload: writer.journal.payload(),
            created: BTreeMap::new(),
        };
        let (active, moved) = self.membership.with(|coordinator| {
            coordinator.tick(now, &mut topics);
            // Written before the coordinator is unlocked: no member hears of a topic that is not there. A failure poisons the log,
            // and the members' first commit hears of it.
            let _ = self.write_entry(writer, topics.payload);
            !coordinator.groups().is_empty()
        });
        self.membership.active.store(active, Ordering::Release);
        if moved {
            self.membership.wake_members();
        }
        due || moved
    }

    fn groups_changed(&self) {
        self.membership.due.store(true, Ordering::Release);
        self.nudge();
    }
}

impl EmbeddedClient {
    pub(super) fn join_group(&mut self, membership: Membership) -> Result<()> {
        let now = self.core().world.clock.elapsed();
        let joining = membership.clone();
        let (joined, moved) = self
            .core()
            .membership
            .with(|coordinator| coordinator.join(now, joining));
        joined?;
        self.core().membership.watch(&self.mailbox);
        self.core().membership.active.store(true, Ordering::Release);
        if moved {
            self.core().groups_changed();
        }
        self.member.membership = Some(membership);
        self.member.rejoin = false;
        self.member.next_heartbeat = Duration::ZERO;
        Ok(())
    }

    pub(super) fn own_tasks(&mut self, active: &[TaskId], standby: &[TaskId]) {
        self.member.owned = Some((active.to_vec(), standby.to_vec()));
        self.member.unreported = true;
        self.heartbeat();
    }

    pub(super) fn leave_group(&mut self) {
        self.leave_with(|coordinator, group, member| coordinator.leave(group, member));
    }

    pub(super) fn stop_whole_group(&mut self) {
        let now = self.core().world.clock.elapsed();
        self.leave_with(|coordinator, group, member| coordinator.stop(now, group, member));
        self.core().membership.wake_members();
    }

    fn leave_with(&mut self, leave: impl FnOnce(&mut Coordinator, &str, &str)) {
        let Some(membership) = self.member.membership.take() else {
            return;
        };
        self.member = Member::default();
        let (group, member) = (&membership.group, &membership.member);
        let ((), moved) = self
            .core()
            .membership
            .with(|coordinator| leave(coordinator, group, member));
        if moved {
            self.core().groups_changed();
        }
    }

    /// Leaves and joins anew at the next heartbeat: the member has dropped its tasks.
    pub(super) fn restart_member(&mut self) {
        let membership = self.member.membership.clone();
        self.leave_group();
        self.member.rejoin = membership.is_some();
        self.member.membership = membership;
    }

    /// Leaves for good, and says why.
    pub(super) fn stop_member(&mut self, reason: &str) {
        if self.member.membership.is_some() {
            self.leave_group();
            let refused = GroupEvent::Refused(reason.to_owned());
            self.member.events.push_back(refused);
        }
    }

    pub(super) fn next_group_event(&mut self) -> Option<GroupEvent> {
        self.heartbeat();
        let event = self.member.events.pop_front()?;
        match &event {
            // What it held before says nothing of what it holds after it handled this.
            GroupEvent::Assigned(_) => self.member.owned = None,
            GroupEvent::Fenced(_) => {
                self.member.owned = None;
                self.member.rejoin = true;
            }
            GroupEvent::NotReady(_)
            | GroupEvent::Mixed(_)
            | GroupEvent::Notice(_)
            | GroupEvent::Refused(_) => {}
        }
        Some(event)
    }

    /// Tells the coordinator that the member lives and takes what it is to hear; at most every [`HEARTBEAT_MS`] when nothing changed.
    pub(super) fn heartbeat(&mut self) {
        let Some(membership) = &self.member.membership else {
            return;
        };
        if !self.member.events.is_empty() {
            return;
        }
        let core = self.core();
        let now = core.world.clock.elapsed();
        let version = core.membership.version.load(Ordering::Acquire);
        let quiet = version == self.member.seen && !self.member.unreported && !self.member.rejoin;
        if quiet && now < self.member.next_heartbeat {
            return;
        }
        // Nothing that members do or wait for can happen any more.
        if let Err(error) = core.check_poison() {
            return self.stop_member(&error.to_string());
        }
        let owned = self.member.owned.as_ref();
        let owned = owned.map(|(active, standby)| (active.as_slice(), standby.as_slice()));
        let (events, moved) = core.membership.with(|coordinator| {
            if self.member.rejoin {
                // A membership that was good once is good again.
                let _ = coordinator.join(now, membership.clone());
            }
            let (group, member) = (&membership.group, &membership.member);
            let events = coordinator.heartbeat(now, group, member, owned);
            (events, coordinator.hosts(group, self.member.hosts_seen))
        });
        let (events, hosts) = events;
        if moved {
            core.membership.active.store(true, Ordering::Release);
            core.groups_changed();
            core.membership.wake_members();
        }
        self.member.seen = self.core().membership.version.load(Ordering::Acquire);
        self.member.unreported = false;
        self.member.rejoin = false;
        self.member.next_heartbeat = now + Duration::from_millis(HEARTBEAT_MS);
        self.member.events.extend(events);
        if let Some((number, hosts)) = hosts {
            self.member.hosts_seen = number;
            self.member.hosts = Some(hosts);
        }
    }

    /// What the group's hosts hold, if that is news.
    pub(super) fn take_hosts(&mut self) -> Option<Vec<Host>> {
        self.member.hosts.take()
    }
}

//! The coordinator of groups: membership, epochs, assignment and cooperative hand-over, as a state machine without I/O.
//! Not a server: a log calls it from wherever its clients are polled, and wakes them when [`Coordinator::version`] moves.
//! Invariant: a task is told to a member only after every earlier holder reported that it gave it up, or was fenced.
//!
//! ```text
//!            join            tick: assigned      heartbeat: told          own report without it
//! (nobody) --------> member --------> target --------> held ---- not in the next list ----> released
//!                      |                                 |
//!                      +---- silent, or does not release in time: fenced, everything released
//! ```

use super::{
    GroupEvent, Host, MemberEpoch, Membership, Subtopology, TaskId,
    assign::{self, Candidate, Target},
    counts::{self, Counts, Topics},
    member::{Member, Refused, silence, timeout},
};
use crate::{Error, GroupInfo, Result, TopicPartition};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

/// Reasons kept for members that were fenced and have not heard of it; an older one is replaced by a general reason.
const FENCED_REASONS_MAX: usize = 256;

/// All groups of a log.
#[derive(Debug, Default)]
pub struct Coordinator {
    groups: BTreeMap<Arc<str>, Group>,
    /// The last epoch given out, to whatever member: so a member that comes back never sees an epoch again.
    epoch: i32,
    version: u64,
    /// Grows whenever a host may hold something else.
    hosts_version: u64,
    fenced: VecDeque<(Arc<str>, Arc<str>, String)>,
}

#[derive(Debug, Default)]
struct Group {
    subtopologies: Vec<Subtopology>,
    members: BTreeMap<Arc<str>, Member>,
    /// Members that brought another topology; they hold nothing, and count for nothing.
    refused: BTreeMap<Arc<str>, Refused>,
    /// The counts that `targets` were computed for, or why there are none.
    counts: Option<Result<Counts, String>>,
    /// Members or their settings changed since the targets were computed.
    changed: bool,
}

impl Coordinator {
    /// A coordinator without groups.
    pub fn new() -> Self {
        Self::default()
    }

    /// Grows whenever a member may have something to hear at its next heartbeat.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The hosts of a group and the number of this state, if it is newer than the one `seen`. Numbers begin at 1.
    pub fn hosts(&self, group: &str, seen: u64) -> Option<(u64, Vec<Host>)> {
        let number = self.hosts_version + 1;
        let found = self.groups.get(group);
        let members = found.into_iter().flat_map(|group| group.members.values());
        (seen != number).then(|| (number, Host::merged(members.filter_map(Member::host))))
    }

    /// Adds a member, or changes what a member brought when it joined. A topology that differs from that of the group's
    /// members is answered by [`GroupEvent::Refused`] at the next heartbeat.
    pub fn join(&mut self, now: Duration, membership: Membership) -> Result<()> {
        membership.check()?;
        self.epoch += 1;
        let group = self
            .groups
            .entry(Arc::clone(&membership.group))
            .or_default();
        let id = Arc::clone(&membership.member);
        self.fenced
            .retain(|(group, member, _)| (group, member) != (&membership.group, &id));
        let alone = group.members.keys().all(|member| *member == id);
        if group.subtopologies != membership.subtopologies && !alone {
            let refused = Refused::new(now, &membership);
            group.refused.insert(id, refused);
        } else {
            if group.subtopologies != membership.subtopologies {
                group.subtopologies.clone_from(&membership.subtopologies);
                group.counts = None;
            }
            group.refused.remove(&id);
            match group.members.get_mut(&id) {
                Some(member) => {
                    member.heard = now;
                    member.membership = membership;
                    // Told once more in full: whoever joins again may have missed the last list.
                    member.tell_again = true;
                    member.not_ready_told = None;
                    member.mixed_told = None;
                }
                None => {
                    let epoch = MemberEpoch(self.epoch);
                    group
                        .members
                        .insert(id, Member::new(now, epoch, membership));
                }
            }
            group.changed = true;
        }
        self.version += 1;
        self.hosts_version += 1;
        Ok(())
    }

    /// Keeps a member alive and takes what it is to hear. `owned` is what it holds after it handled all earlier events; so a
    /// log calls this only when the events of the call before have been handed to the member.
    pub fn heartbeat(
        &mut self,
        now: Duration,
        group: &str,
        member: &str,
        owned: Option<(&[TaskId], &[TaskId])>,
    ) -> Vec<GroupEvent> {
        let Some(found) = self.groups.get_mut(group) else {
            return vec![GroupEvent::Fenced(self.reason(group, member))];
        };
        if let Some(refused) = found.refused.get_mut(member) {
            refused.heard = now;
            let told = std::mem::replace(&mut refused.told, true);
            let events = (!told).then(|| GroupEvent::Refused(refused.reason.clone()));
            return events.into_iter().collect();
        }
        let Some(of) = found.members.get_mut(member) else {
            return vec![GroupEvent::Fenced(self.reason(group, member))];
        };
        of.heard = now;
        if let Some((active, standby)) = owned
            && of.release(active, standby)
        {
            self.version += 1;
            self.hosts_version += 1;
        }
        // Telling a list frees nothing, so it is no reason for others to ask again.
        match of.seen.replace(self.version) == Some(self.version) {
            true => Vec::new(),
            false => {
                let events = found.tell(now, member, &mut self.epoch);
                self.hosts_version += u64::from(!events.is_empty());
                events
            }
        }
    }

    /// What the member heard last did not arrive: it is told once more.
    pub fn tell_again(&mut self, group: &str, member: &str) {
        let Some(found) = self.groups.get_mut(group) else {
            return;
        };
        if let Some(refused) = found.refused.get_mut(member) {
            refused.told = false;
        }
        if let Some(of) = found.members.get_mut(member) {
            of.tell_again = true;
            of.not_ready_told = None;
            of.mixed_told = None;
            of.seen = None;
        }
    }

    /// Removes a member; its tasks are free at once.
    pub fn leave(&mut self, group: &str, member: &str) {
        if let Some(found) = self.groups.get_mut(group) {
            found.refused.remove(member);
            found.remove(member);
            self.version += 1;
            self.hosts_version += 1;
            self.drop_empty();
        }
    }

    /// Removes a member, and has every other one stop: it holds nothing any more, and hears why at its next heartbeat.
    pub fn stop(&mut self, now: Duration, group: &str, member: &str) {
        let found = self.groups.get_mut(group);
        if let Some(found) = found.filter(|it| it.members.contains_key(member)) {
            for (id, other) in std::mem::take(&mut found.members) {
                if *id != *member {
                    let stopped = Refused::stopped(now, &other.membership, member);
                    found.refused.insert(id, stopped);
                }
            }
            found.changed = true;
        }
        self.leave(group, member);
    }

    /// May this member commit positions in these partitions? An epoch older than the member's is good for a task that the
    /// member has held since that epoch or before, so that a commit under way survives a change elsewhere in its list.
    pub fn validate(
        &self,
        group: &str,
        member: &str,
        epoch: MemberEpoch,
        partitions: &[TopicPartition],
    ) -> Result<()> {
        let fenced = |why: String| {
            let MemberEpoch(epoch) = epoch;
            Err(Error::Fenced(format!(
                "member '{member}' of group '{group}' at epoch {epoch}: {why}"
            )))
        };
        let found = self.groups.get(group);
        let Some((found, of)) = found.and_then(|it| Some((it, it.members.get(member)?))) else {
            return fenced(self.reason(group, member));
        };
        if !(of.joined..=of.epoch).contains(&epoch) {
            return fenced(format!("its epoch is {}", of.epoch.0));
        }
        for partition in partitions {
            match found.task_of(partition) {
                Some(task) if of.active.get(&task).is_some_and(|since| *since <= epoch) => {}
                Some(task) => {
                    return fenced(format!("it does not hold task {task} of {partition}"));
                }
                // Nobody's task: only the newest epoch speaks for what lies outside the topology.
                None if epoch == of.epoch => {}
                None => return fenced(format!("its epoch is {}", of.epoch.0)),
            }
        }
        Ok(())
    }

    /// Fences members that are silent or do not give up tasks in time, creates missing internal topics and assigns tasks.
    /// Cheap when nothing changed: it looks up the partition counts of the topics the groups name.
    pub fn tick(&mut self, now: Duration, topics: &mut dyn Topics) {
        let mut moved = false;
        for (name, group) in &mut self.groups {
            for (member, reason) in group.overdue(now) {
                group.remove(&member);
                group.refused.remove(&member);
                if self.fenced.len() == FENCED_REASONS_MAX {
                    self.fenced.pop_front();
                }
                self.fenced.push_back((Arc::clone(name), member, reason));
                moved = true;
            }
            if !group.members.is_empty() && group.assign(topics) {
                moved = true;
            }
        }
        if moved {
            self.version += 1;
            self.hosts_version += 1;
            self.drop_empty();
        }
    }

    /// The groups that have members, by name.
    pub fn groups(&self) -> Vec<GroupInfo> {
        let active = self
            .groups
            .iter()
            .filter(|(_, group)| !group.members.is_empty());
        active
            .map(|(name, group)| GroupInfo {
                group: Arc::clone(name),
                members: group.members.values().map(Member::info).collect(),
            })
            .collect()
    }

    /// True while a group has members.
    pub fn has_members(&self, group: &str) -> bool {
        let found = self.groups.get(group);
        found.is_some_and(|group| !group.members.is_empty())
    }

    fn reason(&self, group: &str, member: &str) -> String {
        let mut fenced = self.fenced.iter().rev();
        match fenced.find(|(of, it, _)| &**of == group && &**it == member) {
            Some((.., reason)) => reason.clone(),
            None => "it is not a member".to_owned(),
        }
    }

    fn drop_empty(&mut self) {
        self.groups
            .retain(|_, group| !group.members.is_empty() || !group.refused.is_empty());
    }
}

impl Group {
    fn remove(&mut self, member: &str) {
        self.changed |= self.members.remove(member).is_some();
    }

    /// Members to be fenced, each with the reason.
    fn overdue(&self, now: Duration) -> Vec<(Arc<str>, String)> {
        let refused = self.refused.iter().filter_map(|(id, refused)| {
            let silent = now.saturating_sub(refused.heard);
            (silent > refused.session_timeout).then(|| (Arc::clone(id), silence(silent)))
        });
        let members = self.members.iter().filter_map(|(id, member)| {
            let silent = now.saturating_sub(member.heard);
            if silent > timeout(member.membership.session_timeout_ms) {
                return Some((Arc::clone(id), silence(silent)));
            }
            let waited = now.saturating_sub(member.revoking?);
            (waited > timeout(member.membership.rebalance_timeout_ms)).then(|| {
                let reason = format!(
                    "it did not give up its tasks within {} ms",
                    waited.as_millis()
                );
                (Arc::clone(id), reason)
            })
        });
        refused.chain(members).collect()
    }

    /// Computes the targets anew if members or counts changed; true when it did.
    fn assign(&mut self, topics: &mut dyn Topics) -> bool {
        let counts = counts::resolve(&self.subtopologies, topics);
        if !self.changed && self.counts.as_ref() == Some(&counts) {
            return false;
        }
        let Ok(counts) = counts else {
            // The targets stay for the time when the group is ready again, so that tasks find back to where their state is.
            let moved = self.counts.as_ref() != Some(&counts);
            self.counts = Some(counts);
            self.changed = true;
            return moved;
        };
        self.changed = false;
        let nothing = Target::default();
        let candidates: Vec<_> = self
            .members
            .values()
            .map(|member| Candidate {
                member: &member.membership.member,
                process: &member.membership.process,
                before: &member.target,
                former: &nothing,
            })
            .collect();
        let replicas = self
            .members
            .values()
            .filter_map(|it| it.membership.standby_replicas)
            .max();
        let mut targets = assign::assign(
            &counts,
            &self.subtopologies,
            replicas.unwrap_or(0),
            &candidates,
        );
        for (id, member) in &mut self.members {
            member.target = targets.remove(id).unwrap_or_default();
        }
        self.counts = Some(Ok(counts));
        true
    }

    /// What `id` is to hear, given what the others hold.
    fn tell(&mut self, now: Duration, id: &str, epoch: &mut i32) -> Vec<GroupEvent> {
        let mut events = self.tell_mixed(id);
        events.extend(self.tell_tasks(now, id, epoch));
        events
    }

    fn tell_mixed(&mut self, id: &str) -> Vec<GroupEvent> {
        let dialect = Arc::clone(&self.members[id].membership.dialect);
        if dialect.is_empty() {
            return Vec::new();
        }
        let mut others = self.members.values();
        let mixed = others.any(|other| other.membership.dialect != dialect);
        let member = self
            .members
            .get_mut(id)
            .expect("the caller looked the member up");
        let told = member.mixed_told.replace(mixed);
        let news = (told != Some(mixed)).then_some(GroupEvent::Mixed(mixed));
        news.into_iter().collect()
    }

    fn tell_tasks(&mut self, now: Duration, id: &str, epoch: &mut i32) -> Vec<GroupEvent> {
        let Some(counts) = &self.counts else {
            return Vec::new();
        };
        let reason = counts.as_ref().err().cloned();
        let list = match reason {
            Some(_) => Target::default(),
            None => self.available(id),
        };
        let member = self
            .members
            .get_mut(id)
            .expect("the caller looked the member up");
        let mut events = Vec::new();
        // A member that holds nothing and is to wait hears only why; and when the wait is over it hears its list, be it empty.
        let idle = reason.is_some() && member.active.is_empty() && member.standby.is_empty();
        let again = member.tell_again || (reason.is_none() && member.not_ready_told.is_some());
        if !idle && (again || member.told.as_ref() != Some(&list)) {
            *epoch += 1;
            events.push(GroupEvent::Assigned(member.take(list, MemberEpoch(*epoch))));
            member.revoking = None;
        }
        member.revoking = match member.gives_up() {
            true => member.revoking.or(Some(now)),
            false => None,
        };
        if member.not_ready_told != reason {
            member.not_ready_told.clone_from(&reason);
            events.extend(reason.map(GroupEvent::NotReady));
        }
        events
    }

    /// The part of a member's target that nobody else is in the way of: an active task must not be active elsewhere, and
    /// neither kind may be at another member of the same process, whose state directory it would share.
    fn available(&self, id: &str) -> Target {
        let member = &self.members[id];
        let mut list = member.target.clone();
        for (other_id, other) in &self.members {
            if **other_id == *id {
                continue;
            }
            let neighbour = other.membership.process == member.membership.process;
            let near = |task: &TaskId| {
                neighbour && (other.active.contains_key(task) || other.standby.contains(task))
            };
            list.active
                .retain(|task| !other.active.contains_key(task) && !near(task));
            list.standby.retain(|task| !near(task));
        }
        list
    }

    /// The task that reads a partition; `None` for topics the topology does not read.
    fn task_of(&self, partition: &TopicPartition) -> Option<TaskId> {
        let name = &*partition.topic;
        let mut found = self.subtopologies.iter().filter(|it| {
            let mut repartitions = it.repartition_sources.iter();
            it.source_topics.iter().any(|topic| topic == name)
                || repartitions.any(|topic| topic.name == name)
        });
        found.next().map(|subtopology| TaskId {
            subtopology: subtopology.id,
            partition: partition.partition,
        })
    }
}

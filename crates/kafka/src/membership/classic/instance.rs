//! What makes a member of a classic group a static one (KIP-345): its place is kept for a session while its process is restarted.
//! Not the coordinator's part in that. Invariant: a static member that is told of a place which another process has taken gives up, and
//! never takes it back.
//!
//! The coordinator answers a member that comes back under its instance id with what it was told before, in the same generation: nobody
//! else hears of it. So the member itself finds out whether that still suits it, and else has a round begun.

use super::{ClassicMember, State, embedded::Orders};
use headwater_log::GroupEvent;
use std::sync::Arc;

/// A member's part in that; of a dynamic member nothing.
#[derive(Debug, Default)]
pub(super) struct Instance {
    /// `group.instance.id` with the worker's number.
    pub(super) id: Option<Arc<str>>,
    /// The join under way asks for a round: see [`Orders`].
    pub(super) insists: bool,
    /// It goes without telling.
    is_quiet: bool,
}

impl Instance {
    pub(super) fn new(id: Option<Arc<str>>) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    pub(super) fn is_static(&self) -> bool {
        self.id.is_some()
    }

    /// As requests name it.
    pub(super) fn named(&self) -> Option<String> {
        self.id.as_deref().map(str::to_owned)
    }
}

impl ClassicMember {
    /// Ends with its process: leaves, unless its place is to be kept.
    pub(crate) fn end(&mut self, now_ms: u64) {
        self.depart_to_return(now_ms, false);
    }

    /// Gives everything up; a static member without telling, since it means to come back.
    pub(super) fn depart_to_return(&mut self, now_ms: u64, then_join: bool) {
        self.depart(now_ms, then_join);
        self.instance.is_quiet = self.instance.is_static();
    }

    /// Gives everything up, for good: others are to have it at once.
    pub(super) fn depart_for_good(&mut self, now_ms: u64) {
        self.depart(now_ms, false);
        self.instance.is_quiet = false;
    }

    /// It leaves, and the coordinator is not to hear of it. Nor from one that does not know under which member id it is there: by the
    /// instance id alone it would take out whoever has that now.
    pub(super) fn leaves_quietly(&self) -> bool {
        let is_quiet = self.instance.is_quiet || self.id.is_empty();
        self.instance.is_static() && is_quiet
    }

    /// What to say to one whose place was taken.
    pub(super) fn taken_by_another(&self, code: impl std::fmt::Display) -> String {
        let (group, member) = (&self.membership.group, &self.membership.member);
        let id = self.instance.id.as_deref().unwrap_or_default();
        let given = id.rsplit_once('-').map_or(id, |(given, _)| given);
        format!(
            "group '{group}' has another member under the instance id '{id}' of member '{member}', which joined later: two processes run \
             with group.instance.id={given}. Stop one of them, or give each an id of its own ({code})"
        )
    }

    /// A dynamic member that misses a round is evicted and hears so. The place of a static one is kept, and its tasks may have been
    /// another's meanwhile: it has to drop them as if it had been evicted.
    pub(super) fn drop_if_missed(&mut self, generation: i32) {
        let has_missed = self.since > 0 && generation > self.generation + 1;
        if self.instance.is_static() && has_missed {
            self.events.push_back(GroupEvent::Fenced(format!(
                "the group went from generation {} to {generation} without member '{}'",
                self.generation, self.membership.member
            )));
            self.owned = Default::default();
            self.listed = Default::default();
            self.since = 0;
        }
    }

    /// True when a round has to begin, because this was made for the member as it was before its restart; it is joined then.
    pub(super) fn objects_to(&mut self, now_ms: u64, orders: &Orders) -> bool {
        // Whatever comes of a round that it has asked for is made for what it is.
        if !self.instance.is_static() || std::mem::take(&mut self.instance.insists) {
            return false;
        }
        let is_other = ![0, self.topology_hash].contains(&orders.topology_hash);
        // Whoever was to give something up is gone, and others wait for it.
        let is_awaited = orders.gives_up && self.reported.is_empty();
        let has_moved = self.endpoint().is_some_and(|endpoint| {
            let mut hosts = orders.hosts.iter();
            !hosts.any(|host| host.endpoint == endpoint)
        });
        // Its leader waits for topics, and cannot know for which.
        let resumes_waiting = match &mut self.round {
            Some(round) => round.resume(orders.counts_hash) && orders.not_ready.is_some(),
            None => false,
        };
        let objects = is_other || is_awaited || has_moved || resumes_waiting;
        if objects {
            self.instance.insists = true;
            self.state = State::Joining;
            self.hurry(now_ms);
        }
        objects
    }
}

//! Waiting for a group that has members of another protocol: Kafka Streams' in a classic group, a classic group where a streams group is
//! wanted, or the other way round. Not a judgement of who they are: brokers do not say. Invariant: the wait ends, and whoever waits has said
//! for what and how long.

use headwater_log::Membership;

/// ms beyond a session, after which a broker has noticed that a member is dead.
const SLACK_MS: u64 = 5_000;

/// Since when the group is held by others.
#[derive(Debug, Default)]
pub(crate) struct Foreign {
    since_ms: Option<u64>,
}

impl Foreign {
    /// The group refused the member because of them. What to say while it is waited for; an error once a dead member's session would be
    /// over.
    pub(crate) fn wait(
        &mut self,
        now_ms: u64,
        membership: &Membership,
        answer: &str,
    ) -> Result<String, String> {
        let since_ms = *self.since_ms.get_or_insert(now_ms);
        let session_ms = u64::try_from(membership.session_timeout_ms).unwrap_or(0);
        let patience_ms = session_ms + SLACK_MS;
        let group = &membership.group;
        if now_ms.saturating_sub(since_ms) >= patience_ms {
            return Err(format!(
                "group '{group}' still has members of another protocol after {patience_ms} ms, which is session.timeout.ms \
                 ({session_ms}) and {SLACK_MS}. Those that run: stop them first. Those that are closed but count until their session is \
                 over, which is as long as their own session.timeout.ms says: start again after it, or set session.timeout.ms here to \
                 theirs ({answer})"
            ));
        }
        Ok(format!(
            "group '{group}' has members of another protocol: it is joined when they have left, or are dead and their session has ended; \
             for {patience_ms} ms at most (session.timeout.ms and some) ({answer})"
        ))
    }

    /// The group has let the member in.
    pub(crate) fn over(&mut self) {
        self.since_ms = None;
    }
}

//! The traits every log implements. A worker opens one [`Client`] and drives it from one thread.
//! Not a blocking API: a request is submitted, its completion polled; [`crate::call`] waits for those who may.
//! Invariant: a client's completions come once per ticket; an append belongs to the commit submitted next.

use crate::{
    AppendRecord, Chunk, CommittedOffset, GroupEvent, Host, MemberEpoch, Membership, NewTopic,
    Offset, OffsetSpec, Result, TaskId, TopicInfo, TopicPartition,
};
use std::{collections::BTreeMap, sync::Arc, task::Waker};

/// What a commit promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarantee {
    /// Outputs are durable before the offsets are; after a crash some may be there twice.
    AtLeastOnce,
    /// Outputs and offsets become visible and durable together, or not at all.
    ExactlyOnce,
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// A name for messages and quotas.
    pub client_id: String,
    /// What its commits promise; `ExactlyOnce` also reads only committed records.
    pub guarantee: Guarantee,
    /// Fences earlier clients of the same id; required by `ExactlyOnce` on Kafka, `<app>-<processId>-<n>` there.
    pub transactional_id: Option<String>,
    /// ms after which the log may abort a transaction that was begun and not ended; a commit's deadline follows from it.
    /// 10 s, as in Kafka Streams. Logs whose commits are one step have no use for it.
    pub transaction_timeout_ms: u64,
    /// Bytes of appended records that may wait in memory before [`Client::append`] answers `Unavailable`.
    pub append_bytes_max: usize,
    /// Bytes of one chunk; a single larger batch is still returned whole.
    pub fetch_bytes_max: usize,
    /// Woken when a completion, a chunk or a group event may be ready.
    pub waker: Option<Waker>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            client_id: "headwater".into(),
            guarantee: Guarantee::AtLeastOnce,
            transactional_id: None,
            transaction_timeout_ms: 10_000,
            append_bytes_max: 256 << 20,
            fetch_bytes_max: 1 << 20,
            waker: None,
        }
    }
}

/// Names one submitted request of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// A client's number for a partition; cheap to copy, valid for that client only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slot(pub u32);

/// Offsets that go with a commit.
#[derive(Clone, Debug, Default)]
pub struct CommitRequest {
    /// The group whose positions advance, if any.
    pub group: Option<Arc<str>>,
    /// The member that owns the partitions; a stale epoch is fenced. `None` for clients outside group membership.
    pub member: Option<(Arc<str>, MemberEpoch)>,
    /// The next offsets to process.
    pub offsets: Vec<(TopicPartition, CommittedOffset)>,
}

/// Something to do that needs an answer.
#[derive(Clone, Debug)]
pub enum Request {
    /// Creates topics; one that exists fails the request, those before it stay created.
    CreateTopics(Vec<NewTopic>),
    /// Deletes topics with all they hold.
    DeleteTopics(Vec<String>),
    /// Sets (`Some`) or resets (`None`) settings of a topic.
    AlterTopic {
        /// The topic.
        topic: String,
        /// Setting to value; `None` returns to the default.
        config: BTreeMap<String, Option<String>>,
    },
    /// Raises the number of partitions.
    CreatePartitions {
        /// The topic.
        topic: String,
        /// The new total.
        partitions: u32,
    },
    /// Describes the named topics (unknown ones are left out), or all.
    DescribeTopics(Option<Vec<String>>),
    /// Looks up positions.
    Offsets(Vec<(TopicPartition, OffsetSpec)>),
    /// A group's committed positions in these partitions, or in all it ever committed. Waits out open transactions (`require_stable`).
    CommittedOffsets {
        /// The group.
        group: Arc<str>,
        /// Which partitions.
        partitions: Option<Vec<TopicPartition>>,
    },
    /// Sets positions of a group without active members; `None` forgets one.
    SetOffsets {
        /// The group.
        group: Arc<str>,
        /// The new positions.
        offsets: Vec<(TopicPartition, Option<CommittedOffset>)>,
    },
    /// Forgets a group without active members.
    DeleteGroup(Arc<str>),
    /// All groups.
    ListGroups,
    /// Deletes records before an offset.
    DeleteRecords(Vec<(TopicPartition, Offset)>),
    /// Makes what was appended durable, then commits the offsets (at least once), or all of it together (exactly once).
    /// Any error but `UnknownOutcome`, `TimedOut` and `Fenced` means no effect. When a failed or unknown commit is handed out,
    /// everything appended until then is dropped, the next commit's records too; after an unknown one only `Settle` and
    /// reading are accepted. A member whose commit is `Fenced` has dropped its tasks: the client leaves and joins anew by itself,
    /// without a [`GroupEvent::Fenced`]; one that loses its transactional id to later clients time and again is
    /// [`GroupEvent::Refused`].
    Commit(CommitRequest),
    /// Drops what was appended since the last commit was submitted.
    Abort,
    /// Finds out how the last commit ended, after [`crate::Error::UnknownOutcome`] or `TimedOut`.
    Settle,
}

/// The answer to a [`Request`].
#[derive(Clone, Debug)]
pub enum Response {
    /// Done.
    Done,
    /// To `DescribeTopics`, by name.
    Topics(Vec<TopicInfo>),
    /// To `Offsets`, in the order asked.
    Offsets(Vec<(TopicPartition, Offset)>),
    /// To `CommittedOffsets`: only partitions with a position.
    Committed(Vec<(TopicPartition, CommittedOffset)>),
    /// To `ListGroups`.
    Groups(Vec<GroupInfo>),
    /// To `Commit`, or to `Settle` when the commit took effect.
    Receipt(Receipt),
    /// To `Settle` when the commit left no effect.
    Aborted,
}

/// What a commit wrote: decided and durable. Readers see it at once or, on Kafka, shortly after.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// One past the last offset written, for each partition written, by partition.
    pub ends: Vec<(TopicPartition, Offset)>,
}

/// What is known of a group.
#[derive(Clone, Debug)]
pub struct GroupInfo {
    /// The group's name; for a stream application its `application.id`.
    pub group: Arc<str>,
    /// Its active members.
    pub members: Vec<MemberInfo>,
}

/// What is known of a member.
#[derive(Clone, Debug)]
pub struct MemberInfo {
    /// The member's id.
    pub member: Arc<str>,
    /// Its epoch.
    pub epoch: MemberEpoch,
    /// The tasks it owns.
    pub tasks: Vec<TaskId>,
}

/// The end of a request.
#[derive(Clone, Debug)]
pub struct Completion {
    /// Which request.
    pub ticket: Ticket,
    /// How it ended.
    pub result: Result<Response>,
}

/// A log: hands out clients. Shared between threads.
pub trait Log: Send + Sync {
    /// Opens a client.
    fn client(&self, options: ClientOptions) -> Result<Box<dyn Client>>;
    /// How the log names itself in messages.
    fn describe(&self) -> String;
}

/// One conversation with a log. Nothing here blocks.
pub trait Client: Send {
    /// Starts a request.
    fn submit(&mut self, request: Request) -> Ticket;
    /// Moves work along and takes one completion. It is the member's sign of life too: a client that keeps a membership alive from
    /// a thread of its own stops its heartbeats once nobody has polled for [`Membership::rebalance_timeout_ms`], so that tasks
    /// held by a stuck closure go to others, and begins again with the next call, which finds it fenced.
    fn poll(&mut self) -> Option<Completion>;

    /// The client's number for a partition; the partition need not exist yet.
    fn slot(&mut self, partition: &TopicPartition) -> Slot;
    /// How many partitions a topic has; `None` while unknown (the client asks in the background).
    fn partitions(&mut self, topic: &str) -> Option<u32>;

    /// Reads `slot` from `position` on (again, after an earlier call: a seek).
    fn read_from(&mut self, slot: Slot, position: Offset);
    /// As [`Client::read_from`], behind a record of this leader's epoch. Where leaders change, one that never had the record then
    /// answers [`Error::OffsetOutOfRange`](crate::Error::OffsetOutOfRange), whose `end` is where the histories part (KIP-595),
    /// rather than records that took its place.
    fn read_behind(&mut self, slot: Slot, position: Offset, leader_epoch: Option<i32>) {
        let _ = leader_epoch;
        self.read_from(slot, position);
    }
    /// Stops reading `slot`.
    fn stop_reading(&mut self, slot: Slot);
    /// Hands out nothing of `slot` until [`Client::release`]: its reader has enough for now. A client that reads ahead may keep
    /// what it has, within its limits, so that nothing is read twice.
    fn hold(&mut self, slot: Slot) {
        self.stop_reading(slot);
    }
    /// Ends [`Client::hold`]; `position` follows what was handed out last. A [`Client::read_from`] ends it too.
    fn release(&mut self, slot: Slot, position: Offset) {
        self.read_from(slot, position);
    }
    /// The next chunk that is ready, taking turns between partitions. A position outside the log is an error that names it;
    /// reading of that partition stops until [`Client::read_from`] is called anew.
    fn fetch(&mut self) -> Result<Option<Chunk>>;
    /// One past the last offset this client may read in `slot`, as last heard; `None` while unknown. Tells an empty poll from the end.
    fn end_offset(&self, slot: Slot) -> Option<Offset>;
    /// Gives a chunk's buffer back.
    fn recycle(&mut self, chunk: Chunk) {
        drop(chunk);
    }

    /// At least once: sends what is appended ahead of the next commit, which still waits for all of it and fails if any of it was
    /// not written. Nothing is completed by it. Exactly once, and where a commit is one step, nothing happens.
    fn send_appended(&mut self) {}
    /// True when [`Client::send_appended`] would send something.
    fn holds_back(&self) -> bool {
        false
    }

    /// Adds a record to the open batch of `slot`; it goes out with the next commit, when the batch is full, or by
    /// [`Client::send_appended`].
    fn append(&mut self, slot: Slot, record: &AppendRecord<'_>) -> Result<()>;
    /// Bytes appended and not yet acknowledged.
    fn appended_bytes(&self) -> usize;

    /// Joins a group, or changes the membership; events come through [`Client::group_event`].
    fn join(&mut self, membership: Membership) -> Result<()>;
    /// Tells the group which tasks this member holds, after it has closed what it was told to give up.
    fn own(&mut self, active: &[TaskId], standby: &[TaskId]);
    /// Leaves the group; its tasks go to others at once.
    fn leave(&mut self);
    /// The worker ends with its process: leaves, unless the membership is of the kind that is kept for a session, so that the same
    /// worker finds its tasks when it is started again (on Kafka `group.instance.id`).
    fn end_membership(&mut self) {
        self.leave();
    }
    /// Leaves the group and has all its members stop (KIP-671): each hears [`GroupEvent::Refused`]. Who joins later is not concerned.
    /// Nothing comes of it where this member has not joined yet, or the log cannot be reached.
    fn stop_group(&mut self);
    /// The next event of the membership.
    fn group_event(&mut self) -> Option<GroupEvent>;
    /// The instances of the group that have an endpoint and what they hold, by endpoint, if that changed since the last call of a
    /// member. As fresh as the last heartbeat: whoever is asked may have given a task up since, and
    /// one that left may be listed until another host holds more.
    fn hosts(&mut self) -> Option<Vec<Host>> {
        None
    }
}

//! Faults planted between the runtime and its log, to see that the properties find them: each is a rule of `docs/design/commit.md`
//! broken. Not the log's own faults, which a right runtime survives. Invariant: nothing else of the conversation is changed.

use headwater_log::{
    AppendRecord, Chunk, Client, ClientOptions, CommittedOffset, Completion, Error, GroupEvent,
    Guarantee, HeadersRef, Host, Log, Membership, MemoryLog, Offset, OffsetSpec, Receipt, Request,
    Response, Result, Slot, TaskId, Ticket, TopicPartition,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// The last record of a commit goes out with the next one: offsets before outputs.
    LateOutput,
    /// The outcome of an unknown or aborted commit is taken for done: the overlay is kept.
    UnknownTakenForDone,
    /// A take-over goes on from positions as they once were.
    StalePositions,
    /// A restore leaves out the first record that it is to read.
    RestoreSkipsOne,
    /// A restore ends before the changelog does.
    RestoreEndsEarly,
    /// A restore reads to the last stable offset and does not wait for what is open before the changelog's end.
    RestoreEndsStable,
    /// Commits do not say which member they come from: nobody fences them.
    NoEpoch,
    /// Outputs and offsets are no transaction.
    NoTransaction,
    /// Records of aborted transactions are read.
    AbortedAreRead,
    /// Every 40th record is sent twice.
    SentTwice,
    /// Every 40th record of a changelog is not sent.
    ChangelogLoses,
    /// A commit's receipt is one offset ahead: kept stores leave a record out when they read on.
    ReceiptAhead,
    /// Positions are committed one record ahead.
    PositionAhead,
}

impl Planted {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::LateOutput,
        Self::UnknownTakenForDone,
        Self::StalePositions,
        Self::RestoreSkipsOne,
        Self::RestoreEndsEarly,
        Self::RestoreEndsStable,
        Self::NoEpoch,
        Self::NoTransaction,
        Self::AbortedAreRead,
        Self::SentTwice,
        Self::ChangelogLoses,
        Self::ReceiptAhead,
        Self::PositionAhead,
    ];
}

/// One record in so many is treated wrongly.
const EVERY: u64 = 40;

type Positions = Arc<Mutex<BTreeMap<TopicPartition, CommittedOffset>>>;

/// A log whose clients break a rule.
pub(crate) struct PlantedLog {
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) planted: Planted,
    /// As first heard by anyone.
    pub(crate) stale: Positions,
}

impl Log for PlantedLog {
    fn client(&self, mut options: ClientOptions) -> Result<Box<dyn Client>> {
        if self.planted == Planted::NoTransaction {
            options.guarantee = Guarantee::AtLeastOnce;
        }
        Ok(Box::new(PlantedClient {
            inner: self.log.client(options)?,
            planted: self.planted,
            stale: self.stale.clone(),
            commits: BTreeSet::new(),
            swallowed: BTreeSet::new(),
            changelogs: BTreeSet::new(),
            late: None,
            appended: 0,
        }))
    }

    fn describe(&self) -> String {
        format!("{} with {:?}", self.log.describe(), self.planted)
    }
}

/// Has restores end there, and not at the end of their changelogs.
fn restore_to(asked: &mut [(TopicPartition, OffsetSpec)], end: OffsetSpec) {
    for (partition, spec) in asked {
        if *spec == OffsetSpec::End && partition.topic.ends_with("-changelog") {
            *spec = end;
        }
    }
}

/// A record kept back.
struct Late {
    slot: Slot,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: (usize, Vec<u8>),
}

struct PlantedClient {
    inner: Box<dyn Client>,
    planted: Planted,
    stale: Positions,
    commits: BTreeSet<Ticket>,
    /// Its own requests, of which the worker knows nothing.
    swallowed: BTreeSet<Ticket>,
    changelogs: BTreeSet<Slot>,
    late: Option<Late>,
    appended: u64,
}

impl PlantedClient {
    fn spoil(&mut self, request: &mut Request) {
        match (self.planted, request) {
            (Planted::NoEpoch, Request::Commit(commit)) => commit.member = None,
            (Planted::PositionAhead, Request::Commit(commit)) => {
                for (_, position) in &mut commit.offsets {
                    position.offset += 1;
                }
            }
            (Planted::RestoreEndsEarly, Request::Offsets(asked)) => {
                restore_to(asked, OffsetSpec::Start);
            }
            (Planted::RestoreEndsStable, Request::Offsets(asked)) => {
                restore_to(asked, OffsetSpec::Stable);
            }
            _ => {}
        }
    }

    fn spoil_answer(&mut self, ticket: Ticket, result: Result<Response>) -> Result<Response> {
        let is_commit = self.commits.remove(&ticket);
        match (self.planted, result) {
            (
                Planted::UnknownTakenForDone,
                Err(Error::UnknownOutcome | Error::TimedOut(_) | Error::Aborted(_)),
            ) if is_commit => {
                let ticket = self.inner.submit(Request::Settle);
                self.swallowed.insert(ticket);
                Ok(Response::Receipt(Receipt::default()))
            }
            (Planted::ReceiptAhead, Ok(Response::Receipt(mut receipt))) => {
                receipt.ends.iter_mut().for_each(|(_, end)| *end += 1);
                Ok(Response::Receipt(receipt))
            }
            (Planted::StalePositions, Ok(Response::Committed(mut offsets))) => {
                let mut stale = self.stale.lock().unwrap();
                for (partition, offset) in &mut offsets {
                    let first = stale.entry(partition.clone());
                    *offset = first.or_insert_with(|| offset.clone()).clone();
                }
                Ok(Response::Committed(offsets))
            }
            (_, result) => result,
        }
    }

    fn send_late(&mut self) -> Result<()> {
        let Some(late) = self.late.take() else {
            return Ok(());
        };
        let record = AppendRecord {
            timestamp: late.timestamp,
            key: late.key.as_deref(),
            value: late.value.as_deref(),
            headers: HeadersRef {
                count: late.headers.0,
                bytes: &late.headers.1,
            },
        };
        self.inner.append(late.slot, &record)
    }

    /// True for one record in [`EVERY`].
    fn hits(&mut self) -> bool {
        self.appended += 1;
        self.appended.is_multiple_of(EVERY)
    }
}

impl Client for PlantedClient {
    fn submit(&mut self, mut request: Request) -> Ticket {
        self.spoil(&mut request);
        let is_commit = matches!(request, Request::Commit(_));
        let ticket = self.inner.submit(request);
        if is_commit {
            self.commits.insert(ticket);
        }
        ticket
    }

    fn poll(&mut self) -> Option<Completion> {
        loop {
            let Completion { ticket, result } = self.inner.poll()?;
            if self.swallowed.remove(&ticket) {
                continue;
            }
            let result = self.spoil_answer(ticket, result);
            return Some(Completion { ticket, result });
        }
    }

    fn slot(&mut self, partition: &TopicPartition) -> Slot {
        let slot = self.inner.slot(partition);
        if partition.topic.ends_with("-changelog") {
            self.changelogs.insert(slot);
        }
        slot
    }

    fn partitions(&mut self, topic: &str) -> Option<u32> {
        self.inner.partitions(topic)
    }

    fn read_from(&mut self, slot: Slot, position: Offset) {
        let skips = self.planted == Planted::RestoreSkipsOne && self.changelogs.contains(&slot);
        self.inner.read_from(slot, position + Offset::from(skips));
    }

    fn stop_reading(&mut self, slot: Slot) {
        self.inner.stop_reading(slot);
    }

    fn fetch(&mut self) -> Result<Option<Chunk>> {
        let mut chunk = self.inner.fetch()?;
        if let (Planted::AbortedAreRead, Some(chunk)) = (self.planted, &mut chunk) {
            chunk.aborted.clear();
        }
        Ok(chunk)
    }

    fn end_offset(&self, slot: Slot) -> Option<Offset> {
        self.inner.end_offset(slot)
    }

    fn append(&mut self, slot: Slot, record: &AppendRecord<'_>) -> Result<()> {
        let planted = self.planted;
        match planted {
            Planted::LateOutput => {
                self.send_late()?;
                self.late = Some(Late {
                    slot,
                    timestamp: record.timestamp,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                    headers: (record.headers.count, record.headers.bytes.to_vec()),
                });
                Ok(())
            }
            Planted::SentTwice if self.hits() => {
                self.inner.append(slot, record)?;
                self.inner.append(slot, record)
            }
            Planted::ChangelogLoses if self.changelogs.contains(&slot) && self.hits() => Ok(()),
            _ => self.inner.append(slot, record),
        }
    }

    fn appended_bytes(&self) -> usize {
        self.inner.appended_bytes()
    }

    fn join(&mut self, membership: Membership) -> Result<()> {
        self.inner.join(membership)
    }

    fn own(&mut self, active: &[TaskId], standby: &[TaskId]) {
        self.inner.own(active, standby);
    }

    fn leave(&mut self) {
        self.inner.leave();
    }

    fn stop_group(&mut self) {
        self.inner.stop_group();
    }

    fn group_event(&mut self) -> Option<GroupEvent> {
        self.inner.group_event()
    }

    fn hosts(&mut self) -> Option<Vec<Host>> {
        self.inner.hosts()
    }
}

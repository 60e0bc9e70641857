//! A log whose clients are told for a while that a topic is not there when they ask for its offsets, as by a broker that has heard of its
//! end before the group's coordinator has. Not a fault of the memory log's own. Invariant: everything else is the log's own answer.

use headwater_log::{
    AppendRecord, Chunk, Client, ClientOptions, Completion, Error, GroupEvent, Host, Log,
    Membership, MemoryLog, Offset, Request, Response, Result, Slot, TaskId, Ticket, TopicPartition,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) struct ForgetfulLog {
    pub(crate) log: Arc<MemoryLog>,
    missing: String,
    forgets: Arc<AtomicBool>,
}

impl ForgetfulLog {
    pub(crate) fn new(log: Arc<MemoryLog>, missing: &str) -> Self {
        Self {
            log,
            missing: missing.into(),
            forgets: Arc::new(AtomicBool::new(true)),
        }
    }

    pub(crate) fn remember(&self) {
        self.forgets.store(false, Ordering::Relaxed);
    }
}

impl Log for ForgetfulLog {
    fn client(&self, options: ClientOptions) -> Result<Box<dyn Client>> {
        Ok(Box::new(ForgetfulClient {
            inner: self.log.client(options)?,
            missing: self.missing.clone(),
            forgets: self.forgets.clone(),
        }))
    }

    fn describe(&self) -> String {
        self.log.describe()
    }
}

struct ForgetfulClient {
    inner: Box<dyn Client>,
    missing: String,
    forgets: Arc<AtomicBool>,
}

impl Client for ForgetfulClient {
    fn submit(&mut self, request: Request) -> Ticket {
        self.inner.submit(request)
    }

    fn poll(&mut self) -> Option<Completion> {
        let Completion { ticket, result } = self.inner.poll()?;
        let is_missing = |offsets: &Vec<(TopicPartition, Offset)>| {
            let mut topics = offsets.iter().map(|(partition, _)| &*partition.topic);
            topics.any(|topic| topic == self.missing)
        };
        let result = match result {
            Ok(Response::Offsets(offsets))
                if self.forgets.load(Ordering::Relaxed) && is_missing(&offsets) =>
            {
                Err(Error::UnknownTopic(self.missing.clone()))
            }
            result => result,
        };
        Some(Completion { ticket, result })
    }

    fn slot(&mut self, partition: &TopicPartition) -> Slot {
        self.inner.slot(partition)
    }

    fn partitions(&mut self, topic: &str) -> Option<u32> {
        self.inner.partitions(topic)
    }

    fn read_from(&mut self, slot: Slot, position: Offset) {
        self.inner.read_from(slot, position);
    }

    fn stop_reading(&mut self, slot: Slot) {
        self.inner.stop_reading(slot);
    }

    fn fetch(&mut self) -> Result<Option<Chunk>> {
        self.inner.fetch()
    }

    fn end_offset(&self, slot: Slot) -> Option<Offset> {
        self.inner.end_offset(slot)
    }

    fn append(&mut self, slot: Slot, record: &AppendRecord<'_>) -> Result<()> {
        self.inner.append(slot, record)
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

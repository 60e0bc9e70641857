//! Batches on their way to their leaders, in order, idempotent or in a transaction.
//! Not the open batches of the worker. Invariant: per partition, batches are acknowledged in the order they were handed over.
//!
//! ```text
//! push: stamp (producer id, epoch, sequence, CRC)  ->  queue of the partition
//! pump: one batch of each ready queue of a leader  ->  one request, up to five in flight for each leader
//! answer: acknowledged | sent again, same bytes, after everything of the partition came back | the whole commit fails
//! ```

mod answer;
mod queue;
mod split;

pub(crate) use answer::Failure;

use crate::{
    client::shared::Shared,
    cluster::{Cluster, NodeId, Purpose},
    compression::{self, Codec, Compression},
    protocol::{
        Capped,
        produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData},
    },
    settings::Settings,
};
use bytes::Bytes;
use headwater_log::{Error, Offset, Slot, TopicPartition, batch};
use queue::Queue;
use rustc_hash::FxHashMap;
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    task::spawn_local,
    time::{Instant, sleep_until, timeout_at},
};

/// Produce requests in flight for each leader. Brokers remember the last five batches of a producer in a partition, so more
/// could not be told apart from repetitions.
const REQUESTS_IN_FLIGHT_MAX: usize = 5;
/// Bytes of the batches in one produce request, one batch at least.
const REQUEST_BYTES_MAX: usize = 8 << 20;
/// How long a topic or partition may be unknown before a batch for it fails: one that was just created may be.
pub(crate) const UNKNOWN_PATIENCE_MS: u64 = 3_000;
/// First wait after the broker said that the transaction before is still ending.
const CONCURRENT_WAIT_MS: u64 = 5;

/// A producer id with its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// Where a commit's records went in one partition: the first offset and one past the last.
#[derive(Clone, Debug)]
pub(crate) struct Written {
    pub(crate) partition: TopicPartition,
    pub(crate) first: Offset,
    pub(crate) end: Offset,
    /// The end is not known: the broker had forgotten the batch it acknowledged.
    pub(crate) lacks_end: bool,
}

struct State {
    identity: Option<Identity>,
    /// The broker adds partitions to the transaction when they are written to (KIP-890).
    adds_partitions: bool,
    queues: BTreeMap<Slot, Queue>,
    in_flight: FxHashMap<NodeId, usize>,
    /// Grows when everything is dropped; answers of an earlier era are void.
    era: u64,
    failure: Option<Failure>,
    is_looking_up: bool,
    timer: Option<Instant>,
    /// A batch of this transaction went out.
    has_sent: bool,
}

/// The producer of one client.
pub(crate) struct Producer {
    cluster: Rc<Cluster>,
    shared: Arc<Shared>,
    settings: Rc<Settings>,
    transactional_id: RefCell<Option<String>>,
    compression: Compression,
    is_transactional: bool,
    state: RefCell<State>,
    /// Rung at every acknowledgement and failure.
    moved: Notify,
}

/// One batch in a request.
struct Sent {
    slot: Slot,
    number: u64,
    partition: TopicPartition,
    bytes: Bytes,
}

impl Producer {
    pub(crate) fn new(
        cluster: Rc<Cluster>,
        shared: Arc<Shared>,
        settings: Rc<Settings>,
        transactional_id: Option<String>,
    ) -> Rc<Self> {
        Rc::new(Self {
            cluster,
            shared,
            compression: compression_of(&settings),
            settings,
            is_transactional: transactional_id.is_some(),
            transactional_id: RefCell::new(transactional_id),
            state: RefCell::new(State {
                identity: None,
                adds_partitions: false,
                queues: BTreeMap::new(),
                in_flight: FxHashMap::default(),
                era: 0,
                failure: None,
                is_looking_up: false,
                timer: None,
                has_sent: false,
            }),
            moved: Notify::new(),
        })
    }

    /// Batches handed over from here on carry this identity. With `anew`, sequences begin at 0, as they must for another id or
    /// epoch.
    pub(crate) fn identify(&self, identity: Identity, adds_partitions: bool, anew: bool) {
        let mut state = self.state.borrow_mut();
        state.identity = Some(identity);
        state.adds_partitions = adds_partitions;
        if anew {
            state
                .queues
                .values_mut()
                .for_each(|queue| queue.sequence = 0);
        }
    }

    /// Takes a whole batch; without an identity or after a failure it is dropped, and the commit it belongs to fails. It leaves
    /// with the next [`Producer::pump`]: batches that come together leave in one request.
    pub(crate) fn push(&self, slot: Slot, name: &TopicPartition, batch: Vec<u8>, counted: usize) {
        let mut batch = match compression::pack(batch, self.compression) {
            Ok(packed) => packed,
            Err(error) => {
                self.shared.acknowledged(counted);
                let error = Error::Invalid(format!("compressing a batch for {name}: {error}"));
                self.fail(Failure::Refused(error));
                return;
            }
        };
        let mut state = self.state.borrow_mut();
        let Some(identity) = state.identity.filter(|_| state.failure.is_none()) else {
            drop(state);
            self.shared.acknowledged(counted);
            self.shared.keep_batch(batch);
            return;
        };
        let count = match batch::BatchView::parse(&batch) {
            Ok(view) => view.count(),
            Err(damage) => {
                drop(state);
                self.shared.acknowledged(counted);
                self.fail(Failure::Aborted(format!("a batch for {name}: {damage:?}")));
                return;
            }
        };
        let queue = state
            .queues
            .entry(slot)
            .or_insert_with(|| Queue::new(name.clone()));
        batch::stamp(
            &mut batch,
            identity.id,
            identity.epoch,
            queue.sequence,
            self.is_transactional,
        );
        queue.sequence = next_sequence(queue.sequence, count);
        queue.push(batch.into(), count, counted);
        state.has_sent = true;
    }

    /// True once a batch of the transaction at hand was handed over.
    pub(crate) fn has_sent(&self) -> bool {
        self.state.borrow().has_sent
    }

    /// Why the commit at hand cannot succeed, if that is known already.
    pub(crate) fn failure(&self) -> Option<Failure> {
        self.state.borrow().failure.clone()
    }

    /// Waits until every batch is acknowledged; tells where they went, and forgets it.
    pub(crate) async fn flush(&self, deadline: Instant) -> Result<Vec<Written>, Failure> {
        loop {
            let moved = self.moved.notified();
            {
                let mut state = self.state.borrow_mut();
                if let Some(failure) = &state.failure {
                    return Err(failure.clone());
                }
                if state.queues.values().all(Queue::is_empty) {
                    return Ok(take_written(&mut state));
                }
            }
            if timeout_at(deadline, moved).await.is_err() {
                return Err(Failure::Aborted(self.late()));
            }
        }
    }

    /// What was waited for longest, when a commit's time is over.
    fn late(&self) -> String {
        let now = Instant::now();
        let state = self.state.borrow();
        let queues = state.queues.values().filter(|queue| !queue.is_empty());
        let oldest = queues.max_by_key(|queue| queue.age(now));
        let option = match self.is_transactional {
            true => "transaction.timeout.ms",
            false => "delivery.timeout.ms",
        };
        match oldest {
            Some(queue) => format!(
                "{}: not acknowledged after {} ms ({option})",
                queue.name,
                queue.age(now).as_millis()
            ),
            None => format!("not acknowledged in time ({option})"),
        }
    }

    /// Drops everything that is under way.
    pub(crate) fn clear(&self) {
        let mut state = self.state.borrow_mut();
        state.era += 1;
        state.failure = None;
        state.has_sent = false;
        let counted: usize = state.queues.values_mut().map(Queue::clear).sum();
        drop(state);
        self.shared.acknowledged(counted);
    }

    /// A transaction (or commit) ended well; the next begins.
    pub(crate) fn begin(&self) {
        self.state.borrow_mut().has_sent = false;
    }

    /// The commit that these batches belong to cannot succeed.
    pub(crate) fn fail(&self, failure: Failure) {
        self.state.borrow_mut().failure.get_or_insert(failure);
        self.moved.notify_one();
    }

    /// Sends what can be sent.
    pub(crate) fn pump(self: &Rc<Self>) {
        let now = Instant::now();
        loop {
            let Some((node, batches)) = self.next_request(now) else {
                break;
            };
            let this = Rc::clone(self);
            let era = {
                let mut state = self.state.borrow_mut();
                *state.in_flight.entry(node).or_default() += 1;
                state.era
            };
            spawn_local(async move {
                this.send(node, era, batches).await;
                this.pump();
            });
        }
        self.wait_for_later(now);
    }

    /// One batch of each ready queue of the first leader that has room.
    fn next_request(self: &Rc<Self>, now: Instant) -> Option<(NodeId, Vec<Sent>)> {
        let mut state = self.state.borrow_mut();
        if state.failure.is_some() {
            return None;
        }
        let State {
            queues, in_flight, ..
        } = &mut *state;
        let mut chosen: Option<NodeId> = None;
        let mut batches = Vec::new();
        let mut bytes = 0;
        let mut unknown = false;
        for (slot, queue) in queues.iter_mut().filter(|(_, queue)| queue.is_ready(now)) {
            let name = &queue.name;
            let Some(leader) = self.cluster.leader(&name.topic, name.partition) else {
                unknown = true;
                continue;
            };
            let has_room =
                || in_flight.get(&leader.node).copied().unwrap_or(0) < REQUESTS_IN_FLIGHT_MAX;
            match chosen {
                None if has_room() => chosen = Some(leader.node),
                Some(node) if node == leader.node => {}
                _ => continue,
            }
            if !batches.is_empty() && bytes + queue.next_len() > REQUEST_BYTES_MAX {
                continue;
            }
            bytes += queue.next_len();
            if let Some((number, data)) = queue.send() {
                batches.push(Sent {
                    slot: *slot,
                    number,
                    partition: queue.name.clone(),
                    bytes: data,
                });
            }
        }
        drop(state);
        if unknown {
            self.look_up();
        }
        Some((chosen?, batches)).filter(|(_, batches)| !batches.is_empty())
    }

    async fn send(self: &Rc<Self>, node: NodeId, era: u64, batches: Vec<Sent>) {
        let request = self.request(&batches);
        // Versions above 11 are the newer transaction protocol, where writing adds the partition.
        let is_older = self.is_transactional && !self.state.borrow().adds_partitions;
        let answer = match is_older {
            true => {
                let request = Capped::<_, 11>(request);
                self.cluster.request(node, Purpose::Produce, &request).await
            }
            false => self.cluster.request(node, Purpose::Produce, &request).await,
        };
        {
            let mut state = self.state.borrow_mut();
            if let Some(in_flight) = state.in_flight.get_mut(&node) {
                *in_flight -= 1;
            }
            if state.era != era {
                return;
            }
        }
        let failed = match &answer {
            Ok(response) => self.judge(response, &batches),
            Err(error) => self.judge_silence(error, &batches),
        };
        if let Some(failure) = failed {
            self.fail(failure);
        }
        self.moved.notify_one();
    }

    fn request(&self, batches: &[Sent]) -> ProduceRequest {
        let mut topics: Vec<TopicProduceData> = Vec::new();
        for sent in batches {
            let name = &*sent.partition.topic;
            let index = match topics.iter().position(|topic| topic.name == *name) {
                Some(index) => index,
                None => {
                    topics.push(TopicProduceData {
                        name: name.to_owned(),
                        topic_id: self.cluster.topic_id(name).unwrap_or_default(),
                        partition_data: Vec::new(),
                    });
                    topics.len() - 1
                }
            };
            topics[index].partition_data.push(PartitionProduceData {
                index: sent.partition.partition as i32,
                records: Some(sent.bytes.clone()),
            });
        }
        ProduceRequest {
            transactional_id: self.transactional_id.borrow().clone(),
            acks: -1,
            timeout_ms: self.settings.request_timeout.as_millis() as i32,
            topic_data: topics,
        }
    }

    /// Writes under another transactional id from here on. Nothing is queued.
    pub(crate) fn rename(&self, transactional_id: String) {
        *self.transactional_id.borrow_mut() = Some(transactional_id);
    }

    /// The answers to these batches, one by one; the first failure of the commit, if there is one.
    fn judge(&self, response: &ProduceResponse, batches: &[Sent]) -> Option<Failure> {
        for node in &response.node_endpoints {
            self.cluster.found(node.node_id, &node.host, node.port);
        }
        let mut failed = None;
        for sent in batches {
            let topic_id = self.cluster.topic_id(&sent.partition.topic);
            let answer = response
                .responses
                .iter()
                .filter(|topic| {
                    topic.name == *sent.partition.topic
                        || (topic.name.is_empty() && Some(topic.topic_id) == topic_id)
                })
                .flat_map(|topic| &topic.partition_responses)
                .find(|partition| partition.index == sent.partition.partition as i32);
            let verdict = match answer {
                Some(answer) => {
                    let leader = &answer.current_leader;
                    if leader.leader_epoch >= 0 {
                        self.cluster.moved(
                            &sent.partition.topic,
                            sent.partition.partition,
                            leader.leader_id,
                            leader.leader_epoch,
                        );
                    }
                    let is_first = self.is_first(sent);
                    answer::verdict(answer, &sent.partition, is_first)
                }
                None => answer::Verdict::Again(answer::Wait::Backoff),
            };
            failed = failed.or(self.apply(sent, verdict));
        }
        failed
    }

    fn judge_silence(
        &self,
        error: &crate::cluster::RequestError,
        batches: &[Sent],
    ) -> Option<Failure> {
        let mut failed = answer::of_silence(error);
        for sent in batches {
            self.cluster
                .stale(&sent.partition.topic, sent.partition.partition);
            failed = failed.or(self.apply(sent, answer::Verdict::Again(answer::Wait::Backoff)));
        }
        failed
    }

    fn is_first(&self, sent: &Sent) -> bool {
        let state = self.state.borrow();
        let queue = state.queues.get(&sent.slot);
        queue.is_some_and(|queue| queue.is_first(sent.number))
    }

    fn apply(&self, sent: &Sent, verdict: answer::Verdict) -> Option<Failure> {
        let mut state = self.state.borrow_mut();
        let queue = state.queues.get_mut(&sent.slot)?;
        let wait = match verdict {
            answer::Verdict::Written(base) => {
                let done = queue.acknowledge(sent.number, base);
                drop(state);
                for batch in done {
                    self.shared.acknowledged(batch.counted);
                    // The request's own reference may still be there; then the buffer is simply freed later.
                    if batch.bytes.is_unique() {
                        self.shared.keep_batch(batch.bytes.into());
                    }
                }
                return None;
            }
            answer::Verdict::Failed(failure) => {
                queue.break_off(Duration::ZERO);
                return Some(failure);
            }
            answer::Verdict::TooLarge(failure) => {
                match split::halves(&sent.bytes, compression_of(&self.settings)) {
                    Some(halves) => queue.split(sent.number, halves),
                    None => {
                        queue.break_off(Duration::ZERO);
                        return Some(failure);
                    }
                }
                Duration::ZERO
            }
            answer::Verdict::Again(answer::Wait::Short) => {
                Duration::from_millis(CONCURRENT_WAIT_MS)
            }
            answer::Verdict::Again(answer::Wait::Backoff) => {
                self.cluster
                    .stale(&sent.partition.topic, sent.partition.partition);
                queue.attempt += 1;
                let attempt = queue.attempt - 1;
                self.cluster.backoff(attempt)
            }
        };
        queue.break_off(wait);
        let age = queue.age(Instant::now());
        (age > self.settings.delivery_timeout).then(|| {
            Failure::Aborted(format!(
                "{}: not acknowledged within {} ms (delivery.timeout.ms)",
                sent.partition,
                self.settings.delivery_timeout.as_millis()
            ))
        })
    }

    /// Pumps again when the first queue that waits for its next try, by `now`, is due.
    fn wait_for_later(self: &Rc<Self>, now: Instant) {
        let mut state = self.state.borrow_mut();
        let queues = state.queues.values();
        let due = queues.filter_map(|queue| queue.waits_until(now)).min();
        let Some(due) = due.filter(|due| state.timer.is_none_or(|timer| *due < timer)) else {
            return;
        };
        state.timer = Some(due);
        drop(state);
        let this = Rc::clone(self);
        spawn_local(async move {
            sleep_until(due).await;
            this.state.borrow_mut().timer = None;
            this.pump();
        });
    }

    /// Asks for the leaders that are not known, one question at a time.
    fn look_up(self: &Rc<Self>) {
        if std::mem::replace(&mut self.state.borrow_mut().is_looking_up, true) {
            return;
        }
        let this = Rc::clone(self);
        spawn_local(async move {
            let mut attempt = 0;
            while this.state.borrow().failure.is_none() {
                let topics = this.topics_without_leader();
                if topics.is_empty() {
                    break;
                }
                let heard = this.cluster.refresh(&topics).await.is_ok();
                if let Some(failure) = this.find_unknown(heard) {
                    this.fail(failure);
                    break;
                }
                if this.topics_without_leader().is_empty() {
                    break;
                }
                let wait = this.cluster.backoff(attempt);
                attempt += 1;
                sleep_until(Instant::now() + wait).await;
            }
            this.state.borrow_mut().is_looking_up = false;
            this.pump();
        });
    }

    fn topics_without_leader(&self) -> Vec<Arc<str>> {
        let state = self.state.borrow();
        let queues = state.queues.values().filter(|queue| !queue.is_empty());
        let mut topics: Vec<Arc<str>> = queues
            .map(|queue| &queue.name)
            .filter(|name| self.cluster.leader(&name.topic, name.partition).is_none())
            .map(|name| Arc::clone(&name.topic))
            .collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// A partition that metadata did not know for too long.
    fn find_unknown(&self, heard: bool) -> Option<Failure> {
        let now = Instant::now();
        let mut state = self.state.borrow_mut();
        let queues = state.queues.values_mut().filter(|queue| !queue.is_empty());
        for queue in queues {
            let count = self.cluster.partitions(&queue.name.topic);
            let is_unknown = count.is_none_or(|count| queue.name.partition >= count);
            if !is_unknown || !heard {
                if queue.age(now) > self.settings.delivery_timeout {
                    return Some(Failure::Aborted(format!(
                        "{}: no leader was found within {} ms (delivery.timeout.ms)",
                        queue.name,
                        self.settings.delivery_timeout.as_millis()
                    )));
                }
                continue;
            }
            let since = *queue.unknown_since.get_or_insert(now);
            if now - since >= Duration::from_millis(UNKNOWN_PATIENCE_MS) {
                return Some(Failure::Refused(match count {
                    None => self.cluster.missing(&queue.name.topic),
                    Some(_) => Error::UnknownPartition(queue.name.clone()),
                }));
            }
        }
        None
    }
}

fn compression_of(settings: &Settings) -> Compression {
    let [gzip, lz4, zstd] = settings.compression_levels;
    let codec = settings.compression;
    let level = match codec {
        Codec::None | Codec::Snappy => None,
        Codec::Gzip => gzip,
        Codec::Lz4 => lz4,
        Codec::Zstd => zstd,
    };
    Compression { codec, level }
}

/// Sequences wrap from the largest `i32` to 0 (`DefaultRecordBatch.incrementSequence`).
fn next_sequence(sequence: i32, count: i32) -> i32 {
    if sequence > i32::MAX - count {
        count - (i32::MAX - sequence) - 1
    } else {
        sequence + count
    }
}

fn take_written(state: &mut State) -> Vec<Written> {
    let mut written = Vec::new();
    for queue in state.queues.values_mut() {
        let lacks_end = std::mem::take(&mut queue.lacks_end);
        if let Some((first, end)) = queue.written.take() {
            written.push(Written {
                partition: queue.name.clone(),
                first,
                end,
                lacks_end,
            });
        } else if lacks_end {
            written.push(Written {
                partition: queue.name.clone(),
                first: -1,
                end: -1,
                lacks_end,
            });
        }
    }
    written.sort_by(|one, other| one.partition.cmp(&other.partition));
    written
}

#[cfg(test)]
mod tests {
    use super::next_sequence;

    #[test]
    fn sequences_wrap_to_zero() {
        assert_eq!(next_sequence(0, 5), 5);
        assert_eq!(next_sequence(i32::MAX - 1, 1), i32::MAX);
        assert_eq!(next_sequence(i32::MAX, 1), 0);
        assert_eq!(next_sequence(i32::MAX - 1, 5), 3);
    }
}

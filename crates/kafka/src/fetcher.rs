//! Records read ahead from the leaders of the partitions asked for.
//! Not a decoder of records. Invariant: chunks of a partition come in offset order, without gap or repetition.
//!
//! Each leader has two lanes. The main one holds a fetch session and waits at the broker until there is something. A partition
//! that comes to be wanted meanwhile (a seek, space again) does not wait for it: the side lane asks for it at once, without a
//! session and without waiting, until it is at its end and joins the main lane.

mod answer;
pub(crate) mod cut;
mod session;

use crate::{
    admin,
    client::shared::{Arrival, Shared},
    cluster::{Cluster, NodeId, Purpose},
    protocol::fetch::{FetchRequest, FetchResponse},
    settings::{IsolationLevel, Settings},
};
use headwater_log::{
    ClientOptions, Error, Guarantee, Offset, OffsetSpec, Request, Response, Result, Slot,
    TopicPartition,
};
use rustc_hash::FxHashMap;
use session::{Ask, Session, Wanted};
use std::{cell::RefCell, collections::BTreeMap, rc::Rc, sync::Arc, time::Duration};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep, timeout_at},
};

/// Bytes read ahead for one client, all partitions together: enough for 32 partitions to have a megabyte each waiting.
const AHEAD_BYTES_MAX: usize = 32 << 20;
/// How long a topic or partition may be unknown before reading it fails: one that was just created may be.
const UNKNOWN_PATIENCE_MS: u64 = 3_000;

/// Which lane of its leader a partition is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lane {
    Main,
    Side,
}

/// A partition that is read.
struct Reading {
    name: TopicPartition,
    generation: u64,
    position: Offset,
    last_epoch: i32,
    /// The last end told.
    end: Offset,
    lane: Option<Lane>,
    /// The side lane found nothing more: the main lane has to wait for it.
    is_at_end: bool,
    /// Its position is being compared with what the partition holds.
    is_resolving: bool,
    not_before: Option<Instant>,
    attempt: u32,
    unknown_since: Option<Instant>,
}

#[derive(Default)]
struct Node {
    session: Session,
    main_busy: bool,
    side_busy: bool,
}

#[derive(Default)]
struct State {
    readings: BTreeMap<Slot, Reading>,
    nodes: FxHashMap<NodeId, Node>,
    is_looking_up: bool,
}

/// A partition in a request.
struct Asked {
    slot: Slot,
    generation: u64,
    wanted: Wanted,
}

/// The fetcher of one client.
pub(crate) struct Fetcher {
    cluster: Rc<Cluster>,
    shared: Arc<Shared>,
    settings: Rc<Settings>,
    committed_only: bool,
    chunk_bytes_max: usize,
    state: RefCell<State>,
}

impl Fetcher {
    pub(crate) fn new(
        cluster: &Rc<Cluster>,
        shared: &Arc<Shared>,
        settings: &Rc<Settings>,
        options: &ClientOptions,
    ) -> Rc<Self> {
        Rc::new(Self {
            cluster: Rc::clone(cluster),
            shared: Arc::clone(shared),
            settings: Rc::clone(settings),
            committed_only: options.guarantee == Guarantee::ExactlyOnce
                || settings.isolation == Some(IsolationLevel::ReadCommitted),
            chunk_bytes_max: options.fetch_bytes_max,
            state: RefCell::default(),
        })
    }

    pub(crate) fn read(
        &self,
        slot: Slot,
        name: &TopicPartition,
        (position, leader_epoch): (Offset, Option<i32>),
        generation: u64,
    ) {
        let reading = Reading {
            name: name.clone(),
            generation,
            position,
            last_epoch: leader_epoch.unwrap_or(-1),
            end: -1,
            lane: None,
            is_at_end: false,
            is_resolving: false,
            not_before: None,
            attempt: 0,
            unknown_since: None,
        };
        self.state.borrow_mut().readings.insert(slot, reading);
        self.shared.space.notify_one();
    }

    pub(crate) fn stop(&self, slot: Slot) {
        self.state.borrow_mut().readings.remove(&slot);
    }

    /// Never returns; the thread's end drops it.
    pub(crate) async fn run(self: Rc<Self>) {
        loop {
            let changed = self.shared.space.notified();
            let due = self.ask_all();
            match due {
                // Whether it was rung or is due makes no difference.
                Some(due) => drop(timeout_at(due, changed).await),
                None => changed.await,
            }
        }
    }

    /// Sends what can be sent; tells when a partition that waits is due.
    fn ask_all(self: &Rc<Self>) -> Option<Instant> {
        let now = Instant::now();
        let mut by_node: BTreeMap<NodeId, Vec<Slot>> = BTreeMap::new();
        let mut due: Option<Instant> = None;
        let mut unknown = false;
        let mut state = self.state.borrow_mut();
        for (slot, reading) in &mut state.readings {
            if reading.lane.is_some() || reading.is_resolving {
                continue;
            }
            if let Some(at) = reading.not_before.filter(|at| *at > now) {
                due = Some(due.map_or(at, |due| due.min(at)));
                continue;
            }
            let (total, of_slot) = self.shared.ahead(*slot);
            let is_wanted = of_slot.is_some_and(|bytes| bytes < self.partition_bytes());
            if total >= AHEAD_BYTES_MAX || !is_wanted {
                continue;
            }
            match self
                .cluster
                .leader(&reading.name.topic, reading.name.partition)
            {
                Some(leader) => by_node.entry(leader.node).or_default().push(*slot),
                None => unknown = true,
            }
        }
        drop(state);
        if unknown {
            self.look_up();
        }
        for (node, slots) in by_node {
            self.ask_node(node, &slots);
        }
        due
    }

    fn partition_bytes(&self) -> usize {
        self.settings.fetch_partition_max_bytes.max(1) as usize
    }

    /// Sends a request for these partitions in whichever lane is free.
    fn ask_node(self: &Rc<Self>, node: NodeId, slots: &[Slot]) {
        let mut state = self.state.borrow_mut();
        let State {
            readings, nodes, ..
        } = &mut *state;
        let of_node = nodes.entry(node).or_default();
        let lane = match (of_node.main_busy, of_node.side_busy) {
            (false, _) => Lane::Main,
            (true, false) => Lane::Side,
            (true, true) => return,
        };
        let mut asked = Vec::new();
        for slot in slots {
            let Some(reading) = readings.get_mut(slot) else {
                continue;
            };
            if lane == Lane::Side && reading.is_at_end {
                continue;
            }
            let name = &reading.name;
            let (Some(leader), Some(topic_id)) = (
                self.cluster.leader(&name.topic, name.partition),
                self.cluster.topic_id(&name.topic),
            ) else {
                continue;
            };
            reading.lane = Some(lane);
            asked.push(Asked {
                slot: *slot,
                generation: reading.generation,
                wanted: Wanted {
                    topic: Arc::clone(&name.topic),
                    topic_id,
                    partition: name.partition as i32,
                    offset: reading.position,
                    leader_epoch: leader.epoch,
                    last_epoch: reading.last_epoch,
                    max_bytes: self.settings.fetch_partition_max_bytes,
                },
            });
        }
        if asked.is_empty() {
            return;
        }
        match lane {
            Lane::Main => of_node.main_busy = true,
            Lane::Side => of_node.side_busy = true,
        }
        let wanted: Vec<_> = asked.iter().map(|asked| asked.wanted.clone()).collect();
        let ask = match lane {
            Lane::Main => of_node.session.ask(&wanted),
            Lane::Side => Session::once(&wanted),
        };
        drop(state);
        let request = self.request(lane, ask);
        let this = Rc::clone(self);
        spawn_local(async move { this.ask(node, lane, request, asked).await });
    }

    fn request(&self, lane: Lane, ask: Ask) -> FetchRequest {
        let (total, _) = self.shared.ahead(Slot(u32::MAX));
        let max_wait = match lane {
            Lane::Main => self.settings.fetch_max_wait,
            Lane::Side => Duration::ZERO,
        };
        FetchRequest {
            max_wait_ms: max_wait.as_millis() as i32,
            min_bytes: self.settings.fetch_min_bytes,
            max_bytes: (AHEAD_BYTES_MAX.saturating_sub(total) as i32)
                .min(self.settings.fetch_max_bytes)
                .max(1),
            isolation_level: i8::from(self.committed_only),
            session_id: ask.session_id,
            session_epoch: ask.session_epoch,
            topics: ask.topics,
            forgotten_topics_data: ask.forgotten,
            ..FetchRequest::default()
        }
    }

    async fn ask(
        self: Rc<Self>,
        node: NodeId,
        lane: Lane,
        request: FetchRequest,
        asked: Vec<Asked>,
    ) {
        let purpose = match lane {
            Lane::Main => Purpose::Fetch,
            Lane::Side => Purpose::Seek,
        };
        let answer = self.cluster.request(node, purpose, &request).await;
        self.free(node, lane, &asked, answer.as_ref().ok());
        match answer {
            Ok(response) if response.error_code.is_ok() => self.take(response, &asked),
            // The session is begun anew; nothing else is wrong.
            Ok(_) => {}
            Err(error) if !error.is_retriable() => {
                for asked in &asked {
                    self.give_up(asked.slot, asked.generation, error.to_log("Fetch"));
                }
            }
            Err(_) => {
                for asked in &asked {
                    self.cluster
                        .stale(&asked.wanted.topic, asked.wanted.partition as u32);
                    self.wait(asked, true);
                }
            }
        }
        self.shared.space.notify_one();
    }

    /// The lane is free again, and the session knows how it stands.
    fn free(&self, node: NodeId, lane: Lane, asked: &[Asked], answer: Option<&FetchResponse>) {
        let mut state = self.state.borrow_mut();
        for asked in asked {
            if let Some(reading) = state.readings.get_mut(&asked.slot)
                && reading.generation == asked.generation
            {
                reading.lane = None;
            }
        }
        let of_node = state.nodes.entry(node).or_default();
        match (lane, answer) {
            (Lane::Side, _) => of_node.side_busy = false,
            (Lane::Main, Some(answer)) if answer.error_code.is_ok() => {
                of_node.main_busy = false;
                of_node.session.answered(answer.session_id);
            }
            (Lane::Main, _) => {
                of_node.main_busy = false;
                of_node.session.reset();
            }
        }
    }

    /// Lets a partition rest before its next try.
    fn wait(&self, asked: &Asked, is_failure: bool) {
        let mut state = self.state.borrow_mut();
        if let Some(reading) = state.readings.get_mut(&asked.slot)
            && reading.generation == asked.generation
        {
            let wait = self.cluster.backoff(reading.attempt);
            reading.not_before = Some(Instant::now() + wait);
            reading.attempt += u32::from(is_failure);
        }
    }

    /// Reading of a partition ends with an error.
    fn give_up(&self, slot: Slot, generation: u64, error: Error) {
        let mut state = self.state.borrow_mut();
        let is_current = state
            .readings
            .get(&slot)
            .is_some_and(|reading| reading.generation == generation);
        if is_current {
            state.readings.remove(&slot);
            drop(state);
            self.shared
                .arrived(slot, generation, vec![Arrival::Failed(error)]);
        }
    }

    /// Compares a refused position with what the partition holds.
    fn resolve(self: &Rc<Self>, asked: &Asked) {
        let (slot, generation, position) = (asked.slot, asked.generation, asked.wanted.offset);
        let name = {
            let mut state = self.state.borrow_mut();
            let Some(reading) = state.readings.get_mut(&slot) else {
                return;
            };
            reading.is_resolving = true;
            reading.name.clone()
        };
        let this = Rc::clone(self);
        spawn_local(async move {
            let held = this.held(&name).await;
            match held {
                Ok((start, end)) if (start..=end).contains(&position) => {
                    // It was outside for a moment, or is again inside.
                    let mut state = this.state.borrow_mut();
                    if let Some(reading) = state.readings.get_mut(&slot)
                        && reading.generation == generation
                    {
                        reading.is_resolving = false;
                        reading.not_before = Some(Instant::now() + this.cluster.backoff(0));
                    }
                }
                Ok((start, end)) => this.give_up(
                    slot,
                    generation,
                    Error::OffsetOutOfRange {
                        partition: name,
                        offset: position,
                        start,
                        end,
                    },
                ),
                Err(error) => this.give_up(slot, generation, error),
            }
            this.shared.space.notify_one();
        });
    }

    /// The first offset of a partition and the end that this client may read.
    async fn held(&self, name: &TopicPartition) -> Result<(Offset, Offset)> {
        let end = match self.committed_only {
            true => OffsetSpec::Stable,
            false => OffsetSpec::End,
        };
        let mut found = [0, 0];
        for (found, spec) in found.iter_mut().zip([OffsetSpec::Start, end]) {
            let question = Request::Offsets(vec![(name.clone(), spec)]);
            match admin::ask(&self.cluster, &self.settings, question).await? {
                Response::Offsets(offsets) if offsets.len() == 1 => *found = offsets[0].1,
                other => {
                    return Err(Error::Unavailable(format!(
                        "no answer about {name} but {other:?}"
                    )));
                }
            }
        }
        Ok((found[0], found[1]))
    }

    /// Asks for leaders that are not known, one question at a time.
    fn look_up(self: &Rc<Self>) {
        if std::mem::replace(&mut self.state.borrow_mut().is_looking_up, true) {
            return;
        }
        let this = Rc::clone(self);
        spawn_local(async move {
            let mut attempt = 0;
            loop {
                let topics = this.topics_without_leader();
                if topics.is_empty() {
                    break;
                }
                if this.cluster.refresh(&topics).await.is_ok() {
                    this.find_unknown();
                }
                if this.topics_without_leader().is_empty() {
                    break;
                }
                sleep(this.cluster.backoff(attempt)).await;
                attempt += 1;
            }
            this.state.borrow_mut().is_looking_up = false;
            this.shared.space.notify_one();
        });
    }

    fn topics_without_leader(&self) -> Vec<Arc<str>> {
        let state = self.state.borrow();
        let names = state.readings.values().map(|reading| &reading.name);
        let mut topics: Vec<Arc<str>> = names
            .filter(|name| self.cluster.leader(&name.topic, name.partition).is_none())
            .map(|name| Arc::clone(&name.topic))
            .collect();
        topics.sort();
        topics.dedup();
        topics
    }

    /// Gives up what metadata have not known for too long.
    fn find_unknown(&self) {
        let now = Instant::now();
        let mut lost = Vec::new();
        for (slot, reading) in &mut self.state.borrow_mut().readings {
            let count = self.cluster.partitions(&reading.name.topic);
            if count.is_some_and(|count| reading.name.partition < count) {
                reading.unknown_since = None;
                continue;
            }
            let since = *reading.unknown_since.get_or_insert(now);
            if now - since >= Duration::from_millis(UNKNOWN_PATIENCE_MS) {
                let error = match count {
                    None => self.cluster.missing(&reading.name.topic),
                    Some(_) => Error::UnknownPartition(reading.name.clone()),
                };
                lost.push((*slot, reading.generation, error));
            }
        }
        for (slot, generation, error) in lost {
            self.give_up(slot, generation, error);
        }
    }
}

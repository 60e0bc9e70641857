//! The task's own loop body: choose an input, process a record, punctuate, flush, report positions.
//! Not the commit: the runtime decides when and settles how it ended.
//! Invariant: with several inputs the record with the lowest timestamp goes first, and none goes while an input awaits data.

mod batch;
mod idle;
mod inputs;
mod state;

use super::{
    Advance, Announcer, Awaits, BeforeCommit, Context, Counters, Feed, FireTimers, Globals,
    InputState, JavaExpiry, Output, Punctuate, PunctuationKind, Quarantine, TaskState, Wiring,
    caught,
    closing_time::{self, Announcement},
    input::{self, Input},
    metadata,
    quarantine::{self, ReplayContext},
};
use crate::topology::Semantics;
use crate::{Error, Position, Result, SubtopologyInfo, Topology};
use headwater_log::{Chunk, CommittedOffset, Offset, RecordRef, TaskId, TopicPartition};
use headwater_store::RecordCache;
use inputs::head_time;
pub(super) use state::{open_state, open_stores};
use std::{rc::Rc, sync::Arc};

/// What a call of [`Task::process`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Records processed.
    pub records: usize,
    /// True when records wait but the task must first hear from another input.
    pub awaits_data: bool,
    /// True when a position moved where no record was: past the marker of a transaction, or what compaction left of a batch.
    /// Without a commit of it the group would seem to lag until the next record.
    pub passed: bool,
}

/// A wired task.
pub struct Task {
    topology: Arc<Topology>,
    pub(super) inputs: Vec<Input>,
    pub(super) feeds: Vec<Rc<dyn Feed>>,
    processors: Vec<Rc<dyn Punctuate>>,
    announcers: Vec<Rc<Announcer>>,
    /// Its inputs may hold what others say of their stream time, whether or not it is of use here.
    may_hear: bool,
    closers: Vec<Rc<dyn Advance>>,
    /// Processors with timers.
    timed: Vec<Rc<dyn FireTimers>>,
    /// Tables whose rows have a time to live.
    sweeps: Vec<Rc<dyn BeforeCommit>>,
    /// Since when, by the wall clock, it has been at the end of its inputs.
    idle_since: Option<i64>,
    /// Numbers of its stores, in the order in which their caches are flushed.
    stores: Vec<usize>,
    pub(super) awaiting: Vec<(usize, Rc<dyn Awaits>)>,
    pub(super) quarantine: Option<Quarantine>,
    pub(super) state: TaskState,
    idle_ms_max: i64,
    opened: bool,
}

impl Task {
    /// Wires a task. `stores` are its stores by number in the topology; `committed` the group's positions, where it has any:
    /// an input without one starts at `start(partition)`.
    pub fn new(
        topology: &Arc<Topology>,
        id: TaskId,
        stores: Vec<(usize, headwater_store::Store)>,
        committed: &[(TopicPartition, CommittedOffset)],
        start: &mut dyn FnMut(&TopicPartition) -> Offset,
        cache: &mut RecordCache,
    ) -> Result<Self> {
        let subtopology = topology.subtopology(id.subtopology).ok_or_else(|| {
            Error::Topology(format!(
                "task {id}: the topology has no sub-topology {}",
                id.subtopology
            ))
        })?;
        Ok(Self::wire(
            topology,
            subtopology,
            id,
            stores,
            committed,
            start,
            cache,
        ))
    }

    /// Wires all sub-topologies as one task, which reads from the start. They share stream time and one queue of inputs, as in
    /// Kafka Streams' `TopologyTestDriver`.
    pub(crate) fn whole(
        topology: &Arc<Topology>,
        stores: Vec<(usize, headwater_store::Store)>,
        cache: &mut RecordCache,
    ) -> Self {
        let id = TaskId {
            subtopology: 0,
            partition: 0,
        };
        Self::wire(
            topology,
            topology.whole(),
            id,
            stores,
            &[],
            &mut |_| 0,
            cache,
        )
    }

    fn wire(
        topology: &Arc<Topology>,
        part: &SubtopologyInfo,
        id: TaskId,
        stores: Vec<(usize, headwater_store::Store)>,
        committed: &[(TopicPartition, CommittedOffset)],
        start: &mut dyn FnMut(&TopicPartition) -> Offset,
        cache: &mut RecordCache,
    ) -> Self {
        let is_part = !std::ptr::eq(part, topology.whole());
        let mut wiring = Wiring::new(topology);
        wiring.part = Some(part).filter(|_| is_part);
        let inputs::Inputs {
            inputs,
            feeds,
            marks,
        } = inputs::of(&mut wiring, part, id, committed, start);
        let stream_time = inputs
            .iter()
            .map(|input| input.partition_time)
            .max()
            .unwrap_or(-1);
        wiring.marks.merge(marks);
        let timed = |topic: &u32| is_part && topology.is_timed(*topic);
        let timed = part.source_topics.iter().copied().filter(timed).collect();
        let processors = wiring.take_processors(&part.nodes);
        let awaiting = std::mem::take(&mut wiring.awaiting);
        let announcers = std::mem::take(&mut wiring.announcers);
        let closers = std::mem::take(&mut wiring.closers);
        let timed_processors = std::mem::take(&mut wiring.timed);
        let sweeps = std::mem::take(&mut wiring.sweeps);
        let stores = open_stores(topology, stores, cache);
        let mut state = open_state(topology, wiring, id, stores, timed);
        state.stream_time = stream_time;
        state.remember_observed_times(topology);
        Self {
            topology: topology.clone(),
            inputs,
            feeds,
            processors,
            announcers,
            may_hear: is_part && topology.reads_internal(part),
            closers,
            timed: timed_processors,
            sweeps,
            idle_since: None,
            awaiting,
            quarantine: Quarantine::new(topology, &part.stores),
            stores: part.stores.clone(),
            state,
            idle_ms_max: 0,
            opened: false,
        }
    }

    /// Lets the task read its process' global stores.
    pub fn with_globals(mut self, globals: &Globals) -> Self {
        self.state.globals = globals.clone();
        self
    }

    /// The task's id.
    pub fn id(&self) -> TaskId {
        self.state.id
    }

    /// The topology it runs.
    pub fn topology(&self) -> &Arc<Topology> {
        &self.topology
    }

    /// How long records wait for an input that has none (`max.task.idle.ms`): with 0 only while the log is known, or may be, to
    /// hold more of it; with more, so many ms of wall clock longer for what producers may still send; with less, never.
    pub fn set_idle_ms_max(&mut self, idle_ms_max: i64) {
        self.idle_ms_max = idle_ms_max;
    }

    /// Its counters.
    pub fn counters(&self) -> Counters {
        self.state.counters
    }

    /// The largest timestamp processed, ms since the epoch; -1 before the first.
    pub fn stream_time(&self) -> i64 {
        self.state.stream_time
    }

    /// Its inputs, in the order their numbers follow.
    pub fn inputs(&self) -> impl Iterator<Item = InputState> + '_ {
        self.inputs.iter().map(|input| InputState {
            partition: input.partition.clone(),
            position: input.position,
            fetch_position: input.fetch_position,
            queued_bytes: input.queued_bytes,
        })
    }

    /// Bytes that wait in all inputs.
    pub fn queued_bytes(&self) -> usize {
        self.inputs.iter().map(|input| input.queued_bytes).sum()
    }

    /// Hands over what was fetched for input number `input`.
    pub fn add_chunk(&mut self, input: usize, chunk: Chunk) {
        self.inputs[input].end = Some(chunk.end_offset);
        self.inputs[input].add(chunk);
    }

    /// The records of input number `input`, which stands for a pattern, come from `topic` from here on.
    pub(crate) fn read_from(&mut self, input: usize, topic: &Arc<str>) {
        let topics = &self.state.topics;
        let known = topics.iter().position(|known| known == topic);
        let number = known.unwrap_or(topics.len());
        if known.is_none() {
            self.state.topics = topics.iter().chain([topic]).cloned().collect();
        }
        self.inputs[input].topic = number as u32;
    }

    /// Says how far the log is known to reach for input number `input`.
    pub fn set_end(&mut self, input: usize, end: Option<Offset>) {
        self.inputs[input].end = end;
    }

    /// Continues input number `input` elsewhere; what waits is dropped.
    pub fn seek(&mut self, input: usize, position: Offset) {
        self.inputs[input].seek(position);
    }

    /// Chunks that are done with, for their buffers.
    pub fn take_spent(&mut self, mut take: impl FnMut(Chunk)) {
        for input in &mut self.inputs {
            input.spent.drain(..).for_each(&mut take);
        }
    }

    /// Calls the processors' `open`; once, before the first record.
    pub fn open(
        &mut self,
        cache: &mut RecordCache,
        output: &mut dyn Output,
        now_ms: i64,
    ) -> Result<()> {
        self.state.now_ms = now_ms;
        let mut ctx = Context {
            state: &mut self.state,
            cache,
            output,
        };
        for (number, processor) in self.processors.iter().enumerate() {
            caught(|| processor.open(&mut ctx, number))?;
        }
        if self.topology.settings.semantics == Semantics::Headwater {
            // What was due before the restart has been called before it; Kafka Streams calls it again.
            let time = self.state.stream_time;
            self.state.schedules.pass(PunctuationKind::StreamTime, time);
        }
        self.open_quarantine()?;
        self.opened = true;
        Ok(())
    }

    /// Processes up to `records_max` records.
    pub fn process(
        &mut self,
        cache: &mut RecordCache,
        output: &mut dyn Output,
        now_ms: i64,
        records_max: usize,
    ) -> Result<Progress> {
        self.state.now_ms = now_ms;
        self.state.failed.forget();
        let mut progress = Progress::default();
        let mut last = None;
        let processed = caught(|| {
            while progress.records < records_max
                && self.replay_one(ReplayContext {
                    cache: &mut *cache,
                    output: &mut *output,
                })?
            {
                progress.records += 1;
            }
            while progress.records < records_max && !self.calls_full() {
                let Some(input) = self.choose(&mut progress)? else {
                    break;
                };
                last = Some(input);
                if !self.process_next(input, cache, output)? {
                    break;
                }
                progress.records += 1;
                let left = records_max - progress.records;
                progress.records += self.process_batch(cache, output, left)?;
            }
            Ok(())
        });
        progress.passed = input::take_passed(&mut self.inputs);
        match processed {
            Ok(()) => Ok(progress),
            Err(error) => {
                let error = self.blame(error, last);
                Err(self.poison(error, last))
            }
        }
    }

    /// Names the operator that failed, and the record of input number `input` that it failed on.
    #[cold]
    pub(super) fn blame(&self, error: Error, input: Option<usize>) -> Error {
        let nodes = &self.topology.nodes;
        let failed = self.state.failed.node();
        self.state.failed.forget();
        let name = failed.map_or("a source", |node| &nodes[node].name);
        error.in_node(name, || match input {
            Some(input) => {
                let input = &self.inputs[input];
                format!(" at {} offset {}", input.partition, input.position - 1)
            }
            None => self.flushing(),
        })
    }

    /// Where the record was read whose update is on its way out of a record cache.
    fn flushing(&self) -> String {
        let position = self.state.flushing;
        let topic = self.state.topics.get(position.topic as usize);
        topic.map_or_else(String::new, |topic| {
            format!(
                " at {topic}-{} offset {}",
                position.partition, position.offset
            )
        })
    }

    /// The input whose next record has the lowest timestamp; none while some input awaits data.
    #[inline]
    fn choose(&mut self, progress: &mut Progress) -> Result<Option<usize>> {
        if self.inputs.len() == 1 {
            return Ok(Some(0));
        }
        let mut chosen: Option<(i64, usize)> = None;
        let mut awaits = false;
        let (now, idle) = (self.state.now_ms, self.idle_ms_max);
        for (index, input) in self.inputs.iter_mut().enumerate() {
            match head_time(input, &*self.feeds[index])? {
                Some(timestamp) => {
                    input.idle_until = None;
                    if chosen.is_none_or(|(lowest, _)| timestamp < lowest) {
                        chosen = Some((timestamp, index));
                    }
                }
                None if idle < 0 => {}
                None => awaits |= input.awaits_data() || input.idles(now, idle),
            }
        }
        if awaits {
            progress.awaits_data = chosen.is_some();
            return Ok(None);
        }
        Ok(chosen.map(|(_, index)| index))
    }

    #[inline(always)]
    fn process_next(
        &mut self,
        index: usize,
        cache: &mut RecordCache,
        output: &mut dyn Output,
    ) -> Result<bool> {
        match self.quarantine {
            None => self.process_one::<false>(index, cache, output),
            Some(_) => self.process_one::<true>(index, cache, output),
        }
    }

    #[inline]
    fn process_one<const QUARANTINES: bool>(
        &mut self,
        index: usize,
        cache: &mut RecordCache,
        output: &mut dyn Output,
    ) -> Result<bool> {
        let input = &mut self.inputs[index];
        // `peek` only when a chunk ends: it moves on to the next one.
        if !input.has_next() && input.peek()?.is_none() {
            return Ok(false);
        }
        let (topic, may_hear) = (input.topic, self.may_hear);
        let quarantined = QUARANTINES.then(|| input.partition.clone());
        let quarantine = &mut self.quarantine;
        let mut ctx = Context {
            state: &mut self.state,
            cache,
            output,
        };
        let feed = &*self.feeds[index];
        let stepped = batch::step(
            &mut ctx,
            input,
            (feed, feed.keeps_timestamps()),
            |state, record| may_hear && hear(state, topic, record),
            |ctx, record| match &quarantined {
                Some(partition) => Ok(quarantine::set_aside(quarantine, ctx, partition, record)?),
                None => Ok(false),
            },
        );
        Ok(stepped?)
    }

    /// The event time of the next record of input number `input`; `None` when nothing waits there.
    pub(crate) fn next_timestamp(&mut self, input: usize) -> Result<Option<i64>> {
        caught(|| head_time(&mut self.inputs[input], &*self.feeds[input]))
    }

    /// True unless the next record of input number `input` will be refused or passed over: it cannot be decoded, or has no time.
    pub(crate) fn can_decode_next(&mut self, input: usize) -> Result<bool> {
        let (feed, input) = (&*self.feeds[input], &mut self.inputs[input]);
        let is_timed = head_time(input, feed)?.is_none_or(|time| time >= 0);
        let topic = input.partition.topic.clone();
        let next = input.peek()?;
        Ok(is_timed && next.is_none_or(|record| feed.can_decode(&topic, &record)))
    }

    /// Processes the next record of input number `input`, whatever waits elsewhere.
    pub(crate) fn process_input(
        &mut self,
        input: usize,
        cache: &mut RecordCache,
        output: &mut dyn Output,
        now_ms: i64,
    ) -> Result<()> {
        self.state.now_ms = now_ms;
        self.state.failed.forget();
        let processed = caught(|| self.process_next(input, cache, output));
        processed
            .map(drop)
            .map_err(|error| self.blame(error, Some(input)))
    }

    /// Runs the punctuations that are due; answers how many.
    pub fn punctuate(
        &mut self,
        cache: &mut RecordCache,
        output: &mut dyn Output,
        now_ms: i64,
    ) -> Result<u64> {
        self.state.now_ms = now_ms;
        let mut run = 0;
        for (kind, time) in [
            (PunctuationKind::StreamTime, self.state.stream_time),
            (PunctuationKind::WallClock, now_ms),
        ] {
            // A punctuation may add schedules; each runs once at most, since it is then due after `time`.
            while let Some(mut schedule) = self.state.schedules.take_due(kind, time) {
                let punctuation = schedule.take(time);
                let mut ctx = Context {
                    state: &mut self.state,
                    cache,
                    output,
                };
                let outcome = self.processors[schedule.processor].punctuate(&mut ctx, punctuation);
                // Put back only then, as Java does: with equal times the others are first.
                self.state.schedules.put_back(schedule);
                outcome?;
                run += 1;
            }
            for processor in &self.timed {
                let mut ctx = Context {
                    state: &mut self.state,
                    cache,
                    output,
                };
                run += processor.fire(&mut ctx, kind, time)?;
            }
        }
        self.state.counters.punctuations += run;
        run += self.announce_idle(cache, output)?;
        Ok(run)
    }

    /// True once a processor asked for a commit since the last one.
    pub fn commit_requested(&self) -> bool {
        self.state.commit_requested
    }

    /// Sends what the record cache holds for this task downstream; before a commit.
    pub fn flush(&mut self, cache: &mut RecordCache, output: &mut dyn Output) -> Result<()> {
        self.state.failed.forget();
        self.state.flushing = Position::NONE;
        let flushed = caught(|| self.flush_stores(cache, output));
        self.state.mark_observed_times();
        flushed.map_err(|error| self.blame(error, None))
    }

    fn flush_stores(&mut self, cache: &mut RecordCache, output: &mut dyn Output) -> Result<()> {
        let mut ctx = Context {
            state: &mut self.state,
            cache,
            output,
        };
        for sweep in &self.sweeps {
            sweep.before_commit(&mut ctx)?;
        }
        loop {
            // In the order of the operators, so that each store is flushed once as a rule; a flush fills caches downstream,
            // so again until all are clean. One that fails does not keep the others from writing, as in Kafka Streams.
            let (mut any, mut failed) = (false, None);
            for store in &self.stores {
                match flush_store(&mut ctx, *store) {
                    Ok(flushed) => any |= flushed,
                    Err(error) => failed = failed.or(Some((error, ctx.state.flushing))),
                }
            }
            if let Some((error, flushing)) = failed {
                ctx.state.flushing = flushing;
                return Err(error);
            }
            if any {
                continue;
            }
            if ctx.state.closing.settle() {
                for closer in &self.closers {
                    closer.advance(&mut ctx)?;
                }
                continue;
            }
            return closing_time::after_flush(&mut ctx, &self.announcers);
        }
    }

    /// The positions to commit: the next record to process in each input, and its partition time.
    pub fn offsets(&self) -> impl Iterator<Item = (TopicPartition, CommittedOffset)> + '_ {
        self.inputs.iter().map(|input| {
            let metadata = metadata::encode(input.partition_time, &self.state.marks);
            (
                input.partition.clone(),
                CommittedOffset {
                    offset: input.position,
                    leader_epoch: input.leader_epoch(),
                    metadata,
                },
            )
        })
    }

    /// How many named times [`Task::offsets`] leaves out, since a broker keeps no more with an offset: their operators start over
    /// after a restart, as in Kafka Streams.
    pub fn times_left_out(&self) -> usize {
        self.state.marks.left_out()
    }

    /// Its stores, by number in the topology.
    pub fn stores(&mut self) -> impl Iterator<Item = (usize, &mut headwater_store::Store)> + '_ {
        self.state
            .stores
            .iter_mut()
            .enumerate()
            .filter_map(|(number, store)| Some((number, &mut store.as_mut()?.bytes)))
    }

    /// Which rows of a store Kafka Streams' own would not show; `None` but under its semantics.
    pub(crate) fn hidden(&self, store: usize) -> Option<JavaExpiry> {
        let state = self.state.stores.get(store)?.as_ref()?;
        state.java.as_deref().cloned()
    }

    /// A commit of what was done so far was submitted: stores start their next overlay, windows expire.
    pub fn seal(&mut self) -> Result<()> {
        self.state.commit_requested = false;
        for store in self.state.stores.iter_mut().flatten() {
            // By the time of the seal before, whose commit has ended: expiry cannot be taken back, and should this commit
            // fail, its records find the windows they had. By the time of the store's own operator: the task's may be ahead
            // of it, and windows that still accept records would be lost.
            if store.sealed_time >= 0 {
                store.bytes.advance(store.sealed_time)?;
            }
            store.sealed_time = match &store.java {
                Some(java) => java.written_time(),
                None => store.observed_time,
            };
            store.bytes.seal();
        }
        Ok(())
    }

    /// Drops everything uncommitted: overlays, cached updates, waiting records. The caller seeks the inputs anew.
    pub fn abort(&mut self, cache: &mut RecordCache) {
        for (_, operator) in &self.awaiting {
            operator.abort();
        }
        for store in self.state.stores.iter_mut().flatten() {
            store.bytes.abort();
            if let Some(slot) = store.cache {
                cache.clear(slot);
            }
        }
        if let Some(source) = &mut self.state.source {
            source.clear();
        }
        for input in &mut self.inputs {
            input.seek(input.position);
        }
    }

    /// Ends the task and hands its stores back. Processors are closed only when the task ends cleanly, after a commit.
    pub fn close(
        mut self,
        cache: &mut RecordCache,
        output: Option<&mut dyn Output>,
    ) -> Result<Vec<(usize, headwater_store::Store)>> {
        if let Some(output) = output.filter(|_| self.opened) {
            let mut ctx = Context {
                state: &mut self.state,
                cache,
                output,
            };
            for processor in &self.processors {
                processor.close(&mut ctx)?;
            }
        }
        let stores = std::mem::take(&mut self.state.stores);
        Ok(stores
            .into_iter()
            .enumerate()
            .filter_map(|(number, store)| {
                let store = store?;
                if let Some(slot) = store.cache {
                    cache.clear(slot);
                }
                Some((number, store.bytes))
            })
            .collect())
    }
}

/// Takes what an upstream task says of its stream time off a record; true when the record says nothing else.
fn hear(state: &mut TaskState, topic: u32, record: &mut RecordRef<'_>) -> bool {
    let Some(said) = Announcement::take(&mut record.headers) else {
        return false;
    };
    if state.closing.is_bounded() {
        state.closing.hear(&mut state.marks, topic, said);
        state.said_idle &= said.time == closing_time::IDLE;
    }
    record.key.is_none() && record.value.is_none()
}

/// Sends a store's cached updates on and writes what its operator keeps back; answers whether any were cached.
fn flush_store(ctx: &mut Context<'_>, store: usize) -> Result<bool> {
    let slot = ctx.state.stores[store]
        .as_ref()
        .and_then(|state| state.cache);
    let flushed = slot.map_or(Ok(false), |slot| ctx.flush_store(store, slot));
    if let Some(operator) = ctx.state.before_commit[store].clone() {
        operator.before_commit(ctx)?;
    }
    flushed
}

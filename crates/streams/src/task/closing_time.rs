//! The time up to which a task behind repartition topics has heard from all that write to them: windows close by the slowest
//! upstream task and not by the fastest, as in Kafka Streams, which loses what the others still send.
//! Not the stream time of an operator: the lesser of the two closes. Invariant: it never goes back.
//!
//! An upstream task says its stream time in a header of its records when it has changed, and at a commit in a record of its own,
//! without key and value, to every partition that has not heard it. Readers take the header off. A task says that it is idle
//! when it has been at the end of its inputs for a while: then it holds no window open.
//!
//! Instances of Kafka Streams in the same group say nothing, so that what they own would never be heard of. While there are any
//! (the worker is told: [`ClosingTime::set_mixed`]) nothing is bounded and nothing said, as among Kafka Streams alone.

use super::{Context, Marks, Route};
use crate::{Headers, Result};
use headwater_log::{AppendRecord, HeadersRef, partition_for_key};
use std::cell::{Cell, RefCell};

/// The time of an idle task.
pub(crate) const IDLE: i64 = i64::MAX;

const NAME: &[u8; 16] = b"__headwater.time";
/// The length of name and value as a header has it: 16, zigzag.
const LENGTH: u8 = 32;
/// Length and name, length and value.
const HEADER_BYTES: usize = 1 + 16 + 1 + 16;

/// What an upstream task says: `partition (4) | partitions (4) | time (8)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    pub(crate) partition: u32,
    /// How many such tasks there are.
    pub(crate) partitions: u32,
    /// Its stream time, ms since the epoch; -1 before the first, [`IDLE`] when it holds nothing up.
    pub(crate) time: i64,
}

impl Announcement {
    fn add_to(self, headers: &mut Headers) {
        let mut value = [0; 16];
        value[..4].copy_from_slice(&self.partition.to_be_bytes());
        value[4..8].copy_from_slice(&self.partitions.to_be_bytes());
        value[8..].copy_from_slice(&self.time.to_be_bytes());
        let name = std::str::from_utf8(NAME).expect("the name is ASCII");
        headers.add(name, Some(&value));
    }

    /// Takes it off a record's headers, where it is the last.
    pub(crate) fn take(headers: &mut HeadersRef<'_>) -> Option<Self> {
        let at = headers.bytes.len().checked_sub(HEADER_BYTES)?;
        let (rest, own) = headers.bytes.split_at(at);
        if own[0] != LENGTH || own[1..17] != *NAME || own[17] != LENGTH {
            return None;
        }
        let number = |at: usize| {
            own[at..]
                .first_chunk()
                .map(|bytes| u32::from_be_bytes(*bytes))
        };
        let announcement = Self {
            partition: number(18)?,
            partitions: number(22)?,
            time: i64::from_be_bytes(*own[26..].first_chunk()?),
        };
        headers.count = headers.count.saturating_sub(1);
        headers.bytes = rest;
        Some(announcement)
    }
}

/// What the tasks upstream of one input have said.
struct Upstream {
    topic: u32,
    /// By partition; -1 for one that is not yet heard. Empty while none is.
    times: Vec<i64>,
}

pub(crate) struct ClosingTime {
    inputs: Vec<Upstream>,
    bound: i64,
    /// The bound as of the last flush: what was taken under it has reached the operators behind record caches.
    settled: i64,
    /// What the task itself said at its last flush.
    said: i64,
    /// Some of those upstream may be tasks that never say anything.
    mixed: bool,
}

impl ClosingTime {
    /// That of a task with inputs from these repartition topics, after what its last commit left.
    pub(crate) fn new(topics: Vec<u32>, marks: &Marks) -> Self {
        let inputs = topics.into_iter().map(|topic| {
            let partitions = marks.find(&count_mark(topic)).unwrap_or(0);
            let time = |partition| marks.find(&time_mark(topic, partition)).unwrap_or(-1);
            Upstream {
                topic,
                times: (0..u32::try_from(partitions).unwrap_or(0))
                    .map(time)
                    .collect(),
            }
        });
        let mut closing = Self {
            inputs: inputs.collect(),
            bound: -1,
            settled: -1,
            said: -1,
            mixed: false,
        };
        closing.bound = closing.least();
        closing.settled = closing.bound;
        closing
    }

    /// True when some input is from a repartition topic that says times.
    #[inline]
    pub(crate) fn is_bounded(&self) -> bool {
        !self.inputs.is_empty()
    }

    /// The time by which an operator closes windows that has seen `observed`.
    #[inline]
    pub(crate) fn of(&self, observed: i64) -> i64 {
        observed.min(self.bound)
    }

    /// As [`ClosingTime::of`], for an operator that may have a record cache in front.
    #[inline]
    pub(crate) fn settled(&self, observed: i64) -> i64 {
        observed.min(self.settled)
    }

    /// Says whether some upstream tasks may be of another kind, which says nothing. Once that is over, windows that closed meanwhile
    /// stay closed: the bound begins at `stream_time`.
    pub(crate) fn set_mixed(&mut self, mixed: bool, stream_time: i64) {
        match (self.mixed, mixed) {
            (false, true) => self.bound = IDLE,
            (true, false) if !self.is_silent() => {
                self.bound = self.least().max(stream_time);
                self.settled = self.settled.min(self.bound);
            }
            _ => {}
        }
        self.mixed = mixed;
    }

    /// Takes what an upstream task says.
    pub(crate) fn hear(&mut self, marks: &mut Marks, topic: u32, said: Announcement) {
        let first = self.is_silent();
        let Some(input) = self.inputs.iter_mut().find(|input| input.topic == topic) else {
            return;
        };
        let (partition, partitions) = (said.partition as usize, said.partitions as usize);
        if partition >= partitions {
            return;
        }
        if partitions > input.times.len() {
            input.times.resize(partitions, -1);
            let mark = marks.add(&count_mark(topic));
            marks.set(mark, i64::from(said.partitions));
        }
        input.times[partition] = said.time;
        let mark = marks.add(&time_mark(topic, said.partition));
        marks.set(mark, said.time);
        let least = self.least();
        if self.mixed {
            // It counts once all say their times.
        } else if first {
            // Until then nothing was bounded.
            (self.bound, self.settled) = (least, least.min(self.settled));
        } else {
            self.bound = self.bound.max(least);
        }
    }

    /// Nobody has said anything: upstream writes as Kafka Streams does, and bounds nothing.
    fn is_silent(&self) -> bool {
        self.inputs.iter().all(|input| input.times.is_empty())
    }

    /// Once one topic says times, those that are not yet heard hold everything up.
    fn least(&self) -> i64 {
        if self.is_silent() {
            return IDLE;
        }
        let inputs = self.inputs.iter();
        let times = inputs.map(|input| input.times.iter().copied().min().unwrap_or(-1));
        times.min().unwrap_or(IDLE)
    }

    /// Record caches are clean; answers whether operators behind them may close more.
    pub(crate) fn settle(&mut self) -> bool {
        let risen = self.bound > self.settled;
        self.settled = self.settled.max(self.bound);
        risen
    }

    /// True when no upstream task holds anything up.
    pub(crate) fn is_idle(&self) -> bool {
        self.least() == IDLE
    }

    pub(crate) fn is_mixed(&self) -> bool {
        self.mixed
    }
}

fn count_mark(topic: u32) -> String {
    format!("~{topic}")
}

fn time_mark(topic: u32, partition: u32) -> String {
    format!("~{topic}.{partition}")
}

/// An operator that closes something when time advances without a record.
pub(crate) trait Advance {
    fn advance(&self, ctx: &mut Context<'_>) -> Result<()>;
}

/// Says a task's stream time to the readers of one repartition topic.
pub(crate) struct Announcer {
    /// The output topic's number.
    topic: u32,
    /// What the task's sub-topology reads.
    sources: Vec<String>,
    /// Records leave record caches later than stream time advances: only what the last flush left is said.
    at_flush: bool,
    /// What each partition has heard; `i64::MIN` before the first.
    heard: RefCell<Vec<i64>>,
    partitions: Cell<u32>,
}

impl Announcer {
    pub(crate) fn new(topic: u32, sources: Vec<String>, at_flush: bool) -> Self {
        Self {
            topic,
            sources,
            at_flush,
            heard: RefCell::default(),
            partitions: Cell::new(0),
        }
    }

    /// Adds what the partition of a record has not heard to the record's headers. Answers its partition.
    pub(crate) fn on_record<'b>(
        &self,
        ctx: &mut Context<'_>,
        route: Route<'b>,
        headers: &mut Headers,
    ) -> Result<Route<'b>> {
        let partitions = ctx.output.partitions(self.topic)?;
        let partition = match route {
            Route::Key(bytes) => partition_for_key(bytes, partitions),
            Route::Partition(partition) => partition,
            Route::Any => return Ok(route),
        };
        let closing = &ctx.state.closing;
        let time = match self.at_flush {
            true => closing.said,
            false => closing.of(ctx.state.stream_time),
        };
        if !ctx.state.closing.is_mixed() && self.is_news(partition, partitions, time) {
            self.announcement(ctx, time)?.add_to(headers);
        }
        Ok(Route::Partition(partition))
    }

    /// Nobody counts as having heard anything: it is all said again.
    pub(crate) fn forget(&self) {
        self.heard.borrow_mut().clear();
    }

    /// Says `time` to every partition that has not heard it; answers to how many.
    pub(crate) fn announce(&self, ctx: &mut Context<'_>, time: i64) -> Result<u64> {
        let partitions = ctx.output.partitions(self.topic)?;
        let mut said = 0;
        for partition in 0..partitions {
            if !self.is_news(partition, partitions, time) {
                continue;
            }
            let mut headers = Headers::default();
            self.announcement(ctx, time)?.add_to(&mut headers);
            let record = AppendRecord {
                timestamp: ctx.state.stream_time.max(0),
                key: None,
                value: None,
                headers: headers.as_ref(),
            };
            let route = Route::Partition(partition);
            ctx.output.send(self.topic, route, &record)?;
            said += 1;
        }
        Ok(said)
    }

    fn is_news(&self, partition: u32, partitions: u32, time: i64) -> bool {
        let heard = &mut *self.heard.borrow_mut();
        heard.resize(partitions as usize, i64::MIN);
        let last = &mut heard[partition as usize];
        let is_news = time > *last || (*last == IDLE && time != IDLE);
        if is_news {
            *last = time;
        }
        is_news
    }

    fn announcement(&self, ctx: &mut Context<'_>, time: i64) -> Result<Announcement> {
        if self.partitions.get() == 0 {
            let mut most = 1;
            for source in &self.sources {
                most = most.max(ctx.output.partitions_of(source)?);
            }
            self.partitions.set(most);
        }
        Ok(Announcement {
            partition: ctx.state.id.partition,
            partitions: self.partitions.get(),
            time,
        })
    }
}

/// After a flush: says the time up to which everything has been sent.
pub(crate) fn after_flush(
    ctx: &mut Context<'_>,
    announcers: &[std::rc::Rc<Announcer>],
) -> Result<()> {
    if announcers.is_empty() {
        return Ok(());
    }
    let time = ctx.state.closing.of(ctx.state.stream_time);
    ctx.state.closing.said = time;
    // An idle task stays so until it has processed a record.
    if time >= 0 && !ctx.state.said_idle && !ctx.state.closing.is_mixed() {
        for announcer in announcers {
            announcer.announce(ctx, time)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(closing: &mut ClosingTime, marks: &mut Marks, partition: u32, time: i64) {
        let said = Announcement {
            partition,
            partitions: 2,
            time,
        };
        closing.hear(marks, 7, said);
    }

    #[test]
    fn the_header_comes_off_as_it_went_on() {
        let said = Announcement {
            partition: 3,
            partitions: 4,
            time: 1500,
        };
        let mut headers = Headers::default();
        headers.add("user", Some(b"v"));
        let plain = headers.clone();
        said.add_to(&mut headers);
        let mut found = headers.as_ref();
        assert_eq!(Announcement::take(&mut found), Some(said));
        assert_eq!(found, plain.as_ref());
        assert_eq!(Announcement::take(&mut found), None);
    }

    #[test]
    fn a_topic_that_is_not_yet_heard_holds_windows_open_once_another_is() {
        let mut marks = Marks::default();
        let mut closing = ClosingTime::new(vec![7, 8], &marks);
        say(&mut closing, &mut marks, 0, 90);
        say(&mut closing, &mut marks, 1, 90);
        assert_eq!(closing.of(100), -1);
        for partition in 0..2 {
            let said = Announcement {
                partition,
                partitions: 2,
                time: 50,
            };
            closing.hear(&mut marks, 8, said);
        }
        assert_eq!(closing.of(100), 50);
    }

    #[test]
    fn while_some_upstream_tasks_say_nothing_nobody_holds_windows_open() {
        let mut marks = Marks::default();
        let mut closing = ClosingTime::new(vec![7], &marks);
        say(&mut closing, &mut marks, 0, 90);
        assert_eq!(closing.of(100), -1, "partition 1 is not heard of");
        closing.set_mixed(true, 95);
        assert!(closing.settle());
        assert_eq!((closing.of(100), closing.settled(100)), (100, 100));
        say(&mut closing, &mut marks, 1, 40);
        assert_eq!(closing.of(100), 100);
        closing.set_mixed(false, 120);
        assert_eq!(closing.of(150), 120, "what was closed stays closed");
        say(&mut closing, &mut marks, 0, 140);
        assert_eq!(closing.of(150), 120);
        say(&mut closing, &mut marks, 1, 130);
        assert_eq!(closing.of(150), 130);
    }

    #[test]
    fn the_slowest_upstream_task_bounds_what_closes() {
        let mut marks = Marks::default();
        let mut closing = ClosingTime::new(vec![7], &marks);
        assert_eq!(
            closing.of(100),
            100,
            "nobody says times: as in Kafka Streams"
        );
        say(&mut closing, &mut marks, 0, 90);
        assert_eq!(closing.of(100), -1, "the other is not heard yet");
        say(&mut closing, &mut marks, 1, 40);
        assert_eq!((closing.of(100), closing.settled(100)), (40, -1));
        assert!(closing.settle() && !closing.settle());
        assert_eq!(closing.settled(100), 40);
        say(&mut closing, &mut marks, 1, IDLE);
        assert_eq!((closing.of(100), closing.is_idle()), (90, false));
        say(&mut closing, &mut marks, 1, 60);
        assert_eq!(closing.of(100), 90, "it does not go back");
        let again = ClosingTime::new(vec![7], &marks);
        assert_eq!(again.of(100), 60, "a commit carries what was heard");
    }
}

//! The inputs that a task begins with, and the time of what is in front of each. Not what waits in them.
//! Invariant: an input without a committed position begins where its start is.

use crate::task::dead_letter::Remembered;
use crate::task::{Feed, Wiring, input::Input, metadata};
use crate::{Result, SubtopologyInfo};
use headwater_log::{CommittedOffset, Offset, TaskId, TopicPartition};
use std::rc::Rc;

/// The inputs of a task at their positions, who takes their records, and the times that the last commit carried.
pub(super) struct Inputs {
    pub(super) inputs: Vec<Input>,
    pub(super) feeds: Vec<Rc<dyn Feed>>,
    pub(super) marks: Vec<(String, i64)>,
}

/// Those of a part's task.
pub(super) fn of(
    wiring: &mut Wiring<'_>,
    part: &SubtopologyInfo,
    id: TaskId,
    committed: &[(TopicPartition, CommittedOffset)],
    start: &mut dyn FnMut(&TopicPartition) -> Offset,
) -> Inputs {
    let topology = wiring.topology;
    let mut inputs = Vec::new();
    let mut feeds = Vec::new();
    let mut marks = Vec::new();
    for (topic, feed) in wiring.feeds(&part.nodes) {
        let name = &topology.source_topics[topic as usize];
        let partition = TopicPartition::new(name.clone(), id.partition);
        let (position, epoch, time) = match committed
            .iter()
            .find(|(committed, _)| *committed == partition)
        {
            Some((_, offset)) => {
                let (time, named) = metadata::decode(&offset.metadata);
                marks.extend(named);
                (offset.offset, offset.leader_epoch, time)
            }
            None => (start(&partition), None, -1),
        };
        let mut input = Input::new(name, topic, id.partition, position, time);
        input.epoch_before = epoch;
        input.asks = topology.stores_asked(topic).to_vec();
        inputs.push(input);
        feeds.push(match topology.settings.sends_letters() {
            true => Rc::new(Remembered(feed)),
            false => feed,
        });
    }
    Inputs {
        inputs,
        feeds,
        marks,
    }
}

/// The event time of the record in front of an input, decided once when it gets there.
#[inline]
pub(super) fn head_time(input: &mut Input, feed: &dyn Feed) -> Result<Option<i64>> {
    if input.head_time.is_some() {
        return Ok(input.head_time);
    }
    let partition_time = input.partition_time;
    let time = input
        .peek()?
        .map(|record| feed.timestamp(&record, partition_time));
    input.head_time = time;
    Ok(time)
}

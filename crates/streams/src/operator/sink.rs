//! The end of a sub-topology: encodes records for a topic; and the filter in front of repartition topics.
//! Not a producer. Invariant: a key's bytes choose its partition unless the topic says otherwise.

use crate::dsl::{PartitionOf, PartitionsOf};
use crate::format::FormatOf;
use crate::task::{Announcer, Context, Outputs, Receive, Route, Scratch};
use crate::{Error, Record, Result};
use headwater_log::AppendRecord;
use std::{rc::Rc, sync::Arc};

/// Chooses the topic of a record.
pub(crate) type TopicOf<K, V> = Arc<dyn Fn(&K, Option<&V>) -> String + Send + Sync>;

/// Where a sink writes.
pub(crate) enum Target<K, V> {
    /// The topology's output topic of this number and name.
    Topic(u32, Arc<str>),
    /// A topic chosen for each record.
    Chosen(TopicOf<K, V>),
}

pub(crate) struct Sink<K, V> {
    pub(crate) target: Target<K, V>,
    pub(crate) key: FormatOf<K>,
    pub(crate) value: FormatOf<V>,
    pub(crate) partition: Option<PartitionOf<K, V>>,
    pub(crate) partitions: Option<PartitionsOf<K, V>>,
    /// Says the task's stream time, where windows close behind the topic.
    pub(crate) announcer: Option<Rc<Announcer>>,
    pub(crate) key_bytes: Scratch,
    pub(crate) value_bytes: Scratch,
}

impl<K, V> Sink<K, V> {
    #[inline]
    fn route<'b>(
        &self,
        ctx: &mut Context<'_>,
        record: &Record<K, V>,
        topic: (Option<u32>, &str),
        key_bytes: Option<&'b [u8]>,
    ) -> Result<Route<'b>> {
        if let Some(choose) = &self.partition {
            return self.chosen(ctx, record, topic, choose);
        }
        Ok(match key_bytes {
            Some(bytes) => Route::Key(self.key.partition_key(bytes)),
            None => Route::Any,
        })
    }

    #[inline(never)]
    fn chosen<'b>(
        &self,
        ctx: &mut Context<'_>,
        record: &Record<K, V>,
        topic: (Option<u32>, &str),
        choose: &PartitionOf<K, V>,
    ) -> Result<Route<'b>> {
        let partitions = partitions_of(ctx, topic)?;
        let partition = choose(&record.key, record.value.as_ref(), partitions);
        check(topic.1, partition, partitions)?;
        Ok(Route::Partition(partition))
    }

    /// The partitions of a record that is sent to several; `None` where the key decides.
    #[inline]
    fn partitions(
        &self,
        ctx: &mut Context<'_>,
        record: &Record<K, V>,
        topic: (Option<u32>, &str),
    ) -> Result<Option<Vec<u32>>> {
        let Some(choose) = &self.partitions else {
            return Ok(None);
        };
        let partitions = partitions_of(ctx, topic)?;
        let mut chosen = choose(&record.key, record.value.as_ref(), partitions);
        if let Some(chosen) = &mut chosen {
            chosen.sort_unstable();
            chosen.dedup();
            if let Some(last) = chosen.last() {
                check(topic.1, *last, partitions)?;
            }
        }
        Ok(chosen)
    }
}

fn partitions_of(ctx: &mut Context<'_>, topic: (Option<u32>, &str)) -> Result<u32> {
    match topic.0 {
        Some(number) => ctx.output.partitions(number),
        None => ctx.output.partitions_of(topic.1),
    }
}

fn check(topic: &str, partition: u32, partitions: u32) -> Result<()> {
    if partition < partitions {
        return Ok(());
    }
    Err(Error::Topology(format!(
        "what chooses the partitions of topic '{topic}' chose partition {partition} of {partitions}"
    )))
}

fn send(
    ctx: &mut Context<'_>,
    (number, topic): (Option<u32>, &str),
    route: Route<'_>,
    record: &AppendRecord<'_>,
) -> Result<()> {
    match number {
        Some(number) => ctx.output.send(number, route, record),
        None => ctx.output.send_to(topic, route, record),
    }
}

impl<K, V> Receive<K, V> for Sink<K, V> {
    #[inline]
    fn receive(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        match &self.target {
            Target::Topic(number, name) => self.write(ctx, record, (Some(*number), name)),
            Target::Chosen(choose) => {
                let chosen = choose(&record.key, record.value.as_ref());
                self.write(ctx, record, (None, &chosen))
            }
        }
    }
}

impl<K, V> Sink<K, V> {
    fn write(
        &self,
        ctx: &mut Context<'_>,
        mut record: Record<K, V>,
        (number, topic): (Option<u32>, &str),
    ) -> Result<()> {
        let error = |error| Error::format(topic, &error);
        let (mut key_bytes, mut value_bytes) = (self.key_bytes.take(), self.value_bytes.take());
        let has_key = (self.key)
            .encode_present(topic, &mut record.headers, &record.key, &mut key_bytes)
            .map_err(error)?;
        let mut has_value = false;
        if let Some(value) = &record.value {
            has_value = (self.value)
                .encode_present(topic, &mut record.headers, value, &mut value_bytes)
                .map_err(error)?;
        }
        let key = has_key.then_some(key_bytes.as_slice());
        let value = has_value.then_some(value_bytes.as_slice());
        if let Some(partitions) = self.partitions(ctx, &record, (number, topic))? {
            if partitions.is_empty() {
                ctx.drop_record();
            }
            let encoded = AppendRecord {
                timestamp: record.timestamp,
                key,
                value,
                headers: record.headers.as_ref(),
            };
            for partition in partitions {
                send(ctx, (number, topic), Route::Partition(partition), &encoded)?;
            }
            self.key_bytes.give(key_bytes);
            self.value_bytes.give(value_bytes);
            return Ok(());
        }
        let mut route = self.route(ctx, &record, (number, topic), key)?;
        // A record without a key and with the header would be taken for one that says the time and no more.
        if let Some(announcer) = self.announcer.as_ref().filter(|_| has_key) {
            route = announcer.on_record(ctx, route, &mut record.headers)?;
        }
        let encoded = AppendRecord {
            timestamp: record.timestamp,
            key,
            value,
            headers: record.headers.as_ref(),
        };
        send(ctx, (number, topic), route, &encoded)?;
        self.key_bytes.give(key_bytes);
        self.value_bytes.give(value_bytes);
        Ok(())
    }
}

/// Drops records with a null key, unless what comes behind the repartition topic takes them.
pub(crate) struct NullKeyFilter<K, V> {
    pub(crate) key: FormatOf<K>,
    pub(crate) keeps_null_keys: bool,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: Clone, V: Clone> Receive<K, V> for NullKeyFilter<K, V> {
    fn receive(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        if !self.keeps_null_keys && self.key.is_null(&record.key) {
            ctx.drop_record();
            return Ok(());
        }
        self.outputs.send(ctx, record)
    }
}

//! The end of a sub-topology: encodes records for a topic; and the filter in front of repartition topics.
//! Not a producer. Invariant: a key's bytes choose its partition unless the topic says otherwise.

use crate::dsl::{PartitionOf, PartitionsOf};
use crate::format::{Code, Codec, FormatOf};
use crate::task::{Announcer, Context, Meta, Outputs, Receive, Route, Scratch, Step};
use crate::{Error, Result};
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
    pub(crate) key: Codec<K>,
    pub(crate) value: Codec<V>,
    pub(crate) partition: Option<PartitionOf<K, V>>,
    pub(crate) partitions: Option<PartitionsOf<K, V>>,
    /// Says the task's stream time, where windows close behind the topic.
    pub(crate) announcer: Option<Rc<Announcer>>,
    /// Of a key and the value behind it.
    pub(crate) bytes: Scratch,
    /// Of a value in a format of the application's, which should append and might overwrite the key.
    pub(crate) value_bytes: Scratch,
}

/// Key and value of a record for a sink.
type Pair<'r, K, V> = (&'r K, Option<&'r V>);

impl<K: 'static, V: 'static> Sink<K, V> {
    #[inline(always)]
    fn route<'b>(
        &self,
        ctx: &mut Context<'_>,
        pair: Pair<'_, K, V>,
        topic: (Option<u32>, &str),
        key_bytes: Option<&'b [u8]>,
    ) -> Result<Route<'b>> {
        if let Some(choose) = &self.partition {
            return chosen(ctx, pair, topic, choose);
        }
        Ok(match key_bytes {
            Some(bytes) => Route::Key(self.key.partition_key(bytes)),
            None => Route::Any,
        })
    }

    #[inline(always)]
    fn write(
        &self,
        ctx: &mut Context<'_>,
        pair: Pair<'_, K, V>,
        meta: &mut Meta,
        topic: (Option<u32>, &str),
    ) -> Step {
        let mut bytes = self.bytes.take();
        let has_key = encode(&self.key, topic.1, meta, pair.0, &mut bytes)?;
        let key_len = bytes.len();
        let mut apart = (!self.value.is_own()).then(|| self.value_bytes.take());
        let has_value = match pair.1 {
            Some(value) => {
                let bytes = apart.as_deref_mut().unwrap_or(&mut *bytes);
                encode(&self.value, topic.1, meta, value, bytes)?
            }
            None => false,
        };
        let (key, value) = bytes.split_at(key_len);
        let value = apart.as_ref().map_or(value, |bytes| bytes.as_slice());
        let (key, value) = (has_key.then_some(key), has_value.then_some(value));
        if let Some(choose) = &self.partitions
            && let Some(partitions) = several(ctx, pair, topic, choose)?
        {
            send_several(ctx, topic, &partitions, &encoded(meta, key, value))?;
        } else {
            let mut route = self.route(ctx, pair, topic, key)?;
            // A record without a key and with the header would be taken for one that says the time and no more.
            if let Some(announcer) = self.announcer.as_ref().filter(|_| has_key) {
                route = announcer.on_record(ctx, route, &mut meta.headers)?;
            }
            send(ctx, topic, route, &encoded(meta, key, value))?;
        }
        self.bytes.give(bytes);
        if let Some(bytes) = apart {
            self.value_bytes.give(bytes);
        }
        Ok(())
    }
}

/// Appends a key or a value to `bytes`; false when it is null.
#[inline(always)]
fn encode<T>(
    format: &impl Code<T>,
    topic: &str,
    meta: &mut Meta,
    value: &T,
    bytes: &mut Vec<u8>,
) -> Step<bool> {
    match format.encode_present(topic, &mut meta.headers, value, bytes) {
        Ok(present) => Ok(present),
        Err(error) => Err(Error::format(topic, &error).into()),
    }
}

impl<K: 'static, V: 'static> Receive<K, V> for Sink<K, V> {
    #[inline]
    fn receive(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step {
        let pair = (&key, value.as_ref());
        let chosen;
        let topic = match &self.target {
            Target::Topic(number, name) => (Some(*number), &**name),
            Target::Chosen(choose) => {
                chosen = choose(pair.0, pair.1);
                (None, chosen.as_str())
            }
        };
        self.write(ctx, pair, meta, topic)
    }
}

#[inline(never)]
fn chosen<'b, K, V>(
    ctx: &mut Context<'_>,
    (key, value): Pair<'_, K, V>,
    topic: (Option<u32>, &str),
    choose: &PartitionOf<K, V>,
) -> Result<Route<'b>> {
    let partitions = partitions_of(ctx, topic)?;
    let partition = choose(key, value, partitions);
    check(topic.1, partition, partitions)?;
    Ok(Route::Partition(partition))
}

/// The partitions of a record that is sent to several; `None` where the key decides.
#[inline(never)]
fn several<K, V>(
    ctx: &mut Context<'_>,
    (key, value): Pair<'_, K, V>,
    topic: (Option<u32>, &str),
    choose: &PartitionsOf<K, V>,
) -> Result<Option<Vec<u32>>> {
    let partitions = partitions_of(ctx, topic)?;
    let mut chosen = choose(key, value, partitions);
    if let Some(chosen) = &mut chosen {
        chosen.sort_unstable();
        chosen.dedup();
        if let Some(last) = chosen.last() {
            check(topic.1, *last, partitions)?;
        }
    }
    Ok(chosen)
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

#[inline(always)]
fn encoded<'b>(meta: &'b Meta, key: Option<&'b [u8]>, value: Option<&'b [u8]>) -> AppendRecord<'b> {
    AppendRecord {
        timestamp: meta.timestamp,
        key,
        value,
        headers: meta.headers.as_ref(),
    }
}

#[inline(always)]
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

#[inline(never)]
fn send_several(
    ctx: &mut Context<'_>,
    topic: (Option<u32>, &str),
    partitions: &[u32],
    record: &AppendRecord<'_>,
) -> Result<()> {
    if partitions.is_empty() {
        ctx.drop_record();
    }
    for partition in partitions {
        send(ctx, topic, Route::Partition(*partition), record)?;
    }
    Ok(())
}

/// Drops records with a null key, unless what comes behind the repartition topic takes them.
pub(crate) struct NullKeyFilter<K, V> {
    pub(crate) key: FormatOf<K>,
    pub(crate) keeps_null_keys: bool,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: Clone, V: Clone> Receive<K, V> for NullKeyFilter<K, V> {
    #[inline]
    fn receive(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step {
        if !self.keeps_null_keys && self.key.is_null(&key) {
            ctx.drop_record();
            return Ok(());
        }
        self.outputs.pass(ctx, key, value, meta)
    }
}

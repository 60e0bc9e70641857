//! The end of a sub-topology: encodes records for a topic; and the filter in front of repartition topics.
//! Not a producer. Invariant: a key's bytes choose its partition unless the topic says otherwise.

use crate::dsl::PartitionOf;
use crate::format::FormatOf;
use crate::task::{Context, Outputs, Receive, Route};
use crate::{Error, Record, Result};
use headwater_log::AppendRecord;
use std::sync::Arc;

pub(crate) struct Sink<K, V> {
    pub(crate) topic: u32,
    pub(crate) name: Arc<str>,
    pub(crate) key: FormatOf<K>,
    pub(crate) value: FormatOf<V>,
    pub(crate) partition: Option<PartitionOf<K, V>>,
    pub(crate) key_bytes: Vec<u8>,
    pub(crate) value_bytes: Vec<u8>,
}

impl<K, V> Receive<K, V> for Sink<K, V> {
    fn receive(&mut self, ctx: &mut Context<'_>, mut record: Record<K, V>) -> Result<()> {
        let error = |error| Error::format(&self.name, &error);
        self.key_bytes.clear();
        self.value_bytes.clear();
        let has_key = !self.key.is_null(&record.key);
        if has_key {
            self.key
                .encode(
                    &self.name,
                    &mut record.headers,
                    &record.key,
                    &mut self.key_bytes,
                )
                .map_err(error)?;
        }
        let mut has_value = false;
        if let Some(value) = &record.value
            && !self.value.is_null(value)
        {
            self.value
                .encode(
                    &self.name,
                    &mut record.headers,
                    value,
                    &mut self.value_bytes,
                )
                .map_err(error)?;
            has_value = true;
        }
        let route = match &self.partition {
            Some(choose) => {
                let partitions = ctx.output.partitions(self.topic)?;
                let partition = choose(&record.key, record.value.as_ref(), partitions);
                if partition >= partitions {
                    return Err(Error::Topology(format!(
                        "partition_by of topic '{}' chose partition {partition} of {partitions}",
                        self.name
                    )));
                }
                Route::Partition(partition)
            }
            None if has_key => Route::Key(self.key.partition_key(&self.key_bytes)),
            None => Route::Any,
        };
        let encoded = AppendRecord {
            timestamp: record.timestamp,
            key: has_key.then_some(&self.key_bytes),
            value: has_value.then_some(&self.value_bytes),
            headers: record.headers.as_ref(),
        };
        ctx.output.send(self.topic, route, &encoded)
    }
}

/// Drops records with a null key, unless what comes behind the repartition topic takes them.
pub(crate) struct NullKeyFilter<K, V> {
    pub(crate) key: FormatOf<K>,
    pub(crate) keeps_null_keys: bool,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: Clone, V: Clone> Receive<K, V> for NullKeyFilter<K, V> {
    fn receive(&mut self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        if !self.keeps_null_keys && self.key.is_null(&record.key) {
            ctx.drop_record();
            return Ok(());
        }
        self.outputs.send(ctx, record)
    }
}

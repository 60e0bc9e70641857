//! A source: decodes raw records and hands them to the first operators. Not a consumer.
//! Invariant: a record that cannot be decoded follows the topic's policy; it is never lost silently.

use crate::dsl::{BadData, TimestampOf};
use crate::format::FormatOf;
use crate::task::{Context, Feed, Outputs, Route};
use crate::{Error, Headers, Position, Record, Result};
use headwater_log::{AppendRecord, RecordRef};
use std::sync::Arc;

pub(crate) struct Source<K, V> {
    pub(crate) topic: Arc<str>,
    pub(crate) key: FormatOf<K>,
    pub(crate) value: FormatOf<V>,
    pub(crate) timestamp: Option<TimestampOf<K, V>>,
    pub(crate) bad_data: BadData,
    /// Rows need a key: a table passes over records without one, whatever the policy, as Kafka Streams does.
    pub(crate) drops_null_keys: bool,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K, V> Source<K, V> {
    fn decode(&self, record: &RecordRef<'_>) -> Result<(K, Option<V>), String> {
        let key = match record.key {
            Some(bytes) => self
                .key
                .decode(&self.topic, record.headers, bytes)
                .map_err(|error| format!("its key is {error}"))?,
            None => self.key.null().ok_or_else(|| {
                format!(
                    "its key is null, which {} cannot be; use Option<..> or () as the key's type",
                    std::any::type_name::<K>()
                )
            })?,
        };
        let value = match record.value {
            Some(bytes) => {
                let value = self
                    .value
                    .decode(&self.topic, record.headers, bytes)
                    .map_err(|error| format!("its value is {error}"))?;
                Some(value)
            }
            None => self.value.null(),
        };
        Ok((key, value))
    }

    #[cold]
    fn bad(
        &self,
        ctx: &mut Context<'_>,
        record: &RecordRef<'_>,
        partition: u32,
        reason: String,
    ) -> Result<()> {
        match &self.bad_data {
            BadData::Fail => {
                let topic = self.topic.to_string();
                return Err(Error::BadData {
                    topic,
                    partition,
                    offset: record.offset,
                    reason,
                });
            }
            BadData::Skip => {}
            BadData::DeadLetter(topic) => {
                let mut headers = Headers::copied(record.headers);
                // The names of `ExceptionHandlerUtils` (KIP-1034).
                headers.add("__streams.errors.exception", Some(b"headwater.BadData"));
                headers.add("__streams.errors.message", Some(reason.as_bytes()));
                headers.add("__streams.errors.topic", Some(self.topic.as_bytes()));
                headers.add(
                    "__streams.errors.partition",
                    Some(partition.to_string().as_bytes()),
                );
                headers.add(
                    "__streams.errors.offset",
                    Some(record.offset.to_string().as_bytes()),
                );
                let letter = AppendRecord {
                    timestamp: record.timestamp,
                    key: record.key,
                    value: record.value,
                    headers: headers.as_ref(),
                };
                ctx.output
                    .send_to(topic, record.key.map_or(Route::Any, Route::Key), &letter)?;
            }
        }
        ctx.state.counters.bad += 1;
        Ok(())
    }
}

impl<K: Clone, V: Clone> Feed for Source<K, V> {
    #[inline]
    fn timestamp(&self, record: &RecordRef<'_>) -> i64 {
        match &self.timestamp {
            None => record.timestamp,
            // What cannot be decoded keeps its own time: the policy decides when the record is processed.
            Some(timestamp) => match self.decode(record) {
                Ok((key, value)) => timestamp(&key, value.as_ref(), record.timestamp),
                Err(_) => record.timestamp,
            },
        }
    }

    #[inline]
    fn feed(
        &mut self,
        ctx: &mut Context<'_>,
        record: &RecordRef<'_>,
        topic: u32,
        partition: u32,
    ) -> Result<Option<i64>> {
        if self.drops_null_keys && record.key.is_none() {
            ctx.drop_record();
            return Ok(ctx.observe(record.timestamp));
        }
        let (key, value) = match self.decode(record) {
            Ok(decoded) => decoded,
            Err(reason) => return self.bad(ctx, record, partition, reason).map(|()| None),
        };
        let timestamp = match &self.timestamp {
            None => record.timestamp,
            Some(timestamp) => timestamp(&key, value.as_ref(), record.timestamp),
        };
        if ctx.observe(timestamp).is_none() {
            ctx.drop_record();
            return Ok(None);
        }
        let position = Position {
            topic,
            partition,
            offset: record.offset,
        };
        let headers = Headers::copied(record.headers);
        let record = Record {
            key,
            value,
            timestamp,
            headers,
            position,
        };
        self.outputs.send(ctx, record)?;
        Ok(Some(timestamp))
    }
}

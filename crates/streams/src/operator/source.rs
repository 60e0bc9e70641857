//! A source: decodes raw records and hands them to the first operators. Not a consumer.
//! Invariant: a record that cannot be decoded follows the topic's policy; it is never lost silently.

use crate::dsl::{BadData, TimestampArgs, TimestampOf};
use crate::format::{Code, Codec, FormatError};
use crate::task::dead_letter;
use crate::task::{Context, Feed, Meta, Outputs, Route, Step};
use crate::{Error, Headers, Position, Result};
use headwater_log::{AppendRecord, RecordRef};
use std::sync::Arc;

pub(crate) struct Source<K, V> {
    pub(crate) key: Codec<K>,
    pub(crate) value: Codec<V>,
    pub(crate) timestamp: Option<TimestampOf<K, V>>,
    pub(crate) bad_data: BadData,
    /// Rows need a key: a table passes over records without one, whatever the policy, as Kafka Streams does.
    pub(crate) drops_null_keys: bool,
    pub(crate) outputs: Outputs<K, V>,
}

impl<K: 'static, V: 'static> Source<K, V> {
    #[inline(always)]
    fn decode(&self, topic: &str, record: &RecordRef<'_>) -> Result<(K, Option<V>), String> {
        let key = match record.key {
            Some(bytes) => self
                .key
                .decode(topic, record.headers, bytes)
                .map_err(|error| bad_bytes("key", &error))?,
            None => self.key.null().ok_or_else(no_null::<K>)?,
        };
        let value = match record.value {
            Some(bytes) => {
                let value = self
                    .value
                    .decode(topic, record.headers, bytes)
                    .map_err(|error| bad_bytes("value", &error))?;
                Some(value)
            }
            None => self.value.null(),
        };
        Ok((key, value))
    }

    #[inline(never)]
    fn extracted(
        &self,
        timestamp: &TimestampOf<K, V>,
        record: &RecordRef<'_>,
        partition_time: i64,
    ) -> i64 {
        match self.decode("", record) {
            Ok((key, value)) => timestamp(TimestampArgs {
                key: &key,
                value: value.as_ref(),
                timestamp: record.timestamp,
                partition_time,
            }),
            // What cannot be decoded keeps its own time: the policy decides when the record is processed.
            Err(_) => record.timestamp,
        }
    }

    #[cold]
    fn bad(
        &self,
        ctx: &mut Context<'_>,
        record: &RecordRef<'_>,
        place: (&Arc<str>, u32),
        reason: String,
    ) -> Result<()> {
        let (topic, partition) = place;
        match &self.bad_data {
            BadData::Fail => {
                return Err(Error::BadData {
                    topic: topic.to_string(),
                    partition,
                    offset: record.offset,
                    reason,
                });
            }
            BadData::Skip => {}
            BadData::DeadLetter(letters) => {
                let place = (&**topic, partition, record.offset);
                let headers =
                    dead_letter::headers(record.headers, "headwater.BadData", &reason, Some(place));
                let letter = AppendRecord {
                    timestamp: record.timestamp,
                    key: record.key,
                    value: record.value,
                    headers: headers.as_ref(),
                };
                let route = record.key.map_or(Route::Any, Route::Key);
                ctx.output.send_to(letters, route, &letter)?;
            }
        }
        ctx.state.counters.bad += 1;
        Ok(())
    }
}

#[cold]
fn bad_bytes(part: &str, error: &FormatError) -> String {
    format!("its {part} is {error}")
}

#[cold]
fn no_null<K>() -> String {
    format!(
        "its key is null, which {} cannot be; use Option<..> or () as the key's type",
        std::any::type_name::<K>()
    )
}

impl<K: Clone + 'static, V: Clone + 'static> Feed for Source<K, V> {
    #[inline]
    fn timestamp(&self, record: &RecordRef<'_>, partition_time: i64) -> i64 {
        match &self.timestamp {
            None => record.timestamp,
            Some(timestamp) => self.extracted(timestamp, record, partition_time),
        }
    }

    fn keeps_timestamps(&self) -> bool {
        self.timestamp.is_none()
    }

    fn can_decode(&self, topic: &str, record: &RecordRef<'_>) -> bool {
        self.decode(topic, record).is_ok()
    }

    #[inline]
    fn feed(
        &self,
        ctx: &mut Context<'_>,
        record: &RecordRef<'_>,
        timestamp: i64,
        topic: u32,
        partition: u32,
    ) -> Step<bool> {
        let name = &ctx.state.topics[topic as usize];
        if self.drops_null_keys && record.key.is_none() {
            ctx.drop_record();
            return Ok(ctx.observe(timestamp).is_some());
        }
        let (key, value) = match self.decode(name, record) {
            Ok(decoded) => decoded,
            Err(reason) => {
                let name = name.clone();
                self.bad(ctx, record, (&name, partition), reason)?;
                return Ok(false);
            }
        };
        if ctx.observe(timestamp).is_none() {
            ctx.drop_record();
            return Ok(false);
        }
        let mut meta = Meta {
            timestamp,
            headers: Headers::copied(record.headers),
            position: Position {
                topic,
                partition,
                offset: record.offset,
            },
        };
        self.outputs.pass(ctx, key, value, &mut meta)?;
        Ok(true)
    }
}

//! Dead letters: records that failed, on their way to the topic the application set aside for them (KIP-1034).
//! Not retried. Invariant: a letter holds the raw bytes of the source record and says where it was read and why it failed.

use super::{Context, Route};
use crate::{Headers, Result};
use headwater_log::{AppendRecord, HeadersRef, RecordRef};

/// The headers of a letter, by the names of `ExceptionHandlerUtils`.
pub(crate) fn headers(
    original: HeadersRef<'_>,
    class: &str,
    reason: &str,
    place: Option<(&str, u32, i64)>,
) -> Headers {
    let mut headers = Headers::copied(original);
    headers.add("__streams.errors.exception", Some(class.as_bytes()));
    headers.add("__streams.errors.message", Some(reason.as_bytes()));
    if let Some((topic, partition, offset)) = place {
        headers.add("__streams.errors.topic", Some(topic.as_bytes()));
        let partition = partition.to_string();
        headers.add("__streams.errors.partition", Some(partition.as_bytes()));
        headers.add(
            "__streams.errors.offset",
            Some(offset.to_string().as_bytes()),
        );
    }
    headers
}

/// Sends the failures that operators left, with the raw bytes of the record that caused them, where there is one.
#[cold]
pub(crate) fn send(
    ctx: &mut Context<'_>,
    source: Option<(&RecordRef<'_>, u32, u32)>,
) -> Result<()> {
    let failures = std::mem::take(&mut ctx.state.failures);
    let names = ctx.state.topics.clone();
    for failure in failures {
        let reason = format!("{} failed: {}", failure.node, failure.reason);
        let (key, value, original, place) = match source {
            Some((record, source_topic, partition)) => {
                let place = (&*names[source_topic as usize], partition, record.offset);
                (record.key, record.value, record.headers, Some(place))
            }
            None => (None, None, HeadersRef::NONE, None),
        };
        let headers = headers(original, "headwater.Processor", &reason, place);
        let letter = AppendRecord {
            timestamp: failure.timestamp,
            key,
            value,
            headers: headers.as_ref(),
        };
        ctx.output
            .send_to(&failure.topic, key.map_or(Route::Any, Route::Key), &letter)?;
    }
    Ok(())
}

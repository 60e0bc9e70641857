//! What each processor makes of one record. Not the processors themselves: keys that change and punctuations are theirs.
//! Invariant: a step forwards nothing; it says what is to be forwarded.

use super::reach::Reach;
use super::{Kind, Plan};
use crate::store::StoreRef;
use crate::value::{Val, present};
use headwater::streams::Error;
use headwater::{Headers, Position};

type Result<T, E = Error> = std::result::Result<T, E>;

/// A record as a processor sees it.
pub(crate) struct Seen {
    pub(crate) key: Val,
    pub(crate) value: Val,
    pub(crate) timestamp: i64,
    pub(crate) headers: Headers,
    pub(crate) position: Position,
}

/// What it forwards under the same key.
pub(crate) struct Made {
    pub(crate) value: Val,
    pub(crate) timestamp: i64,
    pub(crate) headers: Headers,
    /// The only child to forward to.
    pub(crate) child: Option<String>,
}

fn text_of(value: &Val) -> Val {
    present(value.clone()).map_or(Val::Null, |value| Val::Str(value.text()))
}

impl Plan {
    pub(super) fn store(&self) -> Result<StoreRef> {
        self.store
            .clone()
            .ok_or_else(|| Error::failed("the processor has no store"))
    }

    /// What a record leads to; `None` drops it.
    pub(super) fn step(&self, seen: Seen, ctx: &mut impl Reach) -> Result<Option<Made>> {
        let Some(value) = self.value_of(&seen, ctx)? else {
            return Ok(None);
        };
        let mut made = Made {
            value,
            timestamp: seen.timestamp,
            headers: seen.headers,
            child: None,
        };
        match &self.kind {
            Kind::SetTimestamp { offset_ms } => made.timestamp += offset_ms,
            Kind::AddHeader { name, value } => made.headers.add(name, Some(value.as_bytes())),
            Kind::DropHeaders => made.headers = Headers::default(),
            Kind::Route(child) => made.child = Some(child.call(&seen.key, &seen.value).text()),
            _ => {}
        }
        Ok(Some(made))
    }

    fn value_of(&self, seen: &Seen, ctx: &mut impl Reach) -> Result<Option<Val>> {
        let (key, value, time) = (Val::Str(seen.key.text()), &seen.value, seen.timestamp);
        let keyless = seen.key == Val::Null;
        Ok(Some(match &self.kind {
            kind if keyless && kind.needs_key() => return Ok(None),
            Kind::RunningTotal => self.total(&key, seen, ctx)?,
            Kind::Put => {
                if !keyless {
                    self.store()?.put(ctx, &key, &text_of(value), time)?;
                }
                value.clone()
            }
            Kind::Lookup => {
                let found = match keyless {
                    true => Val::Null,
                    false => self.store()?.get(ctx, &key)?,
                };
                Val::Str(format!("{},{}", value.text(), found.text()))
            }
            Kind::Dedup { window_ms } => {
                let row = (&key, &Val::Str(value.text()));
                if self.store()?.seen_before(ctx, row, *window_ms, time)? {
                    return Ok(None);
                }
                value.clone()
            }
            Kind::SessionTracker { gap_ms } => {
                let session = self.store()?.merge_session(ctx, &key, *gap_ms, time)?;
                let (count, start, end) = session;
                Val::Str(format!("{count}@{start}-{end}"))
            }
            Kind::VersionedPut => {
                let row = present(text_of(value));
                let until = self.store()?.put_version(ctx, &key, row.as_ref(), time)?;
                Val::Long(until)
            }
            Kind::VersionedGet { offset_ms } => {
                let found = self.store()?.version(ctx, &key, time - offset_ms)?;
                let found = found.map_or("null".into(), |version| {
                    format!("{}@{}", version.value.text(), version.timestamp)
                });
                Val::Str(format!("{},{found}", value.text()))
            }
            Kind::HeaderToValue { name } => match seen.headers.last(name).flatten() {
                Some(bytes) => Val::Str(String::from_utf8_lossy(bytes).into_owned()),
                None => Val::Null,
            },
            Kind::Metadata => {
                let (partition, offset) = (seen.position.partition, seen.position.offset);
                let topic = ctx.source(seen.position);
                // A punctuation's records have Java's metadata, of no topic.
                let place = topic.map_or("null/-1/-1".into(), |topic| {
                    format!("{topic}/{partition}/{offset}")
                });
                let (stream_time, now) = ctx.times();
                Val::Str(format!("{place}@{stream_time}@{now}"))
            }
            Kind::FailIf(test) if test.holds(&seen.key, value) => {
                return Err(Error::failed(format!("failed on {}", value.text())));
            }
            _ => value.clone(),
        }))
    }

    fn total(&self, key: &Val, seen: &Seen, ctx: &mut impl Reach) -> Result<Val> {
        let store = self.store()?;
        let total = match &seen.value {
            Val::Null => Val::Null,
            value => {
                let old = store.get(ctx, key)?.number();
                Val::Long(old.wrapping_add(value.number()))
            }
        };
        store.put(ctx, key, &total, seen.timestamp)?;
        Ok(total)
    }
}

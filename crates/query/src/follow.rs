//! What an owner answers to those who follow a partition. Not the following, and not the ring. Invariant: a value that is told is at
//! least as new as the change for which it is told, and what is told to be gone is no older than the values told with it.

use crate::feed::Since;
use crate::local::{self, Bounds};
use crate::wire::{Answer, Cursor, Span};
use crate::{Blob, Error, Queries, Result};
use headwater_store::{Layout, ReadBytes};
use std::collections::HashSet;
use tokio::time::{Instant, timeout_at};

/// Changes that one answer looks at.
const CHANGES_MAX: usize = 1_000;

/// Who asks for changes, but for where he is.
#[derive(Clone, Copy)]
pub(crate) struct Follower<'a> {
    pub(crate) store: &'a str,
    pub(crate) partition: u32,
    pub(crate) span: &'a Span,
    /// Of windows: those before this time are known to be gone.
    pub(crate) gone_before_ms: Option<i64>,
}

impl Queries {
    /// What changed for a follower from a cursor on; the cursor alone where nothing did until `until`.
    pub(crate) async fn changes(
        &self,
        follower: Follower<'_>,
        after: Option<Cursor>,
        until: Instant,
    ) -> Result<Answer> {
        let (store, partition) = (follower.store, follower.partition);
        let feed = self.feed(store, partition)?;
        let anew = || -> Result<Answer> {
            let cursor = feed.cursor();
            // Whatever he knew: it was perhaps another owner's.
            let begun = follower.gone_before_ms.map(|_| -1);
            Ok(Answer::Changes {
                changed: Vec::new(),
                cursor,
                is_gone: true,
                gone_before_ms: self.gone(follower, begun)?,
            })
        };
        let Some(mut cursor) = after else {
            return anew();
        };
        let bounds = Bounds::of(follower.span);
        let mut news = feed.news();
        loop {
            // Before the look: what comes after it is news again.
            news.borrow_and_update();
            let changed = match feed.since(cursor, CHANGES_MAX) {
                Since::Over => return Err(moved(store)),
                Since::Gone => return anew(),
                Since::Keys(keys) => Some(self.values(follower, &bounds, keys, &mut cursor)?),
                Since::Nothing => None,
            };
            // After the values: none of them is of a window that is told to be gone and was not when it was read.
            let gone = self.gone(follower, follower.gone_before_ms)?;
            match changed {
                Some(changed) if !changed.is_empty() || gone.is_some() => {
                    return Ok(told(changed, cursor, gone));
                }
                None if gone.is_some() => return Ok(told(Vec::new(), cursor, gone)),
                // Others than those asked for: on from behind them.
                Some(_) => continue,
                None => {}
            }
            if timeout_at(until, news.changed()).await.is_err() {
                // A commit may drop windows and change no other.
                let gone = self.gone(follower, follower.gone_before_ms)?;
                return Ok(told(Vec::new(), cursor, gone));
            }
        }
    }

    /// Before which time windows are gone by now, where that is later than `known`; `None` to those who do not watch windows.
    fn gone(&self, follower: Follower<'_>, known: Option<i64>) -> Result<Option<i64>> {
        let Some(known) = known else {
            return Ok(None);
        };
        let (store, partition) = (follower.store, follower.partition);
        let reader = self.state().views().reader(store, partition);
        let reader = reader.ok_or_else(|| moved(store))?;
        let number = self.place(store).map(|place| place.number);
        let info = number.and_then(|number| self.state().topology().store(number));
        let segment_ms = match info.map(|info| info.options.layout) {
            Some(
                Layout::Window {
                    segment_interval_ms,
                    ..
                }
                | Layout::Session {
                    segment_interval_ms,
                    ..
                },
            ) => segment_interval_ms.max(1),
            _ => return Ok(None),
        };
        // A segment at a time, and none before the epoch, where nothing is.
        let segment = reader.horizon_ms().div_euclid(segment_ms).max(0);
        let gone = segment.saturating_mul(segment_ms);
        Ok((gone > known).then_some(gone))
    }

    /// What `keys` have by now, each told once, of those that are wanted; the cursor moves behind those that were looked at.
    fn values(
        &self,
        follower: Follower<'_>,
        bounds: &Bounds,
        keys: Vec<Vec<u8>>,
        cursor: &mut Cursor,
    ) -> Result<Vec<(Blob, Option<Blob>)>> {
        let span = follower.span;
        let reader = self
            .state()
            .views()
            .reader(follower.store, follower.partition);
        let reader = reader.ok_or_else(|| moved(follower.store))?;
        let (mut changed, mut told, mut bytes) = (Vec::new(), HashSet::new(), 0);
        for key in keys {
            cursor.next += 1;
            let is_wanted = bounds.contains(&key) && local::is_wanted(&span.times, &key);
            if !is_wanted || told.contains(&key) {
                continue;
            }
            let value = local::value(&reader, &key)?;
            bytes += key.len() + value.as_ref().map_or(0, |value| value.0.len());
            told.insert(key.clone());
            changed.push((Blob(key), value));
            if bytes >= span.bytes_max {
                break;
            }
        }
        Ok(changed)
    }
}

fn told(changed: Vec<(Blob, Option<Blob>)>, cursor: Cursor, gone_before_ms: Option<i64>) -> Answer {
    Answer::Changes {
        changed,
        cursor,
        is_gone: false,
        gone_before_ms,
    }
}

fn moved(store: &str) -> Error {
    Error::NotReady(format!("store '{store}' has moved"))
}

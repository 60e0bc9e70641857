//! What an owner answers to those who follow a partition. Not the following, and not the ring. Invariant: a value that is told is at
//! least as new as the change for which it is told.

use crate::feed::Since;
use crate::local::{self, Bounds};
use crate::wire::{Answer, Cursor, Span};
use crate::{Blob, Error, Queries, Result};
use std::collections::HashSet;
use tokio::time::{Instant, timeout_at};

/// Changes that one answer looks at.
const CHANGES_MAX: usize = 1_000;

impl Queries {
    /// The changes in `span` from a cursor on; the cursor alone where nothing of `span` changed until `until`.
    pub(crate) async fn changes(
        &self,
        store: &str,
        partition: u32,
        span: &Span,
        after: Option<Cursor>,
        until: Instant,
    ) -> Result<Answer> {
        let feed = self.feed(store, partition)?;
        let gone = || Answer::Changes {
            changed: Vec::new(),
            cursor: feed.cursor(),
            is_gone: true,
        };
        let Some(mut cursor) = after else {
            return Ok(gone());
        };
        let bounds = Bounds::of(span);
        let mut news = feed.news();
        loop {
            // Before the look: what comes after it is news again.
            news.borrow_and_update();
            match feed.since(cursor, CHANGES_MAX) {
                Since::Over => return Err(moved(store)),
                Since::Gone => return Ok(gone()),
                Since::Keys(keys) => {
                    let wanted = Wanted {
                        bounds: &bounds,
                        bytes_max: span.bytes_max,
                    };
                    let changed = self.values(store, partition, keys, wanted, &mut cursor)?;
                    if !changed.is_empty() {
                        return Ok(told(changed, cursor));
                    }
                    // Others than those asked for: on from behind them.
                    continue;
                }
                Since::Nothing => {}
            }
            if timeout_at(until, news.changed()).await.is_err() {
                return Ok(told(Vec::new(), cursor));
            }
        }
    }

    /// What `keys` have by now, each told once, of those that are wanted; the cursor moves behind those that were looked at.
    fn values(
        &self,
        store: &str,
        partition: u32,
        keys: Vec<Vec<u8>>,
        wanted: Wanted<'_>,
        cursor: &mut Cursor,
    ) -> Result<Vec<(Blob, Option<Blob>)>> {
        let reader = self.state().views().reader(store, partition);
        let reader = reader.ok_or_else(|| moved(store))?;
        let (mut changed, mut told, mut bytes) = (Vec::new(), HashSet::new(), 0);
        for key in keys {
            cursor.next += 1;
            if !wanted.bounds.contains(&key) || told.contains(&key) {
                continue;
            }
            let value = local::value(&reader, &key)?;
            bytes += key.len() + value.as_ref().map_or(0, |value| value.0.len());
            told.insert(key.clone());
            changed.push((Blob(key), value));
            if bytes >= wanted.bytes_max {
                break;
            }
        }
        Ok(changed)
    }
}

/// Which changes are told in one answer.
struct Wanted<'a> {
    bounds: &'a Bounds,
    bytes_max: usize,
}

fn told(changed: Vec<(Blob, Option<Blob>)>, cursor: Cursor) -> Answer {
    Answer::Changes {
        changed,
        cursor,
        is_gone: false,
    }
}

fn moved(store: &str) -> Error {
    Error::NotReady(format!("store '{store}' has moved"))
}

//! Many partitions as one: questions asked side by side, and pages merged in byte order. Not the routing of each.
//! Invariant: an entry is handed out only when no partition can still bring one before it.

use crate::page::Position;
use crate::{Blob, Result};
use std::pin::Pin;
use std::task::Poll;

/// One partition's part of a page.
#[derive(Debug)]
pub(crate) struct Shard {
    pub(crate) partition: u32,
    pub(crate) entries: Vec<(Blob, Blob)>,
    /// The last key that was looked at, unless the range ended.
    pub(crate) more: Option<Blob>,
    pub(crate) commit: u64,
    pub(crate) lag: Option<i64>,
}

/// A page of all partitions.
pub(crate) struct Merged {
    pub(crate) entries: Vec<(Blob, Blob)>,
    pub(crate) next: Option<Position>,
}

/// Entries in order of key and partition, up to where every partition has been looked at.
pub(crate) fn merge(
    shards: &mut [Shard],
    reverse: bool,
    entries_max: usize,
    bytes_max: usize,
) -> Merged {
    let before = |a: (&Blob, u32), b: (&Blob, u32)| match reverse {
        true => (b.0, a.1) < (a.0, b.1),
        false => a < b,
    };
    let frontier = shards
        .iter()
        .filter_map(|shard| Some((shard.more.as_ref()?.clone(), shard.partition)))
        .reduce(|a, b| match before((&b.0, b.1), (&a.0, a.1)) {
            true => b,
            false => a,
        });
    let mut found: Vec<(Blob, u32, Blob)> = Vec::new();
    for shard in shards {
        let partition = shard.partition;
        let entries = std::mem::take(&mut shard.entries).into_iter();
        found.extend(entries.map(|(key, value)| (key, partition, value)));
    }
    found.retain(|(key, partition, _)| {
        let last = frontier.as_ref();
        last.is_none_or(|(end, of)| !before((end, *of), (key, *partition)))
    });
    found.sort_by(|a, b| match before((&a.0, a.1), (&b.0, b.1)) {
        true => std::cmp::Ordering::Less,
        false => std::cmp::Ordering::Greater,
    });
    let (mut bytes, mut kept) = (0, 0);
    for (key, _, value) in &found {
        bytes += key.0.len() + value.0.len();
        kept += 1;
        if kept >= entries_max || bytes >= bytes_max {
            break;
        }
    }
    let is_cut = kept < found.len();
    let last = found[..kept].last();
    let last = last.map(|(key, partition, _)| (key.clone(), *partition));
    let next = if is_cut { last } else { frontier };
    found.truncate(kept);
    Merged {
        entries: found
            .into_iter()
            .map(|(key, _, value)| (key, value))
            .collect(),
        next: next.map(|(key, partition)| Position { key, partition }),
    }
}

/// All answers, in order, or the first error.
pub(crate) async fn all<T>(
    questions: Vec<Pin<Box<dyn Future<Output = Result<T>> + Send + '_>>>,
) -> Result<Vec<T>> {
    let mut waiting: Vec<_> = questions.into_iter().map(Some).collect();
    let mut answers: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut is_done = true;
        for (question, answer) in waiting.iter_mut().zip(&mut answers) {
            let Some(future) = question else { continue };
            match future.as_mut().poll(cx) {
                Poll::Ready(Ok(value)) => {
                    *answer = Some(value);
                    *question = None;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => is_done = false,
            }
        }
        match is_done {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    })
    .await?;
    Ok(answers.into_iter().flatten().collect())
}

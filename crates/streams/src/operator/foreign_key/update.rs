//! The right side, changed: each left row that subscribed to the key hears of it (`ForeignTableJoinProcessorSupplier`).
//! Invariant: subscribers are answered in the order of their primary keys' bytes; some at a time, however many there are.

use super::murmur3::Hash;
use super::push_foreign_key;
use super::response::Response;
use super::subscription::sender;
use crate::format::FormatOf;
use crate::task::{Context, Outputs, ReceiveRecord, Scratch};
use crate::{Change, Error, Record, Result};
use headwater_log::HeadersRef;
use headwater_store::{Direction, KeyRange};
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

/// Subscribers read from the store before they are answered. Bounds memory where a right row has very many.
const SUBSCRIBERS_READ_MAX: usize = 1024;

pub(crate) struct Update<K, F, R> {
    pub(crate) store: usize,
    pub(crate) foreign_key: FormatOf<F>,
    pub(crate) key: FormatOf<K>,
    pub(crate) foreign_key_topic: Arc<str>,
    pub(crate) key_topic: Arc<str>,
    /// The table keeps versions: only the latest count.
    pub(crate) reads_versions: bool,
    pub(crate) outputs: Outputs<K, Response<R>>,
    pub(crate) prefix: Scratch,
}

struct Subscriber<K> {
    key: K,
    hash: Option<Hash>,
    partition: Option<u32>,
}

impl<K, F, R> Update<K, F, R> {
    /// Reads the next subscribers; answers the key of the last one in the store when there may be more.
    fn read(
        &self,
        ctx: &mut Context<'_>,
        prefix: &[u8],
        after: Option<&[u8]>,
        found: &mut Vec<Subscriber<K>>,
    ) -> Result<Option<Vec<u8>>> {
        let range = KeyRange {
            from: after.map_or(Bound::Included(prefix), Bound::Excluded),
            to: Bound::Unbounded,
        };
        let mut last = None;
        let mut failure = None;
        let mut buffer = Vec::new();
        let store = ctx.state.store(self.store);
        let (name, kept) = (store.name.clone(), store.kept);
        let store = &store.bytes;
        store.scan(range, Direction::Forward, &mut |bytes, local| {
            let Some(key) = bytes.strip_prefix(prefix) else {
                return ControlFlow::Break(());
            };
            let local = match kept.unpacked(&name, local, &mut buffer) {
                Ok(local) => local,
                Err(error) => {
                    failure = Some(error.into());
                    return ControlFlow::Break(());
                }
            };
            let key = self.key.decode(&self.key_topic, HeadersRef::NONE, key);
            let key = key.map_err(|error| Error::format(&self.key_topic, &error));
            let sender = local.get(8..).and_then(sender);
            match (key, sender) {
                (Ok(key), Some((hash, partition))) => found.push(Subscriber {
                    key,
                    hash,
                    partition,
                }),
                (Err(error), _) => failure = Some(error),
                (_, None) => {
                    let short = "a stored subscription that ends too early".into();
                    failure = Some(Error::format(&self.key_topic, &short));
                }
            }
            if failure.is_some() {
                return ControlFlow::Break(());
            }
            if found.len() == SUBSCRIBERS_READ_MAX {
                last = Some(bytes.to_vec());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        failure.map_or(Ok(last), Err)
    }
}

impl<K: Clone, F, R: Clone> ReceiveRecord<F, Change<R>> for Update<K, F, R> {
    fn receive_record(
        &self,
        ctx: &mut Context<'_>,
        mut record: Record<F, Change<R>>,
    ) -> Result<()> {
        let Some(change) = record.value.take() else {
            return Ok(());
        };
        if self.foreign_key.is_null(&record.key) || (self.reads_versions && !change.is_latest) {
            ctx.drop_record();
            return Ok(());
        }
        let mut prefix = self.prefix.take();
        let topic = &self.foreign_key_topic;
        push_foreign_key(&self.foreign_key, topic, &record.key, &mut prefix)?;
        let mut found = Vec::new();
        let mut after: Option<Vec<u8>> = None;
        loop {
            after = self.read(ctx, &prefix, after.as_deref(), &mut found)?;
            for subscriber in found.drain(..) {
                let response = Response {
                    hash: subscriber.hash,
                    row: change.new.clone(),
                    partition: subscriber.partition,
                };
                let answer = Record {
                    key: subscriber.key,
                    value: Some(response),
                    timestamp: record.timestamp,
                    headers: record.headers.clone(),
                    position: record.position,
                };
                self.outputs.send(ctx, answer)?;
            }
            if after.is_none() {
                break;
            }
        }
        self.prefix.give(prefix);
        Ok(())
    }
}

//! Reads the rows of a versioned table, as they are or as they were. Not its updates: `Materialized` writes those.
//! Invariant: a time before the store's history gives no row, unless the latest row is that old.

use super::encode_key;
use super::materialized::decode_version;
use crate::Result;
use crate::format::FormatOf;
use crate::task::{Context, Row, Rows, Scratch, Wiring};
use headwater_store::versioned::{self, Version};
use std::sync::Arc;

pub(crate) struct VersionedRows<K, V> {
    store: usize,
    topic: Arc<str>,
    key: FormatOf<K>,
    value: FormatOf<V>,
    key_bytes: Scratch,
}

impl<K, V> VersionedRows<K, V> {
    /// The rows in `store`, whose formats these are.
    pub(crate) fn new(
        wiring: &Wiring<'_>,
        store: usize,
        key: FormatOf<K>,
        value: FormatOf<V>,
    ) -> Self {
        Self {
            store,
            topic: wiring.topology.changelog(store).into(),
            key,
            value,
            key_bytes: Scratch::default(),
        }
    }

    fn read(
        &self,
        ctx: &mut Context<'_>,
        key: &K,
        find: impl FnOnce(&headwater_store::Store, &[u8]) -> headwater_store::Result<Option<Version>>,
    ) -> Result<Option<Row<V>>> {
        let mut key_bytes = self.key_bytes.take();
        let mut row = None;
        if encode_key(&self.key, &self.topic, key, &mut key_bytes)? {
            let store = &ctx.state.store(self.store).bytes;
            if let Some(version) = find(store, &key_bytes)? {
                let (value, timestamp) = decode_version(&self.value, &self.topic, &version)?;
                row = Some(Row { value, timestamp });
            }
        }
        self.key_bytes.give(key_bytes);
        Ok(row)
    }
}

impl<K, V> Rows<K, V> for VersionedRows<K, V> {
    fn get(&self, ctx: &mut Context<'_>, key: &K) -> Result<Option<Row<V>>> {
        self.read(ctx, key, |store, key| versioned::get(store, key))
    }

    fn get_as_of(&self, ctx: &mut Context<'_>, key: &K, time: i64) -> Result<Option<Row<V>>> {
        self.read(ctx, key, |store, key| {
            versioned::get_as_of(store, key, time)
        })
    }

    fn is_versioned(&self) -> bool {
        true
    }
}

//! Typed views of running stores: committed state, readable from any thread.
//! Not the routing to other instances. Invariant: a view never shows uncommitted state, nor a store that is still restored.

use crate::views::Views;
use crate::{Error, Result};
use headwater_log::HeadersRef;
use headwater_store::{Direction, KeyRange, ReadBytes};
use headwater_streams::{FormatOf, Headers, StoreInfo, Topology};
use std::ops::ControlFlow;

/// A typed view of one store's partitions in this process.
pub struct View<K, V> {
    views: Views,
    store: String,
    info: StoreInfo,
    key: FormatOf<K>,
    value: FormatOf<V>,
}

impl<K: 'static, V: 'static> View<K, V> {
    pub(crate) fn new(topology: &Topology, views: &Views, store: &str) -> Result<Self> {
        let (number, info) = topology
            .stores()
            .enumerate()
            .find(|(_, info)| info.name == store)
            .ok_or_else(|| Error::Config(format!("the topology has no store '{store}'")))?;
        let (key, value) = topology.store_formats::<K, V>(number).ok_or_else(|| {
            let (key, value) = (std::any::type_name::<K>(), std::any::type_name::<V>());
            Error::Config(format!(
                "store '{store}' does not hold {key} -> {value}; ask with the types of its table"
            ))
        })?;
        Ok(Self {
            views: views.clone(),
            store: store.into(),
            info,
            key,
            value,
        })
    }

    /// The value under `key`.
    pub fn get(&self, key: &K) -> Result<Option<V>> {
        let mut bytes = Vec::new();
        self.key
            .encode(&self.store, &mut Headers::default(), key, &mut bytes)
            .map_err(|error| Error::Config(format!("store '{}': {error}", self.store)))?;
        let mut value = Vec::new();
        for (_, reader) in self.views.readers(&self.store) {
            if reader.get(&bytes, &mut value)? {
                return self.decode(&value).map(Some);
            }
        }
        Ok(None)
    }

    /// Visits every entry, partition by partition, each in byte order of its keys.
    pub fn for_each(&self, mut visit: impl FnMut(K, V)) -> Result<()> {
        let mut failure = None;
        for (_, reader) in self.views.readers(&self.store) {
            reader.scan(KeyRange::ALL, Direction::Forward, &mut |key, value| {
                let key = self.key.decode(&self.store, HeadersRef::NONE, key);
                let key =
                    key.map_err(|error| Error::Config(format!("store '{}': {error}", self.store)));
                match key.and_then(|key| Ok((key, self.decode(value)?))) {
                    Ok((key, value)) => {
                        visit(key, value);
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        failure = Some(error);
                        ControlFlow::Break(())
                    }
                }
            })?;
        }
        failure.map_or(Ok(()), Err)
    }

    /// Every entry.
    pub fn all(&self) -> Result<Vec<(K, V)>> {
        let mut entries = Vec::new();
        self.for_each(|key, value| entries.push((key, value)))?;
        Ok(entries)
    }

    fn decode(&self, local: &[u8]) -> Result<V> {
        let (_, plain) = self.info.plain_value(local)?;
        self.value
            .decode(&self.store, HeadersRef::NONE, plain)
            .map_err(|error| Error::Config(format!("store '{}': {error}", self.store)))
    }
}

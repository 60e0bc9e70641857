//! The noun for a state store, with every option it takes. Not the store itself: tasks open those.
//! Invariant: a `&str` is a store with every default: on disk, cached, with a changelog.

use crate::format::{Data, FormatOf};
use headwater_log::TopicConfig;
use std::{marker::PhantomData, time::Duration};

/// A store with its formats and options.
pub struct Store<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) key: Option<FormatOf<K>>,
    pub(crate) value: Option<FormatOf<V>>,
    pub(crate) in_memory: bool,
    pub(crate) cached: bool,
    pub(crate) logged: bool,
    pub(crate) retention: Option<Duration>,
    /// Keeps versions for so long.
    pub(crate) history: Option<Duration>,
    pub(crate) changelog_config: TopicConfig,
    /// Given as `()`: the verb's form without a store in Kafka Streams, which numbers its names differently.
    pub(crate) all_defaults: bool,
}

impl<K, V> Store<K, V> {
    /// A store whose formats are still to be given.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::unnamed()
        }
    }

    /// A store with a generated name, as Kafka Streams numbers them under `Materialized.with`; `()` is the one without any option.
    pub fn unnamed() -> Self {
        Self {
            name: None,
            key: None,
            value: None,
            in_memory: false,
            cached: true,
            logged: true,
            retention: None,
            history: None,
            changelog_config: TopicConfig::new(),
            all_defaults: false,
        }
    }

    /// The format of keys.
    pub fn keys(mut self, format: FormatOf<K>) -> Self {
        self.key = Some(format);
        self
    }

    /// The format of values.
    pub fn values(mut self, format: FormatOf<V>) -> Self {
        self.value = Some(format);
        self
    }

    /// Keeps the state in memory only; a restart restores all of it from the changelog.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// Sends every update downstream, instead of one per key and commit.
    pub fn without_cache(mut self) -> Self {
        self.cached = false;
        self
    }

    /// Keeps no changelog: the state is lost with the machine.
    pub fn without_changelog(mut self) -> Self {
        self.logged = false;
        self
    }

    /// Window stores: how long windows are kept; at least size and grace.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = Some(retention);
        self
    }

    /// A setting of the changelog topic, by Kafka's name.
    pub fn changelog_setting(mut self, name: &str, value: &str) -> Self {
        self.changelog_config.insert(name.into(), value.into());
        self
    }

    /// Keeps the versions of each row for `history` (`Stores.persistentVersionedKeyValueStore`, KIP-889): a row may be asked for as
    /// it was, and an update that comes late goes where it belongs. Such a store has no record cache.
    ///
    /// Of tables and aggregates without windows; joins look rows up as of the time of the stream's record.
    pub fn versioned(mut self, history: Duration) -> Self {
        self.history = Some(history);
        self
    }

    /// True for a store of versions.
    pub(crate) fn is_versioned(&self) -> bool {
        self.history.is_some()
    }

    /// Fills in formats that were not given.
    pub(crate) fn or_formats(
        mut self,
        key: Option<FormatOf<K>>,
        value: Option<FormatOf<V>>,
    ) -> Self {
        self.key = self.key.or(key);
        self.value = self.value.or(value);
        self
    }
}

impl<K: Data, V: Data> From<&str> for Store<K, V> {
    fn from(name: &str) -> Self {
        Self::named(name).keys(K::format()).values(V::format())
    }
}

impl<K: Data, V: Data> From<String> for Store<K, V> {
    fn from(name: String) -> Self {
        Self::from(name.as_str())
    }
}

/// A generated name and every default.
impl<K: Data, V: Data> From<()> for Store<K, V> {
    fn from((): ()) -> Self {
        let mut store = Self::unnamed().keys(K::format()).values(V::format());
        store.all_defaults = true;
        store
    }
}

/// Names a key-value store inside processors; copy it into their factories.
pub struct StoreHandle<K, V> {
    pub(crate) index: usize,
    pub(crate) types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for StoreHandle<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for StoreHandle<K, V> {}

/// The stores a processor uses: `()`, a handle, or a tuple of handles.
pub trait StoreSet {
    /// Their numbers in the topology.
    #[doc(hidden)]
    fn indices(&self) -> Vec<usize>;
}

impl StoreSet for () {
    fn indices(&self) -> Vec<usize> {
        Vec::new()
    }
}

impl<K, V> StoreSet for StoreHandle<K, V> {
    fn indices(&self) -> Vec<usize> {
        vec![self.index]
    }
}

impl<A: StoreSet, B: StoreSet> StoreSet for (A, B) {
    fn indices(&self) -> Vec<usize> {
        [self.0.indices(), self.1.indices()].concat()
    }
}

impl<A: StoreSet, B: StoreSet, C: StoreSet> StoreSet for (A, B, C) {
    fn indices(&self) -> Vec<usize> {
        [self.0.indices(), self.1.indices(), self.2.indices()].concat()
    }
}

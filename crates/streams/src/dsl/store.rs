//! The noun for a state store, with every option it takes. Not the store itself: tasks open those.
//! Invariant: a `&str` is a store with every default: on disk, cached, with a changelog.

use crate::format::{Data, FormatOf};
use headwater_log::TopicConfig;
use std::time::Duration;

/// What a store is, where it is not the default of its operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What the operator keeps by default.
    Default,
    /// Values without timestamps.
    Plain,
    /// The keys used last.
    Lru { entries_max: usize },
    /// What must have a name has none.
    Nameless(&'static str),
}

/// A store with its formats and options.
pub struct Store<K, V> {
    pub(crate) name: Option<String>,
    pub(crate) key: Option<FormatOf<K>>,
    pub(crate) value: Option<FormatOf<V>>,
    /// Unless it says so, the application's default decides.
    pub(crate) in_memory: Option<bool>,
    pub(crate) cached: bool,
    pub(crate) logged: bool,
    pub(crate) retention: Option<Duration>,
    /// Rows leave so long after their timestamps.
    pub(crate) time_to_live: Option<Duration>,
    /// Keeps versions for so long.
    pub(crate) history: Option<Duration>,
    pub(crate) changelog_config: TopicConfig,
    pub(crate) kind: Kind,
    pub(crate) duplicates: bool,
    /// The record cache was asked for: stores of processors have none otherwise.
    pub(crate) asks_for_cache: bool,
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
            in_memory: None,
            cached: true,
            logged: true,
            retention: None,
            time_to_live: None,
            history: None,
            changelog_config: TopicConfig::new(),
            kind: Kind::Default,
            duplicates: false,
            asks_for_cache: false,
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
        self.in_memory = Some(true);
        self
    }

    /// Keeps the state on disk, also where the application's default is memory (`dsl.store.suppliers.class`).
    pub fn on_disk(mut self) -> Self {
        self.in_memory = Some(false);
        self
    }

    /// Sends every update downstream, instead of one per key and commit.
    pub fn without_cache(mut self) -> Self {
        self.cached = false;
        self
    }

    /// Stores of processors: keeps updates in the record cache until the commit, so that the changelog gets one per key
    /// (`withCachingEnabled`). Tables do so by default.
    pub fn with_cache(mut self) -> Self {
        self.asks_for_cache = true;
        self
    }

    /// Window stores of processors: keeps every value put under one key and time (`retainDuplicates`).
    pub fn duplicates(mut self) -> Self {
        self.duplicates = true;
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

    /// Tables read from topics or streams, and aggregates of streams without windows: a row leaves once stream time has passed
    /// its timestamp by `time`. To joins and to the aggregate itself it is gone at once; the deletion is sent on, and written to
    /// the changelog, by a sweep before a commit, at most an eighth of `time` of stream time later, and views see the row up to
    /// then. A commit's sweep reads no more than 16,384 rows. Kafka Streams has nothing like it: one writes a processor that
    /// scans its store.
    ///
    /// ```
    /// use headwater_streams::{App, Store};
    /// use std::time::Duration;
    ///
    /// let app = App::new("visitors");
    /// let month = Duration::from_secs(30 * 86_400);
    /// app.stream::<String, String>("clicks")
    ///     .group_by_key()
    ///     .count(Store::from("clicks-of-visitor").time_to_live(month))
    ///     .to_stream()
    ///     .to("counts");
    /// app.build().unwrap();
    /// ```
    pub fn time_to_live(mut self, time: Duration) -> Self {
        self.time_to_live = Some(time);
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
    /// Of tables and aggregates without windows, where joins look rows up as of the time of the stream's record; and of processors.
    pub fn versioned(mut self, history: Duration) -> Self {
        self.history = Some(history);
        if self.name.is_none() {
            self.kind = Kind::Nameless("a versioned store");
        }
        self
    }

    /// Key-value stores: keeps in memory the `entries_max` keys used last, at least 1 (`Stores.lruMap`). A table forgets the
    /// others.
    pub fn lru(mut self, entries_max: usize) -> Self {
        self.kind = match self.name {
            Some(_) => Kind::Lru { entries_max },
            None => Kind::Nameless("an LRU store"),
        };
        self
    }

    /// Stores of tables: keeps no timestamps, as a store that Kafka Streams' `Stores.persistentKeyValueStore`,
    /// `persistentWindowStore` or `persistentSessionStore` made. A row's timestamp reads as -1, but the changelog has it.
    pub fn plain(mut self) -> Self {
        self.kind = Kind::Plain;
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

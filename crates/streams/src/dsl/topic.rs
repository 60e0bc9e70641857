//! The noun for a topic that a topology reads or writes, with every option it takes.
//! Not the topic itself: nothing is created here. Invariant: a `&str` is a topic with every default.

use crate::format::{Data, FormatOf};
use std::sync::Arc;

/// What happens to a record that cannot be decoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum BadData {
    /// The application stops with an error that names topic, partition and offset.
    #[default]
    Fail,
    /// The record is counted and passed over.
    Skip,
    /// The raw record goes to this topic with `__streams.errors.*` headers, and is passed over.
    DeadLetter(String),
}

pub(crate) type TimestampOf<K, V> = Arc<dyn Fn(&K, Option<&V>, i64) -> i64 + Send + Sync>;
pub(crate) type PartitionOf<K, V> = Arc<dyn Fn(&K, Option<&V>, u32) -> u32 + Send + Sync>;

/// A topic with its formats and options.
pub struct Topic<K, V> {
    pub(crate) name: String,
    pub(crate) key: Option<FormatOf<K>>,
    pub(crate) value: Option<FormatOf<V>>,
    pub(crate) bad_data: BadData,
    pub(crate) timestamp: Option<TimestampOf<K, V>>,
    pub(crate) partition: Option<PartitionOf<K, V>>,
}

impl<K, V> Topic<K, V> {
    /// A topic whose formats are still to be given.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            key: None,
            value: None,
            bad_data: BadData::Fail,
            timestamp: None,
            partition: None,
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

    /// Reading: what to do with records that cannot be decoded.
    pub fn on_bad_data(mut self, policy: BadData) -> Self {
        self.bad_data = policy;
        self
    }

    /// Reading: takes the event time, ms since the epoch, from key, value and the record's own timestamp.
    /// A negative answer drops the record.
    pub fn timestamp_by(
        mut self,
        timestamp: impl Fn(&K, Option<&V>, i64) -> i64 + Send + Sync + 'static,
    ) -> Self {
        self.timestamp = Some(Arc::new(timestamp));
        self
    }

    /// Writing: chooses the partition from key, value and the number of partitions, instead of the key's hash.
    pub fn partition_by(
        mut self,
        partition: impl Fn(&K, Option<&V>, u32) -> u32 + Send + Sync + 'static,
    ) -> Self {
        self.partition = Some(Arc::new(partition));
        self
    }
}

impl<K: Data, V: Data> From<&str> for Topic<K, V> {
    fn from(name: &str) -> Self {
        Self::named(name).keys(K::format()).values(V::format())
    }
}

impl<K: Data, V: Data> From<String> for Topic<K, V> {
    fn from(name: String) -> Self {
        Self::from(name.as_str())
    }
}

//! The noun for a topic that a topology reads or writes, with every option it takes.
//! Not the topic itself: nothing is created here. Invariant: a `&str` is a topic with every default.

use crate::format::{Data, FormatOf};
use crate::operator::TopicOf;
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

/// What a timestamp extractor sees of a record.
#[derive(Debug)]
pub struct TimestampArgs<'a, K, V> {
    /// The key.
    pub key: &'a K,
    /// The value, if any.
    pub value: Option<&'a V>,
    /// The record's own timestamp, ms since the epoch.
    pub timestamp: i64,
    /// The largest timestamp that its partition has given so far; -1 before the first.
    pub partition_time: i64,
}

pub(crate) type TimestampOf<K, V> = Arc<dyn Fn(TimestampArgs<'_, K, V>) -> i64 + Send + Sync>;
pub(crate) type PartitionOf<K, V> = Arc<dyn Fn(&K, Option<&V>, u32) -> u32 + Send + Sync>;
pub(crate) type PartitionsOf<K, V> =
    Arc<dyn Fn(&K, Option<&V>, u32) -> Option<Vec<u32>> + Send + Sync>;

/// A topic with its formats and options.
pub struct Topic<K, V> {
    pub(crate) names: Vec<String>,
    /// Reading: all topics whose names match this instead.
    pub(crate) pattern: Option<String>,
    /// Reading: the name of the source operator.
    pub(crate) node: Option<String>,
    /// Writing: chooses the topic of each record instead, and how `describe` names that.
    pub(crate) chosen: Option<(TopicOf<K, V>, String)>,
    pub(crate) key: Option<FormatOf<K>>,
    pub(crate) value: Option<FormatOf<V>>,
    /// Writing: only the name was given, so the formats above are the types' and hold where the stream's own are not known.
    pub(crate) only_named: bool,
    pub(crate) bad_data: Option<BadData>,
    pub(crate) timestamp: Option<TimestampOf<K, V>>,
    pub(crate) partition: Option<PartitionOf<K, V>>,
    pub(crate) partitions: Option<PartitionsOf<K, V>>,
}

impl<K, V> Topic<K, V> {
    /// A topic whose formats are still to be given.
    pub fn named(name: impl Into<String>) -> Self {
        Self::named_all([name])
    }

    /// Reading: several topics as one stream.
    pub fn named_all(names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            names: names.into_iter().map(Into::into).collect(),
            pattern: None,
            node: None,
            chosen: None,
            key: None,
            value: None,
            only_named: false,
            bad_data: None,
            timestamp: None,
            partition: None,
            partitions: None,
        }
    }

    /// Reading a stream: all topics whose whole names match a regular expression, as one stream
    /// (`StreamsBuilder.stream(Pattern)`). Which these are is looked up when the application starts: a topic that is created
    /// later is read after the next start. Look-around and back-references of Java's expressions are refused by
    /// [`crate::App::build`].
    ///
    /// In a [`crate::TestDriver`] records go to any topic that matches; the pattern stands as their topic.
    ///
    /// ```
    /// use headwater_streams::{App, Data, Topic};
    ///
    /// let app = App::new("audit");
    /// let topic = Topic::matching("orders-[a-z]+").keys(String::format()).values(String::format());
    /// app.stream::<String, String>(topic).to("all-orders");
    /// app.build().unwrap();
    /// ```
    pub fn matching(pattern: impl Into<String>) -> Self {
        let mut topic = Self::named_all([""; 0]);
        topic.pattern = Some(pattern.into());
        topic
    }

    /// Writing: the topic is chosen for each record, from its key and value. The topics must exist (`TopicNameExtractor`).
    pub fn chosen_by(choose: impl Fn(&K, Option<&V>) -> String + Send + Sync + 'static) -> Self {
        let mut topic = Self::named_all([""; 0]);
        topic.chosen = Some((Arc::new(choose), "closure".into()));
        topic
    }

    /// Writing to chosen topics: what `describe` prints for what chooses them.
    pub fn described_as(mut self, text: impl Into<String>) -> Self {
        if let Some((_, description)) = &mut self.chosen {
            *description = text.into();
        }
        self
    }

    /// Reading: the name of the source operator (`Consumed.as`).
    pub fn source_named(mut self, name: impl Into<String>) -> Self {
        self.node = Some(name.into());
        self
    }

    /// The format of keys.
    pub fn keys(mut self, format: FormatOf<K>) -> Self {
        self.key = Some(format);
        self.only_named = false;
        self
    }

    /// The format of values.
    pub fn values(mut self, format: FormatOf<V>) -> Self {
        self.value = Some(format);
        self.only_named = false;
        self
    }

    /// Reading: what to do with records that cannot be decoded.
    pub fn on_bad_data(mut self, policy: BadData) -> Self {
        self.bad_data = Some(policy);
        self
    }

    /// Reading: takes the event time, ms since the epoch, from key, value and the record's own timestamp.
    /// A negative answer drops the record.
    pub fn timestamp_by(
        self,
        timestamp: impl Fn(&K, Option<&V>, i64) -> i64 + Send + Sync + 'static,
    ) -> Self {
        self.timestamp_from(move |args| timestamp(args.key, args.value, args.timestamp))
    }

    /// As [`Topic::timestamp_by`], with the partition's time in view (`TimestampExtractor`).
    pub fn timestamp_from(
        mut self,
        timestamp: impl Fn(TimestampArgs<'_, K, V>) -> i64 + Send + Sync + 'static,
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
        self.partitions = None;
        self
    }

    /// Writing: chooses the partitions, from key, value and their number; the record goes to each of them once
    /// (`StreamPartitioner.partitions`, KIP-837). An empty list drops the record, which is counted; `None` leaves the choice to
    /// the key's hash.
    ///
    /// ```
    /// use headwater_streams::{App, Topic};
    ///
    /// let app = App::new("prices");
    /// let everywhere = Topic::from("prices").partitions_by(|_, _, partitions| Some((0..partitions).collect()));
    /// app.stream::<String, u64>("changes").to(everywhere);
    /// app.build().unwrap();
    /// ```
    pub fn partitions_by(
        mut self,
        partitions: impl Fn(&K, Option<&V>, u32) -> Option<Vec<u32>> + Send + Sync + 'static,
    ) -> Self {
        self.partitions = Some(Arc::new(partitions));
        self.partition = None;
        self
    }
}

/// A topic's name alone: what is written has the formats of its stream, as far as they are known, and else those of its types.
impl<K: Data, V: Data> From<&str> for Topic<K, V> {
    fn from(name: &str) -> Self {
        let mut topic = Self::named(name).keys(K::format()).values(V::format());
        topic.only_named = true;
        topic
    }
}

impl<K: Data, V: Data> From<String> for Topic<K, V> {
    fn from(name: String) -> Self {
        Self::from(name.as_str())
    }
}

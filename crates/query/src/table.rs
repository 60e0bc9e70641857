//! A store as typed code sees it: keys and values, not bytes, and all partitions as one. Not a cache: each call asks.
//! Invariant: keys go to the partition that the producer of the store's records sends them to; where that cannot be known, and the
//! application itself is that producer, nobody is asked.

use crate::merge::{self, Shard};
use crate::page::{Page, Position, Scan};
use crate::wire::{Answer, Question, Resume, Span, Times};
use crate::{Blob, Error, Queries, Read, Result, local};
use headwater_log::{HeadersRef, partition_for_key};
use headwater_runtime::StorePlace;
use headwater_store::Layout;
use headwater_streams::{FormatOf, Headers, StoreInfo};
use std::pin::Pin;
use std::sync::Arc;
use tokio::time::Instant;

/// A store of the application, on whatever instances its partitions are.
pub struct Table<K, V> {
    pub(crate) queries: Queries,
    pub(crate) name: String,
    pub(crate) info: StoreInfo,
    pub(crate) place: StorePlace,
    key: FormatOf<K>,
    value: FormatOf<V>,
    partitioner: Partitioner<K>,
}

/// In which of how many partitions a key lies, where its hash does not tell.
type PartitionOf<K> = Arc<dyn Fn(&K, u32) -> Option<u32> + Send + Sync>;

/// How the partition of a key follows from it.
enum Partitioner<K> {
    /// By the hash of its bytes.
    Hash,
    /// As the asker says; where that says nothing, by the hash.
    Given(PartitionOf<K>),
    /// Nobody has said: the application chooses the partitions of this topic, which fills the store.
    Unknown(Arc<str>),
}

impl<K> Clone for Partitioner<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Hash => Self::Hash,
            Self::Given(partition) => Self::Given(partition.clone()),
            Self::Unknown(topic) => Self::Unknown(topic.clone()),
        }
    }
}

impl<K, V> Clone for Table<K, V> {
    fn clone(&self) -> Self {
        Self {
            queries: self.queries.clone(),
            name: self.name.clone(),
            info: self.info.clone(),
            place: self.place.clone(),
            key: self.key.clone(),
            value: self.value.clone(),
            partitioner: self.partitioner.clone(),
        }
    }
}

/// The first byte of a latest version's key.
const LATEST: u8 = 0;

impl<K: 'static, V: 'static> Table<K, V> {
    pub(crate) fn new(queries: &Queries, name: &str) -> Result<Self> {
        let topology = queries.state().topology();
        let place = queries.place(name);
        let place = place.ok_or_else(|| Queries::unknown(name))?.clone();
        let info = topology.store(place.number);
        let info = info.ok_or_else(|| Queries::unknown(name))?;
        let (key, value) = topology
            .store_formats::<K, V>(place.number)
            .ok_or_else(|| {
                let (key, value) = (std::any::type_name::<K>(), std::any::type_name::<V>());
                Error::Refused(format!(
                    "store '{name}' does not hold {key} -> {value}; ask with the types of its table"
                ))
            })?;
        let mut sources = place.sources.iter();
        let chosen = sources.find(|topic| !place.is_global && topology.chooses_partitions(topic));
        Ok(Self {
            partitioner: chosen.map_or(Partitioner::Hash, |it| Partitioner::Unknown(it.clone())),
            queries: queries.clone(),
            name: name.into(),
            info,
            place,
            key,
            value,
        })
    }

    /// Says in which of how many partitions a key lies, for topics whose writers choose partitions themselves; `None` is the one of the
    /// key's hash. [`Read::partition`] outweighs it.
    pub fn partitioned_by(
        mut self,
        partition: impl Fn(&K, u32) -> Option<u32> + Send + Sync + 'static,
    ) -> Self {
        self.partitioner = Partitioner::Given(Arc::new(partition));
        self
    }

    /// The store's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value under `key`; of a store that keeps versions, the latest.
    pub async fn get(&self, key: &K, read: Read) -> Result<Option<V>> {
        if self.is_versioned() {
            let version = Box::pin(self.latest(key, read)).await?;
            return Ok(version.map(|version| version.value));
        }
        let deadline = Instant::now() + read.deadline;
        let bytes = Blob(self.encode(key)?);
        let partition = self.partition_of(key, &bytes.0, &read, deadline).await?;
        let key = bytes;
        let value = self.get_bytes(key, partition, &read, deadline).await?;
        value.map(|value| self.decode(&value.0)).transpose()
    }

    /// Waits until `is_it` says so of the value under `key`, or of its absence, and answers with it.
    /// [`Error::TimedOut`] at the deadline. Follows the partition where it moves; not for stores that keep versions.
    pub async fn wait_for(
        &self,
        key: &K,
        mut is_it: impl FnMut(Option<&V>) -> bool,
        mut read: Read,
    ) -> Result<Option<V>> {
        if self.is_versioned() {
            return Err(self.refused("it keeps versions, of which none replaces another"));
        }
        let deadline = Instant::now() + read.deadline;
        let bytes = Blob(self.encode(key)?);
        let partition = Box::pin(self.partition_of(key, &bytes.0, &read, deadline)).await?;
        let key = bytes;
        // Who waits for news asks who has them first.
        read.staleness = crate::Staleness::Owner;
        // Boxed: the look before the wait leaves no room behind in it.
        let looked = Box::pin(self.get_bytes(key.clone(), partition, &read, deadline));
        let mut known = looked.await?;
        read.token = None;
        loop {
            let value = known.as_ref().map(|value| self.decode(&value.0));
            let value = value.transpose()?;
            if is_it(value.as_ref()) {
                return Ok(value);
            }
            if Instant::now() >= deadline {
                let name = &self.name;
                return Err(Error::TimedOut(format!(
                    "the value awaited in store '{name}'"
                )));
            }
            let what = Question::Await {
                store: self.name.clone(),
                key: key.clone(),
                known,
            };
            known = self.value(what, partition, &read, deadline).await?;
        }
    }

    /// Entries from `from` to `to`, both included, where given; a page of them. Keys in the order of their bytes. Of a store that keeps
    /// versions, the latest.
    pub async fn range(
        &self,
        from: Option<&K>,
        to: Option<&K>,
        scan: Scan,
        read: Read,
    ) -> Result<Page<K, V>> {
        let bound = |key: Option<&K>| key.map(|key| self.row_key(key)).transpose();
        let span = self.span(bound(from)?, bound(to)?, None, Times::Any);
        self.page(span, scan, read, None).await
    }

    /// Entries whose keys' bytes begin with `prefix`: of text, those of texts that begin so.
    pub async fn prefix(&self, prefix: &[u8], scan: Scan, read: Read) -> Result<Page<K, V>> {
        let mut bytes = self.row_prefix();
        bytes.extend_from_slice(prefix);
        let span = self.span(None, None, Some(Blob(bytes)), Times::Any);
        self.page(span, scan, read, None).await
    }

    /// Every entry, page by page.
    pub async fn all(&self, scan: Scan, read: Read) -> Result<Page<K, V>> {
        self.range(None, None, scan, read).await
    }

    pub(crate) fn is_versioned(&self) -> bool {
        matches!(self.info.options.layout, Layout::Versioned { .. })
    }

    pub(crate) fn refused(&self, why: &str) -> Error {
        Error::Refused(format!("store '{}': {why}", self.name))
    }

    pub(crate) fn row_prefix(&self) -> Vec<u8> {
        match self.is_versioned() {
            true => vec![LATEST],
            false => Vec::new(),
        }
    }

    pub(crate) fn row_key(&self, key: &K) -> Result<Blob> {
        let mut bytes = self.row_prefix();
        bytes.extend(self.encode(key)?);
        Ok(Blob(bytes))
    }

    pub(crate) fn span(
        &self,
        from: Option<Blob>,
        to: Option<Blob>,
        prefix: Option<Blob>,
        times: Times,
    ) -> Span {
        let latest = self.is_versioned().then(|| Blob(vec![LATEST]));
        Span {
            from,
            to,
            prefix: prefix.or(latest),
            reverse: false,
            resume: None,
            times,
            entries_max: 0,
            bytes_max: 0,
        }
    }

    /// A page of `span`, from one partition or from all.
    pub(crate) async fn page(
        &self,
        span: Span,
        scan: Scan,
        read: Read,
        partition: Option<u32>,
    ) -> Result<Page<K, V>> {
        let deadline = Instant::now() + read.deadline;
        let good_for = format!("{}{}{span:?}", self.name, scan.reverse);
        let position = scan.after.as_deref();
        let position = position.map(|text| Position::parse(text, good_for.as_bytes()));
        let position = position.transpose()?;
        let partitions: Vec<u32> = match read.partition.or(partition) {
            Some(partition) => vec![partition],
            None => (0..self.queries.partitions(&self.place, deadline).await?).collect(),
        };
        // Once for all partitions: what is derived needs no more asking.
        let mut read = read;
        if let Some(token) = &read.token {
            read.token = Some(self.queries.derived(token, &self.place, deadline).await?);
        }
        let mut shards = Vec::new();
        for partition in partitions {
            let resume = position.as_ref().map(|position| Resume {
                key: position.key.clone(),
                inclusive: partition > position.partition,
            });
            let span = Span {
                reverse: scan.reverse,
                resume,
                entries_max: scan.entries_max,
                bytes_max: scan.bytes_max,
                ..span.clone()
            };
            shards.push(self.shard(span, partition, &read, deadline));
        }
        let mut shards = merge::all(shards).await?;
        let commits = shards.iter().map(|it| (it.partition, it.commit)).collect();
        let lag = shards.iter().filter_map(|it| it.lag).max();
        let merged = merge::merge(&mut shards, scan.reverse, scan.entries_max, scan.bytes_max);
        let entries = merged.entries.into_iter();
        let entries = entries
            .map(|(key, value)| Ok((self.decode_row_key(&key.0)?, self.decode_row(&value.0)?)));
        Ok(Page {
            entries: entries.collect::<Result<_>>()?,
            next: merged.next.map(|next| next.text(good_for.as_bytes())),
            commits,
            lag,
        })
    }

    fn shard<'a>(
        &'a self,
        span: Span,
        partition: u32,
        read: &'a Read,
        deadline: Instant,
    ) -> Pin<Box<dyn Future<Output = Result<Shard>> + Send + 'a>> {
        let store = self.name.clone();
        let span = Box::new(span);
        let what = Question::Scan { store, span };
        let (queries, place) = (&self.queries, &self.place);
        Box::pin(async move {
            match ask(queries, place, what, partition, read, deadline).await? {
                Answer::Entries {
                    entries,
                    more,
                    commit,
                    lag,
                } => Ok(Shard {
                    partition,
                    entries,
                    more,
                    commit,
                    lag,
                }),
                other => Err(Error::Peer(format!("{other:?} is no page"))),
            }
        })
    }

    fn get_bytes<'a>(
        &'a self,
        key: Blob,
        partition: u32,
        read: &'a Read,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Blob>>> + Send + 'a {
        let here = self.here(&key.0, partition, read);
        let here = here.ok_or_else(|| {
            let store = self.name.clone();
            let what = Question::Get { store, key };
            self.value(what, partition, read, deadline)
        });
        async move {
            match here {
                Ok(value) => value,
                Err(asked) => asked.await,
            }
        }
    }

    /// What the owner of the partition answers, where that is this instance and nothing is to be waited for. No question is made
    /// of it, since nobody else is asked.
    fn here(&self, key: &[u8], partition: u32, read: &Read) -> Option<Result<Option<Blob>>> {
        if read.token.is_some() {
            return None;
        }
        let views = self.queries.state().views();
        let value = local::value(&views.reader(&self.name, partition)?, key);
        // A store that was closed meanwhile is looked for anew.
        value.map_or_else(
            |error| (!error.is_retriable()).then_some(Err(error)),
            |value| Some(Ok(value)),
        )
    }

    /// Not an `async fn`: the question is not kept through the wait.
    fn value<'a>(
        &'a self,
        what: Question,
        partition: u32,
        read: &'a Read,
        deadline: Instant,
    ) -> impl Future<Output = Result<Option<Blob>>> + Send + 'a {
        let asked = ask(&self.queries, &self.place, what, partition, read, deadline);
        async move {
            match asked.await? {
                Answer::Value { value, .. } => Ok(value),
                other => Err(Error::Peer(format!("{other:?} is no value"))),
            }
        }
    }

    /// The partition of a key, of which these are the bytes.
    pub(crate) async fn partition_of(
        &self,
        key: &K,
        bytes: &[u8],
        read: &Read,
        deadline: Instant,
    ) -> Result<u32> {
        if self.place.is_global {
            return Ok(0);
        }
        if let (None, Partitioner::Unknown(topic)) = (read.partition, &self.partitioner) {
            return Err(self.refused(&format!(
                "what writes '{topic}' chooses partitions by more than the key's hash; say which (Read::partition, ?partition=), or how they \
                 follow from keys (Table::partitioned_by)"
            )));
        }
        let partitions = self.queries.partitions(&self.place, deadline).await?;
        let given = match &self.partitioner {
            Partitioner::Given(partition) => partition(key, partitions),
            Partitioner::Hash | Partitioner::Unknown(_) => None,
        };
        match read.partition.or(given) {
            Some(partition) if partition < partitions => Ok(partition),
            Some(partition) => {
                Err(self.refused(&format!("partition {partition} of {partitions} is none")))
            }
            None => Ok(partition_for_key(self.key.partition_key(bytes), partitions)),
        }
    }

    pub(crate) fn encode(&self, key: &K) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let encoded = self
            .key
            .encode(&self.name, &mut Headers::default(), key, &mut bytes);
        encoded.map_err(|error| self.refused(&format!("the key cannot be written: {error}")))?;
        Ok(bytes)
    }

    /// The part of an encoded key that decides the partition: of a windowed key, the key without its window.
    pub(crate) fn plain_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.key.partition_key(bytes)
    }

    pub(crate) fn decode_plain(&self, plain: &[u8]) -> Result<V> {
        let value = self.value.decode(&self.name, HeadersRef::NONE, plain);
        value.map_err(|error| self.unreadable(&error))
    }

    fn decode(&self, kept: &[u8]) -> Result<V> {
        let plain = self.info.plain_value(kept);
        let (_, plain) = plain.map_err(|error| Error::Store(error.to_string()))?;
        self.decode_plain(plain)
    }

    pub(crate) fn decode_row_key(&self, row: &[u8]) -> Result<K> {
        let key = row.strip_prefix(self.row_prefix().as_slice());
        let key = key.ok_or_else(|| Error::Store("a row of another kind".into()))?;
        let key = self.key.decode(&self.name, HeadersRef::NONE, key);
        key.map_err(|error| self.unreadable(&error))
    }

    pub(crate) fn decode_row(&self, kept: &[u8]) -> Result<V> {
        match (self.is_versioned(), kept.split_first_chunk::<8>()) {
            (true, Some((_, plain))) => self.decode_plain(plain),
            (true, None) => Err(Error::Store("a version without a time".into())),
            (false, _) => self.decode(kept),
        }
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> Error {
        Error::Store(format!("store '{}': {error}", self.name))
    }
}

/// Asks one partition of a store. Boxed, as what comes before the wait is inside: else each caller of a caller would have room for the
/// greatest of them as often as it waits, and thousands wait.
pub(crate) fn ask<'a>(
    queries: &'a Queries,
    place: &'a StorePlace,
    what: Question,
    partition: u32,
    read: &'a Read,
    deadline: Instant,
) -> Pin<Box<dyn Future<Output = Result<Answer>> + Send + 'a>> {
    let prepared = Box::pin(queries.prepare(what, place, partition, read, deadline));
    Box::pin(async move {
        let ask = prepared.await?;
        queries.ask(&ask, deadline, false).await
    })
}

impl Queries {
    pub(crate) async fn reach_all(&self, store: &str, read: &Read) -> Result<()> {
        let place = self.place(store);
        let place = place.ok_or_else(|| Self::unknown(store))?;
        let deadline = Instant::now() + read.deadline;
        let partitions = self.partitions(place, deadline).await?;
        let mut questions: Vec<Pin<Box<dyn Future<Output = Result<Answer>> + Send + '_>>> =
            Vec::new();
        for partition in 0..partitions {
            let what = Question::Scan {
                store: store.into(),
                span: Box::new(Span {
                    entries_max: 1,
                    ..Span::default()
                }),
            };
            questions.push(ask(self, place, what, partition, read, deadline));
        }
        merge::all(questions).await.map(drop)
    }
}

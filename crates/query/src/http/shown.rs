//! Stores that an application shows over HTTP: their types erased, keys as text, values as JSON. Not the routes.
//! Invariant: what is not shown by name cannot be asked for.

use super::Problem;
use super::events::{Follow, Shower};
use crate::{Page, Queries, Read, Result, Scan, Table, Version, Watched};
use headwater_streams::Windowed;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;

/// What a shown store answers.
pub(super) type Told = Pin<Box<dyn Future<Output = Result<Value, Problem>> + Send>>;

/// What a shown store tells as it changes.
pub(super) type Followed = Pin<Box<dyn Future<Output = Result<Box<dyn Follow>, Problem>> + Send>>;

/// A key as it stands in a path: what it is read from, and what JSON shows of it.
pub trait KeyText: FromStr<Err: Display> + Serialize + Send + Sync + 'static {}

impl<K: FromStr<Err: Display> + Serialize + Send + Sync + 'static> KeyText for K {}

/// What is asked of a part of a store.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) key: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) prefix: Option<String>,
    /// ms since the epoch.
    pub(super) times: Option<RangeInclusive<i64>>,
}

/// A store with its types erased.
pub(super) trait Shown: Send + Sync {
    /// `key-value`, `windowed` or `versioned`.
    fn kind(&self) -> &'static str;

    /// The value under a key, `null` where there is none; `wait` until there is one.
    fn get(self: Arc<Self>, key: String, wait: bool, as_of_ms: Option<i64>, read: Read) -> Told;

    /// A page.
    fn page(self: Arc<Self>, part: Part, scan: Scan, read: Read) -> Told;

    /// What is under a key or in a part, and what changes of it; from a position on, where one is given.
    fn watch(self: Arc<Self>, part: Part, after: Option<String>, read: Read) -> Followed;
}

/// The stores that an application shows.
#[derive(Clone)]
pub struct Stores {
    pub(super) queries: Queries,
    /// Shared: each request has a copy.
    pub(super) shown: Arc<BTreeMap<String, Arc<dyn Shown>>>,
}

impl Stores {
    /// None yet.
    pub fn new(queries: &Queries) -> Self {
        Self {
            queries: queries.clone(),
            shown: Arc::default(),
        }
    }

    /// Shows a key-value store, plain or timestamped. An error when the topology has no such store, or one of other types.
    pub fn show<K: KeyText, V>(mut self, store: &str) -> Result<Self>
    where
        V: Serialize + Send + Sync + 'static,
    {
        let table: Table<K, V> = self.queries.store(store)?;
        self.add(store, Plain(table));
        Ok(self)
    }

    /// Shows a store as its table knows it: one that is [`Table::partitioned_by`] something. Not of windows.
    pub fn show_table<K: KeyText, V>(mut self, table: Table<K, V>) -> Self
    where
        V: Serialize + Send + Sync + 'static,
    {
        let store = table.name().to_owned();
        match table.is_versioned() {
            true => self.add(&store, Versioned(table)),
            false => self.add(&store, Plain(table)),
        }
        self
    }

    /// As [`Stores::show_table`], of a window or session store.
    pub fn show_windows_table<K: KeyText, V>(mut self, table: Table<Windowed<K>, V>) -> Self
    where
        V: Serialize + Send + Sync + 'static,
    {
        let store = table.name().to_owned();
        self.add(&store, Windows(table));
        self
    }

    /// Shows a store that keeps versions.
    pub fn show_versions<K: KeyText, V>(mut self, store: &str) -> Result<Self>
    where
        V: Serialize + Send + Sync + 'static,
    {
        let table: Table<K, V> = self.queries.store(store)?;
        self.add(store, Versioned(table));
        Ok(self)
    }

    /// Shows a window or session store; `K` is the key without its window.
    pub fn show_windows<K: KeyText, V>(mut self, store: &str) -> Result<Self>
    where
        V: Serialize + Send + Sync + 'static,
    {
        let table = self.queries.store(store)?;
        self.add(store, Windows::<K, V>(table));
        Ok(self)
    }

    fn add(&mut self, store: &str, shown: impl Shown + 'static) {
        Arc::make_mut(&mut self.shown).insert(store.into(), Arc::new(shown));
    }
}

struct Plain<K, V>(Table<K, V>);
struct Versioned<K, V>(Table<K, V>);
struct Windows<K, V>(Table<Windowed<K>, V>);

impl<K: KeyText, V: Serialize + Send + Sync + 'static> Shown for Plain<K, V> {
    fn kind(&self) -> &'static str {
        "key-value"
    }

    fn get(self: Arc<Self>, key: String, wait: bool, as_of_ms: Option<i64>, read: Read) -> Told {
        Box::pin(async move {
            if as_of_ms.is_some() {
                return Err(Problem::bad_request("as_of: this store keeps no versions"));
            }
            let key = parse(&key)?;
            let value = match wait {
                true => self.0.wait_for(&key, |value| value.is_some(), read).await?,
                false => self.0.get(&key, read).await?,
            };
            to_json(&value)
        })
    }

    fn page(self: Arc<Self>, part: Part, scan: Scan, read: Read) -> Told {
        Box::pin(async move { entries(range(&self.0, part, scan, read).await?, plain_key) })
    }

    fn watch(self: Arc<Self>, part: Part, after: Option<String>, read: Read) -> Followed {
        Box::pin(async move { follow(&self.0, watched(part)?, after, read, plain_key).await })
    }
}

impl<K: KeyText, V: Serialize + Send + Sync + 'static> Shown for Versioned<K, V> {
    fn kind(&self) -> &'static str {
        "versioned"
    }

    fn get(self: Arc<Self>, key: String, wait: bool, as_of_ms: Option<i64>, read: Read) -> Told {
        Box::pin(async move {
            if wait {
                return Err(Problem::bad_request(
                    "wait: not on a store that keeps versions",
                ));
            }
            let key = parse(&key)?;
            let version = match as_of_ms {
                Some(time_ms) => self.0.as_of(&key, time_ms, read).await?,
                None => self.0.latest(&key, read).await?,
            };
            version.map_or(Ok(Value::Null), |version| version_json(&version))
        })
    }

    fn page(self: Arc<Self>, part: Part, scan: Scan, read: Read) -> Told {
        Box::pin(async move {
            let Some(key) = part.key else {
                return entries(range(&self.0, part, scan, read).await?, plain_key);
            };
            let times = part.times.unwrap_or(i64::MIN..=i64::MAX);
            let key = parse(&key)?;
            let history = self.0.history(&key, times, crate::ENTRIES_MAX, read);
            let versions: Result<Vec<Value>, Problem> =
                history.await?.iter().map(version_json).collect();
            Ok(json!({ "versions": versions? }))
        })
    }

    fn watch(self: Arc<Self>, part: Part, after: Option<String>, read: Read) -> Followed {
        Box::pin(async move { follow(&self.0, watched(part)?, after, read, plain_key).await })
    }
}

impl<K: KeyText, V: Serialize + Send + Sync + 'static> Shown for Windows<K, V> {
    fn kind(&self) -> &'static str {
        "windowed"
    }

    fn get(self: Arc<Self>, key: String, wait: bool, as_of_ms: Option<i64>, read: Read) -> Told {
        if wait || as_of_ms.is_some() {
            let problem = Problem::bad_request("wait and as_of: not on a windowed store");
            return Box::pin(std::future::ready(Err(problem)));
        }
        let part = Part {
            key: Some(key),
            ..Part::default()
        };
        self.page(part, Scan::new(), read)
    }

    fn page(self: Arc<Self>, part: Part, scan: Scan, read: Read) -> Told {
        Box::pin(async move {
            refuse_ranges(&part)?;
            let times = part.times.unwrap_or(i64::MIN..=i64::MAX);
            let page = match part.key {
                Some(key) => self.0.fetch(parse(&key)?, times, scan, read).await?,
                None => self.0.fetch_all(times, scan, read).await?,
            };
            entries(page, windowed_key)
        })
    }

    fn watch(self: Arc<Self>, part: Part, after: Option<String>, read: Read) -> Followed {
        Box::pin(async move {
            refuse_ranges(&part)?;
            let times = part.times.unwrap_or(i64::MIN..=i64::MAX);
            let watched = match part.key {
                Some(key) => Watched::windows(parse::<K>(&key)?, times),
                None => Watched::all_windows(times),
            };
            follow(&self.0, watched, after, read, windowed_key).await
        })
    }
}

fn refuse_ranges(part: &Part) -> Result<(), Problem> {
    match part.from.is_some() || part.to.is_some() || part.prefix.is_some() {
        true => Err(Problem::bad_request(
            "a windowed store is asked by key, and from_ms and to_ms",
        )),
        false => Ok(()),
    }
}

async fn range<K: KeyText, V: 'static>(
    table: &Table<K, V>,
    part: Part,
    scan: Scan,
    read: Read,
) -> Result<Page<K, V>, Problem> {
    if part.times.is_some() {
        return Err(Problem::bad_request(
            "from_ms and to_ms: this store has no windows",
        ));
    }
    if let Some(prefix) = part.prefix {
        return Ok(table.prefix(prefix.as_bytes(), scan, read).await?);
    }
    let bound = |text: Option<String>| text.map(|text| parse::<K>(&text)).transpose();
    let (from, to) = (bound(part.from)?, bound(part.to)?);
    Ok(table.range(from.as_ref(), to.as_ref(), scan, read).await?)
}

/// What a client watches of a store without windows.
fn watched<K: KeyText>(part: Part) -> Result<Watched<K>, Problem> {
    if part.times.is_some() {
        return Err(Problem::bad_request("from_ms and to_ms: not with watch"));
    }
    let bound = |text: Option<String>| text.map(|text| parse::<K>(&text)).transpose();
    Ok(match (bound(part.key)?, part.prefix) {
        (Some(key), _) => Watched::key(key),
        (None, Some(prefix)) => Watched::prefix(prefix),
        (None, None) => Watched::range(bound(part.from)?, bound(part.to)?),
    })
}

async fn follow<K: Send + Sync + 'static, V>(
    table: &Table<K, V>,
    watched: Watched<K>,
    after: Option<String>,
    read: Read,
    show: fn(&K) -> Result<Map<String, Value>, Problem>,
) -> Result<Box<dyn Follow>, Problem>
where
    V: Serialize + Send + Sync + 'static,
{
    let watched = match after {
        Some(position) => watched.after(position),
        None => watched,
    };
    let watch = table.watch(watched, read).await?;
    Ok(Box::new(Shower { watch, show }))
}

fn entries<K, V: Serialize>(
    page: Page<K, V>,
    shown: impl Fn(&K) -> Result<Map<String, Value>, Problem>,
) -> Result<Value, Problem> {
    let entries = page.entries.iter().map(|(key, value)| {
        let mut entry = shown(key)?;
        entry.insert("value".into(), to_json(value)?);
        Ok(Value::Object(entry))
    });
    let entries: Result<Vec<Value>, Problem> = entries.collect();
    Ok(json!({ "entries": entries?, "next": page.next, "lag": page.lag }))
}

fn plain_key<K: Serialize>(key: &K) -> Result<Map<String, Value>, Problem> {
    Ok(Map::from_iter([("key".to_owned(), to_json(key)?)]))
}

fn windowed_key<K: Serialize>(windowed: &Windowed<K>) -> Result<Map<String, Value>, Problem> {
    let window = json!({ "start_ms": windowed.start, "end_ms": windowed.end });
    let key = ("key".to_owned(), to_json(&windowed.key)?);
    Ok(Map::from_iter([key, ("window".to_owned(), window)]))
}

fn version_json<V: Serialize>(version: &Version<V>) -> Result<Value, Problem> {
    Ok(json!({
        "value": to_json(&version.value)?,
        "valid_from_ms": version.valid_from_ms,
        "valid_to_ms": version.valid_to_ms,
    }))
}

fn parse<K: KeyText>(text: &str) -> Result<K, Problem> {
    text.parse()
        .map_err(|error| Problem::bad_request(format!("the key '{text}': {error}")))
}

pub(super) fn to_json(value: &impl Serialize) -> Result<Value, Problem> {
    serde_json::to_value(value).map_err(|error| {
        let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, format!("a value that JSON cannot show: {error}"))
    })
}

//! The store objects of a case as the nouns of the DSL. Not stores. Invariant: an option is set only where the case sets it.

use crate::Refusal;
use crate::case::Spec;
use crate::value::{Key, Ty, Val};
use headwater::streams::App;
use headwater::{Sessions, Store, StoreHandle, TimestampedKeyValues, Versions, Windows};
use std::sync::Arc;
use std::time::Duration;

/// What a store keeps: rows by key, or by key and window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    KeyValue,
    Window,
}

/// The store of a DSL node (`Materialized`).
pub(crate) fn materialized<K: Key>(
    spec: &Spec,
    key: Ty,
    value: Ty,
    family: Family,
) -> std::result::Result<Store<K, Val>, Refusal> {
    let store = match spec.text("name") {
        Some(name) => Store::named(name),
        None => Store::unnamed(),
    };
    let mut store = store.keys(K::keys(key)).values(value.values());
    store = match (spec.text("kind"), family) {
        (None, _) => store,
        (Some("in_memory"), _) => store.in_memory(),
        (Some("versioned"), Family::KeyValue) => {
            let history_ms = spec.required_long("history_ms")?.unsigned_abs();
            store.versioned(std::time::Duration::from_millis(history_ms))
        }
        (Some("persistent"), _) => store.on_disk(),
        (Some("plain"), _) => store.plain(),
        (Some("lru"), Family::KeyValue) => store.lru(entries_max(spec)?),
        (Some(kind), _) => {
            return Err(Refusal::Unsupported(format!("store kind {kind}")));
        }
    };
    store = match spec.bool("caching") {
        Some(false) => store.without_cache(),
        Some(true) | None => store,
    };
    store = logging(store, spec);
    if let Some(retention_ms) = spec.long("retention_ms") {
        let retention_ms = u64::try_from(retention_ms);
        let retention_ms = retention_ms
            .map_err(|_| Refusal::Inexpressible("a retention is never negative".into()))?;
        store = store.retention(std::time::Duration::from_millis(retention_ms));
    }
    Ok(store)
}

/// The changelog of a store: none, or with settings.
pub(crate) fn logging<K, V>(store: Store<K, V>, spec: &Spec) -> Store<K, V> {
    if spec.bool("logging") == Some(false) {
        return store.without_changelog();
    }
    let settings = spec.settings("logging").into_iter();
    settings.fold(store, |store, (name, value)| {
        store.changelog_setting(&name, &value)
    })
}

pub(crate) fn entries_max(spec: &Spec) -> std::result::Result<usize, Refusal> {
    let entries = spec.required_long("max_entries")?;
    usize::try_from(entries).map_err(|_| Refusal::Case("a negative max_entries".into()))
}

fn duration(spec: &Spec, field: &str) -> std::result::Result<Duration, Refusal> {
    let ms = u64::try_from(spec.required_long(field)?);
    let ms = ms.map_err(|_| Refusal::Inexpressible(format!("{field} is never negative")))?;
    Ok(Duration::from_millis(ms))
}

/// A store that a processor uses.
#[derive(Clone, Debug)]
pub(crate) enum StoreRef {
    /// A table's, by its name.
    Table(Arc<str>),
    /// A versioned table's, by its name.
    VersionedTable(Arc<str>),
    /// That of windows of a table, by its name.
    WindowTable(Arc<str>),
    /// That of sessions of a table, by its name.
    SessionTable(Arc<str>),
    KeyValue(StoreHandle<Val, Val>),
    Timestamped(StoreHandle<Val, Val, TimestampedKeyValues>),
    Window(StoreHandle<Val, Val, Windows>),
    Session(StoreHandle<Val, Val, Sessions>),
    Versioned(StoreHandle<Val, Val, Versions>),
}

impl StoreRef {
    /// Its handle, for counters.
    pub(crate) fn key_value(&self) -> Option<StoreHandle<Val, Val>> {
        match self {
            Self::KeyValue(store) => Some(*store),
            _ => None,
        }
    }
}

/// A store of `add_store`.
pub(crate) fn added(app: &App, spec: &Spec) -> std::result::Result<StoreRef, Refusal> {
    let name = spec.required("name")?;
    let (key, value) = (Ty::field(spec, "key")?, Ty::field(spec, "value")?);
    let mut store = Store::named(name)
        .keys(Val::keys(key))
        .values(value.values());
    store = match spec.text("kind").unwrap_or("persistent") {
        "persistent" => store.on_disk(),
        "in_memory" => store.in_memory(),
        "lru" => store.lru(entries_max(spec)?),
        kind => return Err(Refusal::Unsupported(format!("store kind {kind}"))),
    };
    if spec.bool("caching") == Some(true) {
        store = store.with_cache();
    }
    let store = logging(store, spec);
    Ok(match spec.required("type")? {
        "kv" => StoreRef::KeyValue(app.store(store)),
        "timestamped_kv" => StoreRef::Timestamped(app.timestamped_store(store)),
        "window" => {
            if spec.required_long("window_ms")? > spec.required_long("retention_ms")? {
                let reason = "a store of windows is not told how long they are";
                return Err(Refusal::Inexpressible(reason.into()));
            }
            let mut store = store.retention(duration(spec, "retention_ms")?);
            if spec.bool("duplicates") == Some(true) {
                store = store.duplicates();
            }
            StoreRef::Window(app.window_store(store))
        }
        "session" => {
            let store = store.retention(duration(spec, "retention_ms")?);
            StoreRef::Session(app.session_store(store))
        }
        "versioned" => {
            let store = store.versioned(duration(spec, "history_ms")?);
            StoreRef::Versioned(app.versioned_store(store))
        }
        ty => return Err(Refusal::Unsupported(format!("store type {ty}"))),
    })
}

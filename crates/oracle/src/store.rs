//! The store objects of a case as the nouns of the DSL. Not stores. Invariant: an option is set only where the case sets it.

use crate::Refusal;
use crate::case::Spec;
use crate::value::{Key, Ty, Val, seen};
use headwater::streams::{App, Error, StoreSet};
use headwater::{ProcessorContext, Store, StoreHandle};
use std::ops::ControlFlow;

type Result<T, E = Error> = std::result::Result<T, E>;
type Ctx<'a, 'c, K> = ProcessorContext<'a, 'c, K, Val>;

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
        (Some(kind), _) => {
            return Err(Refusal::Unsupported(format!("store kind {kind}")));
        }
    };
    store = match spec.bool("caching") {
        Some(false) => store.without_cache(),
        Some(true) | None => store,
    };
    store = logging(store, spec);
    if let Some(retention_ms) = spec.long("retention_ms")
        && spec.text("kind") != Some("plain")
    {
        let retention_ms = u64::try_from(retention_ms);
        let retention_ms =
            retention_ms.map_err(|_| Refusal::Case("a negative retention".into()))?;
        store = store.retention(std::time::Duration::from_millis(retention_ms));
    }
    Ok(store)
}

/// The changelog of a store: none, or with settings.
fn logging<K, V>(store: Store<K, V>, spec: &Spec) -> Store<K, V> {
    if spec.bool("logging") == Some(false) {
        return store.without_changelog();
    }
    let settings = spec.settings("logging").into_iter();
    settings.fold(store, |store, (name, value)| {
        store.changelog_setting(&name, &value)
    })
}

/// A store that a processor uses.
#[derive(Clone, Copy)]
pub(crate) enum StoreRef {
    /// Rows by key.
    KeyValue(StoreHandle<Val, Val>),
}

impl StoreRef {
    /// Its number, for what connects it.
    pub(crate) fn indices(self) -> Vec<usize> {
        match self {
            Self::KeyValue(store) => store.indices(),
        }
    }

    /// Its handle, for counters.
    pub(crate) fn key_value(self) -> Option<StoreHandle<Val, Val>> {
        match self {
            Self::KeyValue(store) => Some(store),
        }
    }

    /// An error when the store is not connected to the processor.
    pub(crate) fn check<K: Key>(self, ctx: &mut Ctx<'_, '_, K>) -> Result<()> {
        match self {
            Self::KeyValue(store) => ctx.store(store).map(drop),
        }
    }

    /// The value under a text.
    pub(crate) fn get<K: Key>(self, ctx: &mut Ctx<'_, '_, K>, key: &Val) -> Result<Val> {
        match self {
            Self::KeyValue(store) => Ok(seen(ctx.store(store)?.get(key)?)),
        }
    }

    /// Sets the value under a text; null deletes it.
    pub(crate) fn put<K: Key>(
        self,
        ctx: &mut Ctx<'_, '_, K>,
        key: &Val,
        value: &Val,
    ) -> Result<()> {
        match self {
            Self::KeyValue(store) => match value {
                Val::Null => ctx.store(store)?.delete(key),
                value => ctx.store(store)?.put(key, value),
            },
        }
    }

    /// All rows, in the order of the store.
    pub(crate) fn all<K: Key>(self, ctx: &mut Ctx<'_, '_, K>) -> Result<Vec<(Val, Val)>> {
        let mut rows = Vec::new();
        match self {
            Self::KeyValue(store) => ctx.store(store)?.range(None, None, |key, value| {
                rows.push((key, value));
                ControlFlow::Continue(())
            })?,
        }
        Ok(rows)
    }
}

/// A store of `add_store`.
pub(crate) fn added(app: &App, spec: &Spec) -> std::result::Result<StoreRef, Refusal> {
    let kind = spec.text("kind").unwrap_or("persistent");
    let store = match (spec.required("type")?, kind) {
        ("kv", "persistent") => Store::named(spec.required("name")?),
        ("kv", "in_memory") => Store::named(spec.required("name")?).in_memory(),
        (ty, kind) => return Err(Refusal::Unsupported(format!("store {ty} {kind}"))),
    };
    if spec.bool("caching") == Some(true) {
        return Err(Refusal::Unsupported("add_store with caching".into()));
    }
    let (key, value) = (Ty::field(spec, "key")?, Ty::field(spec, "value")?);
    let store = store.keys(Val::keys(key)).values(value.values());
    Ok(StoreRef::KeyValue(app.store(logging(store, spec))))
}

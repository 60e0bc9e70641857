//! The fixed processors of cases: what each does with a record, on the stores that a case gives it.
//! Not the nodes: those are in `node`. Invariant: a processor sees and gives nulls as `Val::Null`.

mod reach;
mod step;

use crate::Refusal;
use crate::case::Spec;
use crate::function::{Function, Test};
use crate::store::StoreRef;
use crate::value::{Key, Ty, Val, present, seen};
use headwater::streams::Error;
use headwater::{
    FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Processor, ProcessorContext, Punctuation,
    PunctuationKind, Record,
};
use std::marker::PhantomData;
use std::time::Duration;
use step::Seen;

type Result<T, E = Error> = std::result::Result<T, E>;
type Ctx<'a, 'c, K> = ProcessorContext<'a, 'c, K, Val>;

/// What a processor node does, with the static types of what it gives.
#[derive(Clone)]
pub(crate) struct Plan {
    pub(crate) key: Ty,
    pub(crate) value: Ty,
    pub(crate) kind: Kind,
    pub(crate) store: Option<StoreRef>,
}

/// The processors, with their fields.
#[derive(Clone)]
pub(crate) enum Kind {
    Identity,
    RunningTotal,
    Put,
    Lookup,
    Buffer {
        every_ms: i64,
    },
    Tick {
        every_ms: i64,
        clock: PunctuationKind,
    },
    AddHeader {
        name: String,
        value: String,
    },
    DropHeaders,
    HeaderToValue {
        name: String,
    },
    SetTimestamp {
        offset_ms: i64,
    },
    Metadata,
    FailIf(Test),
    Dedup {
        window_ms: i64,
    },
    SessionTracker {
        gap_ms: i64,
    },
    VersionedPut,
    VersionedGet {
        offset_ms: i64,
    },
    Route(Function),
}

impl Kind {
    /// True for those that drop records without a key.
    fn needs_key(&self) -> bool {
        matches!(
            self,
            Self::RunningTotal
                | Self::Dedup { .. }
                | Self::SessionTracker { .. }
                | Self::VersionedPut
                | Self::VersionedGet { .. }
        )
    }
}

impl Plan {
    /// Reads a node whose input has these types. `store` is the one it names.
    pub(crate) fn of(
        node: &Spec,
        key: Ty,
        value: Ty,
        store: Option<StoreRef>,
    ) -> std::result::Result<Self, Refusal> {
        let every_ms = || node.required_long("every_ms");
        let header = || node.required("header").map(str::to_owned);
        let name = node.required("processor")?;
        let (kind, key, value) = match name {
            "identity" => (Kind::Identity, key, value),
            "running_total" => (Kind::RunningTotal, key, Ty::Long),
            "put" => (Kind::Put, key, value),
            "lookup" => (Kind::Lookup, key, Ty::Str),
            "buffer" => {
                let every_ms = every_ms()?;
                (Kind::Buffer { every_ms }, Ty::Str, Ty::Str)
            }
            "tick" | "stream_tick" => {
                let clock = match name {
                    "tick" => PunctuationKind::WallClock,
                    _ => PunctuationKind::StreamTime,
                };
                let every_ms = every_ms()?;
                (Kind::Tick { every_ms, clock }, Ty::Str, Ty::Str)
            }
            "add_header" => {
                let (name, value_added) = (header()?, node.required("header_value")?.to_owned());
                let kind = Kind::AddHeader {
                    name,
                    value: value_added,
                };
                (kind, key, value)
            }
            "drop_headers" => (Kind::DropHeaders, key, value),
            "header_to_value" => (Kind::HeaderToValue { name: header()? }, key, Ty::Str),
            "set_ts" => {
                let offset_ms = node.required_long("offset_ms")?;
                (Kind::SetTimestamp { offset_ms }, key, value)
            }
            "metadata" => (Kind::Metadata, key, Ty::Str),
            "fail_if" => {
                let test = Test::parse(node.required("test")?, key, value)?;
                (Kind::FailIf(test), key, value)
            }
            "versioned_put" => (Kind::VersionedPut, key, Ty::Long),
            "route" => {
                let child = Function::parse(node.required("child_fn")?, key, value)?;
                (Kind::Route(child), key, value)
            }
            name => match with_number(node, name)? {
                Some((kind, text)) => (kind, key, if text { Ty::Str } else { value }),
                None => return Err(Refusal::Unsupported(format!("processor {name}"))),
            },
        };
        Ok(Self {
            key,
            value,
            kind,
            store,
        })
    }

    /// A processor that takes keys of one Rust type and gives those of another.
    pub(crate) fn processor<K: Key, K2: Key>(&self) -> Fixed<K, K2> {
        Fixed {
            plan: self.clone(),
            count: 0,
            types: PhantomData,
        }
    }

    /// A processor that keeps the key.
    pub(crate) fn keyed<K: Key>(&self) -> FixedKeyed<K> {
        FixedKeyed {
            plan: self.clone(),
            types: PhantomData,
        }
    }
}

/// The processors that need no more than a number; true where they give a text.
fn with_number(node: &Spec, name: &str) -> std::result::Result<Option<(Kind, bool)>, Refusal> {
    let number = |field| node.required_long(field);
    Ok(match name {
        "dedup" => {
            let window_ms = number("window_ms")?;
            Some((Kind::Dedup { window_ms }, false))
        }
        "session_tracker" => {
            let gap_ms = number("gap_ms")?;
            Some((Kind::SessionTracker { gap_ms }, true))
        }
        "versioned_get" => {
            let offset_ms = number("offset_ms")?;
            Some((Kind::VersionedGet { offset_ms }, true))
        }
        _ => None,
    })
}

/// A processor of a case.
pub(crate) struct Fixed<K, K2> {
    plan: Plan,
    count: u64,
    types: PhantomData<fn(K) -> K2>,
}

fn seen_of<K: Key>(record: &Record<K, Val>) -> Seen {
    Seen {
        key: record.key.val(),
        value: seen(record.value.clone()),
        timestamp: record.timestamp,
        headers: record.headers.clone(),
        position: record.position,
    }
}

impl<K: Key, K2: Key> Processor for Fixed<K, K2> {
    type KeyIn = K;
    type ValueIn = Val;
    type KeyOut = K2;
    type ValueOut = Val;

    fn open(&mut self, ctx: &mut Ctx<'_, '_, K2>) -> Result<()> {
        if let Some(store) = &self.plan.store {
            store.check(ctx)?;
        }
        match self.plan.kind {
            Kind::Buffer { every_ms } => schedule(ctx, every_ms, PunctuationKind::StreamTime),
            Kind::Tick { every_ms, clock } => schedule(ctx, every_ms, clock),
            _ => {}
        }
        Ok(())
    }

    fn process(&mut self, record: Record<K, Val>, ctx: &mut Ctx<'_, '_, K2>) -> Result<()> {
        let seen = seen_of(&record);
        match &self.plan.kind {
            Kind::Buffer { .. } => return self.buffer(&seen, ctx),
            Kind::Tick { .. } => {
                self.count += 1;
                let text = |x: Val| present(x).map_or(Val::Null, |x| Val::Str(x.text()));
                let record = record.with(K2::of(text(seen.key)), present(text(seen.value)));
                return ctx.forward(record);
            }
            _ => {}
        }
        let key = K2::of(seen.key.clone());
        let Some(made) = self.plan.step(seen, ctx)? else {
            return Ok(());
        };
        let mut record = record.with(key, present(made.value));
        (record.timestamp, record.headers) = (made.timestamp, made.headers);
        match made.child {
            Some(child) => ctx.forward_to(&child, record),
            None => ctx.forward(record),
        }
    }

    fn punctuate(&mut self, punctuation: Punctuation, ctx: &mut Ctx<'_, '_, K2>) -> Result<()> {
        let time = punctuation.time;
        if let Kind::Buffer { .. } = self.plan.kind {
            let store = self.plan.store()?;
            for (key, row) in store.all(ctx)? {
                ctx.forward(Record::new(K2::of(key.clone()), Some(row), time))?;
                store.delete(ctx, &key)?;
            }
            return Ok(());
        }
        let value = Val::Str(format!("{}@{time}", self.count));
        let key = K2::of(Val::Str("tick".into()));
        ctx.forward(Record::new(key, Some(value), time))?;
        self.count = 0;
        Ok(())
    }
}

fn schedule<K: Key>(ctx: &mut Ctx<'_, '_, K>, every_ms: i64, clock: PunctuationKind) {
    ctx.schedule(Duration::from_millis(every_ms.unsigned_abs()), clock);
}

impl<K: Key, K2: Key> Fixed<K, K2> {
    fn buffer(&mut self, seen: &Seen, ctx: &mut Ctx<'_, '_, K2>) -> Result<()> {
        if seen.key == Val::Null || seen.value == Val::Null {
            return Ok(());
        }
        let (store, key) = (self.plan.store()?, Val::Str(seen.key.text()));
        let row = match store.get(ctx, &key)? {
            Val::Null => seen.value.text(),
            old => format!("{}+{}", old.text(), seen.value.text()),
        };
        store.put(ctx, &key, &Val::Str(row), seen.timestamp)
    }
}

/// A processor of a case that keeps the key.
pub(crate) struct FixedKeyed<K> {
    plan: Plan,
    types: PhantomData<fn(K)>,
}

impl<K: Key> FixedKeyProcessor for FixedKeyed<K> {
    type Key = K;
    type ValueIn = Val;
    type ValueOut = Val;

    fn open(&mut self, ctx: &mut FixedKeyContext<'_, '_, '_, K, Val>) -> Result<()> {
        (self.plan.store.as_ref()).map_or(Ok(()), |store| store.check(ctx))
    }

    fn process(
        &mut self,
        record: FixedKeyRecord<K, Val>,
        ctx: &mut FixedKeyContext<'_, '_, '_, K, Val>,
    ) -> Result<()> {
        let seen = Seen {
            key: record.key().val(),
            value: seen(record.value.clone()),
            timestamp: record.timestamp,
            headers: record.headers.clone(),
            position: record.position(),
        };
        let Some(made) = self.plan.step(seen, ctx)? else {
            return Ok(());
        };
        let mut record = record.with_value(present(made.value));
        (record.timestamp, record.headers) = (made.timestamp, made.headers);
        ctx.forward(record)
    }
}

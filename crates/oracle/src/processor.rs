//! The fixed processors of cases: what each does with a record, on the stores that a case gives it.
//! Not the nodes: those are in `node`. Invariant: a processor sees and gives nulls as `Val::Null`.

use crate::Refusal;
use crate::case::Spec;
use crate::function::Test;
use crate::store::StoreRef;
use crate::value::{Key, Ty, Val, present, seen};
use headwater::streams::Error;
use headwater::{Headers, Processor, ProcessorContext, Punctuation, PunctuationKind, Record};
use std::marker::PhantomData;
use std::time::Duration;

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
            other => return Err(Refusal::Unsupported(format!("processor {other}"))),
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
}

/// A fixed processor.
pub(crate) struct Fixed<K, K2> {
    plan: Plan,
    count: u64,
    types: PhantomData<fn(K) -> K2>,
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
        let (key, value) = (record.key.val(), seen(record.value.clone()));
        match &self.plan.kind {
            Kind::Buffer { .. } => return self.buffer(&key, &value, ctx),
            Kind::Tick { .. } => {
                self.count += 1;
                let text = |x: Val| present(x).map_or(Val::Null, |x| Val::Str(x.text()));
                let record = record.with(K2::of(text(key)), present(text(value)));
                return ctx.forward(record);
            }
            _ => {}
        }
        let Some(value) = self.step(&key, value, &record, ctx)? else {
            return Ok(());
        };
        let mut record = record.with(K2::of(key), present(value));
        match &self.plan.kind {
            Kind::SetTimestamp { offset_ms } => record.timestamp += offset_ms,
            Kind::AddHeader { name, value } => record.headers.add(name, Some(value.as_bytes())),
            Kind::DropHeaders => record.headers = Headers::default(),
            _ => {}
        }
        ctx.forward(record)
    }

    fn punctuate(&mut self, punctuation: Punctuation, ctx: &mut Ctx<'_, '_, K2>) -> Result<()> {
        let time = punctuation.time;
        if let Kind::Buffer { .. } = self.plan.kind {
            let store = *self.store()?;
            for (key, row) in store.all(ctx)? {
                ctx.forward(Record::new(K2::of(key.clone()), Some(row), time))?;
                store.put(ctx, &key, &Val::Null)?;
            }
            return Ok(());
        }
        let value = Val::Str(format!("{}@{time}", self.count));
        ctx.forward(Record::new(
            K2::of(Val::Str("tick".into())),
            Some(value),
            time,
        ))?;
        self.count = 0;
        Ok(())
    }
}

fn schedule<K: Key>(ctx: &mut Ctx<'_, '_, K>, every_ms: i64, clock: PunctuationKind) {
    ctx.schedule(Duration::from_millis(every_ms.unsigned_abs()), clock);
}

impl<K: Key, K2: Key> Fixed<K, K2> {
    fn store(&self) -> Result<&StoreRef> {
        let store = self.plan.store.as_ref();
        store.ok_or_else(|| Error::failed("the processor has no store"))
    }

    fn buffer(&mut self, key: &Val, value: &Val, ctx: &mut Ctx<'_, '_, K2>) -> Result<()> {
        if *key == Val::Null || *value == Val::Null {
            return Ok(());
        }
        let (store, key) = (self.store()?, Val::Str(key.text()));
        let row = match store.get(ctx, &key)? {
            Val::Null => value.text(),
            old => format!("{}+{}", old.text(), value.text()),
        };
        store.put(ctx, &key, &Val::Str(row))
    }

    /// The new value of a record; `None` drops it.
    fn step(
        &self,
        key: &Val,
        value: Val,
        record: &Record<K, Val>,
        ctx: &mut Ctx<'_, '_, K2>,
    ) -> Result<Option<Val>> {
        let text = Val::Str(key.text());
        Ok(Some(match &self.plan.kind {
            Kind::RunningTotal if *key == Val::Null => return Ok(None),
            Kind::RunningTotal => {
                let store = self.store()?;
                let total = match value {
                    Val::Null => Val::Null,
                    value => {
                        let old = store.get(ctx, &text)?.number();
                        Val::Long(old.wrapping_add(value.number()))
                    }
                };
                store.put(ctx, &text, &total)?;
                total
            }
            Kind::Put => {
                if *key != Val::Null {
                    let row = present(value.clone()).map_or(Val::Null, |x| Val::Str(x.text()));
                    self.store()?.put(ctx, &text, &row)?;
                }
                value
            }
            Kind::Lookup => {
                let found = match key {
                    Val::Null => Val::Null,
                    _ => self.store()?.get(ctx, &text)?,
                };
                Val::Str(format!("{},{}", value.text(), found.text()))
            }
            Kind::HeaderToValue { name } => match record.headers.last(name).flatten() {
                Some(bytes) => Val::Str(String::from_utf8_lossy(bytes).into_owned()),
                None => Val::Null,
            },
            Kind::Metadata => {
                let position = record.position;
                let (partition, offset) = (position.partition, position.offset);
                let topic = ctx.topic(position);
                let place = topic.map_or("none".into(), |topic| {
                    format!("{topic}/{partition}/{offset}")
                });
                Val::Str(format!("{place}@{}@{}", ctx.stream_time(), ctx.now_ms()))
            }
            Kind::FailIf(test) if test.holds(key, &value) => {
                return Err(Error::failed(format!("failed on {}", value.text())));
            }
            _ => value,
        }))
    }
}

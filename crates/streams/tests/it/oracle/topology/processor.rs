//! The oracle's processors. Invariant: each does what the oracle's README says under its name.

use headwater_streams::{
    Processor, ProcessorContext, Punctuation, PunctuationKind, Record, Result, StoreHandle,
};
use std::{ops::ControlFlow, time::Duration};

type Text = Option<String>;

fn text(key: &Text) -> String {
    key.clone().unwrap_or_else(|| "null".to_owned())
}

/// `identity`.
pub(super) struct Identity;

impl Processor for Identity {
    type KeyIn = Text;
    type ValueIn = String;
    type KeyOut = Text;
    type ValueOut = String;

    fn process(
        &mut self,
        record: Record<Text, String>,
        ctx: &mut ProcessorContext<'_, '_, Text, String>,
    ) -> Result<()> {
        ctx.forward(record)
    }
}

/// `running_total`.
pub(super) struct RunningTotal {
    pub(super) totals: StoreHandle<String, i64>,
}

impl Processor for RunningTotal {
    type KeyIn = Text;
    type ValueIn = String;
    type KeyOut = Text;
    type ValueOut = i64;

    fn process(
        &mut self,
        record: Record<Text, String>,
        ctx: &mut ProcessorContext<'_, '_, Text, i64>,
    ) -> Result<()> {
        let Some(key) = record.key.clone() else {
            return Ok(());
        };
        let mut totals = ctx.store(self.totals)?;
        let total = match &record.value {
            Some(value) => {
                let number = value.parse().unwrap_or(value.chars().count() as i64);
                let total = totals.get(&key)?.unwrap_or(0) + number;
                totals.put(&key, &total)?;
                Some(total)
            }
            None => {
                totals.delete(&key)?;
                None
            }
        };
        let forwarded = record.key.clone();
        ctx.forward(record.with(forwarded, total))
    }
}

/// `buffer`.
pub(super) struct Buffer {
    pub(super) rows: StoreHandle<String, String>,
    pub(super) every: Duration,
}

impl Processor for Buffer {
    type KeyIn = Text;
    type ValueIn = String;
    type KeyOut = String;
    type ValueOut = String;

    fn open(&mut self, ctx: &mut ProcessorContext<'_, '_, String, String>) -> Result<()> {
        ctx.schedule(self.every, PunctuationKind::StreamTime);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<Text, String>,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        let (Some(key), Some(value)) = (record.key, record.value) else {
            return Ok(());
        };
        let mut rows = ctx.store(self.rows)?;
        let row = match rows.get(&key)? {
            Some(row) => format!("{row}+{value}"),
            None => value,
        };
        rows.put(&key, &row)
    }

    fn punctuate(
        &mut self,
        punctuation: Punctuation,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        let mut buffered = Vec::new();
        ctx.store(self.rows)?.range(None, None, |key, row| {
            buffered.push((key, row));
            ControlFlow::Continue(())
        })?;
        for (key, row) in buffered {
            ctx.forward(Record::new(key.clone(), Some(row), punctuation.time))?;
            ctx.store(self.rows)?.delete(&key)?;
        }
        Ok(())
    }
}

/// `tick` and `stream_tick`.
pub(super) struct Tick {
    kind: PunctuationKind,
    every: Duration,
    count: u64,
}

impl Tick {
    pub(super) fn wall_clock(every: Duration) -> Self {
        Self {
            kind: PunctuationKind::WallClock,
            every,
            count: 0,
        }
    }

    pub(super) fn stream_time(every: Duration) -> Self {
        Self {
            kind: PunctuationKind::StreamTime,
            every,
            count: 0,
        }
    }
}

impl Processor for Tick {
    type KeyIn = Text;
    type ValueIn = String;
    type KeyOut = String;
    type ValueOut = String;

    fn open(&mut self, ctx: &mut ProcessorContext<'_, '_, String, String>) -> Result<()> {
        ctx.schedule(self.every, self.kind);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<Text, String>,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        self.count += 1;
        let (key, value) = (text(&record.key), record.value.clone());
        ctx.forward(record.with(key, value))
    }

    fn punctuate(
        &mut self,
        punctuation: Punctuation,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        let value = format!("{}@{}", std::mem::take(&mut self.count), punctuation.time);
        ctx.forward(Record::new(
            "tick".to_owned(),
            Some(value),
            punctuation.time,
        ))
    }
}

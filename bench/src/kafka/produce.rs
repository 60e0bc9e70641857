//! The job "produce": records from memory into a topic, idempotent, acknowledged by all replicas; and the writing of any record.
//! Not transactions. Invariant: the time ends when the last record is acknowledged.

use super::input::{Input, Record, Shape};
use super::line::Line;
use super::{Place, RUN_SECONDS_MAX, nap, slots};
use anyhow::{Result, ensure};
use clap::Args;
use headwater::log::{
    AppendRecord, Client, ClientOptions, CommitRequest, Error, HeadersRef, Request, Slot,
    partition_for_key,
};
use std::time::Instant;

/// Distinct records kept in memory and written in turn.
const PREPARED_RECORDS: usize = 100_000;
/// As the Java producer's `buffer.memory`.
const BUFFER_BYTES_MAX: usize = 32 << 20;
/// Flushes at once; as many requests as a client may have under way towards a broker.
const FLUSHES_MAX: usize = 5;

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The topic; it is there.
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 3_000_000)]
    records: u64,
    #[command(flatten)]
    shape: Shape,
}

/// Runs it.
pub(super) fn run(options: &Options) -> Result<()> {
    let mut input = Input::new(&options.shape);
    let mut records = vec![Record::default(); PREPARED_RECORDS];
    for record in &mut records {
        input.next_into(record);
    }
    let mut writer = Writer::open(&options.place, &options.topic)?;
    let begin = Instant::now();
    for number in 0..options.records {
        writer.write(&records[number as usize % PREPARED_RECORDS])?;
    }
    writer.finish()?;
    let seconds = begin.elapsed();
    drop(writer);
    let line = Line {
        job: "produce",
        records: options.records,
        seconds,
        seconds_closed: begin.elapsed(),
        start_to_running: std::time::Duration::ZERO,
    };
    line.print();
    Ok(())
}

/// Writes records by the hash of their keys.
pub(super) struct Writer {
    client: Box<dyn Client>,
    slots: Vec<Slot>,
    /// Flushes that are not answered.
    flushes: usize,
}

impl Writer {
    pub(super) fn open(place: &Place, topic: &str) -> Result<Self> {
        let mut client = place.client(ClientOptions {
            append_bytes_max: BUFFER_BYTES_MAX,
            ..ClientOptions::default()
        })?;
        let slots = slots(&mut *client, topic)?;
        Ok(Self {
            client,
            slots,
            flushes: 0,
        })
    }

    pub(super) fn write(&mut self, record: &Record) -> Result<()> {
        let append = AppendRecord {
            timestamp: record.timestamp_ms,
            key: Some(&record.key),
            value: Some(&record.value),
            headers: HeadersRef::NONE,
        };
        let partition = partition_for_key(&record.key, self.slots.len() as u32);
        let slot = self.slots[partition as usize];
        loop {
            match self.client.append(slot, &append) {
                Ok(()) => return Ok(()),
                // Full: until the broker has acknowledged some of it.
                Err(Error::Unavailable(_)) => {
                    self.answered()?;
                    nap();
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends what was written and does not wait for the answer, unless as many as may be are not answered: then it is sent
    /// with what comes next.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.answered()?;
        if self.flushes < FLUSHES_MAX {
            self.client
                .submit(Request::Commit(CommitRequest::default()));
            self.flushes += 1;
        }
        Ok(())
    }

    fn answered(&mut self) -> Result<()> {
        while let Some(done) = self.client.poll() {
            done.result?;
            self.flushes = self.flushes.saturating_sub(1);
        }
        Ok(())
    }

    /// Waits until everything is acknowledged.
    pub(super) fn finish(&mut self) -> Result<()> {
        let ticket = self
            .client
            .submit(Request::Commit(CommitRequest::default()));
        let begin = Instant::now();
        loop {
            match self.client.poll() {
                Some(done) if done.ticket == ticket => {
                    done.result?;
                    return Ok(());
                }
                // Of a flush before.
                Some(done) => {
                    done.result?;
                }
                None => nap(),
            }
            ensure!(
                begin.elapsed().as_secs() < RUN_SECONDS_MAX,
                "the records were not acknowledged"
            );
        }
    }
}

//! `headwater tail`: records of a topic as lines. Not a member of a group: it commits nothing.
//! Invariant: within a partition records come in order; between partitions the one with the smaller timestamp comes first.

mod reader;

pub(crate) use reader::Reader;

use crate::args::{Format, From, Tail};
use crate::{data::Data, field, place::Place, timestamp};
use anyhow::{Result, bail};
use headwater::log::{OffsetSpec, TopicInfo, TopicPartition};
use headwater::world::Clock;
use reader::Found;
use serde_json::json;
use std::{io::Write, time::Duration};

/// The log is opened anew this often to see what was committed since: a person does not notice, and it is cheap.
const FOLLOW_MS_MIN: u64 = 250;
/// At most this part of the time goes into opening, however long the journal is.
const FOLLOW_REST_FACTOR: u32 = 4;
/// The owner of the directory changes it while it is looked at; only so many failures in a row are one.
const FOLLOW_FAILURES_MAX: u32 = 20;

/// What is shown, and how.
struct Printer<'a> {
    tail: &'a Tail,
    json: bool,
    /// Columns of `partition:offset`.
    width: usize,
    left: u64,
}

pub(crate) fn run(place: &Place, tail: &Tail, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let mut data = Data::open(place)?;
    let topic = data.topic(&tail.topic)?;
    let partitions = chosen(&topic, tail.partition)?;
    let ends = data.offsets(&partitions, OffsetSpec::Stable)?;
    let mut positions = first_positions(&mut data, &partitions, &ends, tail.from)?;
    let mut printer = Printer {
        tail,
        json: as_json,
        width: width(&partitions, &ends),
        left: tail.count.unwrap_or(u64::MAX),
    };
    print_all(
        &mut data,
        &partitions,
        &mut positions,
        &ends,
        &mut printer,
        out,
    )?;
    while tail.follow && printer.left > 0 {
        out.flush()?;
        let mut newer = reopen(place, data)?;
        if newer.topic(&tail.topic)?.id != topic.id {
            bail!(
                "topic '{}' was deleted and created anew; start again",
                tail.topic
            );
        }
        let ends = newer.offsets(&partitions, OffsetSpec::Stable)?;
        let starts = newer.offsets(&partitions, OffsetSpec::Start)?;
        for (position, start) in positions.iter_mut().zip(starts) {
            *position = start.max(*position);
        }
        printer.width = printer.width.max(width(&partitions, &ends));
        print_all(
            &mut newer,
            &partitions,
            &mut positions,
            &ends,
            &mut printer,
            out,
        )?;
        data = newer;
    }
    Ok(())
}

/// Rests, then opens the log as it is then. A cluster's needs no opening.
fn reopen(place: &Place, mut old: Data) -> Result<Data> {
    let clock = old.world().clock.clone();
    let mut rest = Duration::from_millis(FOLLOW_MS_MIN);
    if let Place::Kafka(_) = place {
        wait(&*clock, rest);
        old.look_again();
        return Ok(old);
    }
    drop(old);
    let mut failures = 0;
    loop {
        wait(&*clock, rest);
        let begun = clock.elapsed();
        match Data::open(place) {
            Ok(data) => return Ok(data),
            Err(error) if failures == FOLLOW_FAILURES_MAX => return Err(error),
            Err(_) => failures += 1,
        }
        rest = rest.max((clock.elapsed() - begun) * FOLLOW_REST_FACTOR);
    }
}

fn wait(clock: &dyn Clock, time: Duration) {
    let until = clock.elapsed() + time;
    while let Some(left) = until.checked_sub(clock.elapsed())
        && !left.is_zero()
    {
        std::thread::park_timeout(left);
    }
}

fn chosen(topic: &TopicInfo, partition: Option<u32>) -> Result<Vec<TopicPartition>> {
    let numbers = match partition {
        None => 0..topic.partitions,
        Some(number) if number < topic.partitions => number..number + 1,
        Some(number) => bail!(
            "topic '{}' has no partition {number}; it has 0 to {}",
            topic.name,
            topic.partitions - 1
        ),
    };
    let partitions = numbers.map(|number| TopicPartition::new(topic.name.clone(), number));
    Ok(partitions.collect())
}

fn first_positions(
    data: &mut Data,
    partitions: &[TopicPartition],
    ends: &[i64],
    from: From,
) -> Result<Vec<i64>> {
    let starts = data.offsets(partitions, OffsetSpec::Start)?;
    if let (From::Offset(offset), [partition], [start], [end]) =
        (from, partitions, &starts[..], ends)
        && !(*start..=*end).contains(&offset)
    {
        bail!("{partition} has no offset {offset}; it holds {start} to {end}");
    }
    let wanted = match from {
        From::Start => starts.clone(),
        From::End => ends.to_vec(),
        From::Offset(offset) => vec![offset; partitions.len()],
        From::Last(count) => ends.iter().map(|end| end.saturating_sub(count)).collect(),
        From::Time(time_ms) => data.offsets(partitions, OffsetSpec::AtTime(time_ms))?,
    };
    let within = wanted.iter().zip(starts.iter().zip(ends));
    Ok(within
        .map(|(wanted, (start, end))| (*wanted).min(*end).max(*start))
        .collect())
}

/// Prints what lies between `positions` and `ends`, and moves the positions there.
fn print_all(
    data: &mut Data,
    partitions: &[TopicPartition],
    positions: &mut [i64],
    ends: &[i64],
    printer: &mut Printer<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut readers: Vec<Reader> = partitions
        .iter()
        .zip(positions.iter().zip(ends))
        .map(|(partition, (from, end))| Reader::new(data, partition.clone(), *from, *end))
        .collect();
    while printer.left > 0 {
        for reader in &mut readers {
            reader.fill(data)?;
        }
        let heads = readers.iter().enumerate();
        let times = heads.filter_map(|(at, reader)| Some((reader.head()?.timestamp, at)));
        let Some((_, first)) = times.min() else {
            break;
        };
        if let Some(record) = readers[first].take() {
            printer.print(partitions[first].partition, &record, out)?;
        }
    }
    for (position, reader) in positions.iter_mut().zip(&readers) {
        *position = reader.position();
    }
    Ok(())
}

/// The length of the largest `partition:offset`.
fn width(partitions: &[TopicPartition], ends: &[i64]) -> usize {
    let names = partitions
        .iter()
        .zip(ends)
        .map(|(at, end)| format!("{}:{}", at.partition, (end - 1).max(0)).len());
    names.max().unwrap_or(0)
}

impl Printer<'_> {
    fn print(&mut self, partition: u32, record: &Found, out: &mut dyn Write) -> Result<()> {
        self.left -= 1;
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        if self.json {
            let headers = record.headers.iter().map(|(name, value)| {
                let name = field::json(Some(name), Format::Auto);
                json!({ "key": name, "value": field::json(value.as_deref(), Format::Auto) })
            });
            let line = json!({
                "partition": partition,
                "offset": record.offset,
                "timestamp": record.timestamp,
                "key": field::json(key, self.tail.keys),
                "value": field::json(value, self.tail.values),
                "headers": headers.collect::<Vec<_>>(),
            });
            return Ok(writeln!(out, "{line}")?);
        }
        let place = format!("{partition}:{}", record.offset);
        let (width, time) = (self.width, timestamp::text(record.timestamp));
        let (key, value) = (
            field::text(key, self.tail.keys),
            field::text(value, self.tail.values),
        );
        write!(out, "{place:<width$}  {time:<24}  {key}  {value}")?;
        for (number, (name, value)) in record.headers.iter().enumerate() {
            let before = if number == 0 { "  {" } else { ", " };
            let name = field::text(Some(name), Format::Auto);
            let value = field::text(value.as_deref(), Format::Auto);
            write!(out, "{before}{name}={value}")?;
        }
        let end = if record.headers.is_empty() { "" } else { "}" };
        Ok(writeln!(out, "{end}")?)
    }
}

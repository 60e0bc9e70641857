//! Behaviours of appending and reading. Not of commits that fail or wait: see [`super::commits`].
//! Invariant: every record read was committed, and each is read once, in offset order.

use super::{
    Harness,
    kit::{Kit, Row, end_of, walk},
};
use crate::{AppendRecord, Error, Header, HeadersRef, OffsetSpec};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Wake, Waker},
};

/// Keys, values, nulls, empty ones, timestamps and headers.
pub fn records_come_back_in_order_with_all_they_hold(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let mut headers = Vec::new();
    HeadersRef::encode(
        &mut headers,
        Header {
            key: b"h",
            value: Some(b"1"),
        },
    );
    HeadersRef::encode(
        &mut headers,
        Header {
            key: b"none",
            value: None,
        },
    );
    let headers = HeadersRef {
        count: 2,
        bytes: &headers,
    };
    type Fields<'a> = (i64, Option<&'a [u8]>, Option<&'a [u8]>, HeadersRef<'a>);
    let records: [Fields<'_>; 5] = [
        (5, Some(b"k"), Some(b"v"), headers),
        (6, None, Some(b"no key"), HeadersRef::NONE),
        (7, Some(b"tombstone"), None, HeadersRef::NONE),
        (8, Some(b""), Some(b""), HeadersRef::NONE),
        (1_700_000_000_000, None, None, headers),
    ];
    let slot = client.at(&partition);
    for (timestamp, key, value, headers) in records {
        let record = AppendRecord {
            timestamp,
            key,
            value,
            headers,
        };
        client.append(slot, &record).unwrap();
    }
    let end = end_of(&client.commit(), &partition);
    let rows = kit.read_all(&partition);
    assert_eq!(rows.len(), records.len());
    for (row, (timestamp, key, value, headers)) in rows.iter().zip(records) {
        assert_eq!(row.timestamp, timestamp);
        assert_eq!(row.key.as_deref(), key);
        assert_eq!(row.value.as_deref(), value);
        let wanted: Vec<_> = headers
            .iter()
            .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
            .collect();
        assert_eq!(row.headers, wanted);
    }
    assert_eq!(rows[4].offset, end - 1);
}

/// Each partition has its own records and offsets.
pub fn one_commit_writes_to_several_partitions(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 3);
    kit.create(&mut client, "u", 1);
    let all = [
        kit.at("t", 0),
        kit.at("t", 1),
        kit.at("t", 2),
        kit.at("u", 0),
    ];
    for round in 0..3 {
        for partition in &all {
            client.add(partition, &format!("{partition} {round}"));
        }
    }
    let receipt = client.commit();
    assert_eq!(receipt.ends.len(), 4);
    for partition in &all {
        let wanted: Vec<_> = (0..3).map(|round| format!("{partition} {round}")).collect();
        assert_eq!(kit.texts(partition), wanted);
    }
}

/// Batches are handed out whole; the cursor passes over what lies before the position.
pub fn a_chunk_that_begins_before_the_position_yields_only_later_records(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let end = end_of(&client.write(&partition, &["a", "b", "c", "d"]), &partition);
    let rows = client.read_until(&partition, end - 2, end);
    assert_eq!(rows.iter().map(Row::text).collect::<Vec<_>>(), ["c", "d"]);
    assert_eq!(rows[0].offset, end - 2);
}

/// Nothing is there, and that is no error.
pub fn a_fetch_at_the_end_is_empty(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    client.write(&partition, &["a"]);
    let end = client.look_up(&partition, OffsetSpec::End);
    let slot = client.at(&partition);
    client.read_from(slot, end);
    for _ in 0..20 {
        client.pump();
        assert!(client.fetch().unwrap().is_none());
        harness.advance(1);
    }
}

/// A reader that stands at the end offset has seen everything.
pub fn the_end_offset_tells_an_empty_poll_from_the_end(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let slot = client.at(&partition);
    client.read_from(slot, 0);
    let end = client.until("an end", |client| {
        client.pump();
        assert!(client.fetch().unwrap().is_none());
        client.end_offset(slot)
    });
    assert_eq!(end, 0);
    let end = end_of(&client.write(&partition, &["a", "b"]), &partition);
    let chunk = client.until("records", |client| {
        client.pump();
        client.fetch().unwrap()
    });
    assert!(chunk.end_offset >= end && chunk.next_offset <= chunk.end_offset);
    let mut at = chunk.next_offset;
    client.until("the end", |client| {
        client.pump();
        if let Some(chunk) = client.fetch().unwrap() {
            at = chunk.next_offset;
        }
        (client.end_offset(slot) == Some(at)).then_some(())
    });
    assert!(at >= end);
}

/// Reading goes on as writing does.
pub fn a_reader_sees_what_is_written_while_it_reads(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut writer = kit.client_and_topic("t", 1);
    let mut reader = kit.client("follower");
    let partition = kit.at("t", 0);
    let slot = reader.at(&partition);
    reader.read_from(slot, 0);
    let mut seen = Vec::new();
    for round in 0..10 {
        writer.write(&partition, &[&format!("r{round}")]);
        reader.until("the record just written", |reader| {
            reader.pump();
            if let Some(chunk) = reader.fetch().unwrap() {
                seen.extend(walk(chunk).iter().map(Row::text));
            }
            (seen.len() > round).then_some(())
        });
    }
    let wanted: Vec<_> = (0..10).map(|round| format!("r{round}")).collect();
    assert_eq!(seen, wanted);
}

/// `read_from` again is a seek.
pub fn a_seek_reads_again(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let end = end_of(&client.write(&partition, &["a", "b", "c"]), &partition);
    for position in [0, 2, 1, 0] {
        let rows = client.read_until(&partition, position, end);
        assert_eq!(rows.len() as i64, end - position);
        assert_eq!(rows[0].offset, position);
    }
}

/// No partition waits behind a longer one.
pub fn a_reader_takes_turns_between_partitions(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut writer = kit.client_and_topic("t", 2);
    for partition in [kit.at("t", 0), kit.at("t", 1)] {
        for _ in 0..20 {
            writer.write(&partition, &["x"]);
        }
    }
    let mut reader = kit.client_with("reader", |options| options.fetch_bytes_max = 1);
    let slots = [reader.at(&kit.at("t", 0)), reader.at(&kit.at("t", 1))];
    slots.iter().for_each(|slot| reader.read_from(*slot, 0));
    let mut taken = [0, 0];
    while taken[0] < 10 || taken[1] < 10 {
        let chunk = reader.until("records", |reader| {
            reader.pump();
            reader.fetch().unwrap()
        });
        let index = usize::from(chunk.slot == slots[1]);
        taken[index] += walk(chunk).len();
    }
    assert!(
        taken[0] < 20 || taken[1] < 20,
        "one was read to its end first: {taken:?}"
    );
}

/// Others go on.
pub fn a_partition_that_is_not_read_any_more_yields_nothing(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 2);
    let (stopped, read) = (kit.at("t", 0), kit.at("t", 1));
    client.write(&stopped, &["a"]);
    client.write(&read, &["b"]);
    let (first, second) = (client.at(&stopped), client.at(&read));
    client.read_from(first, 0);
    client.read_from(second, 0);
    client.stop_reading(first);
    let chunk = client.until("records", |client| {
        client.pump();
        client.fetch().unwrap()
    });
    assert_eq!(chunk.slot, second);
    for _ in 0..10 {
        client.pump();
        if let Some(chunk) = client.fetch().unwrap() {
            assert_eq!(chunk.slot, second);
        }
    }
}

/// On hold after each of its chunks, whether or not more was read ahead; the other partition goes on meanwhile.
pub fn a_partition_on_hold_goes_on_where_it_stood(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut writer = kit.client_and_topic("t", 2);
    let (paused, other) = (kit.at("t", 0), kit.at("t", 1));
    let wanted: Vec<String> = (0..12).map(|number| number.to_string()).collect();
    for value in &wanted {
        writer.write(&paused, &[value]);
        writer.write(&other, &[value]);
    }
    let mut reader = kit.client_with("reader", |options| options.fetch_bytes_max = 1);
    let (first, second) = (reader.at(&paused), reader.at(&other));
    reader.read_from(first, 0);
    reader.read_from(second, 0);
    let mut seen = [Vec::new(), Vec::new()];
    let mut held_at = None;
    while seen.iter().any(|seen| seen.len() < wanted.len()) {
        let chunk = reader.until("records", |reader| {
            reader.pump();
            reader.fetch().unwrap()
        });
        let is_paused = chunk.slot == first;
        assert!(!is_paused || held_at.is_none(), "it is on hold");
        let next = chunk.next_offset;
        seen[usize::from(!is_paused)].extend(walk(chunk).iter().map(Row::text));
        if is_paused {
            reader.hold(first);
            held_at = Some(next);
        }
        // The last of the other partition may have come: nothing else would end the wait.
        if !is_paused || seen[1].len() >= wanted.len() {
            held_at
                .take()
                .into_iter()
                .for_each(|at| reader.release(first, at));
        }
    }
    assert_eq!(seen, [wanted.clone(), wanted]);
}

/// Reading stops until the reader says where to go on.
pub fn a_position_beyond_the_end_is_an_error_that_names_it(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let wanted = kit.at("t", 0);
    client.write(&wanted, &["a"]);
    let held = client.look_up(&wanted, OffsetSpec::End);
    let slot = client.at(&wanted);
    client.read_from(slot, held + 5);
    let error = client.until("an error", |client| {
        client.pump();
        client.fetch().err()
    });
    match error {
        Error::OffsetOutOfRange {
            partition,
            offset,
            start,
            end,
        } => {
            assert_eq!(
                (partition, offset, start, end),
                (wanted.clone(), held + 5, 0, held)
            );
        }
        other => panic!("{other:?}"),
    }
    client.pump();
    assert!(client.fetch().unwrap().is_none());
    assert_eq!(client.read_until(&wanted, 0, held)[0].text(), "a");
}

/// A slot is only a name.
pub fn a_slot_may_be_taken_before_its_topic_exists(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client("writer");
    let partition = kit.at("t", 0);
    let slot = client.at(&partition);
    assert_eq!(client.at(&partition), slot);
    assert_ne!(client.at(&kit.at("t", 1)), slot);
    kit.create(&mut client, "t", 2);
    client.write(&partition, &["a"]);
    assert_eq!(kit.texts(&partition), ["a"]);
}

/// Else its reader would stand still.
pub fn a_batch_larger_than_the_fetch_limit_comes_whole(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut writer = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let large = "x".repeat(10_000);
    let end = end_of(&writer.write(&partition, &[&large, "small"]), &partition);
    let mut reader = kit.client_with("reader", |options| options.fetch_bytes_max = 100);
    let rows = reader.read_until(&partition, 0, end);
    assert_eq!(
        rows.iter().map(Row::text).collect::<Vec<_>>(),
        [&large, "small"]
    );
}

/// Many chunks, no gap, no overlap.
pub fn small_fetches_yield_every_record_once(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut writer = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let mut wanted = Vec::new();
    let mut end = 0;
    for round in 0..30 {
        for record in 0..=round % 4 {
            wanted.push(format!("{round}.{record}"));
            writer.add(&partition, &format!("{round}.{record}"));
        }
        end = end_of(&writer.commit(), &partition);
    }
    let mut reader = kit.client_with("reader", |options| options.fetch_bytes_max = 150);
    let rows = reader.read_until(&partition, 0, end);
    assert_eq!(rows.iter().map(Row::text).collect::<Vec<_>>(), wanted);
}

/// 500 kB, half of what Kafka takes by default.
pub fn large_records_come_back(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let values: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|it| it.repeat(500_000))
        .collect();
    let borrowed: Vec<_> = values.iter().map(String::as_str).collect();
    for value in borrowed {
        let slot = client.at(&partition);
        let record = AppendRecord {
            value: Some(value.as_bytes()),
            ..AppendRecord::default()
        };
        client.append(slot, &record).unwrap();
    }
    client.commit();
    assert_eq!(kit.texts(&partition), values);
}

/// A log orders by offset and by nothing else.
pub fn timestamps_may_go_back(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    let slot = client.at(&partition);
    let timestamps = [1_000_000, 5, 2_000_000, 0];
    for timestamp in timestamps {
        let record = AppendRecord {
            timestamp,
            value: Some(b"v"),
            ..AppendRecord::default()
        };
        client.append(slot, &record).unwrap();
    }
    client.commit();
    let rows = kit.read_all(&partition);
    assert_eq!(
        rows.iter().map(|row| row.timestamp).collect::<Vec<_>>(),
        timestamps
    );
}

/// A buffer given back may be used for the next chunk, which must be as good as a fresh one.
pub fn a_recycled_buffer_spoils_nothing(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut writer = kit.client_and_topic("t", 1);
    let partition = kit.at("t", 0);
    for round in 0..10 {
        writer.write(&partition, &[&format!("{round}").repeat(10 - round)]);
    }
    let mut reader = kit.client_with("reader", |options| options.fetch_bytes_max = 1);
    let slot = reader.at(&partition);
    reader.read_from(slot, 0);
    let mut seen = Vec::new();
    while seen.len() < 10 {
        let chunk = reader.until("records", |reader| {
            reader.pump();
            reader.fetch().unwrap()
        });
        seen.extend(walk(chunk.clone()).iter().map(Row::text));
        reader.recycle(chunk);
    }
    let wanted: Vec<_> = (0..10)
        .map(|round| format!("{round}").repeat(10 - round))
        .collect();
    assert_eq!(seen, wanted);
}

struct Count(AtomicU32);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A worker may park until then.
pub fn the_waker_is_called_when_records_arrive(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut writer = kit.client_and_topic("t", 1);
    let count = Arc::new(Count(AtomicU32::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut reader = kit.client_with("parked", |options| options.waker = Some(waker));
    let partition = kit.at("t", 0);
    let slot = reader.at(&partition);
    reader.read_from(slot, 0);
    for _ in 0..20 {
        reader.pump();
        assert!(reader.fetch().unwrap().is_none());
    }
    let before = count.0.load(Ordering::SeqCst);
    writer.write(&partition, &["a"]);
    // Not polled meanwhile: the waker alone has to say that there is something.
    writer.until("the waker", |_| {
        (count.0.load(Ordering::SeqCst) > before).then_some(())
    });
    let end = writer.look_up(&partition, OffsetSpec::Stable);
    assert_eq!(reader.read_until(&partition, 0, end)[0].text(), "a");
}

//! The inputs of the yardsticks: the same records every time. Not random: a multiplier spreads the keys.
//! Invariant: record `n` depends on `n` and the number of keys only.

use anyhow::Result;
use headwater::EmbeddedLog;
use headwater::log::{AppendRecord, HeadersRef};

/// Bytes of a value.
pub(crate) const VALUE_BYTES: usize = 100;
/// Records in one commit while the input is filled.
const COMMIT_RECORDS: u64 = 50_000;
/// Bytes of values after which they are committed sooner: a commit lies in memory until then.
const COMMIT_BYTES: usize = 16 << 20;
/// A prime: consecutive records have distant keys.
const SPREAD: u64 = 7_919;

/// Key number `number` of `keys`, 11 bytes.
pub(crate) fn key(number: u64, keys: u64) -> String {
    format!("key-{:07}", number.wrapping_mul(SPREAD) % keys)
}

/// Fills `topic` with `records` records of `keys` keys.
pub(crate) fn fill(
    log: &EmbeddedLog,
    topic: &str,
    records: u64,
    keys: u64,
    partitions: u32,
) -> Result<()> {
    fill_with(log, topic, records, keys, partitions, |_, value| {
        value.extend([b'v'; VALUE_BYTES])
    })
}

/// As [`fill`], with values that `write` appends for each record's number.
pub(crate) fn fill_with(
    log: &EmbeddedLog,
    topic: &str,
    records: u64,
    keys: u64,
    partitions: u32,
    write: impl Fn(u64, &mut Vec<u8>),
) -> Result<()> {
    let mut writer = log.source_writer("bench", topic)?;
    writer.ensure_topic(topic, partitions)?;
    let (mut value, mut open_bytes) = (Vec::new(), 0);
    for number in 0..records {
        let key = key(number, keys);
        value.clear();
        write(number, &mut value);
        let record = AppendRecord {
            timestamp: 1_600_000_000_000 + number as i64,
            key: Some(key.as_bytes()),
            value: Some(&value),
            headers: HeadersRef::NONE,
        };
        writer.append_raw(topic, &record)?;
        open_bytes += value.len();
        if (number + 1) % COMMIT_RECORDS == 0 || open_bytes >= COMMIT_BYTES {
            writer.commit(number + 1)?;
            open_bytes = 0;
        }
    }
    writer.commit(records)?;
    Ok(())
}

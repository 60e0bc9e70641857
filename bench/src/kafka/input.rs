//! The records that all jobs read, one by one: skewed keys, printable values, seed 42.
//! Not the writing of them. Invariant: record `n` is the same in every run and in every language that fills the topic.

use super::javarandom::JavaRandom;

/// Timestamp of record 0; every hundred records make one ms.
const FIRST_TIMESTAMP_MS: i64 = 1_700_000_000_000;

/// One record.
#[derive(Clone, Default)]
pub(super) struct Record {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) timestamp_ms: i64,
}

/// The records in order.
pub(super) struct Input {
    random: JavaRandom,
    keys: u64,
    value_bytes: usize,
    number: i64,
}

impl Input {
    /// Keys `k0000000` up to `keys`, low numbers more often; values of so many printable bytes.
    pub(super) fn new(keys: u64, value_bytes: usize) -> Self {
        Self {
            random: JavaRandom::new(42),
            keys,
            value_bytes,
            number: 0,
        }
    }

    /// Writes the next record over `record`; its key's number.
    pub(super) fn next_into(&mut self, record: &mut Record) -> usize {
        let draw = self.random.next_double();
        let number = (self.keys as f64 * draw * draw) as usize;
        record.key.clear();
        record.key.extend(format!("k{number:07}").bytes());
        record.value.resize(self.value_bytes, 0);
        self.random.fill(&mut record.value);
        for byte in &mut record.value {
            *byte = 32 + *byte % 90;
        }
        record.timestamp_ms = FIRST_TIMESTAMP_MS + self.number / 100;
        self.number += 1;
        number
    }
}

//! Numbers, strings and settings as bytes, for the journal and the meta file. Big-endian throughout, as Kafka's own files are.
//! Not the record format: records stay in their batches.
//! Invariant: reading never panics; what does not fit is `None`.

use crate::{CommittedOffset, TopicConfig, TopicId};

pub(super) fn put_u8(buffer: &mut Vec<u8>, value: u8) {
    buffer.push(value);
}

pub(super) fn put_u32(buffer: &mut Vec<u8>, value: u32) {
    buffer.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_u64(buffer: &mut Vec<u8>, value: u64) {
    buffer.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_i64(buffer: &mut Vec<u8>, value: i64) {
    buffer.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_id(buffer: &mut Vec<u8>, id: TopicId) {
    buffer.extend_from_slice(&id.0.to_be_bytes());
}

/// A length and the bytes. Callers check sizes before: nothing here is longer than a request that fits memory.
pub(super) fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(buffer, bytes.len() as u32);
    buffer.extend_from_slice(bytes);
}

pub(super) fn put_str(buffer: &mut Vec<u8>, text: &str) {
    put_bytes(buffer, text.as_bytes());
}

pub(super) fn put_config(buffer: &mut Vec<u8>, config: &TopicConfig) {
    put_u32(buffer, config.len() as u32);
    for (name, value) in config {
        put_str(buffer, name);
        put_str(buffer, value);
    }
}

pub(super) fn put_committed(buffer: &mut Vec<u8>, committed: &CommittedOffset) {
    put_i64(buffer, committed.offset);
    // -1 is "unknown", as in Kafka's OffsetCommit.
    put_u32(buffer, committed.leader_epoch.unwrap_or(-1) as u32);
    put_str(buffer, &committed.metadata);
}

/// Reads from the front of a slice.
#[derive(Clone, Debug)]
pub(super) struct Take<'a> {
    bytes: &'a [u8],
}

impl<'a> Take<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn slice(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(len)?;
        self.bytes = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.slice(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(super) fn id(&mut self) -> Option<TopicId> {
        self.array().map(u128::from_be_bytes).map(TopicId)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let len = self.u32()? as usize;
        self.slice(len)
    }

    pub(super) fn str(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A count of things of at least `each` bytes; one that cannot be true is refused before anything is allocated for it.
    pub(super) fn count(&mut self, each: usize) -> Option<usize> {
        let count = self.u32()? as usize;
        (count.checked_mul(each)? <= self.left()).then_some(count)
    }

    pub(super) fn config(&mut self) -> Option<TopicConfig> {
        let count = self.count(8)?;
        let mut config = TopicConfig::new();
        for _ in 0..count {
            let (name, value) = (self.str()?, self.str()?);
            config.insert(name.to_owned(), value.to_owned());
        }
        Some(config)
    }

    pub(super) fn committed(&mut self) -> Option<CommittedOffset> {
        let offset = self.i64()?;
        let epoch = self.u32()? as i32;
        Some(CommittedOffset {
            offset,
            leader_epoch: (epoch >= 0).then_some(epoch),
            metadata: self.str()?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken_and_short_bytes_are_none() {
        let config = TopicConfig::from([("retention.ms".into(), "-1".into())]);
        let committed = CommittedOffset {
            offset: 7,
            leader_epoch: Some(3),
            metadata: "AQ==".into(),
        };
        let mut buffer = Vec::new();
        put_config(&mut buffer, &config);
        put_committed(&mut buffer, &committed);
        let mut take = Take::new(&buffer);
        assert_eq!(take.config(), Some(config));
        assert_eq!(take.committed(), Some(committed));
        assert!(take.is_empty());
        for len in 0..buffer.len() {
            let mut take = Take::new(&buffer[..len]);
            assert!(take.config().and_then(|_| take.committed()).is_none());
        }
        assert_eq!(Take::new(&[0xff; 8]).count(1), None);
    }
}

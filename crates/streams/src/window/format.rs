//! The bytes of keys in windows: in topics, in stores and in changelogs.
//! Not of values. Invariant: a windowed key begins with the key's own bytes, by which records are partitioned.

use super::{Windowed, millis};
use crate::Headers;
use crate::format::{Data, Format, FormatError, FormatOf};
use headwater_log::HeadersRef;
use std::{any::Any, sync::Arc, time::Duration};

/// What stands behind a key in a store of windows: start and sequence number.
const STORE_SUFFIX_BYTES: usize = 12;

/// The window key of topics: the key's bytes, then the start (`TimeWindowedSerializer`). The size comes with the format,
/// since the bytes do not hold the end.
pub fn windowed<K: 'static>(keys: FormatOf<K>, size: Duration) -> FormatOf<Windowed<K>> {
    windowed_ends(keys, Ends::After(millis(size)))
}

/// The session key of topics, stores and changelogs: the key's bytes, then end and start (`SessionWindowedSerializer`).
pub fn session_windowed<K: 'static>(keys: FormatOf<K>) -> FormatOf<Windowed<K>> {
    Arc::new(SessionFormat {
        keys,
        of_store: false,
    })
}

/// How the end of a window follows from its start.
#[derive(Clone)]
pub(crate) enum Ends {
    /// So many ms later.
    After(i64),
    /// As the windows say.
    By(Arc<dyn Fn(i64) -> i64 + Send + Sync>),
    /// It does not.
    Unknown,
}

pub(crate) fn windowed_ends<K: 'static>(keys: FormatOf<K>, ends: Ends) -> FormatOf<Windowed<K>> {
    Arc::new(WindowedFormat {
        keys,
        ends,
        suffix: 8,
    })
}

/// The window key of stores and changelogs: key, start, and a sequence number that is 0 (`WindowKeySchema`).
pub(crate) fn window_store_keys<K: 'static>(
    keys: FormatOf<K>,
    ends: Ends,
) -> FormatOf<Windowed<K>> {
    Arc::new(WindowedFormat {
        keys,
        ends,
        suffix: STORE_SUFFIX_BYTES,
    })
}

/// The same bytes, in a store.
pub(crate) fn session_store_keys<K: 'static>(keys: FormatOf<K>) -> FormatOf<Windowed<K>> {
    Arc::new(SessionFormat {
        keys,
        of_store: true,
    })
}

struct WindowedFormat<K> {
    keys: FormatOf<K>,
    ends: Ends,
    suffix: usize,
}

impl<K: 'static> Format<Windowed<K>> for WindowedFormat<K> {
    fn encode(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &Windowed<K>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        self.keys.encode(topic, headers, &value.key, bytes)?;
        bytes.extend_from_slice(&value.start.to_be_bytes());
        if self.suffix == STORE_SUFFIX_BYTES {
            bytes.extend_from_slice(&[0; 4]);
        }
        Ok(())
    }

    // `WindowedStreamPartitioner`: all windows of a key go to the key's partition.
    fn partition_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..bytes.len().saturating_sub(self.suffix)]
    }

    fn decode(
        &self,
        topic: &str,
        headers: HeadersRef<'_>,
        bytes: &[u8],
    ) -> Result<Windowed<K>, FormatError> {
        let (key, rest) = split(bytes, self.suffix)?;
        let start = time(rest);
        let end = match &self.ends {
            Ends::After(size_ms) => start.saturating_add(*size_ms),
            Ends::By(end) => end(start),
            Ends::Unknown => {
                return Err("a window's end is not in its bytes; give the topic Topic::keys(windowed(format, size))".into());
            }
        };
        if start < 0 {
            return Err("a window that starts before the epoch".into());
        }
        let key = self.keys.decode(topic, headers, key)?;
        Ok(Windowed { key, start, end })
    }

    fn keys_in_windows(&self) -> Option<Box<dyn Any>> {
        let keys = (self.suffix == STORE_SUFFIX_BYTES).then(|| self.keys.clone())?;
        Some(Box::new(keys))
    }
}

struct SessionFormat<K> {
    keys: FormatOf<K>,
    /// They are the keys of a store.
    of_store: bool,
}

impl<K: 'static> Format<Windowed<K>> for SessionFormat<K> {
    fn encode(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &Windowed<K>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        self.keys.encode(topic, headers, &value.key, bytes)?;
        bytes.extend_from_slice(&value.end.to_be_bytes());
        bytes.extend_from_slice(&value.start.to_be_bytes());
        Ok(())
    }

    fn partition_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..bytes.len().saturating_sub(16)]
    }

    fn decode(
        &self,
        topic: &str,
        headers: HeadersRef<'_>,
        bytes: &[u8],
    ) -> Result<Windowed<K>, FormatError> {
        let (key, rest) = split(bytes, 16)?;
        let (start, end) = (time(&rest[8..]), time(rest));
        if start < 0 || end < start {
            return Err("a session that starts before the epoch or after its end".into());
        }
        let key = self.keys.decode(topic, headers, key)?;
        Ok(Windowed { key, start, end })
    }

    fn keys_in_windows(&self) -> Option<Box<dyn Any>> {
        let keys = self.of_store.then(|| self.keys.clone())?;
        Some(Box::new(keys))
    }
}

fn split(bytes: &[u8], suffix: usize) -> Result<(&[u8], &[u8]), FormatError> {
    let at = bytes.len().checked_sub(suffix);
    let at = at.ok_or("too short for a windowed key")?;
    Ok(bytes.split_at(at))
}

/// The first eight bytes.
fn time(bytes: &[u8]) -> i64 {
    let mut time = [0; 8];
    time.copy_from_slice(&bytes[..8]);
    i64::from_be_bytes(time)
}

impl<K: Data> Data for Windowed<K> {
    fn format() -> FormatOf<Self> {
        windowed_ends(K::format(), Ends::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &FormatOf<Windowed<String>>, end: i64, expected: &str) {
        let key = Windowed {
            key: "k".to_owned(),
            start: 1,
            end,
        };
        let mut bytes = Vec::new();
        format
            .encode("t", &mut Headers::default(), &key, &mut bytes)
            .expect("a string has bytes");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
        assert_eq!(format.partition_key(&bytes), b"k");
        let decoded = format.decode("t", HeadersRef::NONE, &bytes);
        assert_eq!(decoded.expect("what was written can be read"), key);
    }

    #[test]
    fn windowed_keys_have_kafka_streams_bytes() {
        let windows = windowed(String::format(), Duration::from_millis(5));
        check(&windows, 6, "6b0000000000000001");
        let sessions = session_windowed(String::format());
        check(&sessions, 3, "6b00000000000000030000000000000001");
        let stored = window_store_keys(String::format(), Ends::After(5));
        check(&stored, 6, "6b000000000000000100000000");
    }
}

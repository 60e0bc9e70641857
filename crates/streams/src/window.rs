//! Windows of time: which ones a record falls into, and keys that carry one.
//! Not stores of windows. Invariant: time windows are aligned to the epoch and hold `[start, end)`.

use crate::Headers;
use crate::format::{Data, Format, FormatError, FormatOf};
use headwater_log::HeadersRef;
use std::{sync::Arc, time::Duration};

/// A key in a window of time.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Windowed<K> {
    /// The key.
    pub key: K,
    /// The window's first ms since the epoch.
    pub start: i64,
    /// The first ms after it.
    pub end: i64,
}

/// Tumbling or hopping windows (`TimeWindows`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeWindows {
    pub(crate) size_ms: i64,
    pub(crate) advance_ms: i64,
    pub(crate) grace_ms: i64,
}

impl TimeWindows {
    /// Windows of `size` that follow one another, without grace: a record is late as soon as its window has ended.
    pub fn of(size: Duration) -> Self {
        let size_ms = millis(size);
        Self {
            size_ms,
            advance_ms: size_ms,
            grace_ms: 0,
        }
    }

    /// A window each `advance`, so that windows overlap.
    pub fn advance_by(mut self, advance: Duration) -> Self {
        self.advance_ms = millis(advance);
        self
    }

    /// Accepts records until stream time passes the window's end by `grace`.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace_ms = millis(grace);
        self
    }

    pub(crate) fn problem(&self) -> Option<String> {
        if self.size_ms <= 0 {
            return Some("a window's size must be at least 1 ms".into());
        }
        if self.advance_ms <= 0 || self.advance_ms > self.size_ms {
            return Some(format!(
                "windows of {} ms cannot advance by {} ms: use 1 to the size",
                self.size_ms, self.advance_ms
            ));
        }
        None
    }

    /// The starts of the windows that hold `timestamp`, ascending. Negative timestamps have none.
    pub(crate) fn starts(&self, timestamp: i64) -> impl Iterator<Item = i64> + use<> {
        let first =
            (timestamp - self.size_ms + self.advance_ms).max(0) / self.advance_ms * self.advance_ms;
        let advance = self.advance_ms;
        std::iter::successors(Some(first), move |start| start.checked_add(advance))
            .take_while(move |start| *start <= timestamp)
    }

    pub(crate) fn retention_ms(&self) -> i64 {
        self.size_ms.saturating_add(self.grace_ms)
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The window key of topics: the key's bytes, then the start (`TimeWindowedSerializer`). The size comes with the format,
/// since the bytes do not hold the end.
pub fn windowed<K: 'static>(keys: FormatOf<K>, size: Duration) -> FormatOf<Windowed<K>> {
    windowed_ms(keys, millis(size))
}

pub(crate) fn windowed_ms<K: 'static>(keys: FormatOf<K>, size_ms: i64) -> FormatOf<Windowed<K>> {
    Arc::new(WindowedFormat {
        keys,
        size_ms: Some(size_ms),
        suffix: 8,
    })
}

/// The window key of stores and changelogs: key, start, and a sequence number that is 0 (`WindowKeySchema`).
pub(crate) fn window_store_key<K: 'static>(
    keys: FormatOf<K>,
    size_ms: i64,
) -> FormatOf<Windowed<K>> {
    Arc::new(WindowedFormat {
        keys,
        size_ms: Some(size_ms),
        suffix: 12,
    })
}

struct WindowedFormat<K> {
    keys: FormatOf<K>,
    size_ms: Option<i64>,
    suffix: usize,
}

impl<K> Format<Windowed<K>> for WindowedFormat<K> {
    fn encode(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &Windowed<K>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        self.keys.encode(topic, headers, &value.key, bytes)?;
        bytes.extend_from_slice(&value.start.to_be_bytes());
        if self.suffix == 12 {
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
        let Some(size_ms) = self.size_ms else {
            return Err("a window's end is not in its bytes; give the topic Topic::keys(windowed(format, size))".into());
        };
        let Some((key, rest)) = bytes
            .len()
            .checked_sub(self.suffix)
            .map(|at| bytes.split_at(at))
        else {
            return Err("too short for a windowed key".into());
        };
        let mut start = [0; 8];
        start.copy_from_slice(&rest[..8]);
        let start = i64::from_be_bytes(start);
        let key = self.keys.decode(topic, headers, key)?;
        Ok(Windowed {
            key,
            start,
            end: start.saturating_add(size_ms),
        })
    }
}

impl<K: Data> Data for Windowed<K> {
    fn format() -> FormatOf<Self> {
        Arc::new(WindowedFormat {
            keys: K::format(),
            size_ms: None,
            suffix: 8,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hopping_windows_overlap_and_start_at_the_epoch() {
        let windows =
            TimeWindows::of(Duration::from_millis(10)).advance_by(Duration::from_millis(4));
        assert_eq!(windows.starts(13).collect::<Vec<_>>(), [4, 8, 12]);
        assert_eq!(windows.starts(3).collect::<Vec<_>>(), [0]);
        assert_eq!(windows.starts(-1).count(), 0);
        assert!((2..=3).contains(&windows.starts(i64::MAX).count()));
    }
}

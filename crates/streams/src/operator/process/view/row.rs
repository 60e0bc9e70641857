//! What stands under a key of a processor's store: the value alone, or with its timestamp and headers beside it.
//! Not the keys. Invariant: what is decoded is what was encoded.

use super::StoreView;
use crate::dsl::{Plain, Timed, TimedWithHeaders, WithHeaders};
use crate::topology::{put_headers, split_headers};
use crate::{Error, Headers, Result};

/// A value with its timestamp (`ValueAndTimestamp`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamped<V> {
    /// The value.
    pub value: V,
    /// Its timestamp, ms since the epoch.
    pub timestamp: i64,
}

/// A value with its timestamp and record headers (`ValueTimestampHeaders`, KIP-1271).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueTimestampHeaders<V> {
    /// The value.
    pub value: V,
    /// Its timestamp, ms since the epoch.
    pub timestamp: i64,
    /// Headers that are kept with it.
    pub headers: Headers,
}

/// The value of a session with record headers (`AggregationWithHeaders`, KIP-1271).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AggregationWithHeaders<V> {
    /// The value.
    pub aggregation: V,
    /// Headers that are kept with it.
    pub headers: Headers,
}

/// What stands under each key of a store: only [`Plain`] and its siblings do.
pub trait RowKind: Sized + 'static {
    /// What is read and written, for values of `V`.
    type Of<V>;

    /// Appends the bytes of a row; false when its value stands for null, which deletes.
    #[doc(hidden)]
    fn encode<K, V, S>(
        view: &StoreView<'_, K, V, S>,
        row: &Self::Of<V>,
        bytes: &mut Vec<u8>,
    ) -> Result<bool>;

    /// Reads a row.
    #[doc(hidden)]
    fn decode<K, V, S>(view: &StoreView<'_, K, V, S>, bytes: &[u8]) -> Result<Self::Of<V>>;
}

macro_rules! rows {
    ($($kind:ty => $row:ty, $encode:ident, $decode:ident;)+) => {
        $(impl RowKind for $kind {
            type Of<V> = $row;

            fn encode<K, V, S>(
                view: &StoreView<'_, K, V, S>,
                row: &Self::Of<V>,
                bytes: &mut Vec<u8>,
            ) -> Result<bool> {
                view.$encode(row, bytes)
            }

            fn decode<K, V, S>(view: &StoreView<'_, K, V, S>, bytes: &[u8]) -> Result<Self::Of<V>> {
                view.$decode(bytes)
            }
        })+
    };
}

rows! {
    Plain => V, encode_value, decode_value;
    Timed => Timestamped<V>, encode_timestamped, decode_timestamped;
    TimedWithHeaders => ValueTimestampHeaders<V>, encode_headers, decode_headers;
    WithHeaders => AggregationWithHeaders<V>, encode_aggregation, decode_aggregation;
}

impl<K, V, S> StoreView<'_, K, V, S> {
    /// As [`StoreView::encode_value`], behind a timestamp.
    pub(super) fn encode_at(&self, value: &V, timestamp: i64, bytes: &mut Vec<u8>) -> Result<bool> {
        bytes.extend_from_slice(&timestamp.to_be_bytes());
        self.encode_behind(value, bytes)
    }

    fn encode_timestamped(&self, row: &Timestamped<V>, bytes: &mut Vec<u8>) -> Result<bool> {
        self.encode_at(&row.value, row.timestamp, bytes)
    }

    fn decode_timestamped(&self, bytes: &[u8]) -> Result<Timestamped<V>> {
        let Some((timestamp, value)) = bytes.split_first_chunk::<8>() else {
            let why = "a stored value is shorter than its timestamp";
            return Err(Error::format(&self.topic, &why.into()));
        };
        Ok(Timestamped {
            value: self.decode_value(value)?,
            timestamp: i64::from_be_bytes(*timestamp),
        })
    }

    fn encode_headers(&self, row: &ValueTimestampHeaders<V>, bytes: &mut Vec<u8>) -> Result<bool> {
        put_headers(bytes, row.headers.as_ref());
        self.encode_at(&row.value, row.timestamp, bytes)
    }

    fn decode_headers(&self, bytes: &[u8]) -> Result<ValueTimestampHeaders<V>> {
        let (headers, rest) = split_headers(&self.topic, bytes)?;
        let Timestamped { value, timestamp } = self.decode_timestamped(rest)?;
        Ok(ValueTimestampHeaders {
            value,
            timestamp,
            headers: Headers::copied(headers),
        })
    }

    fn encode_aggregation(
        &self,
        row: &AggregationWithHeaders<V>,
        bytes: &mut Vec<u8>,
    ) -> Result<bool> {
        put_headers(bytes, row.headers.as_ref());
        self.encode_value(&row.aggregation, bytes)
    }

    fn decode_aggregation(&self, bytes: &[u8]) -> Result<AggregationWithHeaders<V>> {
        let (headers, rest) = split_headers(&self.topic, bytes)?;
        Ok(AggregationWithHeaders {
            aggregation: self.decode_value(rest)?,
            headers: Headers::copied(headers),
        })
    }
}

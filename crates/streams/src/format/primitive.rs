//! The formats of Rust's own types, byte for byte those of `org.apache.kafka.common.serialization`.
//! Not self-describing. Invariant: fixed-size numbers are big-endian and exactly their size.

use super::codec::Own;
use super::{Data, Format, FormatError, FormatOf};
use crate::Headers;
use headwater_log::HeadersRef;
use std::sync::Arc;
use uuid::Uuid;

struct Plain;

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Format<$type> for Plain {
            fn encode(&self, _: &str, _: &mut Headers, value: &$type, bytes: &mut Vec<u8>) -> Result<(), FormatError> {
                bytes.extend_from_slice(&value.to_be_bytes());
                Ok(())
            }
            fn decode(&self, _: &str, _: HeadersRef<'_>, bytes: &[u8]) -> Result<$type, FormatError> {
                match bytes.try_into() {
                    Ok(array) => Ok(<$type>::from_be_bytes(array)),
                    Err(_) => Err(FormatError(format!(
                        "{} bytes where {} needs {}", bytes.len(), stringify!($type), size_of::<$type>()
                    ))),
                }
            }
            fn own(&self) -> Option<Own> {
                Some(Own(()))
            }
        }
        impl Data for $type {
            fn format() -> FormatOf<Self> { Arc::new(Plain) }
        }
    )*};
}

number!(i16 i32 i64 u16 u32 u64 f32 f64);

macro_rules! plain {
    ($type:ty, |$value:ident, $out:ident| $encode:expr, |$bytes:ident| $decode:expr) => {
        impl Format<$type> for Plain {
            fn encode(
                &self,
                _: &str,
                _: &mut Headers,
                $value: &$type,
                $out: &mut Vec<u8>,
            ) -> Result<(), FormatError> {
                $encode;
                Ok(())
            }
            fn decode(
                &self,
                _: &str,
                _: HeadersRef<'_>,
                $bytes: &[u8],
            ) -> Result<$type, FormatError> {
                $decode
            }
            fn own(&self) -> Option<Own> {
                Some(Own(()))
            }
        }
        impl Data for $type {
            fn format() -> FormatOf<Self> {
                Arc::new(Plain)
            }
        }
    };
}

plain!(
    String,
    |value, out| out.extend_from_slice(value.as_bytes()),
    |bytes| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(FormatError(format!("not UTF-8 text: {error}"))),
    }
);
plain!(
    Arc<str>,
    |value, out| out.extend_from_slice(value.as_bytes()),
    |bytes| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(FormatError(format!("not UTF-8 text: {error}"))),
    }
);
plain!(
    Vec<u8>,
    |value, out| out.extend_from_slice(value),
    |bytes| Ok(bytes.to_vec())
);
plain!(
    bool,
    |value, out| out.push(u8::from(*value)),
    |bytes| match bytes {
        [0] => Ok(false),
        [1] => Ok(true),
        _ => Err(FormatError(format!("{bytes:?} is no boolean"))),
    }
);
plain!(
    Uuid,
    |value, out| out.extend_from_slice(value.to_string().as_bytes()),
    |bytes| {
        Uuid::try_parse_ascii(bytes).map_err(|error| FormatError(format!("not a UUID: {error}")))
    }
);

impl Format<()> for Plain {
    fn encode(&self, _: &str, _: &mut Headers, _: &(), _: &mut Vec<u8>) -> Result<(), FormatError> {
        Ok(())
    }
    fn decode(&self, _: &str, _: HeadersRef<'_>, _: &[u8]) -> Result<(), FormatError> {
        Ok(())
    }
    fn is_null(&self, (): &()) -> bool {
        true
    }
    fn null(&self) -> Option<()> {
        Some(())
    }
}

impl Data for () {
    fn format() -> FormatOf<Self> {
        Arc::new(Plain)
    }
}

/// The format of a type that may be absent.
pub(crate) fn nullable<T: 'static>(format: FormatOf<T>) -> FormatOf<Option<T>> {
    Arc::new(Nullable(format))
}

struct Nullable<T>(FormatOf<T>);

impl<T> Format<Option<T>> for Nullable<T> {
    fn encode(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &Option<T>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        match value {
            Some(value) => self.0.encode(topic, headers, value, bytes),
            None => Ok(()),
        }
    }
    fn decode(
        &self,
        topic: &str,
        headers: HeadersRef<'_>,
        bytes: &[u8],
    ) -> Result<Option<T>, FormatError> {
        self.0.decode(topic, headers, bytes).map(Some)
    }
    fn is_null(&self, value: &Option<T>) -> bool {
        value.as_ref().is_none_or(|value| self.0.is_null(value))
    }
    fn partition_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.0.partition_key(bytes)
    }
    fn null(&self) -> Option<Option<T>> {
        Some(None)
    }
}

impl<T: Data> Data for Option<T> {
    fn format() -> FormatOf<Self> {
        Arc::new(Nullable(T::format()))
    }
}

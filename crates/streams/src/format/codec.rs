//! A format as the operators that every record passes call it: numbers and text in Kafka's own encoding are read and written in
//! line, all else by the format itself.
//! Not a format: topics, stores and edges carry [`super::Format`]. Invariant: bytes and errors are those of the format in it.

use super::{FormatError, FormatOf};
use crate::Headers;
use headwater_log::HeadersRef;
use std::any::Any;

/// Says that a format is this crate's own of a type of Rust: only this crate can say so.
#[derive(Debug)]
pub struct Own(pub(super) ());

/// Writes and reads one type.
pub(crate) trait Code<T> {
    /// As [`super::Format::encode_present`].
    fn encode_present(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &T,
        bytes: &mut Vec<u8>,
    ) -> Result<bool, FormatError>;
    /// As [`super::Format::decode`].
    fn decode(&self, topic: &str, headers: HeadersRef<'_>, bytes: &[u8]) -> Result<T, FormatError>;
}

impl<T> Code<T> for FormatOf<T> {
    fn encode_present(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &T,
        bytes: &mut Vec<u8>,
    ) -> Result<bool, FormatError> {
        (**self).encode_present(topic, headers, value, bytes)
    }

    fn decode(&self, topic: &str, headers: HeadersRef<'_>, bytes: &[u8]) -> Result<T, FormatError> {
        (**self).decode(topic, headers, bytes)
    }
}

/// A format that is asked once whether it is this crate's own.
pub(crate) struct Codec<T> {
    format: FormatOf<T>,
    own: bool,
}

impl<T> Clone for Codec<T> {
    fn clone(&self) -> Self {
        Self {
            format: self.format.clone(),
            own: self.own,
        }
    }
}

impl<T> From<FormatOf<T>> for Codec<T> {
    fn from(format: FormatOf<T>) -> Self {
        let own = format.own().is_some();
        Self { format, own }
    }
}

/// The last bytes of what is in front of a value.
fn tail(bytes: &[u8]) -> [u8; 8] {
    let mut tail = [0; 8];
    let len = bytes.len().min(8);
    tail[..len].copy_from_slice(&bytes[bytes.len() - len..]);
    tail
}

/// Has an application's format append to `bytes`; an error if what was there is gone: it would be a timestamp, or a row of before.
#[inline]
pub(crate) fn appending<R>(
    bytes: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<R, FormatError>,
) -> Result<R, FormatError> {
    let (front_len, front) = (bytes.len(), tail(bytes));
    let encoded = encode(bytes)?;
    match bytes
        .get(..front_len)
        .is_some_and(|kept| tail(kept) == front)
    {
        true => Ok(encoded),
        false => Err(overwritten()),
    }
}

#[cold]
fn overwritten() -> FormatError {
    "its format has overwritten what was in the buffer: Format::encode must append to it, and leave what is there".into()
}

impl<T: 'static> Codec<T> {
    /// It is this crate's own.
    #[inline(always)]
    pub(crate) fn is_own(&self) -> bool {
        self.own
    }

    /// As [`super::Format::null`].
    pub(crate) fn null(&self) -> Option<T> {
        self.format.null()
    }

    /// As [`super::Format::is_null`].
    pub(crate) fn is_null(&self, value: &T) -> bool {
        !self.own && self.format.is_null(value)
    }

    /// As [`super::Format::partition_key`].
    #[inline(always)]
    pub(crate) fn partition_key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        match self.own {
            true => bytes,
            false => self.format.partition_key(bytes),
        }
    }
}

impl<T: 'static> Code<T> for Codec<T> {
    #[inline(always)]
    fn encode_present(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &T,
        bytes: &mut Vec<u8>,
    ) -> Result<bool, FormatError> {
        if self.own && encode_own(value, bytes) {
            return Ok(true);
        }
        appending(bytes, |bytes| {
            (self.format).encode_present(topic, headers, value, bytes)
        })
    }

    #[inline(always)]
    fn decode(&self, topic: &str, headers: HeadersRef<'_>, bytes: &[u8]) -> Result<T, FormatError> {
        if self.own
            && let Some(value) = decode_own(bytes)
        {
            return Ok(value);
        }
        self.format.decode(topic, headers, bytes)
    }
}

/// Which branch it is is known when the code is compiled: a type costs its own encoding and no more.
macro_rules! own {
    ($($number:ty)*) => {
        #[inline(always)]
        fn encode_own<T: 'static>(value: &T, bytes: &mut Vec<u8>) -> bool {
            let value: &dyn Any = value;
            $(if let Some(number) = value.downcast_ref::<$number>() {
                bytes.extend_from_slice(&number.to_be_bytes());
                return true;
            })*
            if let Some(text) = value.downcast_ref::<String>() {
                bytes.extend_from_slice(text.as_bytes());
                return true;
            }
            false
        }

        /// Numbers of the right length: all else is for the format.
        #[inline(always)]
        fn decode_own<T: 'static>(bytes: &[u8]) -> Option<T> {
            let mut value: Option<T> = None;
            let slot: &mut dyn Any = &mut value;
            $(if let Some(number) = slot.downcast_mut::<Option<$number>>() {
                *number = bytes.try_into().ok().map(<$number>::from_be_bytes);
            })*
            value
        }
    };
}

own!(i16 i32 i64 u16 u32 u64 f32 f64);

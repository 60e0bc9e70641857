//! Kafka's primitive types in bytes: fixed integers, unsigned varints, strings, bytes, arrays, tagged fields, compact or not.
//! Not a message: those are lists of these, written by `message!`. Invariant: a reader never takes a byte beyond its end and
//! reserves no more memory than the bytes left account for, whatever a length says.

use super::{ErrorCode, Uuid};
use bytes::Bytes;
use std::fmt;

/// Bytes that are not the message they should be, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

impl Malformed {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// The same, with the field it happened in.
    pub(crate) fn at(self, message: &str, field: &str) -> Self {
        Self(format!("{message}.{field}: {}", self.0))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed message: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// In which form a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wire {
    pub(crate) version: i16,
    /// Compact lengths and tagged fields (KIP-482).
    pub(crate) flexible: bool,
}

/// Where a message is written.
pub(crate) trait Sink {
    fn extend_from_slice(&mut self, bytes: &[u8]);

    fn push(&mut self, byte: u8) {
        self.extend_from_slice(&[byte]);
    }

    /// Appends bytes that may stay where they are.
    fn keep(&mut self, bytes: &Bytes) {
        self.extend_from_slice(bytes);
    }
}

impl Sink for Vec<u8> {
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A value with a place in a message.
pub(crate) trait Field: Sized {
    fn put(&self, wire: Wire, out: &mut dyn Sink);
    fn take(wire: Wire, input: &mut Reader) -> Result<Self, Malformed>;
}

/// A value that may be null; `Option` of it is a field.
pub(crate) trait Nullable: Field {
    fn put_nullable(value: Option<&Self>, wire: Wire, out: &mut dyn Sink);
    fn take_nullable(wire: Wire, input: &mut Reader) -> Result<Option<Self>, Malformed>;
}

impl<T: Nullable> Field for Option<T> {
    fn put(&self, wire: Wire, out: &mut dyn Sink) {
        T::put_nullable(self.as_ref(), wire, out);
    }
    fn take(wire: Wire, input: &mut Reader) -> Result<Self, Malformed> {
        T::take_nullable(wire, input)
    }
}

/// Reads from shared bytes; byte fields are slices of them.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    bytes: Bytes,
    position: usize,
}

impl Reader {
    pub(crate) fn new(bytes: Bytes) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes not yet read.
    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.position
    }

    /// Where it stands, for messages.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    fn advance(&mut self, len: usize) -> Result<std::ops::Range<usize>, Malformed> {
        if len > self.remaining() {
            return Err(Malformed::new(format!(
                "{len} bytes wanted at byte {}, {} left",
                self.position,
                self.remaining()
            )));
        }
        let start = self.position;
        self.position += len;
        Ok(start..self.position)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let range = self.advance(N)?;
        let mut array = [0; N];
        array.copy_from_slice(&self.bytes[range]);
        Ok(array)
    }

    /// The next `len` bytes, without a copy.
    pub(crate) fn slice(&mut self, len: usize) -> Result<Bytes, Malformed> {
        let range = self.advance(len)?;
        Ok(self.bytes.slice(range))
    }

    /// At most 32 bits, seven a byte, low ones first.
    pub(crate) fn unsigned_varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed::new("a varint longer than 32 bits"))
    }

    /// A length in the wire's form for things whose classic length is an i32; `None` for null.
    fn length(&mut self, wire: Wire) -> Result<Option<usize>, Malformed> {
        if wire.flexible {
            return Ok((self.unsigned_varint()? as usize).checked_sub(1));
        }
        null_below_zero(i32::from_be_bytes(self.array()?))
    }

    /// As [`Self::length`] for strings, whose classic length is an i16.
    fn string_length(&mut self, wire: Wire) -> Result<Option<usize>, Malformed> {
        if wire.flexible {
            return self.length(wire);
        }
        null_below_zero(i32::from(i16::from_be_bytes(self.array()?)))
    }

    /// Hands each tagged field to `field`; what it does not know is passed over.
    pub(crate) fn tagged_fields(
        &mut self,
        mut field: impl FnMut(u32, &mut Reader) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        for _ in 0..self.unsigned_varint()? {
            let tag = self.unsigned_varint()?;
            let len = self.unsigned_varint()? as usize;
            field(tag, &mut Reader::new(self.slice(len)?))?;
        }
        Ok(())
    }
}

fn null_below_zero(length: i32) -> Result<Option<usize>, Malformed> {
    match length {
        -1 => Ok(None),
        _ => usize::try_from(length)
            .map(Some)
            .map_err(|_| Malformed::new(format!("a length of {length}"))),
    }
}

/// Appends an unsigned varint.
pub(crate) fn put_unsigned_varint(mut value: u32, out: &mut dyn Sink) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_length(length: Option<usize>, wire: Wire, out: &mut dyn Sink) {
    // Nothing this client holds comes near 2 GiB: batches, requests and queues have limits far below.
    if wire.flexible {
        put_unsigned_varint(length.map_or(0, |length| length as u32 + 1), out);
    } else {
        let length = length.map_or(-1, |length| length as i32);
        out.extend_from_slice(&length.to_be_bytes());
    }
}

/// Tagged fields on their way out, in ascending order of their tags.
#[derive(Debug, Default)]
pub(crate) struct Tagged {
    count: u32,
    bytes: Vec<u8>,
}

impl Tagged {
    pub(crate) fn add<T: Field + PartialEq>(
        &mut self,
        tag: u32,
        value: &T,
        default: &T,
        wire: Wire,
    ) {
        if value == default {
            return;
        }
        let mut bytes = Vec::new();
        value.put(wire, &mut bytes);
        self.count += 1;
        put_unsigned_varint(tag, &mut self.bytes);
        put_unsigned_varint(bytes.len() as u32, &mut self.bytes);
        self.bytes.extend_from_slice(&bytes);
    }

    pub(crate) fn put(&self, out: &mut dyn Sink) {
        put_unsigned_varint(self.count, out);
        out.extend_from_slice(&self.bytes);
    }
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Field for $type {
            fn put(&self, _: Wire, out: &mut dyn Sink) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn take(_: Wire, input: &mut Reader) -> Result<Self, Malformed> {
                Ok(Self::from_be_bytes(input.array()?))
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, u16);

impl Field for bool {
    fn put(&self, _: Wire, out: &mut dyn Sink) {
        out.push(u8::from(*self));
    }
    fn take(_: Wire, input: &mut Reader) -> Result<Self, Malformed> {
        Ok(input.array::<1>()? != [0])
    }
}

impl Field for ErrorCode {
    fn put(&self, wire: Wire, out: &mut dyn Sink) {
        self.0.put(wire, out);
    }
    fn take(wire: Wire, input: &mut Reader) -> Result<Self, Malformed> {
        i16::take(wire, input).map(Self)
    }
}

impl Field for Uuid {
    fn put(&self, _: Wire, out: &mut dyn Sink) {
        out.extend_from_slice(&self.0.to_be_bytes());
    }
    fn take(_: Wire, input: &mut Reader) -> Result<Self, Malformed> {
        Ok(Self(u128::from_be_bytes(input.array()?)))
    }
}

impl Field for String {
    fn put(&self, wire: Wire, out: &mut dyn Sink) {
        Self::put_nullable(Some(self), wire, out);
    }
    fn take(wire: Wire, input: &mut Reader) -> Result<Self, Malformed> {
        Self::take_nullable(wire, input)?.ok_or_else(|| Malformed::new("null for a string"))
    }
}

impl Nullable for String {
    fn put_nullable(value: Option<&Self>, wire: Wire, out: &mut dyn Sink) {
        let length = value.map(Self::len);
        if wire.flexible {
            put_length(length, wire, out);
        } else {
            let length = length.map_or(-1, |length| length as i16);
            out.extend_from_slice(&length.to_be_bytes());
        }
        out.extend_from_slice(value.map_or(&[], Self::as_bytes));
    }
    fn take_nullable(wire: Wire, input: &mut Reader) -> Result<Option<Self>, Malformed> {
        let Some(length) = input.string_length(wire)? else {
            return Ok(None);
        };
        let range = input.advance(length)?;
        match std::str::from_utf8(&input.bytes[range]) {
            Ok(text) => Ok(Some(text.to_owned())),
            Err(error) => Err(Malformed::new(format!(
                "a string that is not UTF-8: {error}"
            ))),
        }
    }
}

impl Field for Bytes {
    fn put(&self, wire: Wire, out: &mut dyn Sink) {
        Self::put_nullable(Some(self), wire, out);
    }
    fn take(wire: Wire, input: &mut Reader) -> Result<Self, Malformed> {
        Self::take_nullable(wire, input)?.ok_or_else(|| Malformed::new("null for bytes"))
    }
}

impl Nullable for Bytes {
    fn put_nullable(value: Option<&Self>, wire: Wire, out: &mut dyn Sink) {
        put_length(value.map(Self::len), wire, out);
        if let Some(bytes) = value {
            out.keep(bytes);
        }
    }
    fn take_nullable(wire: Wire, input: &mut Reader) -> Result<Option<Self>, Malformed> {
        let length = input.length(wire)?;
        length.map(|length| input.slice(length)).transpose()
    }
}

impl<T: Field> Field for Vec<T> {
    fn put(&self, wire: Wire, out: &mut dyn Sink) {
        Self::put_nullable(Some(self), wire, out);
    }
    fn take(wire: Wire, input: &mut Reader) -> Result<Self, Malformed> {
        Self::take_nullable(wire, input)?.ok_or_else(|| Malformed::new("null for an array"))
    }
}

impl<T: Field> Nullable for Vec<T> {
    fn put_nullable(value: Option<&Self>, wire: Wire, out: &mut dyn Sink) {
        put_length(value.map(Self::len), wire, out);
        for element in value.into_iter().flatten() {
            element.put(wire, out);
        }
    }
    fn take_nullable(wire: Wire, input: &mut Reader) -> Result<Option<Self>, Malformed> {
        let Some(count) = input.length(wire)? else {
            return Ok(None);
        };
        // Every element takes at least a byte, and room is made for no more than the bytes left could fill.
        if count > input.remaining() {
            return Err(Malformed::new(format!(
                "{count} elements in {} bytes",
                input.remaining()
            )));
        }
        let fitting = input.remaining() / size_of::<T>().max(1) + 1;
        let mut elements = Vec::with_capacity(count.min(fitting));
        for _ in 0..count {
            elements.push(T::take(wire, input)?);
        }
        Ok(Some(elements))
    }
}

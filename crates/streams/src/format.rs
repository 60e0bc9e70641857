//! How typed values cross topics and stores. A format is an object, carried by the topic, store or edge that needs it.
//! Not a marker on types: [`Data`] only names the format a type has when nothing else is said.
//! Invariant: a format never panics on bytes it did not write; it answers [`FormatError`].

mod change;
mod codec;
mod json;
mod primitive;

pub use json::json;

pub(crate) use change::changes;
pub(crate) use codec::{Code, Codec, appending};
pub(crate) use primitive::nullable;

use crate::Headers;
use headwater_log::HeadersRef;
use std::{any::Any, fmt, sync::Arc};

/// Why a value could not be encoded or bytes could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatError(pub String);

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FormatError {}

impl From<&str> for FormatError {
    fn from(message: &str) -> Self {
        Self(message.into())
    }
}

/// Encodes and decodes one type. `topic` is the topic the bytes belong to (for a store, its changelog), since schema
/// registries name schemas by it.
pub trait Format<T>: Send + Sync {
    /// Appends the bytes of `value`; may add headers.
    fn encode(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &T,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError>;
    /// As [`Format::encode`], unless `value` stands for null; answers whether it does not.
    fn encode_present(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &T,
        bytes: &mut Vec<u8>,
    ) -> Result<bool, FormatError> {
        let present = !self.is_null(value);
        if present {
            self.encode(topic, headers, value, bytes)?;
        }
        Ok(present)
    }
    /// Reads a value.
    fn decode(&self, topic: &str, headers: HeadersRef<'_>, bytes: &[u8]) -> Result<T, FormatError>;
    /// True when `value` stands for null, which has no bytes.
    fn is_null(&self, _value: &T) -> bool {
        false
    }
    /// The part of an encoded key that chooses its partition; all of it unless the key is windowed.
    fn partition_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        bytes
    }
    /// The value that stands for null; `None` when the type has none.
    fn null(&self) -> Option<T> {
        None
    }
    /// The `FormatOf<K>` in a format of keys as a store of windows keeps them.
    #[doc(hidden)]
    fn keys_in_windows(&self) -> Option<Box<dyn Any>> {
        None
    }
    /// `Some` of this crate's own formats of numbers and text, which need not be called for each of them.
    #[doc(hidden)]
    fn own(&self) -> Option<codec::Own> {
        None
    }
}

/// A shared format.
pub type FormatOf<T> = Arc<dyn Format<T>>;

/// A type with a default format. Implement it in one line for your own types:
///
/// ```ignore
/// impl Data for Order {
///     fn format() -> FormatOf<Self> { json() }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no default format, so it cannot cross a topic or a store by itself",
    label = "this type needs a format",
    note = "add `impl Data for {Self} {{ fn format() -> FormatOf<Self> {{ json() }} }}`, or give the formats: `Topic::named(..).keys(..).values(..)`, `Store::named(..).keys(..).values(..)`"
)]
pub trait Data: Clone + 'static {
    /// The format used where none is given.
    fn format() -> FormatOf<Self>;
}

/// A key and value format pair as nodes and stores carry them.
pub(crate) struct Formats<K, V> {
    pub(crate) key: Option<FormatOf<K>>,
    pub(crate) value: Option<FormatOf<V>>,
}

impl<K, V> Clone for Formats<K, V> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            value: self.value.clone(),
        }
    }
}

impl<K, V> Formats<K, V> {
    pub(crate) const UNKNOWN: Self = Self {
        key: None,
        value: None,
    };
}

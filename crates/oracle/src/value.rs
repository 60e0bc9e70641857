//! The one dynamic value of the interpreter, its static types, and the text and number of a value.
//! Not a value of applications: those have Rust types. Invariant: an absent value is `None` on an edge, never `Some(Val::Null)`.

use crate::Refusal;
use crate::case::Spec;
use crate::node::Handle;
use headwater::log::HeadersRef;
use headwater::{
    Data, Format, FormatError, FormatOf, Headers, KGroupedStream, KGroupedTable, KStream, KTable,
    Windowed,
};
use serde_json::Value;
use std::fmt;
use std::sync::Arc;

/// A key or a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Val {
    /// Java's null.
    Null,
    /// A text.
    Str(String),
    /// A 64 bit integer.
    Long(i64),
    /// A key in a window.
    Windowed(Box<Windowed<Val>>),
}

/// The static type of a key or a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ty {
    /// UTF-8.
    Str,
    /// Eight bytes, big-endian.
    Long,
    /// A text in a window of time of this size.
    TimeWindowed {
        /// The size in ms, which the bytes do not hold.
        size_ms: i64,
    },
    /// A text in a session.
    SessionWindowed,
}

impl Ty {
    /// The type in field `name` of a source or a store; text where none is given.
    pub(crate) fn field(spec: &Spec, name: &str) -> Result<Self, Refusal> {
        let Some(value) = spec.get(name) else {
            return Ok(Self::Str);
        };
        let kind = value.as_str().or_else(|| value["type"].as_str());
        match kind {
            Some("string") => Ok(Self::Str),
            Some("long") => Ok(Self::Long),
            Some("session_windowed") => Ok(Self::SessionWindowed),
            Some("time_windowed") => match value.get("size_ms").and_then(Value::as_i64) {
                Some(size_ms) => Ok(Self::TimeWindowed { size_ms }),
                None => Err(Refusal::Case(format!("{value} has no size_ms"))),
            },
            _ => Err(Refusal::Case(format!("unknown type {value}"))),
        }
    }

    pub(crate) fn is_windowed(self) -> bool {
        matches!(self, Self::TimeWindowed { .. } | Self::SessionWindowed)
    }

    /// The format of values of this type: null is absent.
    pub(crate) fn values(self) -> FormatOf<Val> {
        Arc::new(Typed {
            ty: self,
            nullable: false,
        })
    }
}

/// A key of a stream: `Val`, or `Windowed<Val>` where the static type is windowed, since that is what window aggregations give.
pub(crate) trait Key: Data + PartialEq + Send + Sync + fmt::Debug {
    /// The format of keys of type `ty`: null is a key.
    fn keys(ty: Ty) -> FormatOf<Self>;
    fn val(&self) -> Val;
    fn of(val: Val) -> Self;
    fn stream(stream: KStream<'_, Self, Val>) -> Handle<'_>;
    fn table(table: KTable<'_, Self, Val>) -> Handle<'_>;
    fn grouped(grouped: KGroupedStream<'_, Self, Val>) -> Handle<'_>;
    fn grouped_table(grouped: KGroupedTable<'_, Self, Val>) -> Handle<'_>;
}

impl Key for Val {
    fn stream(stream: KStream<'_, Self, Val>) -> Handle<'_> {
        Handle::Stream(stream)
    }

    fn table(table: KTable<'_, Self, Val>) -> Handle<'_> {
        Handle::Table(table)
    }

    fn grouped(grouped: KGroupedStream<'_, Self, Val>) -> Handle<'_> {
        Handle::Grouped(grouped)
    }

    fn grouped_table(grouped: KGroupedTable<'_, Self, Val>) -> Handle<'_> {
        Handle::GroupedTable(grouped)
    }

    fn keys(ty: Ty) -> FormatOf<Self> {
        Arc::new(Typed { ty, nullable: true })
    }

    fn val(&self) -> Val {
        self.clone()
    }

    fn of(val: Val) -> Self {
        val
    }
}

impl Key for Windowed<Val> {
    fn stream(stream: KStream<'_, Self, Val>) -> Handle<'_> {
        Handle::WindowedStream(stream)
    }

    fn table(table: KTable<'_, Self, Val>) -> Handle<'_> {
        Handle::WindowedTable(table)
    }

    fn grouped(grouped: KGroupedStream<'_, Self, Val>) -> Handle<'_> {
        Handle::WindowedGrouped(grouped)
    }

    fn grouped_table(grouped: KGroupedTable<'_, Self, Val>) -> Handle<'_> {
        Handle::WindowedGroupedTable(grouped)
    }

    fn keys(ty: Ty) -> FormatOf<Self> {
        Arc::new(WindowedKey(Typed { ty, nullable: true }))
    }

    fn val(&self) -> Val {
        match self.key {
            Val::Null => Val::Null,
            _ => Val::Windowed(Box::new(self.clone())),
        }
    }

    fn of(val: Val) -> Self {
        match val {
            Val::Windowed(windowed) => *windowed,
            other => Windowed {
                key: other,
                start: 0,
                end: 0,
            },
        }
    }
}

/// The default format, where the interpreter states none: text.
impl Data for Val {
    fn format() -> FormatOf<Self> {
        Self::keys(Ty::Str)
    }
}

/// The value that an edge carries: null is none.
pub(crate) fn present(val: Val) -> Option<Val> {
    match val {
        Val::Null => None,
        other => Some(other),
    }
}

/// The value that a function sees: none is null.
pub(crate) fn seen(value: Option<Val>) -> Val {
    value.unwrap_or(Val::Null)
}

struct Typed {
    ty: Ty,
    nullable: bool,
}

impl Typed {
    fn window(&self, bytes: &[u8]) -> Result<Windowed<Val>, FormatError> {
        let long = |at: usize| {
            let found = bytes.get(at..).and_then(<[u8]>::first_chunk);
            found.map_or(0, |bytes| i64::from_be_bytes(*bytes))
        };
        let suffix = suffix_len(self.ty);
        let Some(key_len) = bytes.len().checked_sub(suffix) else {
            return Err("too short for a windowed key".into());
        };
        let (start, end) = match self.ty {
            Ty::TimeWindowed { size_ms } => {
                let start = long(key_len);
                (start, start.checked_add(size_ms).unwrap_or(i64::MAX))
            }
            _ => (long(key_len + 8), long(key_len)),
        };
        if start < 0 || end < start {
            return Err("no window: it starts before the epoch or after its end".into());
        }
        let key = Val::Str(String::from_utf8_lossy(&bytes[..key_len]).into_owned());
        Ok(Windowed { key, start, end })
    }
}

fn suffix_len(ty: Ty) -> usize {
    match ty {
        Ty::TimeWindowed { .. } => 8,
        Ty::SessionWindowed => 16,
        Ty::Str | Ty::Long => 0,
    }
}

impl Format<Val> for Typed {
    fn encode(
        &self,
        _: &str,
        _: &mut Headers,
        value: &Val,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        match (self.ty, value) {
            (Ty::Str, Val::Str(text)) => bytes.extend_from_slice(text.as_bytes()),
            (Ty::Long, Val::Long(long)) => bytes.extend_from_slice(&long.to_be_bytes()),
            (Ty::TimeWindowed { .. } | Ty::SessionWindowed, Val::Windowed(windowed)) => {
                let Val::Str(key) = &windowed.key else {
                    return Err(FormatError(format!("{value:?} is no windowed text")));
                };
                bytes.extend_from_slice(key.as_bytes());
                if self.ty == Ty::SessionWindowed {
                    bytes.extend_from_slice(&windowed.end.to_be_bytes());
                }
                bytes.extend_from_slice(&windowed.start.to_be_bytes());
            }
            // `ClassCastException` in Java.
            _ => {
                return Err(FormatError(format!(
                    "{value:?} is not of type {:?}",
                    self.ty
                )));
            }
        }
        Ok(())
    }

    fn decode(&self, _: &str, _: HeadersRef<'_>, bytes: &[u8]) -> Result<Val, FormatError> {
        match self.ty {
            Ty::Str => Ok(Val::Str(String::from_utf8_lossy(bytes).into_owned())),
            Ty::Long => match <[u8; 8]>::try_from(bytes) {
                Ok(bytes) => Ok(Val::Long(i64::from_be_bytes(bytes))),
                Err(_) => Err("a long has eight bytes".into()),
            },
            _ => Ok(Val::Windowed(Box::new(self.window(bytes)?))),
        }
    }

    fn is_null(&self, value: &Val) -> bool {
        *value == Val::Null
    }

    fn partition_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[..bytes.len().saturating_sub(suffix_len(self.ty))]
    }

    fn null(&self) -> Option<Val> {
        self.nullable.then_some(Val::Null)
    }
}

struct WindowedKey(Typed);

impl Format<Windowed<Val>> for WindowedKey {
    fn encode(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &Windowed<Val>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        self.0.encode(topic, headers, &value.val(), bytes)
    }

    fn decode(
        &self,
        topic: &str,
        headers: HeadersRef<'_>,
        bytes: &[u8],
    ) -> Result<Windowed<Val>, FormatError> {
        self.0.decode(topic, headers, bytes).map(Windowed::of)
    }

    fn is_null(&self, value: &Windowed<Val>) -> bool {
        value.key == Val::Null
    }

    fn partition_key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        self.0.partition_key(bytes)
    }

    fn null(&self) -> Option<Windowed<Val>> {
        Some(Windowed::of(Val::Null))
    }
}

impl Val {
    /// T(x): the text of a value.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Str(text) => text.clone(),
            Self::Long(long) => long.to_string(),
            Self::Windowed(windowed) => {
                let (start, end) = (windowed.start, windowed.end);
                format!("[{}@{start}/{end}]", windowed.key.text())
            }
        }
    }

    /// L(x): the number of a value.
    pub(crate) fn number(&self) -> i64 {
        match self {
            Self::Null => 0,
            Self::Long(long) => *long,
            other => {
                let text = other.text();
                parse_long(&text).unwrap_or_else(|| text.chars().count() as i64)
            }
        }
    }
}

/// The number of a text that matches `[+-]?[0-9]{1,18}`.
pub(crate) fn parse_long(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let fits = (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    fits.then(|| text.parse().ok()).flatten()
}

//! The static type of a generated key or value. Not a value, and not the interpreter's own types: the generator must
//! know before anything runs what a Java serializer would refuse.
//! Invariant: only keys are windowed, and the key inside a window is a string.

use serde_json::{Value, json};

/// What a key or value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    String,
    Long,
    /// A window of the given size; of sliding windows the difference.
    Time {
        size_ms: i64,
    },
    Session,
}

impl Kind {
    /// As a case file states it.
    pub(crate) fn json(self) -> Value {
        match self {
            Kind::String => json!("string"),
            Kind::Long => json!("long"),
            Kind::Time { size_ms } => json!({"type": "time_windowed", "size_ms": size_ms}),
            Kind::Session => json!("session_windowed"),
        }
    }

    pub(crate) fn is_windowed(self) -> bool {
        matches!(self, Kind::Time { .. } | Kind::Session)
    }
}

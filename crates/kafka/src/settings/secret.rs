//! A value that no message may show: passwords, keys, tokens. Not encryption: the bytes are in memory as they are.
//! Invariant: neither `Debug` nor `Display` shows what it holds.

use std::fmt;

/// Text that prints as `[hidden]`.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one place that needs it.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hidden]")
    }
}

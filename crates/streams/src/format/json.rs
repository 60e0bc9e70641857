//! JSON through serde. Not the default of any type: `impl Data` says so where it is wanted.
//! Invariant: what `encode` writes is one JSON document in UTF-8.

use super::{Format, FormatError, FormatOf};
use crate::Headers;
use headwater_log::HeadersRef;
use serde::{Serialize, de::DeserializeOwned};
use std::sync::Arc;

struct Json;

/// JSON for any type serde knows.
pub fn json<T: Serialize + DeserializeOwned + 'static>() -> FormatOf<T> {
    Arc::new(Json)
}

impl<T: Serialize + DeserializeOwned> Format<T> for Json {
    fn encode(
        &self,
        _topic: &str,
        _headers: &mut Headers,
        value: &T,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        serde_json::to_writer(bytes, value)
            .map_err(|error| FormatError(format!("not writable as JSON: {error}")))
    }

    fn decode(
        &self,
        _topic: &str,
        _headers: HeadersRef<'_>,
        bytes: &[u8],
    ) -> Result<T, FormatError> {
        serde_json::from_slice(bytes)
            .map_err(|error| FormatError(format!("not the JSON expected: {error}")))
    }
}

//! What the right side answers a left row, and its bytes (`SubscriptionResponseWrapperSerde`).
//! Invariant: the bytes do not hold the partition; it only says where the answer goes.

use super::murmur3::Hash;
use crate::Headers;
use crate::format::{Format, FormatError, FormatOf};
use headwater_log::HeadersRef;

/// The right row as it is for a left row that asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Response<R> {
    /// Of the left row that asked.
    pub(crate) hash: Option<Hash>,
    /// The right row, if there is one.
    pub(crate) row: Option<R>,
    /// Of the left row.
    pub(crate) partition: Option<u32>,
}

const HASH_IS_NULL: u8 = 0x80;

pub(crate) struct ResponseFormat<R> {
    pub(crate) row: FormatOf<R>,
}

impl<R> Format<Response<R>> for ResponseFormat<R> {
    fn encode(
        &self,
        topic: &str,
        headers: &mut Headers,
        value: &Response<R>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        match &value.hash {
            Some(hash) => {
                bytes.push(0);
                bytes.extend_from_slice(hash);
            }
            None => bytes.push(HASH_IS_NULL),
        }
        match &value.row {
            Some(row) if !self.row.is_null(row) => self.row.encode(topic, headers, row, bytes),
            _ => Ok(()),
        }
    }

    fn decode(
        &self,
        topic: &str,
        headers: HeadersRef<'_>,
        bytes: &[u8],
    ) -> Result<Response<R>, FormatError> {
        let short = || FormatError("an answer that ends too early".into());
        let (&first, mut rest) = bytes.split_first().ok_or_else(short)?;
        let version = first & !HASH_IS_NULL;
        if version != 0 {
            return Err(FormatError(format!(
                "an answer of version {version}; this reads 0"
            )));
        }
        let mut hash = None;
        if first & HASH_IS_NULL == 0 {
            let (found, after) = rest.split_first_chunk().ok_or_else(short)?;
            (hash, rest) = (Some(*found), after);
        }
        let mut row = None;
        if !rest.is_empty() {
            row = Some(self.row.decode(topic, headers, rest)?);
        }
        Ok(Response {
            hash,
            row,
            partition: None,
        })
    }
}

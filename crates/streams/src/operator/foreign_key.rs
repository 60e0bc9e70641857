//! Foreign-key joins of tables (KIP-213): a left row subscribes, by way of a topic, to the right row that it names; answers come back
//! by another. Not joins by primary key.
//!
//! ```text
//!  left table --send--> [subscriptions by foreign key] --subscribe--> look up --+
//!                                                       (store)                 +--> [answers by primary key] --resolve--> result
//!                                        right table --update of subscribers----+
//! ```
//!
//! Invariant: an answer carries the hash of the left row that asked; one that is not about the present left row is dropped, so
//! every change of a left row must bring an answer of its own. Kafka Streams' inner join saves answers that it takes for
//! superfluous, and keeps stale rows when the dropped one was to remove a row.

mod murmur3;
mod resolve;
mod response;
mod send;
mod subscribe;
mod subscription;
mod update;

pub(crate) use resolve::Resolve;
pub(crate) use response::{Response, ResponseFormat};
pub(crate) use send::{ExtractKey, Send};
pub(crate) use subscribe::{LookUp, Subscribe};
pub(crate) use subscription::{Subscription, SubscriptionFormat};
pub(crate) use update::Update;

use crate::format::FormatOf;
use crate::{Error, Headers, Result};
use murmur3::{Hash, hash128};

/// Appends the length (4) and the bytes of a foreign key: the prefix under which its subscriptions lie.
fn push_foreign_key<K>(
    format: &FormatOf<K>,
    topic: &str,
    key: &K,
    bytes: &mut Vec<u8>,
) -> Result<()> {
    bytes.extend_from_slice(&[0; 4]);
    encode(format, topic, key, bytes)?;
    let len = (bytes.len() - 4) as u32;
    bytes[..4].copy_from_slice(&len.to_be_bytes());
    Ok(())
}

fn encode<T>(format: &FormatOf<T>, topic: &str, value: &T, bytes: &mut Vec<u8>) -> Result<()> {
    format
        .encode(topic, &mut Headers::default(), value, bytes)
        .map_err(|error| Error::format(topic, &error))
}

/// The hash of a left row; `None` where there is none. `bytes` is a buffer.
fn hash_of<V>(
    format: &FormatOf<V>,
    topic: &str,
    row: Option<&V>,
    bytes: &mut Vec<u8>,
) -> Result<Option<Hash>> {
    let Some(row) = row.filter(|row| !format.is_null(row)) else {
        return Ok(None);
    };
    bytes.clear();
    encode(format, topic, row, bytes)?;
    Ok(Some(hash128(bytes)))
}

//! The messages of the Kafka protocol that this client speaks, in the versions it speaks: those common to brokers 3.9 to 4.3.
//! Not a connection: bytes in, bytes out. Invariant: a message written in a version is read back equal in that version.
//!
//! Structs and fields have the names of Kafka's schemas, in snake case; a module is named by its request.
#![allow(
    dead_code,
    reason = "messages are whole: fields, codes and directions this client has no use for are there too"
)]

mod capped;
mod error_code;
mod header;
pub(crate) mod message;
#[cfg(test)]
pub(crate) mod tests;
mod uuid;
pub(crate) mod wire;

pub(crate) mod add_offsets_to_txn;
pub(crate) mod add_partitions_to_txn;
pub(crate) mod api_versions;
pub(crate) mod consumer_group_describe;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_topics;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod describe_transactions;
pub(crate) mod end_txn;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod list_transactions;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod sasl_authenticate;
pub(crate) mod sasl_handshake;
pub(crate) mod streams_group_describe;
pub(crate) mod streams_group_heartbeat;
pub(crate) mod sync_group;
pub(crate) mod txn_offset_commit;

pub(crate) use capped::Capped;
pub(crate) use error_code::ErrorCode;
pub(crate) use header::{put_request_header, take_response_header};
use message::{message, request};
pub(crate) use uuid::Uuid;
pub(crate) use wire::{Malformed, Reader};

use std::ops::RangeInclusive;
use wire::{Field, Sink, Wire};

/// A question to a broker.
pub(crate) trait Request: Field {
    /// The API key.
    const KEY: i16;
    /// Kafka's name, for messages.
    const NAME: &'static str;
    /// What this client speaks.
    const VERSIONS: RangeInclusive<i16>;
    /// First version with compact lengths and tagged fields; `i16::MAX` for none.
    const FLEXIBLE_FROM: i16;
    /// The answer.
    type Response: Response;

    /// Appends the body; the header is [`put_request_header`]'s.
    fn encode(&self, version: i16, out: &mut dyn Sink) {
        self.put(wire(version, Self::FLEXIBLE_FROM), out);
    }

    /// Reads a body, as a broker would.
    fn decode(version: i16, input: &mut Reader) -> Result<Self, Malformed> {
        whole(
            Self::take(wire(version, Self::FLEXIBLE_FROM), input)?,
            input,
        )
    }
}

/// A broker's answer.
pub(crate) trait Response: Field + 'static {
    /// As its request's.
    const VERSIONS: RangeInclusive<i16>;
    /// As its request's.
    const FLEXIBLE_FROM: i16;

    /// Reads a body to its end; the header is [`take_response_header`]'s.
    fn decode(version: i16, input: &mut Reader) -> Result<Self, Malformed> {
        whole(
            Self::take(wire(version, Self::FLEXIBLE_FROM), input)?,
            input,
        )
    }

    /// Appends the body, as a broker would.
    fn encode(&self, version: i16, out: &mut dyn Sink) {
        self.put(wire(version, Self::FLEXIBLE_FROM), out);
    }
}

fn wire(version: i16, flexible_from: i16) -> Wire {
    Wire {
        version,
        flexible: version >= flexible_from,
    }
}

/// Bytes left over mean that the message was read in a version it was not written in.
fn whole<T>(message: T, input: &Reader) -> Result<T, Malformed> {
    match input.remaining() {
        0 => Ok(message),
        left => Err(Malformed(format!(
            "{left} bytes left after byte {}",
            input.position()
        ))),
    }
}

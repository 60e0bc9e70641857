//! Bytes over time: topics, partitions, offsets, transactions and groups behind the [`Log`] and [`Client`] traits;
//! the memory log, the embedded on-disk log, and the conformance suite both run.
//! Not a stream processor: keys and values are bytes, and nothing here knows a store or an operator.
//! Invariant: a reader sees only committed records, in offset order, each offset once.
#![forbid(unsafe_code)]

pub mod batch;
mod chunk;
mod client;
pub mod embedded;
mod error;
mod group;
mod memory;
mod record;
pub mod setting;
#[cfg(any(test, feature = "suite"))]
pub mod suite;
mod topic;
pub mod varint;
mod wait;

pub use chunk::{Chunk, ChunkCursor};
pub use client::{
    Client, ClientOptions, CommitRequest, Completion, GroupInfo, Guarantee, Log, MemberInfo,
    Receipt, Request, Response, Slot, Ticket,
};
pub use error::{Error, Fate, Result};
pub use group::{
    Assignment, Claim, Coordinator, Endpoint, GroupEvent, Host, InternalTopic, Lists, MemberEpoch,
    Membership, Subtopology, TaskId, Topics, plan,
};
pub use memory::{Faults, Hit, MemoryLog, Moment};
pub use record::{AppendRecord, Header, HeadersRef, RecordRef};
pub use topic::{
    CommittedOffset, NewTopic, Offset, OffsetSpec, TopicConfig, TopicId, TopicInfo, TopicPartition,
    partition_for_key,
};
pub use wait::{call, call_deadline_default_ms};

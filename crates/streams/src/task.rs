//! A task: one sub-topology on one partition, wired and running. Processes records, punctuates, flushes caches.
//! Not a thread and not a client of a log: the runtime feeds it chunks and gives it an [`Output`].
//! Invariant: a task's effects reach the world only through its [`Output`] and its stores' overlays.

mod awaits;
mod cache_walk;
mod cached;
mod calls;
mod closing_time;
mod context;
pub(crate) mod dead_letter;
mod dirty;
mod global_update;
mod globals;
mod guard;
mod input;
mod java_expiry;
mod java_index;
mod metadata;
mod output;
mod punctuation;
mod quarantine;
mod rows;
mod run;
mod state;
mod wiring;

pub use global_update::GlobalUpdate;
pub use globals::Globals;
pub use input::InputState;
pub use metadata::{decode_metadata, encode_metadata};
pub use output::{Output, Route};
pub use punctuation::{Punctuation, PunctuationKind};
pub use quarantine::QuarantinedRecord;
pub use run::{Progress, Task};
pub use state::Counters;

pub(crate) use awaits::{Awaiting, Awaits};
pub(crate) use cache_walk::{CacheWalk, note_closing};
pub(crate) use cached::CachedStore;
pub(crate) use closing_time::{Advance, Announcer, ClosingTime};
pub(crate) use context::Context;
pub(crate) use dirty::{Dirty, Update};
pub(crate) use guard::{Failed, caught, fail, guarded, panic_message};
pub(crate) use java_expiry::{JavaExpiry, StoreOrder};
pub(crate) use metadata::Marks;
pub(crate) use punctuation::{FireTimers, Punctuate, Schedule, Schedules};
pub(crate) use quarantine::{Quarantine, STORE_PREFIX as QUARANTINE_PREFIX};
pub(crate) use rows::{Row, Rows};
pub(crate) use state::{BeforeCommit, Flush, StateStore, TaskState};
pub(crate) use wiring::{
    Buffer, Feed, FeedWire, Input, Meta, Operator, Outputs, Receive, ReceiveRecord, Scratch, Step,
    Wire, Wiring, boxed, boxed_whole,
};

//! The way to other instances. Not a protocol: whoever implements it moves an [`Ask`] there and an [`Answer`] back.
//! Invariant: a peer that cannot be reached is an error, in time, and never an answer.

use crate::wire::{Answer, Ask};
use crate::{Error, Result};
use headwater_log::Endpoint;
use std::pin::Pin;

/// What a peer answers, in time.
pub type PeerAnswer<'a> = Pin<Box<dyn Future<Output = Result<Answer>> + Send + 'a>>;

/// Asks other instances of the application.
pub trait Peer: Send + Sync {
    /// Brings `ask` to the instance at `endpoint`, which hands it to [`crate::Queries::answer`], and brings its answer back. What
    /// goes wrong on the way is [`Error::Peer`]; the caller gives up after `ask.deadline_ms`.
    fn ask(&self, endpoint: Endpoint, ask: Ask) -> PeerAnswer<'_>;
}

/// No way to other instances: for applications that have one.
pub struct Alone;

impl Peer for Alone {
    fn ask(&self, endpoint: Endpoint, _: Ask) -> PeerAnswer<'_> {
        Box::pin(std::future::ready(Err(Error::Peer(format!(
            "{endpoint} holds it, and this instance has no way to ask"
        )))))
    }
}

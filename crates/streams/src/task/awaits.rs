//! Operators that have calls to the outside under way, as the task sees them.
//! Not the futures themselves. Invariant: positions are not committed while a call is under way.

use super::{Context, ReceiveRecord};
use crate::{Record, Result};
use std::rc::Rc;

/// An operator with calls under way.
pub(crate) trait Awaits {
    /// Sends on what has ended and starts what waits; answers how many records went on.
    fn poll(&self, ctx: &mut Context<'_>) -> Result<usize>;
    /// Keys with records whose calls have not ended.
    fn running(&self) -> usize;
    /// True while no more records should come.
    fn is_full(&self) -> bool;
    /// Forgets everything under way.
    fn abort(&self);
}

/// Shares one operator between the edge that feeds it and the task that polls it.
pub(crate) struct Awaiting<R>(pub(crate) Rc<R>);

impl<K, V, R: ReceiveRecord<K, V>> ReceiveRecord<K, V> for Awaiting<R> {
    fn receive_record(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        self.0.receive_record(ctx, record)
    }
}

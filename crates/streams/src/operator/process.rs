//! Processors of the application inside a topology: typed in and out, with stores, forwarding and punctuation.
//! Not the DSL's own operators. Invariant: a processor reaches the world only through its context.

mod context;
mod fixed_key;
mod node;
mod timers;
mod view;

pub use context::{ProcessorContext, Scheduled};
pub use fixed_key::{FixedKeyContext, FixedKeyProcessor, FixedKeyRecord};
pub use timers::Timer;
pub use view::{
    AggregationWithHeaders, RowKind, StoreView, Timestamped, ValueTimestampHeaders, VersionPut,
    VersionedRecord,
};

pub(crate) use fixed_key::FixedKey;
pub(crate) use node::{Place, ProcessorNode};

use crate::task::Punctuation;
use crate::{Record, Result};

/// A processor. A factory makes one per task; it is opened before the first record and closed when its task ends cleanly.
/// It runs on one thread at a time and never moves.
pub trait Processor: 'static {
    /// Keys it takes.
    type KeyIn: Clone + 'static;
    /// Values it takes.
    type ValueIn: Clone + 'static;
    /// Keys it forwards.
    type KeyOut: Clone + 'static;
    /// Values it forwards.
    type ValueOut: Clone + 'static;

    /// Called once, before the first record: the place for schedules.
    fn open(
        &mut self,
        _ctx: &mut ProcessorContext<'_, '_, Self::KeyOut, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called for each record. What happens to an error decides [`OnError`](crate::OnError); see [`Error::failed`](crate::Error::failed).
    fn process(
        &mut self,
        record: Record<Self::KeyIn, Self::ValueIn>,
        ctx: &mut ProcessorContext<'_, '_, Self::KeyOut, Self::ValueOut>,
    ) -> Result<()>;

    /// Called when a schedule is due.
    fn punctuate(
        &mut self,
        _punctuation: Punctuation,
        _ctx: &mut ProcessorContext<'_, '_, Self::KeyOut, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called when a timer is due that [`StoreView::set`] has set in a store of [`App::timers`](crate::App::timers).
    fn timer(
        &mut self,
        _timer: Timer<Self::KeyIn>,
        _ctx: &mut ProcessorContext<'_, '_, Self::KeyOut, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }

    /// Called when the task ends cleanly.
    fn close(
        &mut self,
        _ctx: &mut ProcessorContext<'_, '_, Self::KeyOut, Self::ValueOut>,
    ) -> Result<()> {
        Ok(())
    }
}

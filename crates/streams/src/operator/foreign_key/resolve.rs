//! The left side, answered: joins the answer with the left row, if that is still the one that asked
//! (`ResponseJoinProcessorSupplier`). Invariant: an answer to a left row that has changed since is dropped.

use super::hash_of;
use super::response::Response;
use crate::format::FormatOf;
use crate::task::{Context, Outputs, ReceiveRecord, Rows, Scratch};
use crate::{Record, Result};
use std::{rc::Rc, sync::Arc};

/// `apply(key, left row, right row)` answers the joined row; `None` is a tombstone.
pub(crate) struct Resolve<K, V, R, O, A> {
    pub(crate) rows: Rc<dyn Rows<K, V>>,
    pub(crate) value: FormatOf<V>,
    pub(crate) hash_topic: Arc<str>,
    pub(crate) apply: A,
    /// Keeps left rows without a right one.
    pub(crate) left: bool,
    pub(crate) outputs: Outputs<K, O>,
    pub(crate) scratch: Scratch,
    pub(crate) types: std::marker::PhantomData<fn(R)>,
}

impl<K, V, R, O, A> ReceiveRecord<K, Response<R>> for Resolve<K, V, R, O, A>
where
    K: Clone,
    O: Clone,
    A: Fn(&K, Option<&V>, Option<&R>) -> Option<O>,
{
    fn receive_record(
        &self,
        ctx: &mut Context<'_>,
        mut record: Record<K, Response<R>>,
    ) -> Result<()> {
        let Some(response) = record.value.take() else {
            ctx.drop_record();
            return Ok(());
        };
        let present = self.rows.get(ctx, &record.key)?.map(|row| row.value);
        let mut bytes = self.scratch.take();
        let hash = hash_of(&self.value, &self.hash_topic, present.as_ref(), &mut bytes)?;
        self.scratch.give(bytes);
        if hash != response.hash {
            ctx.drop_record();
            return Ok(());
        }
        let keeps = response.row.is_some() || (self.left && present.is_some());
        let mut joined = None;
        if keeps {
            joined = (self.apply)(&record.key, present.as_ref(), response.row.as_ref());
        }
        self.outputs.send(ctx, record.with_value(joined))
    }
}

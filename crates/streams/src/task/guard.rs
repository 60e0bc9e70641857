//! The guard around each operator: what happens when a closure of the application fails or panics.
//! Not the policy for undecodable records: a source has its own. Invariant: a failure is dealt with at the innermost operator
//! that had it; those above go on as if it had passed the record over, or stop with an error that names it.

use super::{Context, Receive};
use crate::topology::{OnError, Topology};
use crate::{Error, Record, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A record that failed, until the task that holds its raw bytes sends it on.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) node: Arc<str>,
    pub(crate) reason: String,
    pub(crate) timestamp: i64,
}

pub(crate) struct Guarded<R> {
    operator: R,
    name: Arc<str>,
    on_error: OnError,
}

impl<R> Guarded<R> {
    pub(crate) fn new(topology: &Topology, node: usize, operator: R) -> Self {
        Self {
            operator,
            name: topology.nodes[node].name.as_str().into(),
            on_error: topology.settings.on_error.clone(),
        }
    }
}

impl<K, V, R: Receive<K, V>> Receive<K, V> for Guarded<R> {
    #[inline]
    fn receive(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let timestamp = record.timestamp;
        let position = record.position;
        // What an unwound operator leaves behind: buffers taken and not given back, and writes that an abort or the
        // record's own policy accounts for.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.operator.receive(ctx, record)));
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => self.failed(ctx, error, timestamp, position),
            Err(panic) => {
                let error = Error::failed(panic_message(&*panic));
                self.failed(ctx, error, timestamp, position)
            }
        }
    }
}

impl<R> Guarded<R> {
    #[cold]
    fn failed(
        &self,
        ctx: &mut Context<'_>,
        error: Error,
        timestamp: i64,
        position: crate::Position,
    ) -> Result<()> {
        fail(ctx, &self.on_error, &self.name, error, timestamp, position)
    }
}

/// Applies the policy to what the operator `name` failed with.
#[cold]
pub(crate) fn fail(
    ctx: &mut Context<'_>,
    on_error: &OnError,
    name: &Arc<str>,
    error: Error,
    timestamp: i64,
    position: crate::Position,
) -> Result<()> {
    // Only failures of the application are subject to its policy, and each only once.
    let Error::Processor { node, reason } = &error else {
        return Err(error);
    };
    if !node.is_empty() {
        return Err(error);
    }
    match on_error {
        OnError::Fail => Err(error.in_node(name, || {
            let topic = ctx.state.topics.get(position.topic as usize);
            topic.map_or_else(String::new, |topic| {
                let (partition, offset) = (position.partition, position.offset);
                format!(" at {topic}-{partition} offset {offset}")
            })
        })),
        OnError::Skip => {
            ctx.state.counters.failed += 1;
            Ok(())
        }
        OnError::DeadLetter(_) => {
            ctx.state.counters.failed += 1;
            let (node, reason) = (name.clone(), reason.clone());
            ctx.state.failures.push(Failure {
                node,
                reason,
                timestamp,
            });
            Ok(())
        }
    }
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked".into())
}

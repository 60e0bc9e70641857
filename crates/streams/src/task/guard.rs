//! The guard around each operator: what happens when a closure of the application fails or panics.
//! Not the policy for undecodable records: a source has its own. Invariant: a failure is dealt with at the innermost operator
//! that had it; those above go on as if it had passed the record over, or the task stops with an error that names it.

use super::{Context, Input, Receive};
use crate::topology::{NodeKind, OnError, Topology};
use crate::{Error, Record, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{rc::Rc, sync::Arc};

/// A record that failed, until the task that holds its raw bytes sends it on.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) node: Arc<str>,
    pub(crate) reason: String,
    pub(crate) timestamp: i64,
    /// The topic for it.
    pub(crate) topic: String,
}

/// An operator that the task finds by its number when it fails or panics, once for many records.
struct Numbered<R> {
    operator: R,
    node: usize,
}

impl<K, V, R: Receive<K, V>> Receive<K, V> for Numbered<R> {
    #[inline]
    fn receive(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        // Set back only when all went well: what remains is the operator that failed.
        let above = std::mem::replace(&mut ctx.state.at, self.node);
        self.operator.receive(ctx, record)?;
        ctx.state.at = above;
        Ok(())
    }
}

/// An operator whose failures end here.
struct Guarded<K, V> {
    operator: Input<K, V>,
    name: Arc<str>,
    on_error: OnError,
    /// For records that cannot be encoded or are too large.
    on_unwritable: OnError,
}

/// `operator` of `node` with the guard that the topology's policy asks for. Where all failures stop the task there is none: the
/// task catches them and asks where they happened.
pub(crate) fn guarded<K: 'static, V: 'static>(
    topology: &Topology,
    node: usize,
    operator: impl Receive<K, V> + 'static,
) -> Input<K, V> {
    let settings = &topology.settings;
    let is_sink = matches!(topology.nodes[node].kind, NodeKind::Sink { .. });
    let on_unwritable = match is_sink && settings.on_error != OnError::Quarantine {
        true => &settings.on_unwritable,
        false => &settings.on_error,
    };
    let operator: Input<K, V> = Rc::new(Numbered { operator, node });
    if settings.on_error.aborts() && on_unwritable.aborts() {
        return operator;
    }
    Rc::new(Guarded {
        operator,
        name: topology.nodes[node].name.as_str().into(),
        on_error: settings.on_error.clone(),
        on_unwritable: on_unwritable.clone(),
    })
}

impl<K, V> Receive<K, V> for Guarded<K, V> {
    fn receive(&self, ctx: &mut Context<'_>, record: Record<K, V>) -> Result<()> {
        let (above, timestamp) = (ctx.state.at, record.timestamp);
        // What an unwound operator leaves behind: buffers taken and not given back, and writes that the policy accounts for.
        let outcome = catch_unwind(AssertUnwindSafe(|| self.operator.receive(ctx, record)));
        let error = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(panic) => Error::failed(panic_message(&*panic)),
        };
        let unwritable = matches!(
            &error,
            Error::BadData { offset: -1, .. } | Error::Log(headwater_log::Error::TooLarge(_))
        );
        let (policy, error) = match unwritable {
            true => (&self.on_unwritable, Error::failed(error)),
            false => (&self.on_error, error),
        };
        fail(ctx, policy, &self.name, error, timestamp)?;
        ctx.state.at = above;
        Ok(())
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
) -> Result<()> {
    // Only failures of the application are subject to its policy, and each only once.
    let Error::Processor { node, reason } = &error else {
        return Err(error);
    };
    if !node.is_empty() || on_error.aborts() {
        return Err(error.in_node(name, String::new));
    }
    ctx.state.counters.failed += 1;
    if let OnError::DeadLetter(topic) = on_error {
        ctx.state.failures.push(Failure {
            node: name.clone(),
            reason: reason.clone(),
            timestamp,
            topic: topic.clone(),
        });
    }
    Ok(())
}

/// Runs one of a task's steps; a panic becomes an error.
pub(crate) fn caught<T>(step: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(step))
        .unwrap_or_else(|panic| Err(Error::failed(panic_message(&*panic))))
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "it panicked".into())
}

//! The guard around each operator: what happens when a closure of the application fails or panics.
//! Not the policy for undecodable records: a source has its own. Invariant: a failure is dealt with at the innermost operator
//! that had it; those above go on as if it had passed the record over, or the task stops with an error that names it.

use super::{Context, Input, Meta, Receive, Step, Wiring, dead_letter};
use crate::topology::{NodeKind, OnError};
use crate::{Error, Headers, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::{cell::Cell, rc::Rc, sync::Arc};

/// The operator that failed: told by those that an error or a panic passes on its way out, so that a record with which all goes
/// well writes nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failed(Rc<Cell<Option<usize>>>);

impl Failed {
    /// The innermost operator that failed since [`Failed::forget`].
    pub(crate) fn node(&self) -> Option<usize> {
        self.0.get()
    }

    /// `node` has failed, unless one inside it was the first.
    #[cold]
    pub(crate) fn note(&self, node: usize) {
        self.0.set(self.0.get().or(Some(node)));
    }

    /// The failure is dealt with.
    #[inline]
    pub(crate) fn forget(&self) {
        self.0.set(None);
    }
}

/// An operator that tells when it fails or panics, once for many records.
struct Numbered<R> {
    operator: R,
    node: usize,
    failed: Failed,
}

/// Tells that an operator failed, unless it is forgotten.
struct Fails<'a, R>(&'a Numbered<R>);

impl<R> Drop for Fails<'_, R> {
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        self.0.failed.note(self.0.node);
    }
}

impl<K, V, R: Receive<K, V>> Receive<K, V> for Numbered<R> {
    #[inline]
    fn receive(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step {
        let fails = Fails(self);
        self.operator.receive(ctx, key, value, meta)?;
        std::mem::forget(fails);
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
    /// Letters are sent, which have the headers of what failed.
    keeps_headers: bool,
}

/// `operator` of `node` with the guard that the topology's policy asks for. Where all failures stop the task there is none: the
/// task catches them and asks where they happened.
pub(crate) fn guarded<K: 'static, V: 'static>(
    wiring: &Wiring<'_>,
    node: usize,
    operator: impl Receive<K, V> + 'static,
) -> Input<K, V> {
    let topology = wiring.topology;
    let settings = &topology.settings;
    let is_sink = matches!(topology.nodes[node].kind, NodeKind::Sink { .. });
    let on_unwritable = match is_sink && settings.on_error != OnError::Quarantine {
        true => &settings.on_unwritable,
        false => &settings.on_error,
    };
    let numbered = Numbered {
        operator,
        node,
        failed: wiring.failed.clone(),
    };
    let operator: Input<K, V> = Rc::new(Box::new(numbered));
    if settings.on_error.aborts() && on_unwritable.aborts() {
        return operator;
    }
    Rc::new(Box::new(Guarded {
        operator,
        name: topology.nodes[node].name.as_str().into(),
        on_error: settings.on_error.clone(),
        on_unwritable: on_unwritable.clone(),
        keeps_headers: settings.sends_letters(),
    }))
}

impl<K, V> Receive<K, V> for Guarded<K, V> {
    fn receive(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step {
        // As it came: an operator may take the headers.
        let failed = Meta {
            timestamp: meta.timestamp,
            headers: match self.keeps_headers {
                true => meta.headers.clone(),
                false => Headers::default(),
            },
            position: meta.position,
        };
        // What an unwound operator leaves behind: buffers taken and not given back, and writes that the policy accounts for.
        let step = || self.operator.receive(ctx, key, value, meta);
        let error = match catch_unwind(AssertUnwindSafe(step)) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => *error,
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
        fail(ctx, policy, &self.name, error, &failed)?;
        ctx.state.failed.forget();
        Ok(())
    }
}

/// Applies the policy to what the operator `name` failed with, at the record `failed` or in a call at its time.
#[cold]
pub(crate) fn fail(
    ctx: &mut Context<'_>,
    on_error: &OnError,
    name: &Arc<str>,
    error: Error,
    failed: &Meta,
) -> Result<()> {
    // Only failures of the application are subject to its policy, and each only once.
    let Error::Processor { node, reason } = &error else {
        return Err(error);
    };
    if !node.is_empty() || on_error.aborts() {
        return Err(error.in_node(name, String::new));
    }
    ctx.state.counters.failed += 1;
    match on_error {
        OnError::DeadLetter(topic) => {
            dead_letter::send(ctx, topic, (&**name, reason.as_str()), failed)
        }
        _ => Ok(()),
    }
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

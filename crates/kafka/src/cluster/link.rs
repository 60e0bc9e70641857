//! The one connection of a node and purpose, opened when it is needed and again after it ended.
//! Not a queue: requests wait in the connection. Invariant: attempts that fail are spaced by `reconnect.backoff.ms`.

use crate::connection::{Connection, Context, RequestError};
use crate::settings::address::Address;
use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

pub(super) struct Link {
    address: Address,
    /// Held while connecting; those who wait get the connection in the order they came.
    slot: Mutex<Option<Connection>>,
    attempts: Cell<u64>,
    failures: Cell<u32>,
    retry_at: Cell<Option<Instant>>,
    last_failure: RefCell<Option<RequestError>>,
}

impl Link {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            slot: Mutex::new(None),
            attempts: Cell::new(0),
            failures: Cell::new(0),
            retry_at: Cell::new(None),
            last_failure: RefCell::default(),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    pub(super) fn is_failing(&self) -> bool {
        self.failures.get() > 0
    }

    /// `: why`, or nothing.
    pub(super) fn last_failure(&self) -> String {
        match &*self.last_failure.borrow() {
            None => String::new(),
            Some(why) => format!("; last failure: {why}"),
        }
    }

    /// The open connection, or one attempt to open it, whose failure all share who waited for it.
    pub(super) async fn connection(
        &self,
        context: &Rc<Context>,
    ) -> Result<Connection, RequestError> {
        let attempts = self.attempts.get();
        let mut slot = self.slot.lock().await;
        if slot.is_none()
            && self.attempts.get() > attempts
            && let Some(failure) = &*self.last_failure.borrow()
        {
            return Err(failure.clone());
        }
        if let Some(connection) = &*slot {
            match connection.closed() {
                None => return Ok(connection.clone()),
                // One that never answered is an attempt that failed.
                Some(reason) if connection.is_unproven() => self.failed(context, reason),
                Some(_) => {}
            }
            *slot = None;
        }
        if let Some(at) = self.retry_at.take() {
            sleep_until(at).await;
        }
        let times = context.settings.connection_setup_timeout;
        let setup = times.wait(self.failures.get(), 500);
        let opened = Connection::open(&self.address, context, setup).await;
        self.attempts.set(self.attempts.get() + 1);
        match opened {
            Ok(connection) => {
                self.failures.set(0);
                self.last_failure.take();
                *slot = Some(connection.clone());
                Ok(connection)
            }
            Err(error) => {
                let error = RequestError::from(error);
                self.failed(context, error.clone());
                Err(error)
            }
        }
    }

    fn failed(&self, context: &Context, why: RequestError) {
        let failures = self.failures.get();
        let wait = context
            .settings
            .reconnect_backoff
            .wait(failures, context.world.random.next_u64());
        self.failures.set(failures.saturating_add(1));
        self.retry_at.set(Some(Instant::now() + wait));
        *self.last_failure.borrow_mut() = Some(why);
    }

    pub(super) fn close_if_idle(&self, idle_max: Duration) {
        // Held by somebody: in use.
        if let Ok(mut slot) = self.slot.try_lock()
            && slot
                .as_ref()
                .is_some_and(|connection| connection.idle() >= idle_max)
        {
            *slot = None;
        }
    }
}

//! Who places orders: so many connections, each with the next order as soon as the one before is taken. Not who waits for them.
//! Invariant: an order is placed once, and only 201 takes it.

use crate::http::Wire;
use anyhow::{Context, Result, ensure};
use mio::Registry;
use std::net::SocketAddr;
use std::time::Instant;

/// Connections that place orders.
pub(super) const CONNECTIONS: usize = 64;
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// Customers in turn.
const CUSTOMERS: usize = 1_000;

pub(super) struct Counter {
    /// With the order under way; `None` once there is no other.
    wires: Vec<Option<(Wire, usize)>>,
    /// Of the first connection among events.
    first: usize,
    next: usize,
    /// By order.
    pub(super) sent: Vec<Option<Instant>>,
    pub(super) taken: Vec<Option<Instant>>,
}

impl Counter {
    /// To place so many orders; its events have the numbers from `first` on.
    pub(super) fn open(
        address: SocketAddr,
        orders: usize,
        registry: &Registry,
        first: usize,
    ) -> Result<Self> {
        let mut wires = Vec::new();
        for number in 0..CONNECTIONS.min(orders) {
            let mut wire = Wire::connect(address, ANSWER_BYTES_MAX)?;
            wire.register(registry, first + number)?;
            wires.push(Some((wire, 0)));
        }
        Ok(Self {
            wires,
            first,
            next: 0,
            sent: vec![None; orders],
            taken: vec![None; orders],
        })
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        (0..self.wires.len()).try_for_each(|number| self.place(number))
    }

    fn place(&mut self, number: usize) -> Result<()> {
        let order = self.next;
        if order == self.sent.len() {
            // Closed: a connection that asks nothing more is closed from the other side.
            self.wires[number] = None;
            return Ok(());
        }
        let body = format!(
            r#"{{"id":"{}","customerId":{},"product":"JUMPERS","quantity":1,"price":1.0}}"#,
            id(order),
            order % CUSTOMERS
        );
        let length = body.len();
        let head = format!("POST /v1/orders HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n");
        let line = self.wires[number].as_mut();
        let (wire, under_way) = line.context("no such line")?;
        (*under_way, self.next) = (order, order + 1);
        self.sent[order] = Some(Instant::now());
        wire.ask(format!("{head}\r\n{body}").as_bytes())
    }

    /// Whether the event was for it.
    pub(super) fn hear(&mut self, event: usize) -> Result<bool> {
        let Some(number) = event.checked_sub(self.first) else {
            return Ok(false);
        };
        let line = self.wires.get_mut(number).context("no such line")?;
        let Some((wire, order)) = line else {
            return Ok(true);
        };
        let order = *order;
        let status = wire.hear(|answer| Ok(answer.status))?;
        if let Some(status) = status {
            ensure!(status == 201, "an order is answered {status}");
            self.taken[order] = Some(Instant::now());
            self.place(number)?;
        }
        Ok(true)
    }

    pub(super) fn has_all(&self) -> bool {
        self.taken.iter().all(Option::is_some)
    }
}

/// Of an order by number.
pub(super) fn id(order: usize) -> String {
    format!("w-{order}")
}

//! Ten ports a node, so that brokers of several test binaries stay out of each other's way. Not for remote machines: loopback only.
//! Invariant: a block belongs to one living process, by a lock on a file that the system releases when the process ends.

use crate::listener::PORTS_PER_NODE;
use anyhow::{Context, Result, bail};
use std::{fs::File, net::TcpListener};

/// Below the range from which Linux gives ports to outgoing connections (32768 and up).
const FIRST: u16 = 20_000;
const LAST: u16 = 32_000;

/// A block of ports; free again when dropped.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) first: u16,
    /// `None` where the ports were given.
    _lock: Option<File>,
}

impl Block {
    /// A block that begins at a given port.
    pub(crate) fn at(first: u16) -> Result<Self> {
        first
            .checked_add(PORTS_PER_NODE - 1)
            .with_context(|| format!("a node needs {PORTS_PER_NODE} ports from {first} on"))?;
        Ok(Self { first, _lock: None })
    }

    /// A block that nobody uses.
    pub(crate) fn free() -> Result<Self> {
        let folder = std::env::temp_dir().join("headwater-ports");
        std::fs::create_dir_all(&folder)?;
        let blocks = (LAST - FIRST) / PORTS_PER_NODE;
        let start = std::process::id() % u32::from(blocks);
        for step in 0..u32::from(blocks) {
            let block = u16::try_from((start + step) % u32::from(blocks))
                .expect("a remainder by a u16 is one");
            let first = FIRST + block * PORTS_PER_NODE;
            let lock = File::create(folder.join(first.to_string()))?;
            if lock.try_lock().is_ok() && is_free(first) {
                let lock = Some(lock);
                return Ok(Self { first, _lock: lock });
            }
        }
        bail!("no {PORTS_PER_NODE} free ports in a row between {FIRST} and {LAST}")
    }
}

fn is_free(first: u16) -> bool {
    (first..first + PORTS_PER_NODE).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok())
}

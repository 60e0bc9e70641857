//! Some seconds of questions: what a connection is to ask, and what came of it. Not the asking.
//! Invariant: a count that a connection saw is never followed by a lower one of the same key.

use super::super::pour;
use crate::http;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::sync::Arc;

/// What one connection asks.
#[derive(Clone)]
pub(super) struct Line {
    pub(super) address: SocketAddr,
    /// Those it draws from.
    pub(super) keys: Arc<[u64]>,
    /// Of every key.
    pub(super) requests: Arc<[Vec<u8>]>,
    /// The least count of any key.
    pub(super) floor: u32,
    pub(super) seed: u64,
}

/// A line while it asks.
pub(super) struct Asked {
    line: Line,
    draw: u64,
    /// By key, the last count seen; small, because the asker's memory takes room from the caches of who is asked.
    seen: Vec<u32>,
    took_us: Vec<u32>,
    /// Questions that were answered by there being too many.
    pub(super) refused: u64,
}

impl Asked {
    pub(super) fn new(line: Line) -> Self {
        Self {
            draw: line.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15),
            seen: vec![line.floor; line.requests.len()],
            took_us: Vec::new(),
            refused: 0,
            line,
        }
    }

    /// The next key.
    pub(super) fn key(&mut self) -> u64 {
        // Xorshift (Marsaglia): any spread will do, and it costs nothing.
        self.draw ^= self.draw << 13;
        self.draw ^= self.draw >> 7;
        self.draw ^= self.draw << 17;
        self.line.keys[(self.draw % self.line.keys.len() as u64) as usize]
    }

    pub(super) fn request(&self, key: u64) -> &[u8] {
        &self.line.requests[key as usize]
    }

    pub(super) fn answered(&mut self, key: u64, count: u64, took_us: u128) -> Result<()> {
        let seen = &mut self.seen[key as usize];
        let count = u32::try_from(count)?;
        ensure!(count >= *seen, "key {key}: {count} after {seen}");
        *seen = count;
        self.took_us.push(u32::try_from(took_us)?);
        Ok(())
    }
}

/// What came of it.
pub(super) struct Phase {
    pub(super) seconds: f64,
    /// Sorted.
    took_us: Vec<u32>,
    /// By key, the highest count that was seen.
    highest: Vec<u64>,
    pub(super) refused: u64,
}

impl Phase {
    pub(super) fn of(asked: Vec<Asked>, seconds: f64) -> Self {
        let (mut took_us, mut highest, mut refused) = (Vec::new(), Vec::new(), 0);
        for asked in asked {
            took_us.extend(asked.took_us);
            refused += asked.refused;
            highest.resize(asked.seen.len(), 0);
            for (highest, seen) in highest.iter_mut().zip(asked.seen) {
                *highest = u64::from(seen).max(*highest);
            }
        }
        took_us.sort_unstable();
        Self {
            seconds,
            took_us,
            highest,
            refused,
        }
    }

    pub(super) fn requests(&self) -> usize {
        self.took_us.len()
    }

    /// ms that this part of the answers took at the most.
    pub(super) fn at(&self, part: f64) -> Result<f64> {
        let index = (self.took_us.len().saturating_sub(1) as f64 * part) as usize;
        let us = self.took_us.get(index).context("nothing was answered")?;
        Ok(f64::from(*us) / 1_000.0)
    }

    /// Whether any count was higher than it can be once `written` records are counted.
    pub(super) fn check(&self, written: u64, keys: u64) -> Result<()> {
        for (key, highest) in (0..).zip(&self.highest) {
            let whole = count(key, written, keys);
            ensure!(*highest <= whole, "key {key}: {highest} of {whole}");
        }
        Ok(())
    }
}

/// The bytes of a request for the count of a key.
pub(super) fn request(key: u64, query: &str) -> Vec<u8> {
    http::get(&format!("/stores/counts/{}{query}", pour::key(key)))
}

/// How often a key is among the first `written` records.
pub(super) fn count(key: u64, written: u64, keys: u64) -> u64 {
    written / keys + u64::from(key < written % keys)
}

//! Several cursors walked as one. Not for cursors that share keys: nothing here decides which of two values is newer.
//! Invariant: every cursor but the current one stands at an entry that was not walked yet.

use super::Cursor;
use crate::{Direction, Result};

/// The entries of several segments in key order. A key is in one segment only.
pub(super) struct Merged {
    cursors: Vec<Box<dyn Cursor>>,
    direction: Direction,
    current: Option<usize>,
}

impl Merged {
    pub(super) fn new(cursors: Vec<Box<dyn Cursor>>, direction: Direction) -> Self {
        Self {
            cursors,
            direction,
            current: None,
        }
    }
}

impl Cursor for Merged {
    fn advance(&mut self) -> Result<bool> {
        let pending = match self.current {
            // Before the first step every cursor has to be moved to its first entry.
            None => (0..self.cursors.len()).rev().collect(),
            Some(current) => vec![current],
        };
        for at in pending {
            if !self.cursors[at].advance()? {
                drop(self.cursors.remove(at));
            }
        }
        let keys = self.cursors.iter().enumerate();
        self.current = match self.direction {
            Direction::Forward => keys.min_by(|a, b| a.1.key().cmp(b.1.key())),
            Direction::Backward => keys.max_by(|a, b| a.1.key().cmp(b.1.key())),
        }
        .map(|(at, _)| at);
        Ok(self.current.is_some())
    }

    fn key(&self) -> &[u8] {
        self.current.map_or(&[], |at| self.cursors[at].key())
    }

    fn value(&self) -> &[u8] {
        self.current.map_or(&[], |at| self.cursors[at].value())
    }
}

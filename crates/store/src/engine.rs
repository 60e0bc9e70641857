//! Where checkpoints put committed entries: one ordered map that survives, or not. Not a cache and not transactional:
//! the store above writes one checkpoint after the other.
//! Invariant: `write` is atomic and, when it returns, as durable as the engine gets; metadata and entries change together.

pub(crate) mod disk;
pub(crate) mod file;
pub(crate) mod memory;
mod merged;
pub(crate) mod segments;

use crate::{Direction, KeyRange, Result};

/// A key and its value; `None` is a deletion.
pub(crate) type Change<'a> = (&'a [u8], Option<&'a [u8]>);

/// The entries of a checkpoint: ascending keys, each once.
pub(crate) type Entries<'a> = dyn Iterator<Item = Change<'a>> + 'a;

/// An ordered map in memory or on disk. Every method may be called from any thread, `write` from one at a time.
pub(crate) trait Engine: Send + Sync {
    /// Copies the value into `value` (cleared first) and answers whether there is one.
    fn get(&self, key: &[u8], value: &mut Vec<u8>) -> Result<bool>;
    /// Walks a range. A write while a cursor is open may or may not show.
    fn cursor(&self, range: KeyRange<'_>, direction: Direction) -> Result<Box<dyn Cursor>>;
    /// Applies a checkpoint's entries and its metadata in one step.
    fn write(&self, entries: &mut Entries<'_>, meta: Option<&[u8]>) -> Result<()>;
    /// The metadata last written.
    fn meta(&self) -> Result<Option<Vec<u8>>>;
    /// The space in use, about.
    fn size_bytes(&self) -> u64;
    /// Ends background work; the directory may then be removed. Reads fail or find nothing from here on.
    fn close(&self);
}

/// Entries of a range, one after the other.
pub(crate) trait Cursor {
    /// Goes to the next entry; false when there is none.
    fn advance(&mut self) -> Result<bool>;
    /// The key of the entry gone to.
    fn key(&self) -> &[u8];
    /// The value of the entry gone to.
    fn value(&self) -> &[u8];
}

#[cfg(test)]
mod tests;

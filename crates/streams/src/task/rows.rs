//! Reading a table's rows by key, whether they lie in a store or are computed from another table's (`KTableValueGetter`).
//! Not a view for other threads. Invariant: what is read is the table as it stands within the record being processed.

use super::Context;
use crate::Result;

/// A row with its timestamp, ms since the epoch.
pub(crate) struct Row<V> {
    pub(crate) value: V,
    pub(crate) timestamp: i64,
}

/// Reads rows.
pub(crate) trait Rows<K, V> {
    /// The present row of `key`.
    fn get(&self, ctx: &mut Context<'_>, key: &K) -> Result<Option<Row<V>>>;

    /// The row of `key` that held at `time`. Only versioned tables know more than the present one.
    fn get_as_of(&self, ctx: &mut Context<'_>, key: &K, _time: i64) -> Result<Option<Row<V>>> {
        self.get(ctx, key)
    }

    /// True when [`Rows::get_as_of`] looks back.
    fn is_versioned(&self) -> bool {
        false
    }
}

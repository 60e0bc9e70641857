//! Joins of two tables by key (`KTableKTableInnerJoin`, `..LeftJoin`, `..RightJoin`, `..OuterJoin`, `..JoinMerger`).
//! Not foreign keys. Invariant: an update of one side meets the other side's present row, after both have taken in what came
//! before; a result is as young as the younger of the two.

use super::encode_key;
use super::materialized::{Cause, Kept};
use crate::task::{Context, Outputs, ReceiveRecord, Row, Rows};
use crate::{Change, Record, Result};
use std::{rc::Rc, sync::Arc};

/// Makes the joined row of the rows of both sides; `None` where there is none.
pub(crate) type TableJoiner<K, V, R, O> =
    Arc<dyn Fn(&K, Option<&V>, Option<&R>) -> Option<O> + Send + Sync>;

/// Which rows a side needs to make a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Both rows.
    Both,
    /// Its own row.
    Own,
    /// The other side's row.
    Other,
    /// Either.
    Either,
}

impl Needs {
    fn met(self, own: bool, other: bool) -> bool {
        match self {
            Self::Both => own && other,
            Self::Own => own,
            Self::Other => other,
            Self::Either => own || other,
        }
    }

    /// False when no update of its own side can change a result.
    fn may_change(self, change: (bool, bool), other: bool) -> bool {
        other || (matches!(self, Self::Own | Self::Either) && (change.0 || change.1))
    }
}

/// One side of a join: its own rows are of type `V`, the other's of type `R`.
pub(crate) struct TableJoinSide<K, V, R, O> {
    pub(crate) other: Rc<dyn Rows<K, R>>,
    pub(crate) joiner: TableJoiner<K, V, R, O>,
    pub(crate) needs: Needs,
    pub(crate) sends_old: bool,
    /// Its own table keeps versions: updates of what was are passed over.
    pub(crate) reads_versions: bool,
    pub(crate) outputs: Outputs<K, Change<O>>,
}

impl<K: Clone, V, R, O: Clone> ReceiveRecord<K, Change<V>> for TableJoinSide<K, V, R, O> {
    fn receive_record(
        &self,
        ctx: &mut Context<'_>,
        mut record: Record<K, Change<V>>,
    ) -> Result<()> {
        let Some(change) = record.value.take() else {
            return Ok(());
        };
        if self.reads_versions && !change.is_latest {
            ctx.drop_record();
            return Ok(());
        }
        let other = self.other.get(ctx, &record.key)?;
        let changed = (change.new.is_some(), change.old.is_some());
        if !self.needs.may_change(changed, other.is_some()) {
            return Ok(());
        }
        let row = other.as_ref().map(|row| &row.value);
        let join = |own: Option<&V>| {
            let met = self.needs.met(own.is_some(), row.is_some());
            met.then(|| (self.joiner)(&record.key, own, row)).flatten()
        };
        let new = join(change.new.as_ref());
        let mut old = None;
        if self.sends_old {
            old = join(change.old.as_ref());
        }
        let younger = other.as_ref().map_or(record.timestamp, |row| row.timestamp);
        record.timestamp = record.timestamp.max(younger);
        let change = Change {
            new,
            old,
            is_latest: change.is_latest,
        };
        self.outputs.send(ctx, record.with_value(Some(change)))
    }
}

/// Brings the results of both sides together, and keeps them where the join has a store.
pub(crate) struct TableJoinMerger<K, O> {
    pub(crate) kept: Option<Kept<K, O>>,
    pub(crate) sends_old: bool,
    pub(crate) outputs: Outputs<K, Change<O>>,
}

impl<K: Clone + 'static, O: Clone + 'static> ReceiveRecord<K, Change<O>> for TableJoinMerger<K, O> {
    fn receive_record(
        &self,
        ctx: &mut Context<'_>,
        mut record: Record<K, Change<O>>,
    ) -> Result<()> {
        let Some(mut change) = record.value.take() else {
            return Ok(());
        };
        let Some(kept) = &self.kept else {
            change.old = change.old.filter(|_| self.sends_old);
            return self.outputs.send(ctx, record.with_value(Some(change)));
        };
        let mut key_bytes = kept.key_bytes.take();
        if !encode_key(&kept.key, kept.rows.topic(), &record.key, &mut key_bytes)? {
            ctx.drop_record();
            return Ok(());
        }
        let Change { new, old, .. } = change;
        let cause = Cause::at(record.timestamp, &record.headers, record.position);
        kept.rows
            .put(ctx, &key_bytes, || record.key, new, old, cause)?;
        kept.key_bytes.give(key_bytes);
        Ok(())
    }
}

/// The rows of a join without a store.
pub(crate) struct JoinedRows<K, V, R, O> {
    pub(crate) left: Rc<dyn Rows<K, V>>,
    pub(crate) right: Rc<dyn Rows<K, R>>,
    pub(crate) joiner: TableJoiner<K, V, R, O>,
    /// What the left side needs.
    pub(crate) needs: Needs,
}

impl<K, V, R, O> Rows<K, O> for JoinedRows<K, V, R, O> {
    fn get(&self, ctx: &mut Context<'_>, key: &K) -> Result<Option<Row<O>>> {
        let left = self.left.get(ctx, key)?;
        if left.is_none() && self.needs != Needs::Either {
            return Ok(None);
        }
        let right = self.right.get(ctx, key)?;
        if !self.needs.met(left.is_some(), right.is_some()) {
            return Ok(None);
        }
        let times = [
            left.as_ref().map(|row| row.timestamp),
            right.as_ref().map(|row| row.timestamp),
        ];
        let timestamp = times.into_iter().flatten().max().unwrap_or(-1);
        let (left, right) = (left.map(|row| row.value), right.map(|row| row.value));
        let value = (self.joiner)(key, left.as_ref(), right.as_ref());
        Ok(value.map(|value| Row { value, timestamp }))
    }
}

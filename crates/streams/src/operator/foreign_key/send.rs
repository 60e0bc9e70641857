//! The left side: each change of a row ends the subscription to the foreign key it named and begins one to the key it names
//! (`SubscriptionSendProcessorSupplier`). Invariant: under our semantics every change asks for exactly one answer.

use super::subscription::{Instruction, Subscription};
use super::{encode, hash_of};
use crate::format::FormatOf;
use crate::task::{Context, Outputs, ReceiveRecord, Scratch};
use crate::{Change, Record, Result};
use std::sync::Arc;

/// The foreign key that a left row names, if any.
pub(crate) type ExtractKey<K, V, F> = Arc<dyn Fn(&K, &V) -> Option<F> + std::marker::Send + Sync>;

pub(crate) struct Send<K, V, F> {
    pub(crate) extract: ExtractKey<K, V, F>,
    pub(crate) foreign_key: FormatOf<F>,
    pub(crate) value: FormatOf<V>,
    /// The topics that formats are told: of foreign keys and of values to hash.
    pub(crate) foreign_key_topic: Arc<str>,
    pub(crate) hash_topic: Arc<str>,
    /// Keeps left rows without a right one.
    pub(crate) left: bool,
    /// Asks for an answer only where Kafka Streams' inner join does, which may keep stale rows.
    pub(crate) saves_answers: bool,
    /// The table keeps versions: only the latest count.
    pub(crate) reads_versions: bool,
    pub(crate) outputs: Outputs<Option<F>, Subscription<K>>,
    pub(crate) scratch: [Scratch; 2],
}

/// At most an end and a beginning.
type Messages<F> = [Option<(Option<F>, Instruction)>; 2];

impl<K: Clone, V, F: Clone> Send<K, V, F> {
    fn foreign_key(&self, key: &K, row: Option<&V>) -> Option<F> {
        (self.extract)(key, row?).filter(|key| !self.foreign_key.is_null(key))
    }

    /// What to send, in order, for a change between two foreign keys.
    fn messages(
        &self,
        ctx: &mut Context<'_>,
        key: &K,
        new: Option<&V>,
        old: Option<&V>,
    ) -> Result<Messages<F>> {
        let old_key = self.foreign_key(key, old);
        let new_key = self.foreign_key(key, new);
        if !self.left && new.is_some() && new_key.is_none() {
            ctx.drop_record();
        }
        let moved = match (&old_key, &new_key) {
            (Some(old), Some(new)) => !self.is_same(old, new)?,
            (old, _) => old.is_some(),
        };
        if self.left || !self.saves_answers {
            if new.is_none() && old.is_none() {
                return Ok([None, None]);
            }
            let end = old_key.filter(|_| moved);
            let end = end.map(|key| (Some(key), Instruction::End));
            return Ok([end, Some((new_key, Instruction::Answer))]);
        }
        Ok(match (old_key, new_key) {
            (None, None) => [None, None],
            (Some(old), None) => [Some((Some(old), Instruction::EndAndAnswer)), None],
            (Some(old), Some(new)) if moved => [
                Some((Some(old), Instruction::End)),
                Some((Some(new), Instruction::Answer)),
            ],
            (_, Some(new)) => [Some((Some(new), Instruction::AnswerIfPresent)), None],
        })
    }

    /// Foreign keys are compared by their bytes, as their partition is chosen.
    fn is_same(&self, a: &F, b: &F) -> Result<bool> {
        let (mut one, mut two) = (self.scratch[0].take(), self.scratch[1].take());
        encode(&self.foreign_key, &self.foreign_key_topic, a, &mut one)?;
        encode(&self.foreign_key, &self.foreign_key_topic, b, &mut two)?;
        let same = one == two;
        self.scratch[0].give(one);
        self.scratch[1].give(two);
        Ok(same)
    }
}

impl<K: Clone, V, F: Clone> ReceiveRecord<K, Change<V>> for Send<K, V, F> {
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
        let (new, old) = (change.new.as_ref(), change.old.as_ref());
        let messages = self.messages(ctx, &record.key, new, old)?;
        let mut bytes = self.scratch[0].take();
        let hash = hash_of(&self.value, &self.hash_topic, new, &mut bytes)?;
        self.scratch[0].give(bytes);
        let partition = Some(ctx.state.id.partition);
        for (foreign_key, instruction) in messages.into_iter().flatten() {
            let subscription = Subscription {
                hash,
                instruction,
                key: record.key.clone(),
                partition,
            };
            let message = Record {
                key: foreign_key,
                value: Some(subscription),
                timestamp: record.timestamp,
                headers: record.headers.clone(),
                position: record.position,
            };
            self.outputs.send(ctx, message)?;
        }
        Ok(())
    }
}

//! The right side, asked by a left row: keeps or ends its subscription, looks the right row up and answers
//! (`SubscriptionReceiveProcessorSupplier`, `SubscriptionJoinProcessorSupplier`).
//! Invariant: a subscription is in the store before the right row is looked up, so that no update of it goes unanswered.

use super::response::Response;
use super::subscription::{Instruction, Subscription};
use super::{encode, push_foreign_key};
use crate::format::FormatOf;
use crate::task::{Context, Outputs, ReceiveRecord, Rows, Scratch};
use crate::{Record, Result};
use std::{rc::Rc, sync::Arc};

pub(crate) struct Subscribe<K, F> {
    pub(crate) store: usize,
    pub(crate) foreign_key: FormatOf<F>,
    pub(crate) key: FormatOf<K>,
    pub(crate) subscription: FormatOf<Subscription<K>>,
    /// The topic of subscriptions, and those that the formats of keys are told.
    pub(crate) topic: Arc<str>,
    pub(crate) foreign_key_topic: Arc<str>,
    pub(crate) key_topic: Arc<str>,
    pub(crate) outputs: Outputs<Option<F>, Subscription<K>>,
    pub(crate) key_bytes: Scratch,
    pub(crate) local: Scratch,
}

impl<K: Clone, F: Clone> ReceiveRecord<Option<F>, Subscription<K>> for Subscribe<K, F> {
    fn receive_record(
        &self,
        ctx: &mut Context<'_>,
        record: Record<Option<F>, Subscription<K>>,
    ) -> Result<()> {
        let Some(subscription) = &record.value else {
            ctx.drop_record();
            return Ok(());
        };
        let Some(foreign_key) = &record.key else {
            // A left row that names no key only wants to hear that there is nothing.
            if subscription.instruction != Instruction::Answer {
                ctx.drop_record();
                return Ok(());
            }
            return self.outputs.send(ctx, record);
        };
        let (mut key_bytes, mut local) = (self.key_bytes.take(), self.local.take());
        let topic = &self.foreign_key_topic;
        push_foreign_key(&self.foreign_key, topic, foreign_key, &mut key_bytes)?;
        encode(
            &self.key,
            &self.key_topic,
            &subscription.key,
            &mut key_bytes,
        )?;
        let ends = matches!(
            subscription.instruction,
            Instruction::End | Instruction::EndAndAnswer
        );
        if !ends {
            local.extend_from_slice(&record.timestamp.to_be_bytes());
            encode(&self.subscription, &self.topic, subscription, &mut local)?;
        }
        let local_bytes = (!ends).then_some(local.as_slice());
        let headers = (&record.headers, record.headers.as_ref());
        ctx.write_with_headers(
            self.store,
            &key_bytes,
            local_bytes,
            record.timestamp,
            headers,
        )?;
        self.key_bytes.give(key_bytes);
        self.local.give(local);
        self.outputs.send(ctx, record)
    }
}

pub(crate) struct LookUp<K, F, R> {
    pub(crate) rows: Rc<dyn Rows<F, R>>,
    pub(crate) outputs: Outputs<K, Response<R>>,
}

impl<K: Clone, F, R: Clone> ReceiveRecord<Option<F>, Subscription<K>> for LookUp<K, F, R> {
    fn receive_record(
        &self,
        ctx: &mut Context<'_>,
        mut record: Record<Option<F>, Subscription<K>>,
    ) -> Result<()> {
        let Some(subscription) = record.value.take() else {
            return Ok(());
        };
        let mut found = None;
        if let Some(foreign_key) = &record.key {
            found = self.rows.get(ctx, foreign_key)?;
        }
        let time = found.as_ref().map_or(record.timestamp, |row| row.timestamp);
        record.timestamp = record.timestamp.max(time);
        let row = found.map(|row| row.value);
        let row = match subscription.instruction {
            Instruction::End => return Ok(()),
            Instruction::EndAndAnswer => None,
            Instruction::AnswerIfPresent if row.is_none() => return Ok(()),
            Instruction::Answer | Instruction::AnswerIfPresent => row,
        };
        let response = Response {
            hash: subscription.hash,
            row,
            partition: subscription.partition,
        };
        let response = record.with(subscription.key, Some(response));
        self.outputs.send(ctx, response)
    }
}

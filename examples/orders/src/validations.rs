//! The validations aggregator: brings the answers of the checks together into the order's verdict. Not a check itself.
//! Invariant: an order gets one verdict, the first, whatever arrives twice, late or in another order; without all answers it
//! fails when its time is up, so that no order stays undecided.
//!
//! ```text
//!   an order, a check passed --> [ undecided ] -- all three passed ------> VALIDATED --+
//!                                     |                                                 +--> remembered a day, then forgotten
//!                                     +-- one failed, or time is up ----> FAILED -------+
//! ```

use crate::model::{
    Order, OrderState, OrderValidation, OrderValidationResult, OrderValidationType,
};
use crate::topics;
use headwater::json;
use headwater::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The `application.id`.
pub const APPLICATION: &str = "ValidationsAggregatorService";
/// How long the checks of an order may take.
pub const ORDER_TIMEOUT: Duration = Duration::from_secs(300);
/// How long a verdict is remembered, so that late answers do not lead to another.
const VERDICT_MEMORY_MS: i64 = 24 * 3_600_000;
/// Checks that must pass.
const CHECKS: usize = 3;

/// What happens to an order.
#[derive(Clone)]
enum Event {
    Order(Order),
    Answer(OrderValidation),
    /// A tombstone of topic `orders`.
    Deleted,
}

/// What is known of an order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Progress {
    order: Option<Order>,
    passed: Vec<OrderValidationType>,
    failed: bool,
    decided: bool,
    /// When the timer of this row is due, ms since the epoch.
    timer_at: i64,
}

impl Data for Progress {
    fn format() -> FormatOf<Self> {
        json()
    }
}

/// Orders and answers in, orders with their verdicts out; an order may wait for its answers for `timeout`.
pub fn validations_aggregator_service(timeout: Duration) -> Result<Topology> {
    let app = App::new(APPLICATION);
    let progress = app.store::<String, Progress>("order-progress");
    let timers = app.timers::<String>("order-timers");
    let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX);
    let orders = app
        .stream(topics::orders())
        .with_nulls()
        .map_values(|_, order: Option<Order>| Some(order.map_or(Event::Deleted, Event::Order)));
    app.stream(topics::order_validations())
        .map_values(Event::Answer)
        .merge(orders)
        .process((progress, timers), move || Decide {
            progress,
            timers,
            timeout_ms,
        })
        .default_formats()
        .to(topics::ORDERS);
    app.build()
}

struct Decide {
    progress: StoreHandle<String, Progress>,
    timers: StoreHandle<String, (), Timers>,
    timeout_ms: i64,
}

type Context<'a, 'c> = ProcessorContext<'a, 'c, String, Order>;

impl Processor for Decide {
    type KeyIn = String;
    type ValueIn = Event;
    type KeyOut = String;
    type ValueOut = Order;

    fn process(
        &mut self,
        mut record: Record<String, Event>,
        ctx: &mut Context<'_, '_>,
    ) -> ProcessorResult<()> {
        let Some(event) = record.value.take() else {
            return Ok(());
        };
        let id = record.key.clone();
        let known = ctx.store(self.progress)?.get(&id)?;
        let is_first = known.is_none();
        let mut progress = known.unwrap_or_default();
        match event {
            Event::Deleted => return self.forget(&id, &progress, ctx),
            _ if progress.decided => return Ok(()),
            Event::Order(order) => {
                progress.decided = order.is_decided();
                progress.order = Some(order);
            }
            Event::Answer(answer) => note(&mut progress, &answer),
        }
        if is_first {
            self.set_timer(&id, &mut progress, self.timeout_ms, ctx)?;
        }
        let verdict = verdict(&progress);
        if verdict.is_some() || progress.decided {
            self.remember(&id, &mut progress, ctx)?;
        }
        ctx.store(self.progress)?.put(&id, &progress)?;
        match (verdict, progress.order) {
            (Some(state), Some(order)) => {
                ctx.forward(record.with_value(Some(order.with_state(state))))
            }
            _ => Ok(()),
        }
    }

    fn timer(&mut self, timer: Timer<String>, ctx: &mut Context<'_, '_>) -> ProcessorResult<()> {
        let Some(mut progress) = ctx.store(self.progress)?.get(&timer.key)? else {
            return Ok(());
        };
        let waits = progress.order.clone().filter(|_| !progress.decided);
        let Some(order) = waits else {
            return ctx.store(self.progress)?.delete(&timer.key);
        };
        self.remember(&timer.key, &mut progress, ctx)?;
        ctx.store(self.progress)?.put(&timer.key, &progress)?;
        let failed = order.with_state(OrderState::Failed);
        ctx.forward(Record::new(timer.key, Some(failed), timer.at))
    }
}

impl Decide {
    /// Marks the order as decided, and lets the row go in a day.
    fn remember(
        &self,
        id: &String,
        progress: &mut Progress,
        ctx: &mut Context<'_, '_>,
    ) -> ProcessorResult<()> {
        progress.decided = true;
        ctx.store(self.timers)?
            .cancel(PunctuationKind::WallClock, progress.timer_at, id)?;
        self.set_timer(id, progress, VERDICT_MEMORY_MS, ctx)
    }

    fn set_timer(
        &self,
        id: &String,
        progress: &mut Progress,
        delay_ms: i64,
        ctx: &mut Context<'_, '_>,
    ) -> ProcessorResult<()> {
        progress.timer_at = ctx.now_ms().saturating_add(delay_ms);
        ctx.store(self.timers)?
            .set(PunctuationKind::WallClock, progress.timer_at, id)
    }

    fn forget(
        &self,
        id: &String,
        progress: &Progress,
        ctx: &mut Context<'_, '_>,
    ) -> ProcessorResult<()> {
        ctx.store(self.timers)?
            .cancel(PunctuationKind::WallClock, progress.timer_at, id)?;
        ctx.store(self.progress)?.delete(id)
    }
}

/// A check that answers twice counts once; one that could not be made may answer later.
fn note(progress: &mut Progress, answer: &OrderValidation) {
    match answer.validation_result {
        OrderValidationResult::Fail => progress.failed = true,
        OrderValidationResult::Pass if !progress.passed.contains(&answer.check_type) => {
            progress.passed.push(answer.check_type);
        }
        OrderValidationResult::Pass | OrderValidationResult::Error => {}
    }
}

/// The verdict that the answers so far lead to, if the order is there and has none.
fn verdict(progress: &Progress) -> Option<OrderState> {
    if progress.decided || progress.order.is_none() {
        return None;
    }
    if progress.failed {
        return Some(OrderState::Failed);
    }
    (progress.passed.len() == CHECKS).then_some(OrderState::Validated)
}

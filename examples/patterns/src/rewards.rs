//! Transform with state: each purchase becomes what its customer has earned so far. Not a count: the answer goes with the record.
//! Invariant: all purchases of a customer are in one partition, since they are partitioned by customer before the store is asked.

use headwater::json;
use headwater::prelude::*;
use serde::{Deserialize, Serialize};

/// Points by customer, in memory; its changelog fills it after a restart.
pub const POINTS: &str = "rewardsPointsStore";

/// A purchase; its topic has any key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purchase {
    /// Who bought.
    pub customer_id: String,
    /// How many.
    pub quantity: u32,
    /// The price of one.
    pub price: f64,
}

/// What a purchase earned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardAccumulator {
    /// Who bought.
    pub customer_id: String,
    /// What the purchase cost.
    pub purchase_total: f64,
    /// One point for each whole unit of money.
    pub current_reward_points: i32,
    /// With those of earlier purchases.
    pub total_reward_points: i32,
}

impl Data for Purchase {
    fn format() -> FormatOf<Self> {
        json()
    }
}

impl Data for RewardAccumulator {
    fn format() -> FormatOf<Self> {
        json()
    }
}

/// Topic `purchases` to topic `rewards`.
pub fn rewards() -> Result<Topology> {
    let app = App::new("rewards");
    let points = app.store::<String, i32>(Store::from(POINTS).in_memory());
    app.stream::<String, Purchase>("purchases")
        .select_key(|_, purchase| purchase.customer_id.clone())
        .repartition(Repartitioned::named("by-customer"))
        .process_values(points, move || Accumulate(points))
        .values(RewardAccumulator::format())
        .to("rewards");
    app.build()
}

struct Accumulate(StoreHandle<String, i32>);

impl FixedKeyProcessor for Accumulate {
    type Key = String;
    type ValueIn = Purchase;
    type ValueOut = RewardAccumulator;

    fn process(
        &mut self,
        record: FixedKeyRecord<String, Purchase>,
        ctx: &mut FixedKeyContext<'_, '_, '_, String, RewardAccumulator>,
    ) -> ProcessorResult<()> {
        let Some(purchase) = &record.value else {
            return Ok(());
        };
        let purchase_total = f64::from(purchase.quantity) * purchase.price;
        let earned = purchase_total as i32;
        let customer_id = purchase.customer_id.clone();
        let so_far = ctx.store(self.0)?.get(&customer_id)?.unwrap_or(0);
        let total = so_far.saturating_add(earned);
        ctx.store(self.0)?.put(&customer_id, &total)?;
        ctx.forward(record.with_value(Some(RewardAccumulator {
            customer_id,
            purchase_total,
            current_reward_points: earned,
            total_reward_points: total,
        })))
    }
}

//! The result, read from the job's stores, in the shape that is printed as JSON. Not the stores' own values: their formats
//! may change without this one. Invariant: all but `run` depends on the input alone, in value and in order.

use crate::date::Date;
use crate::model::{BEST_MAX, Best, Customer, Sales};
use crate::topology::{CUSTOMERS, ENRICHED, LEVELS, MONTHS, SHOP, TOP, WEEKS};
use anyhow::{Context, Result};
use headwater::{Running, Windowed, count_records, end_offsets, log::Log};
use serde::Serialize;

/// All that is printed.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    #[serde(flatten)]
    pub(crate) summary: Summary,
    pub(crate) run: Run,
}

/// What the history came to.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) purchases: u64,
    pub(crate) customers: u64,
    pub(crate) cds: u64,
    pub(crate) cents: u64,
    /// Records of the output topic.
    pub(crate) enriched_purchases: u64,
    pub(crate) months: Vec<Month>,
    pub(crate) weeks: Vec<Week>,
    pub(crate) top: Vec<Top>,
    pub(crate) levels: Vec<LevelSales>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Month {
    pub(crate) month: String,
    pub(crate) orders: u64,
    pub(crate) cents: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Week {
    /// Its first day.
    pub(crate) from: String,
    pub(crate) orders: u64,
    pub(crate) cents: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Top {
    pub(crate) customer: String,
    pub(crate) orders: u64,
    pub(crate) cents: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct LevelSales {
    pub(crate) level: String,
    pub(crate) orders: u64,
    pub(crate) cents: u64,
}

/// How this run went.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    pub(crate) directory: String,
    pub(crate) workers: u16,
    pub(crate) appended_records: u64,
    pub(crate) append_seconds: f64,
    pub(crate) processed_purchases: u64,
    /// Those of the repartition topics included.
    pub(crate) processed_records: u64,
    /// Changelog records read to bring stores up to date; on Kafka the ends of transactions among them.
    pub(crate) restored_records: u64,
    pub(crate) commits: u64,
    pub(crate) process_seconds: f64,
    pub(crate) total_seconds: f64,
}

impl Summary {
    /// Reads the stores of `running`.
    pub(crate) fn read(running: &Running, log: &dyn Log) -> Result<Self> {
        let customers = running.view::<String, Customer>(CUSTOMERS)?;
        let mut total = Customer::default();
        let mut number = 0;
        customers.for_each(|_, customer| {
            number += 1;
            total.orders += customer.orders;
            total.cds += customer.cds;
            total.cents += customer.cents;
        })?;
        let best = running.view::<String, Best>(TOP)?;
        let best = best.get(&SHOP.to_owned())?.unwrap_or_default();
        let mut top = Vec::with_capacity(BEST_MAX);
        for rank in best.0 {
            let customer = customers
                .get(&rank.customer)?
                .with_context(|| format!("customer {} is ranked but unknown", rank.customer))?;
            top.push(Top {
                customer: rank.customer,
                orders: customer.orders,
                cents: rank.cents,
            });
        }
        let ends = end_offsets(log, ENRICHED)?;
        let enriched = ends.into_iter().map(|(at, end)| (at, 0..end));
        Ok(Self {
            purchases: total.orders,
            customers: number,
            cds: total.cds,
            cents: total.cents,
            enriched_purchases: count_records(log, enriched)?,
            months: months(running)?,
            weeks: weeks(running)?,
            top,
            levels: levels(running)?,
        })
    }
}

fn months(running: &Running) -> Result<Vec<Month>> {
    let mut rows = running.view::<String, Sales>(MONTHS)?.all()?;
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    let row = |(month, Sales { orders, cents })| Month {
        month,
        orders,
        cents,
    };
    Ok(rows.into_iter().map(row).collect())
}

fn weeks(running: &Running) -> Result<Vec<Week>> {
    let mut rows = running.view::<Windowed<String>, Sales>(WEEKS)?.all()?;
    rows.sort_by_key(|(week, _)| week.start);
    let row = |(week, Sales { orders, cents }): (Windowed<String>, Sales)| Week {
        from: Date::at(week.start).to_string(),
        orders,
        cents,
    };
    Ok(rows.into_iter().map(row).collect())
}

fn levels(running: &Running) -> Result<Vec<LevelSales>> {
    let mut rows = running.view::<String, Sales>(LEVELS)?.all()?;
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    let row = |(level, Sales { orders, cents })| LevelSales {
        level,
        orders,
        cents,
    };
    Ok(rows.into_iter().map(row).collect())
}

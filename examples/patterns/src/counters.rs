//! Operational counters that survive restarts: orders per day, as metrics. Not a metrics library: the numbers are a store's rows.
//! Invariant: the totals in memory are written back with the positions they cover, in one commit, so that a kill at any moment
//! counts nothing twice and forgets nothing.

use headwater::prelude::*;
use headwater::{Running, View};
use std::fmt::Write;

/// Totals by day, in memory; written back to their changelog with each commit.
pub const ORDERS_PER_DAY: &str = "orders-per-day";
const DAY_MS: i64 = 86_400_000;

/// Counts topic `orders` by the day of its records' timestamps, days since the epoch. How often totals are written back is
/// `commit.interval.ms`: between two commits they change in the record cache only.
pub fn counters() -> Result<Topology> {
    let app = App::new("counters");
    let days = Topic::<String, i64>::named("orders")
        .keys(String::format())
        .values(i64::format());
    app.stream(days)
        .group_by(|_, placed_ms| placed_ms.div_euclid(DAY_MS))
        .count(Store::from(ORDERS_PER_DAY).in_memory());
    app.build()
}

/// The counters in the text format of Prometheus.
pub fn metrics(running: &Running) -> Result<String> {
    let days: View<i64, u64> = running.view(ORDERS_PER_DAY)?;
    let mut rows = days.all()?;
    rows.sort_unstable();
    let mut text = "# TYPE orders_total counter\n".to_owned();
    for (day, orders) in rows {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "orders_total{{day=\"{day}\"}} {orders}");
    }
    Ok(text)
}

//! What the job computes: the topology, and the names of its topics and stores. Not how it is run.
//! Invariant: the rows at the end do not depend on how the tasks of different partitions overtake one another.
//!
//! ```text
//! purchases --+--> customers (totals) --updates--> top (the ten best)
//!             +--> months
//!             +--> weeks
//!             +--join--> enriched-purchases
//! loyalty -> cards --^        +--> levels
//! ```

use crate::model::{Best, Card, Customer, Enriched, Level, Purchase, Rank, Sales};
use headwater::{App, KStream, Store, TimeWindows, Topology};
use std::time::Duration;

pub(crate) const APPLICATION: &str = "purchases";
/// Partitions of each topic, and so tasks of each part of the topology.
pub(crate) const PARTITIONS: u32 = 4;

/// Purchases by customer's number.
pub(crate) const PURCHASES: &str = "purchases";
/// Cards by customer's number.
pub(crate) const LOYALTY: &str = "loyalty";
/// Purchases with the level of their customer.
pub(crate) const ENRICHED: &str = "enriched-purchases";

pub(crate) const CUSTOMERS: &str = "customers";
pub(crate) const MONTHS: &str = "months";
pub(crate) const WEEKS: &str = "weeks";
pub(crate) const LEVELS: &str = "levels";
pub(crate) const TOP: &str = "top";
/// The one key of stores that are about the shop as a whole.
pub(crate) const SHOP: &str = "shop";

/// Windows begin on Thursdays: the epoch's first day was one.
pub(crate) const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The partitions of "purchases" are read at their own pace and meet in one partition of weeks, so one may be the whole
/// history ahead of another there. Nothing of a history is late: ten thousand years.
const GRACE: Duration = Duration::from_secs(3_652_500 * 24 * 60 * 60);

/// The whole job.
pub(crate) fn topology() -> headwater::Result<Topology> {
    let app = App::new(APPLICATION);
    let purchases = app.stream::<String, Purchase>(PURCHASES);
    let cards = app.table_in::<String, Card>(LOYALTY, "cards");

    purchases
        .group_by_key()
        .aggregate(
            Customer::default,
            |_, purchase, customer| customer.plus(&purchase),
            CUSTOMERS,
        )
        .to_stream()
        .map(|customer, total| {
            let cents = total.cents;
            (SHOP.to_owned(), Rank { customer, cents })
        })
        .group_by_key()
        .aggregate(Best::default, |_, rank, best| best.with(rank), TOP);

    sales(
        purchases.map(|_, purchase| (purchase.date.month(), purchase.cents)),
        MONTHS,
    );
    purchases
        .map(|_, purchase| (SHOP.to_owned(), purchase.cents))
        .group_by_key()
        .windowed_by(TimeWindows::of(WEEK).grace(GRACE))
        .aggregate(Sales::default, |_, cents, sales| sales.plus(cents), WEEKS);

    let enriched = purchases.left_join(cards, enrich);
    enriched.to(ENRICHED);
    sales(
        enriched.map(|_, purchase| (purchase.level.to_string(), purchase.cents)),
        LEVELS,
    );
    app.build()
}

/// Sums up amounts by key.
fn sales(amounts: KStream<'_, String, u64>, store: &str) {
    amounts.group_by_key().aggregate(
        Sales::default,
        |_, cents, sales| sales.plus(cents),
        Store::from(store),
    );
}

fn enrich(purchase: &Purchase, card: Option<&Card>) -> Enriched {
    Enriched {
        date: purchase.date,
        cds: purchase.cds,
        cents: purchase.cents,
        level: card.map_or(Level::None, |card| card.level),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Entry, History};
    use headwater::{TestDriver, Windowed};

    const TEXT: &str = "customer date cds dollars\n\
        00001 19970101 1 10.00\n\
        00001 19970201 2 20.00\n\
        07000 19970102 3 50.00\n\
        07000 19970131 1 0.00\n";

    fn driven() -> TestDriver {
        let history = History::parse(TEXT).unwrap();
        let mut driver = TestDriver::new(topology().unwrap()).unwrap();
        for place in 0..history.len(1) {
            match history.entry(place).unwrap() {
                Entry::Card {
                    customer,
                    card,
                    timestamp,
                } => driver.pipe(LOYALTY, customer, card, timestamp),
                Entry::Purchase {
                    customer,
                    purchase,
                    timestamp,
                } => driver.pipe(PURCHASES, customer, purchase, timestamp),
            }
            .unwrap();
        }
        driver
    }

    fn of(orders: u64, cents: u64) -> Option<Sales> {
        Some(Sales { orders, cents })
    }

    #[test]
    fn totals_are_kept_by_customer_month_week_and_level() {
        let mut driver = driven();
        let customer: Option<Customer> = driver.get(CUSTOMERS, &"00001".to_owned()).unwrap();
        let expected = Customer {
            orders: 2,
            cds: 3,
            cents: 3_000,
        };
        assert_eq!(customer, Some(expected));
        let mut get = |store: &str, key: &str| driver.get(store, &key.to_owned()).unwrap();
        assert_eq!(get(MONTHS, "1997-01"), of(3, 6_000));
        assert_eq!(get(MONTHS, "1997-02"), of(1, 2_000));
        assert_eq!(get(LEVELS, "gold"), of(2, 3_000));
        assert_eq!(get(LEVELS, "bronze"), of(2, 5_000));
        assert_eq!(get(LEVELS, "none"), None);
        let week_ms = WEEK.as_millis() as i64;
        // The week that began on Thursday, the 26th of December 1996.
        let start = 851_558_400_000;
        let week = Windowed {
            key: SHOP.to_owned(),
            start,
            end: start + week_ms,
        };
        assert_eq!(driver.get(WEEKS, &week).unwrap(), of(1, 1_000));
        let week = Windowed {
            key: SHOP.to_owned(),
            start: start + week_ms,
            end: start + 2 * week_ms,
        };
        assert_eq!(driver.get(WEEKS, &week).unwrap(), of(1, 5_000));
    }

    #[test]
    fn the_best_customers_are_ranked_by_their_totals() {
        let best: Option<Best> = driven().get(TOP, &SHOP.to_owned()).unwrap();
        let ranks: Vec<(String, u64)> = best
            .unwrap()
            .0
            .into_iter()
            .map(|rank| (rank.customer, rank.cents))
            .collect();
        assert_eq!(
            ranks,
            [("07000".to_owned(), 5_000), ("00001".to_owned(), 3_000)]
        );
    }

    #[test]
    fn purchases_are_enriched_with_their_customers_level() {
        let enriched = driven().read::<String, Enriched>(ENRICHED).unwrap();
        let lines: Vec<String> = enriched
            .iter()
            .map(|(customer, purchase, _)| {
                format!("{customer} {}", purchase.as_ref().unwrap().level)
            })
            .collect();
        assert_eq!(
            lines,
            ["00001 gold", "07000 bronze", "07000 bronze", "00001 gold"]
        );
    }
}

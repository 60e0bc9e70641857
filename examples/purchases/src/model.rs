//! The values that cross topics and stores, as JSON. Not the operators that make them.
//! Invariant: money is whole cents; nothing here is a fraction.

use crate::date::Date;
use headwater::{Data, FormatOf, json};
use serde::{Deserialize, Serialize};
use std::{cmp::Reverse, fmt};

/// How many customers the list of the best holds.
pub(crate) const BEST_MAX: usize = 10;

/// One purchase, under its customer's number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Purchase {
    pub(crate) date: Date,
    pub(crate) cds: u64,
    pub(crate) cents: u64,
}

/// The levels of the shop's cards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Gold,
    Silver,
    Bronze,
    /// Of a purchase by somebody without a card.
    None,
}

/// A customer's loyalty card.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Card {
    pub(crate) level: Level,
}

impl Card {
    /// The shop's rule: numbers up to 1,000 have gold, up to 6,000 silver, all others bronze.
    pub(crate) fn of_customer(number: u32) -> Self {
        let level = match number {
            ..=1_000 => Level::Gold,
            1_001..=6_000 => Level::Silver,
            _ => Level::Bronze,
        };
        Self { level }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gold => "gold",
            Self::Silver => "silver",
            Self::Bronze => "bronze",
            Self::None => "none",
        })
    }
}

/// A purchase together with the level its customer had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Enriched {
    pub(crate) date: Date,
    pub(crate) cds: u64,
    pub(crate) cents: u64,
    pub(crate) level: Level,
}

/// What one customer bought in all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Customer {
    pub(crate) orders: u64,
    pub(crate) cds: u64,
    pub(crate) cents: u64,
}

impl Customer {
    /// With one purchase more.
    pub(crate) fn plus(self, purchase: &Purchase) -> Self {
        Self {
            orders: self.orders + 1,
            cds: self.cds + purchase.cds,
            cents: self.cents + purchase.cents,
        }
    }
}

/// Orders and revenue of a month, a week or a level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sales {
    pub(crate) orders: u64,
    pub(crate) cents: u64,
}

impl Sales {
    /// With one order more.
    pub(crate) fn plus(self, cents: u64) -> Self {
        Self {
            orders: self.orders + 1,
            cents: self.cents + cents,
        }
    }
}

/// A customer's place by revenue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rank {
    pub(crate) customer: String,
    pub(crate) cents: u64,
}

/// The best customers, best first; of equal ones the lower number first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Best(pub(crate) Vec<Rank>);

impl Best {
    /// With a customer's latest total. Right because totals only grow: who falls out of the list comes back by an update
    /// of his own, and nobody in it can become worse.
    pub(crate) fn with(mut self, rank: Rank) -> Self {
        self.0.retain(|known| known.customer != rank.customer);
        let before = |known: &Rank| {
            (Reverse(known.cents), known.customer.as_str())
                < (Reverse(rank.cents), rank.customer.as_str())
        };
        let place = self.0.partition_point(before);
        self.0.insert(place, rank);
        self.0.truncate(BEST_MAX);
        self
    }
}

macro_rules! as_json {
    ($($type:ty)*) => {$(
        impl Data for $type {
            fn format() -> FormatOf<Self> {
                json()
            }
        }
    )*};
}

as_json!(Purchase Card Enriched Customer Sales Rank Best);

#[cfg(test)]
mod tests {
    use super::*;

    fn rank(customer: &str, cents: u64) -> Rank {
        Rank {
            customer: customer.into(),
            cents,
        }
    }

    #[test]
    fn the_list_of_the_best_is_ordered_bounded_and_holds_each_customer_once() {
        let mut best = Best::default();
        for number in 0..30 {
            best = best.with(rank(&format!("{number:05}"), number % 15 * 100));
        }
        best = best.with(rank("00003", 1_250));
        let expected = [
            ("00014", 1_400),
            ("00029", 1_400),
            ("00013", 1_300),
            ("00028", 1_300),
            ("00003", 1_250),
            ("00012", 1_200),
            ("00027", 1_200),
            ("00011", 1_100),
            ("00026", 1_100),
            ("00010", 1_000),
        ];
        assert_eq!(
            best.0,
            expected.map(|(customer, cents)| rank(customer, cents))
        );
    }
}

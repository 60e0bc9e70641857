//! The queries of Nexmark that Kafka Streams' verbs can say, as one would write them with it.
//! Not their results, and not which log they run on. Invariant: what a query writes does not hang on how partitions are interleaved: as rows of a table by
//! their last values, as a stream by its records in any order.

use super::event::{Auction, Bid, Counted, Hottest, NewSeller, Offer, Person, Seller, Total};
use anyhow::Result;
use clap::ValueEnum;
use headwater::{App, Data, JoinWindows, KStream, KTable, TimeWindows, Topology};
use std::sync::Arc;
use std::time::Duration;

/// Windows of queries 5, 7 and 8.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// Windows of query 5 overlap: one begins so often.
pub(super) const ADVANCE: Duration = Duration::from_secs(5);
/// No record is late: partitions are read at different paces, and a repartition topic is behind them all.
const GRACE: Duration = Duration::from_secs(24 * 3_600);
/// Of query 1: euros for a hundred dollars.
pub(super) const EUROS: u64 = 89;
/// Of query 2.
pub(super) const AUCTION_STRIDE: u64 = 123;
/// Of query 3.
pub(super) const LOCAL_CATEGORY: u64 = 10;
pub(super) const LOCAL_STATES: [&str; 3] = ["OR", "ID", "CA"];

/// A query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Query {
    /// Bids as they are.
    Q0,
    /// Prices in euros.
    Q1,
    /// Bids for some auctions.
    Q2,
    /// Who sells in some states and a category: two tables by a foreign key.
    Q3,
    /// The average winning price of each category.
    Q4,
    /// The auctions with the most bids of each hopping window.
    Q5,
    /// The highest bid of each window.
    Q7,
    /// Who opened an auction in the window in which they came.
    Q8,
}

impl Query {
    /// As it is called in figures.
    pub(super) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// The topics it reads.
    pub(super) fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::Q0 | Self::Q1 | Self::Q2 | Self::Q5 | Self::Q7 => &["bids"],
            Self::Q3 | Self::Q8 => &["persons", "auctions"],
            Self::Q4 => &["auctions", "bids"],
        }
    }

    /// Whether only the last value of a key counts.
    pub(super) fn is_table(self) -> bool {
        matches!(self, Self::Q3 | Self::Q4 | Self::Q5 | Self::Q7)
    }

    /// The application that reads `sources` and writes to `output`.
    pub(crate) fn topology(
        self,
        application: &str,
        output: &str,
        sources: &Sources,
    ) -> Result<Topology> {
        let app = App::new(application);
        let bids = || sources.stream::<Bid>(&app, "bids");
        match self {
            Self::Q0 => bids().to(output),
            Self::Q1 => currency(bids(), output),
            Self::Q2 => selection(bids(), output),
            Self::Q3 => {
                let auctions = sources.table(&app, "auctions");
                local_items(auctions, sources.table(&app, "persons"))
                    .to_stream()
                    .to(output);
            }
            Self::Q4 => {
                let auctions = sources.table(&app, "auctions");
                average_prices(auctions, bids()).to_stream().to(output);
            }
            Self::Q5 => hot_items(bids()).to_stream().to(output),
            Self::Q7 => highest_bids(bids()).to_stream().to(output),
            Self::Q8 => {
                let persons = sources.stream(&app, "persons");
                new_sellers(persons, sources.stream(&app, "auctions"), output);
            }
        }
        Ok(app.build()?)
    }
}

/// How the topics of events become streams and tables.
#[derive(Clone, Default)]
pub(crate) struct Sources {
    /// Called for each record of theirs, where someone counts them.
    pub(crate) see: Option<Arc<dyn Fn() + Send + Sync>>,
}

impl Sources {
    fn stream<'a, V: Data>(&self, app: &'a App, topic: &'static str) -> KStream<'a, u64, V> {
        let stream = app.stream::<u64, V>(topic);
        match self.see.clone() {
            Some(see) => stream.peek(move |_, _| see()),
            None => stream,
        }
    }

    fn table<'a, V: Data>(&self, app: &'a App, topic: &'static str) -> KTable<'a, u64, V> {
        match self.see {
            Some(_) => self.stream::<V>(app, topic).to_table(topic),
            None => app.table::<u64, V>(topic),
        }
    }
}

fn currency(bids: KStream<'_, u64, Bid>, output: &str) {
    bids.map_values(|bid: Bid| Bid {
        price: bid.price * EUROS / 100,
        ..bid
    })
    .to(output);
}

fn selection(bids: KStream<'_, u64, Bid>, output: &str) {
    bids.filter(|auction, _| auction.is_multiple_of(AUCTION_STRIDE))
        .map_values(|bid| bid.price)
        .values(<u64 as Data>::format())
        .to(output);
}

fn local_items<'a>(
    auctions: KTable<'a, u64, Auction>,
    persons: KTable<'a, u64, Person>,
) -> KTable<'a, u64, Seller> {
    let auctions = auctions.filter(|_, auction| auction.category == LOCAL_CATEGORY);
    let persons = persons.filter(|_, person| LOCAL_STATES.contains(&person.state.as_str()));
    let by_seller = persons.by(|_: &u64, auction: &Auction| Some(auction.seller));
    auctions.join_in(
        by_seller,
        |_, person| Seller {
            name: person.name.clone(),
            city: person.city.clone(),
            state: person.state.clone(),
        },
        "sellers",
    )
}

fn average_prices<'a>(
    auctions: KTable<'a, u64, Auction>,
    bids: KStream<'a, u64, Bid>,
) -> KTable<'a, u64, u64> {
    let offers = bids.join(auctions, |bid, auction| Offer {
        category: auction.category,
        price: bid.price,
        is_in_time: u64::from(bid.time_ms <= auction.expires_ms),
    });
    let winning = offers
        .filter(|_, offer| offer.is_in_time == 1)
        .values(<Offer as Data>::format())
        .group_by_key()
        .reduce(
            |best, offer| {
                if offer.price > best.price {
                    offer
                } else {
                    best
                }
            },
            "winning",
        );
    winning
        .group_by(|_, offer| (offer.category, offer.price))
        .aggregate(
            Total::default,
            |_, price, total| Total {
                sum: total.sum + price,
                count: total.count + 1,
            },
            // An auction keeps its category, so what is taken out was put in before.
            |_, price, total| Total {
                sum: total.sum.wrapping_sub(price),
                count: total.count.wrapping_sub(1),
            },
            "totals",
        )
        .map_values(|total| total.sum.checked_div(total.count).unwrap_or(0))
        .values(<u64 as Data>::format())
}

fn hot_items(bids: KStream<'_, u64, Bid>) -> KTable<'_, i64, Hottest> {
    let windows = TimeWindows::of(WINDOW).advance_by(ADVANCE).grace(GRACE);
    let counts = bids
        .group_by_key()
        .windowed_by(windows)
        .count("bids-by-auction");
    counts
        .to_stream()
        .map(|window, bids| {
            let auction = window.key;
            (window.start, Counted { auction, bids })
        })
        .group_by_key()
        .aggregate(
            Hottest::default,
            |_, counted, hottest| hotter(hottest, &counted),
            "hottest",
        )
}

/// Counts only grow, so whoever has the most is the last to be told so.
fn hotter(mut hottest: Hottest, counted: &Counted) -> Hottest {
    if counted.bids > hottest.bids {
        hottest.bids = counted.bids;
        hottest.auctions.clear();
    }
    if counted.bids == hottest.bids
        && let Err(place) = hottest.auctions.binary_search(&counted.auction)
    {
        hottest.auctions.insert(place, counted.auction);
    }
    hottest
}

fn highest_bids(bids: KStream<'_, u64, Bid>) -> KTable<'_, i64, Bid> {
    let by_auction = bids
        .group_by_key()
        .windowed_by(TimeWindows::of(WINDOW).grace(GRACE))
        .reduce(higher, "highest-by-auction");
    by_auction
        .to_stream()
        .map(|window, bid| (window.start, bid))
        .group_by_key()
        .reduce(higher, "highest")
}

/// The higher bid; of two alike the earlier.
pub(super) fn higher(one: Bid, other: Bid) -> Bid {
    let is_other = (other.price, one.time_ms) > (one.price, other.time_ms);
    if is_other { other } else { one }
}

fn new_sellers(
    persons: KStream<'_, u64, Person>,
    auctions: KStream<'_, u64, Auction>,
    output: &str,
) {
    let window_ms = WINDOW.as_millis() as i64;
    let by_seller = auctions.select_key(|_, auction| auction.seller);
    let within = JoinWindows::of(WINDOW).grace(GRACE);
    persons
        .join(by_seller.within(within), move |person, auction| {
            let window = person.time_ms.div_euclid(window_ms);
            NewSeller {
                name: person.name.clone(),
                window_ms: window * window_ms,
                auction: auction.id,
                is_in_window: u64::from(auction.time_ms.div_euclid(window_ms) == window),
            }
        })
        .filter(|_, seller| seller.is_in_window == 1)
        .values(<NewSeller as Data>::format())
        .to(output);
}

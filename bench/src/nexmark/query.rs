//! The queries of Nexmark that Kafka Streams' verbs can say, as one would write them with it, by their names.
//! Not their results, and not which log they run on. Invariant: what a query writes does not hang on how partitions are interleaved: as rows of a table by
//! their last values, as a stream by its records in any order.

mod calculation;
mod join;
mod ranking;
mod report;
mod window;

use super::event::Bid;
use anyhow::Result;
use clap::ValueEnum;
use headwater::{App, Data, KStream, KTable, Topic, Topology, session_windowed};
use std::sync::Arc;
use std::time::Duration;

/// Windows of queries 5, 7 and 8.
pub(super) const WINDOW: Duration = Duration::from_secs(10);
/// Windows of query 5 overlap: one begins so often.
pub(super) const ADVANCE: Duration = Duration::from_secs(5);
/// Of query 11: after so long without a bid of theirs a bidder's session is over.
pub(super) const SESSION_GAP: Duration = Duration::from_secs(10);
/// Of queries 15 to 17, in UTC.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3_600);
/// No record is late: partitions are read at different paces, and a repartition topic is behind them all.
const GRACE: Duration = Duration::from_secs(24 * 3_600);
/// Of query 1: euros for a hundred dollars.
pub(super) const EUROS: u64 = 89;
/// Of query 2.
pub(super) const AUCTION_STRIDE: u64 = 123;
/// Of queries 3 and 20.
pub(super) const LOCAL_CATEGORY: u64 = 10;
/// Of query 3.
pub(super) const LOCAL_STATES: [&str; 3] = ["OR", "ID", "CA"];
/// Of query 6.
pub(super) const LAST_SALES: usize = 10;
/// Rows of the side input of query 13.
pub(super) const LABELS: u64 = 10_000;
/// Of query 14: euros for a thousand dollars, and in thousandths of a euro between what the bids lie.
pub(super) const MILLE: u64 = 908;
pub(super) const CALCULATED_MIN: u64 = 1_000_000_000;
pub(super) const CALCULATED_MAX: u64 = 50_000_000_000;
/// Of queries 15 to 17: where the second and the third level of prices begin.
pub(super) const RANK2: u64 = 10_000;
pub(super) const RANK3: u64 = 1_000_000;
/// Of query 19.
pub(super) const HIGHEST_BIDS: usize = 10;
/// Of query 21, in lower case; the id of each is its place.
pub(super) const KNOWN_CHANNELS: [&str; 4] = ["apple", "google", "facebook", "baidu"];

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
    /// The average winning price of each seller's last ten auctions.
    Q6,
    /// The highest bid of each window.
    Q7,
    /// Who opened an auction in the window in which they came.
    Q8,
    /// The winning bid of each auction, with the auction.
    Q9,
    /// Bids of each bidder by session.
    Q11,
    /// Bids with what a side input, a global table, has for their auction.
    Q13,
    /// Bids between two prices, reckoned and classed.
    Q14,
    /// Bids, bidders and auctions of each day, at three levels of price.
    Q15,
    /// As query 15, of each channel and day.
    Q16,
    /// Prices of each auction and day.
    Q17,
    /// The last bid of each bidder for each auction.
    Q18,
    /// The ten highest bids for each auction.
    Q19,
    /// Bids for auctions of a category, with the auction.
    Q20,
    /// Bids with the id of their channel, out of their url.
    Q21,
    /// Bids with the directories of their url.
    Q22,
}

impl Query {
    /// As it is called in figures.
    pub(super) fn name(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// The topics of events that it reads.
    pub(super) fn inputs(self) -> &'static [&'static str] {
        match self {
            Self::Q3 | Self::Q8 => &["persons", "auctions"],
            Self::Q4 | Self::Q6 | Self::Q9 | Self::Q20 => &["auctions", "bids"],
            _ => &["bids"],
        }
    }

    /// Whether only the last value of a key counts.
    pub(super) fn is_table(self) -> bool {
        let is_stream = matches!(
            self,
            Self::Q0
                | Self::Q1
                | Self::Q2
                | Self::Q8
                | Self::Q13
                | Self::Q14
                | Self::Q20
                | Self::Q21
                | Self::Q22
        );
        !is_stream
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
        let auctions = || sources.table(&app, "auctions");
        match self {
            Self::Q0 => bids().to(output),
            Self::Q1 => calculation::currency(bids()).to(output),
            Self::Q2 => calculation::selection(bids()).to(output),
            Self::Q3 => write(
                join::local_items(auctions(), sources.table(&app, "persons")),
                output,
            ),
            Self::Q4 => write(join::average_prices(auctions(), bids()), output),
            Self::Q5 => write(window::hot_items(bids()), output),
            Self::Q6 => write(join::seller_averages(auctions(), bids()), output),
            Self::Q7 => write(window::highest_bids(bids()), output),
            Self::Q8 => {
                let persons = sources.stream(&app, "persons");
                join::new_sellers(persons, sources.stream(&app, "auctions")).to(output);
            }
            Self::Q9 => write(join::winning_bids(auctions(), bids()), output),
            Self::Q11 => {
                let keys = session_windowed(<u64 as Data>::format());
                let sessions = window::sessions(bids()).to_stream();
                sessions.to(Topic::named(output).keys(keys));
            }
            Self::Q13 => join::labelled(bids(), app.global_table("labels")).to(output),
            Self::Q14 => calculation::reckoned(bids()).to(output),
            Self::Q15 => write(report::of_days(bids()), output),
            Self::Q16 => write(report::of_channels(bids()), output),
            Self::Q17 => window::prices(bids()).to(output),
            Self::Q18 => write(ranking::last_bids(bids()), output),
            Self::Q19 => write(ranking::highest_bids(bids()), output),
            Self::Q20 => join::expanded_bids(auctions(), bids()).to(output),
            Self::Q21 => calculation::channel_ids(bids()).to(output),
            Self::Q22 => calculation::directories(bids()).to(output),
        }
        Ok(app.build()?)
    }
}

fn write<K: Data, V: Data>(table: KTable<'_, K, V>, output: &str) {
    table.to_stream().to(output);
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

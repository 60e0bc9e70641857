//! What each query of Nexmark must come to: plain folds over the events in their order.
//! Not streams. Invariant: nothing here is shared with the topologies but the meaning of their constants.

mod bid;
mod group;
mod winner;

use super::event::{Auction, Bid, Hottest, NewSeller, Person, Row, Seller};
use super::generator::{self, Event};
use super::query::{ADVANCE, AUCTION_STRIDE, EUROS, LOCAL_CATEGORY, LOCAL_STATES, Query, WINDOW};
use std::collections::{BTreeMap, HashMap};

/// Rows by their bytes, in order.
pub(super) type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// All events by kind.
#[derive(Default)]
struct Events {
    persons: Vec<Person>,
    auctions: Vec<Auction>,
    bids: Vec<Bid>,
}

/// What `query` must write of the first `events` events.
pub(super) fn rows(query: Query, events: u64) -> Rows {
    let all = Events::first(events);
    let mut rows: Rows = match query {
        Query::Q0 => all
            .bids
            .iter()
            .map(|bid| (key(bid.auction), bid.bytes()))
            .collect(),
        Query::Q1 => all.bids.iter().map(in_euros).collect(),
        Query::Q2 => selected(&all.bids),
        Query::Q3 => sellers(&all),
        Query::Q4 => averages(&all),
        Query::Q5 => hottest(&all.bids),
        Query::Q6 => winner::seller_averages(&all),
        Query::Q7 => highest(&all.bids),
        Query::Q8 => new_sellers(&all),
        Query::Q9 => winner::sales(&all),
        Query::Q11 => group::sessions(&all.bids),
        Query::Q13 => all.bids.iter().map(bid::labelled).collect(),
        Query::Q14 => all.bids.iter().filter_map(bid::reckoned).collect(),
        Query::Q15 => group::report(&all.bids, false),
        Query::Q16 => group::report(&all.bids, true),
        Query::Q17 => group::prices(&all.bids),
        Query::Q18 => group::last(&all.bids),
        Query::Q19 => group::ten_highest(&all.bids),
        Query::Q20 => winner::expanded(&all),
        Query::Q21 => all.bids.iter().filter_map(bid::channelled).collect(),
        Query::Q22 => all.bids.iter().map(bid::located).collect(),
    };
    rows.sort_unstable();
    rows
}

impl Events {
    fn first(events: u64) -> Self {
        let mut all = Self::default();
        for number in 0..events {
            match generator::event(number) {
                Event::Person(person) => all.persons.push(person),
                Event::Auction(auction) => all.auctions.push(auction),
                Event::Bid(bid) => all.bids.push(bid),
                // No event has a number that is a label.
                Event::Label(_) => {}
            }
        }
        all
    }
}

fn key(id: u64) -> Vec<u8> {
    id.to_be_bytes().into()
}

fn in_euros(bid: &Bid) -> (Vec<u8>, Vec<u8>) {
    let mut bid = bid.clone();
    bid.price = bid.price * EUROS / 100;
    (key(bid.auction), bid.bytes())
}

fn selected(bids: &[Bid]) -> Rows {
    let bids = bids.iter();
    let selected = bids.filter(|bid| bid.auction % AUCTION_STRIDE == 0);
    selected
        .map(|bid| (key(bid.auction), key(bid.price)))
        .collect()
}

fn sellers(all: &Events) -> Rows {
    let persons: HashMap<u64, &Person> = all.persons.iter().map(|it| (it.id, it)).collect();
    let mut rows = Rows::new();
    for auction in &all.auctions {
        let person = persons[&auction.seller];
        if auction.category == LOCAL_CATEGORY && LOCAL_STATES.contains(&&*person.state) {
            let seller = Seller {
                name: person.name.clone(),
                city: person.city.clone(),
                state: person.state.clone(),
            };
            rows.push((key(auction.id), seller.bytes()));
        }
    }
    rows
}

fn averages(all: &Events) -> Rows {
    let mut winning: HashMap<u64, u64> = HashMap::new();
    let auctions: HashMap<u64, &Auction> = all.auctions.iter().map(|it| (it.id, it)).collect();
    for bid in &all.bids {
        if bid.time_ms <= auctions[&bid.auction].expires_ms {
            let price = winning.entry(bid.auction).or_default();
            *price = bid.price.max(*price);
        }
    }
    let mut prices: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for (auction, price) in winning {
        prices
            .entry(auctions[&auction].category)
            .or_default()
            .push(price);
    }
    let average = |prices: &[u64]| prices.iter().sum::<u64>() / prices.len() as u64;
    let rows = prices.iter();
    rows.map(|(category, prices)| (key(*category), key(average(prices))))
        .collect()
}

fn hottest(bids: &[Bid]) -> Rows {
    let (size, advance) = (WINDOW.as_millis() as i64, ADVANCE.as_millis() as i64);
    let mut counts: BTreeMap<i64, BTreeMap<u64, u64>> = BTreeMap::new();
    for bid in bids {
        let mut begin = bid.time_ms - bid.time_ms % advance;
        while begin + size > bid.time_ms {
            *counts
                .entry(begin)
                .or_default()
                .entry(bid.auction)
                .or_default() += 1;
            begin -= advance;
        }
    }
    let row = |(begin, counts): (i64, BTreeMap<u64, u64>)| {
        let bids = counts.values().copied().max().unwrap_or_default();
        let auctions = counts.into_iter().filter(|(_, count)| *count == bids);
        let auctions = auctions.map(|(auction, _)| auction).collect();
        (
            begin.to_be_bytes().into(),
            Hottest { bids, auctions }.bytes(),
        )
    };
    counts.into_iter().map(row).collect()
}

fn highest(bids: &[Bid]) -> Rows {
    let mut highest: BTreeMap<i64, &Bid> = BTreeMap::new();
    for bid in bids {
        let size = WINDOW.as_millis() as i64;
        let best = highest.entry(bid.time_ms / size * size).or_insert(bid);
        // Bids come in order, so that the earlier of two alike stays.
        if bid.price > best.price {
            *best = bid;
        }
    }
    let rows = highest.into_iter();
    rows.map(|(begin, bid)| (begin.to_be_bytes().into(), bid.bytes()))
        .collect()
}

fn new_sellers(all: &Events) -> Rows {
    let size = WINDOW.as_millis() as i64;
    let persons: HashMap<u64, &Person> = all.persons.iter().map(|it| (it.id, it)).collect();
    let mut rows = Rows::new();
    for auction in &all.auctions {
        let person = persons[&auction.seller];
        let window_ms = person.time_ms / size * size;
        if auction.time_ms / size * size == window_ms {
            let seller = NewSeller {
                name: person.name.clone(),
                window_ms,
                auction: auction.id,
                is_in_window: 1,
            };
            rows.push((key(person.id), seller.bytes()));
        }
    }
    rows
}

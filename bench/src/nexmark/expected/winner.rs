//! What queries 6, 9 and 20 make of bids and their auctions. Not averages by category. Invariant: that of its parent.

use super::super::event::{Auction, Bid, Row, Sale};
use super::super::query::{LAST_SALES, LOCAL_CATEGORY};
use super::{Events, Rows, key};
use std::collections::{BTreeMap, HashMap};

/// The highest bid in time of each auction that has one.
fn winners(all: &Events) -> HashMap<u64, (&Auction, &Bid)> {
    let auctions: HashMap<u64, &Auction> = all.auctions.iter().map(|it| (it.id, it)).collect();
    let mut winners = HashMap::new();
    for bid in &all.bids {
        let auction = auctions[&bid.auction];
        if bid.time_ms <= auction.expires_ms {
            let (_, best) = winners.entry(bid.auction).or_insert((auction, bid));
            // Bids come in order, so that the earlier of two alike stays.
            if bid.price > best.price {
                *best = bid;
            }
        }
    }
    winners
}

pub(super) fn sales(all: &Events) -> Rows {
    let winners = winners(all).into_values();
    winners.map(|(auction, bid)| pair(auction, bid)).collect()
}

pub(super) fn seller_averages(all: &Events) -> Rows {
    let mut sold: BTreeMap<u64, Vec<&Bid>> = BTreeMap::new();
    for (auction, bid) in winners(all).into_values() {
        sold.entry(auction.seller).or_default().push(bid);
    }
    let average = |bids: &mut Vec<&Bid>| {
        // No two bids are of the same time.
        bids.sort_unstable_by_key(|bid| bid.time_ms);
        let last = &bids[bids.len().saturating_sub(LAST_SALES)..];
        last.iter().map(|bid| bid.price).sum::<u64>() / last.len() as u64
    };
    let sellers = sold.iter_mut();
    sellers
        .map(|(seller, bids)| (key(*seller), key(average(bids))))
        .collect()
}

pub(super) fn expanded(all: &Events) -> Rows {
    let auctions: HashMap<u64, &Auction> = all.auctions.iter().map(|it| (it.id, it)).collect();
    let pairs = all.bids.iter().map(|bid| (auctions[&bid.auction], bid));
    pairs
        .filter(|(auction, _)| auction.category == LOCAL_CATEGORY)
        .map(|(auction, bid)| pair(auction, bid))
        .collect()
}

fn pair(auction: &Auction, bid: &Bid) -> (Vec<u8>, Vec<u8>) {
    let sale = Sale {
        auction: auction.clone(),
        bid: bid.clone(),
    };
    (key(auction.id), sale.bytes())
}

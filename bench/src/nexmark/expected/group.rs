//! What queries 11 and 15 to 19 make of bids that belong together. Not of their auctions. Invariant: that of its parent.

use super::super::event::{AuctionDay, Bid, Bidding, Counts, Highest, Prices, Report, Row, Scope};
use super::super::query::{DAY, HIGHEST_BIDS, RANK2, RANK3, SESSION_GAP};
use super::{Rows, key};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

fn day_ms(bid: &Bid) -> i64 {
    let size = DAY.as_millis() as i64;
    bid.time_ms / size * size
}

fn grouped<K: Ord>(bids: &[Bid], key: impl Fn(&Bid) -> K) -> BTreeMap<K, Vec<&Bid>> {
    let mut groups: BTreeMap<K, Vec<&Bid>> = BTreeMap::new();
    for bid in bids {
        groups.entry(key(bid)).or_default().push(bid);
    }
    groups
}

/// The key of a session is the bidder's, then its end and its start.
pub(super) fn sessions(bids: &[Bid]) -> Rows {
    let mut rows = Rows::new();
    for (bidder, bids) in grouped(bids, |bid| bid.bidder) {
        let gap = SESSION_GAP.as_millis() as i64;
        for session in bids.chunk_by(|one, next| next.time_ms - one.time_ms <= gap) {
            let (first, last) = (session[0], session[session.len() - 1]);
            let times = [last.time_ms, first.time_ms].map(i64::to_be_bytes);
            let session_key = [key(bidder), times.concat()].concat();
            rows.push((session_key, key(session.len() as u64)));
        }
    }
    rows
}

/// By day, and where asked by channel and with the last minute.
pub(super) fn report(bids: &[Bid], is_by_channel: bool) -> Rows {
    let scope = |bid: &Bid| {
        let channel = if is_by_channel { &*bid.channel } else { "" };
        (channel.to_owned(), day_ms(bid))
    };
    let row = |((channel, day_ms), bids): ((String, i64), Vec<&Bid>)| {
        let last = bids.iter().map(|bid| bid.time_ms - day_ms).max();
        let last_minute = last.unwrap_or_default() as u64 / 60_000;
        let report = Report {
            minute: if is_by_channel { last_minute } else { 0 },
            bids: distinct(&bids, |bid| bid.time_ms as u64),
            bidders: distinct(&bids, |bid| bid.bidder),
            auctions: distinct(&bids, |bid| bid.auction),
        };
        (Scope { channel, day_ms }.bytes(), report.bytes())
    };
    grouped(bids, scope).into_iter().map(row).collect()
}

/// How many there are by an id of theirs; no two bids are of the same time.
fn distinct(bids: &[&Bid], id: fn(&Bid) -> u64) -> Counts {
    let among = |prices: std::ops::Range<u64>| {
        let bids = bids.iter().filter(|bid| prices.contains(&bid.price));
        bids.map(|bid| id(bid)).collect::<BTreeSet<u64>>().len() as u64
    };
    Counts {
        total: among(0..u64::MAX),
        rank1: among(0..RANK2),
        rank2: among(RANK2..RANK3),
        rank3: among(RANK3..u64::MAX),
    }
}

pub(super) fn prices(bids: &[Bid]) -> Rows {
    let row = |((auction, day_ms), bids): ((u64, i64), Vec<&Bid>)| {
        let prices: Vec<u64> = bids.iter().map(|bid| bid.price).collect();
        let sum: u64 = prices.iter().sum();
        let prices = Prices {
            bids: distinct(&bids, |bid| bid.time_ms as u64),
            lowest: prices.iter().copied().min().unwrap_or_default(),
            highest: prices.iter().copied().max().unwrap_or_default(),
            average: sum / prices.len() as u64,
            sum,
        };
        (AuctionDay { auction, day_ms }.bytes(), prices.bytes())
    };
    let groups = grouped(bids, |bid| (bid.auction, day_ms(bid)));
    groups.into_iter().map(row).collect()
}

pub(super) fn last(bids: &[Bid]) -> Rows {
    let groups = grouped(bids, |bid| (bid.bidder, bid.auction)).into_iter();
    let row = |((bidder, auction), bids): ((u64, u64), Vec<&Bid>)| {
        let bidding = Bidding { bidder, auction };
        // Bids come in order.
        (bidding.bytes(), bids[bids.len() - 1].bytes())
    };
    groups.map(row).collect()
}

pub(super) fn ten_highest(bids: &[Bid]) -> Rows {
    let row = |(auction, mut bids): (u64, Vec<&Bid>)| {
        // Bids come in order, and a stable sort leaves the earlier of two alike before the other.
        bids.sort_by_key(|bid| Reverse(bid.price));
        let bids = bids.into_iter().take(HIGHEST_BIDS).cloned().collect();
        (key(auction), Highest { bids }.bytes())
    };
    let groups = grouped(bids, |bid| bid.auction);
    groups.into_iter().map(row).collect()
}

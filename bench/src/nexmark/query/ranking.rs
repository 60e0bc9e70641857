//! Queries 18 and 19: the last and the highest bids. Not those of windows, and not of auctions that have ended.
//! Invariant: the order of bids is theirs, by price and time, and not that of their coming.

use super::super::event::{Bid, Bidding, Highest};
use super::HIGHEST_BIDS;
use headwater::{KStream, KTable};

/// The latest is ranked by its time; of two at once, which Nexmark leaves open, the one that comes later stays.
pub(super) fn last_bids(bids: KStream<'_, u64, Bid>) -> KTable<'_, Bidding, Bid> {
    bids.group_by(|auction, bid| Bidding {
        bidder: bid.bidder,
        auction: *auction,
    })
    .reduce(
        |last, bid| {
            if bid.time_ms >= last.time_ms {
                bid
            } else {
                last
            }
        },
        "last",
    )
}

/// A row holds all ranks of an auction, where SQL has a row for each: a bid's rank is its place. Of two alike, whose order Nexmark
/// leaves open, the earlier is before the other.
pub(super) fn highest_bids(bids: KStream<'_, u64, Bid>) -> KTable<'_, u64, Highest> {
    bids.group_by_key().aggregate(
        Highest::default,
        |_, bid, highest| ranked(highest, bid),
        "highest",
    )
}

fn ranked(mut highest: Highest, bid: Bid) -> Highest {
    let place = highest.bids.partition_point(|other| {
        other.price > bid.price || (other.price == bid.price && other.time_ms <= bid.time_ms)
    });
    if place < HIGHEST_BIDS {
        highest.bids.insert(place, bid);
        highest.bids.truncate(HIGHEST_BIDS);
    }
    highest
}

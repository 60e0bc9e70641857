//! Queries 5, 7, 11 and 17: bids by time. Not reports over days. Invariant: no bid comes too late for its window or session.

use super::super::event::{AuctionDay, Bid, Counted, Hottest, Prices};
use super::report::count;
use super::{ADVANCE, DAY, GRACE, SESSION_GAP, WINDOW};
use headwater::{KStream, KTable, SessionWindows, TimeWindows, Windowed};

pub(super) fn hot_items(bids: KStream<'_, u64, Bid>) -> KTable<'_, i64, Hottest> {
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

pub(super) fn highest_bids(bids: KStream<'_, u64, Bid>) -> KTable<'_, i64, Bid> {
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
fn higher(one: Bid, other: Bid) -> Bid {
    let is_other = (other.price, one.time_ms) > (one.price, other.time_ms);
    if is_other { other } else { one }
}

/// A session that another has taken in is deleted. Its end is the time of its last bid, that of SQL's `SESSION_END` a gap later.
pub(super) fn sessions(bids: KStream<'_, u64, Bid>) -> KTable<'_, Windowed<u64>, u64> {
    bids.group_by(|_, bid| bid.bidder)
        .windowed_by(SessionWindows::of(SESSION_GAP).grace(GRACE))
        .count("sessions")
}

/// Days are windows, so that an auction's bids stay where they are.
pub(super) fn prices(bids: KStream<'_, u64, Bid>) -> KStream<'_, AuctionDay, Prices> {
    bids.group_by_key()
        .windowed_by(TimeWindows::of(DAY).grace(GRACE))
        .aggregate(
            Prices::default,
            |_, bid, prices| priced(prices, bid.price),
            "prices",
        )
        .to_stream()
        .map(|window, prices| {
            let day_ms = window.start;
            let auction = window.key;
            (AuctionDay { auction, day_ms }, prices)
        })
}

fn priced(mut prices: Prices, price: u64) -> Prices {
    prices.lowest = match prices.bids.total {
        0 => price,
        _ => prices.lowest.min(price),
    };
    prices.highest = prices.highest.max(price);
    count(&mut prices.bids, price);
    prices.sum += price;
    prices.average = prices.sum / prices.bids.total;
    prices
}

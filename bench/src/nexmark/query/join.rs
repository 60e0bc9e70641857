//! Queries 3, 4, 6, 8, 9, 13 and 20: what stands in two topics. Not windows alone. Invariant: a bid finds its auction, which is earlier.

use super::super::event::{
    Auction, Bid, Labelled, NewSeller, Offer, Person, Sale, Sales, Seller, Sold, Total, Won,
};
use super::{GRACE, LABELS, LAST_SALES, LOCAL_CATEGORY, LOCAL_STATES, WINDOW};
use headwater::streams::GlobalKTable;
use headwater::{Data, JoinWindows, KStream, KTable};

pub(super) fn local_items<'a>(
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

pub(super) fn average_prices<'a>(
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

/// The last are those whose winning bid is the latest. A seller's row holds all of them, since one that is won anew moves, and may
/// make room for an older one. A seller's last value counts, where SQL has one for each auction of theirs.
pub(super) fn seller_averages<'a>(
    auctions: KTable<'a, u64, Auction>,
    bids: KStream<'a, u64, Bid>,
) -> KTable<'a, u64, u64> {
    let offers = bids.join(auctions, |bid, auction| Won {
        seller: auction.seller,
        auction: auction.id,
        time_ms: bid.time_ms,
        price: bid.price,
        is_in_time: u64::from(bid.time_ms <= auction.expires_ms),
    });
    let winning = offers
        .filter(|_, offer| offer.is_in_time == 1)
        .values(<Won as Data>::format())
        .group_by_key()
        .reduce(
            |best, offer| {
                if (offer.price, best.time_ms) > (best.price, offer.time_ms) {
                    offer
                } else {
                    best
                }
            },
            "winning",
        );
    winning
        .group_by(|_, won| {
            let (time_ms, auction, price) = (won.time_ms, won.auction, won.price);
            let sold = Sold {
                time_ms,
                auction,
                price,
            };
            (won.seller, sold)
        })
        .aggregate(
            Sales::default,
            |_, sold, mut sales| {
                if let Err(place) = sales.sold.binary_search(&sold) {
                    sales.sold.insert(place, sold);
                }
                sales
            },
            |_, sold, mut sales| {
                if let Ok(place) = sales.sold.binary_search(&sold) {
                    sales.sold.remove(place);
                }
                sales
            },
            "sales",
        )
        .map_values(|sales| {
            let last = sales.sold.iter().rev().take(LAST_SALES);
            let sum: u64 = last.clone().map(|sold| sold.price).sum();
            sum.checked_div(last.len() as u64).unwrap_or(0)
        })
        .values(<u64 as Data>::format())
}

pub(super) fn new_sellers<'a>(
    persons: KStream<'a, u64, Person>,
    auctions: KStream<'a, u64, Auction>,
) -> KStream<'a, u64, NewSeller> {
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
}

/// The highest bid in time, of two alike the earlier.
pub(super) fn winning_bids<'a>(
    auctions: KTable<'a, u64, Auction>,
    bids: KStream<'a, u64, Bid>,
) -> KTable<'a, u64, Sale> {
    bids.join(auctions, sale)
        .filter(|_, sale| {
            let auction = &sale.auction;
            (auction.time_ms..=auction.expires_ms).contains(&sale.bid.time_ms)
        })
        .values(<Sale as Data>::format())
        .group_by_key()
        .reduce(
            |best, sale| {
                let (bid, other) = (&best.bid, &sale.bid);
                if (other.price, bid.time_ms) > (bid.price, other.time_ms) {
                    sale
                } else {
                    best
                }
            },
            "winning",
        )
}

/// The side input is all there before the first bid is read, and stays.
pub(super) fn labelled<'a>(
    bids: KStream<'a, u64, Bid>,
    labels: GlobalKTable<'a, u64, String>,
) -> KStream<'a, u64, Labelled> {
    let by_auction = labels.by(|_: &u64, bid: &Bid| bid.auction % LABELS);
    bids.join(by_auction, |bid, label| Labelled {
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        time_ms: bid.time_ms,
        label: label.clone(),
    })
}

pub(super) fn expanded_bids<'a>(
    auctions: KTable<'a, u64, Auction>,
    bids: KStream<'a, u64, Bid>,
) -> KStream<'a, u64, Sale> {
    let auctions = auctions.filter(|_, auction| auction.category == LOCAL_CATEGORY);
    bids.join(auctions, sale)
}

fn sale(bid: &Bid, auction: &Auction) -> Sale {
    Sale {
        auction: auction.clone(),
        bid: bid.clone(),
    }
}

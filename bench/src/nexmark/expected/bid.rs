//! What queries 13, 14, 21 and 22 make of a single bid. Not of several. Invariant: that of its parent.

use super::super::event::{Bid, Calculated, Channelled, Labelled, Located, Row};
use super::super::query::{CALCULATED_MAX, CALCULATED_MIN, KNOWN_CHANNELS, LABELS, MILLE};
use super::key;

type Pair = (Vec<u8>, Vec<u8>);

pub(super) fn labelled(bid: &Bid) -> Pair {
    let labelled = Labelled {
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        time_ms: bid.time_ms,
        label: (bid.auction % LABELS).to_string(),
    };
    (key(bid.auction), labelled.bytes())
}

pub(super) fn reckoned(bid: &Bid) -> Option<Pair> {
    let price_thousandths = bid.price * MILLE;
    if price_thousandths <= CALCULATED_MIN || price_thousandths >= CALCULATED_MAX {
        return None;
    }
    // The events are of some minutes around midnight.
    let time_type = "nightTime".to_owned();
    let calculated = Calculated {
        auction: bid.auction,
        bidder: bid.bidder,
        price_thousandths,
        time_type,
        time_ms: bid.time_ms,
        extra: bid.extra.clone(),
        count: bid.extra.chars().filter(|letter| *letter == 'c').count() as u64,
    };
    Some((key(bid.auction), calculated.bytes()))
}

pub(super) fn channelled(bid: &Bid) -> Option<Pair> {
    let is_its = |known: &&str| bid.channel.eq_ignore_ascii_case(known);
    let place = KNOWN_CHANNELS.iter().position(is_its);
    // Made with an id at its end, or with none.
    let from_url = bid.url.split_once("&channel_id=").map(|(_, id)| id.into());
    let channelled = Channelled {
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        channel: bid.channel.clone(),
        channel_id: place.map(|place| place.to_string()).or(from_url)?,
    };
    Some((key(bid.auction), channelled.bytes()))
}

pub(super) fn located(bid: &Bid) -> Pair {
    let parts: Vec<&str> = bid.url.split('/').collect();
    let located = Located {
        auction: bid.auction,
        bidder: bid.bidder,
        price: bid.price,
        channel: bid.channel.clone(),
        dir1: parts[3].into(),
        dir2: parts[4].into(),
        dir3: parts[5].into(),
    };
    (key(bid.auction), located.bytes())
}

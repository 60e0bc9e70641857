//! Queries 1, 2, 14, 21 and 22: bids one by one. Not joins and not state. Invariant: a bid's key stays, so nothing is repartitioned.

use super::super::event::{Bid, Calculated, Channelled, Located};
use super::{AUCTION_STRIDE, CALCULATED_MAX, CALCULATED_MIN, EUROS, KNOWN_CHANNELS, MILLE};
use headwater::{Data, KStream};

/// Before the id of a channel, where one is in a url.
const CHANNEL_ID: &str = "channel_id=";
const HOUR_MS: i64 = 3_600_000;
/// Counted in what else a bid holds, of query 14.
const COUNTED: char = 'c';

pub(super) fn currency(bids: KStream<'_, u64, Bid>) -> KStream<'_, u64, Bid> {
    bids.map_values(|bid: Bid| Bid {
        price: bid.price * EUROS / 100,
        ..bid
    })
}

pub(super) fn selection(bids: KStream<'_, u64, Bid>) -> KStream<'_, u64, u64> {
    bids.filter(|auction, _| auction.is_multiple_of(AUCTION_STRIDE))
        .map_values(|bid| bid.price)
        .values(<u64 as Data>::format())
}

/// Decimal fractions are whole numbers of thousandths.
pub(super) fn reckoned(bids: KStream<'_, u64, Bid>) -> KStream<'_, u64, Calculated> {
    bids.filter(|_, bid| {
        let price = bid.price * MILLE;
        price > CALCULATED_MIN && price < CALCULATED_MAX
    })
    .map_values(|bid| Calculated {
        auction: bid.auction,
        bidder: bid.bidder,
        price_thousandths: bid.price * MILLE,
        time_type: time_type(bid.time_ms).to_owned(),
        time_ms: bid.time_ms,
        count: bid.extra.matches(COUNTED).count() as u64,
        extra: bid.extra,
    })
}

/// By the hour, in UTC.
fn time_type(time_ms: i64) -> &'static str {
    match time_ms.div_euclid(HOUR_MS).rem_euclid(24) {
        8..=18 => "dayTime",
        ..=6 | 20.. => "nightTime",
        _ => "otherTime",
    }
}

/// Bids without an id are left out.
pub(super) fn channel_ids(bids: KStream<'_, u64, Bid>) -> KStream<'_, u64, Channelled> {
    bids.filter(|_, bid| channel_id(bid).is_some())
        .map_values(|bid| Channelled {
            auction: bid.auction,
            bidder: bid.bidder,
            price: bid.price,
            channel_id: channel_id(&bid).unwrap_or_default(),
            channel: bid.channel,
        })
}

/// That of a known channel, or the first in the url: as `(&|^)channel_id=([^&]*)` finds it.
fn channel_id(bid: &Bid) -> Option<String> {
    let name = bid.channel.to_lowercase();
    match KNOWN_CHANNELS.iter().position(|known| *known == name) {
        Some(place) => Some(place.to_string()),
        None => {
            let mut parts = bid.url.split('&');
            let id = parts.find_map(|part| part.strip_prefix(CHANNEL_ID));
            id.map(str::to_owned)
        }
    }
}

/// A directory that is not there is empty.
pub(super) fn directories(bids: KStream<'_, u64, Bid>) -> KStream<'_, u64, Located> {
    bids.map_values(|bid| {
        // After scheme, nothing and host.
        let mut parts = bid.url.split('/').skip(3);
        let mut next = || parts.next().unwrap_or_default().to_owned();
        let (dir1, dir2, dir3) = (next(), next(), next());
        Located {
            auction: bid.auction,
            bidder: bid.bidder,
            price: bid.price,
            channel: bid.channel,
            dir1,
            dir2,
            dir3,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_of_day_or_night_or_between_by_its_hour() {
        let day_ms = 16_631 * 24 * HOUR_MS;
        let of = |hour: i64| time_type(day_ms + hour * HOUR_MS);
        for (hours, expected) in [
            (0..=6, "nightTime"),
            (7..=7, "otherTime"),
            (8..=18, "dayTime"),
            (19..=19, "otherTime"),
            (20..=23, "nightTime"),
        ] {
            for hour in hours {
                assert_eq!(of(hour), expected, "{hour}");
            }
        }
        assert_eq!(time_type(day_ms - 1), "nightTime");
    }
}

//! Queries 15 and 16: bids of a day, and how many distinct bidders and auctions they are of. Not prices of single auctions.
//! Invariant: who is counted is a row of a table, so that nobody is counted twice and no row holds them all.

use super::super::event::{Bid, Counts, Crowd, Member, Part, Report, Scope};
use super::{DAY, RANK2, RANK3};
use headwater::{KStream, KTable};

const MINUTE_MS: i64 = 60_000;

/// What a bid counts for, and in which minute of the day; days and minutes are numbers, where SQL has text.
type Place = fn(&Bid) -> (Scope, u64);

/// All channels are one without a name, and minutes are not looked at.
pub(super) fn of_days(bids: KStream<'_, u64, Bid>) -> KTable<'_, Scope, Report> {
    report(bids, |bid| {
        let (channel, day_ms) = (String::new(), day_ms(bid));
        (Scope { channel, day_ms }, 0)
    })
}

pub(super) fn of_channels(bids: KStream<'_, u64, Bid>) -> KTable<'_, Scope, Report> {
    report(bids, |bid| {
        let (channel, day_ms) = (bid.channel.clone(), day_ms(bid));
        let minute = (bid.time_ms - day_ms) / MINUTE_MS;
        (Scope { channel, day_ms }, minute as u64)
    })
}

fn day_ms(bid: &Bid) -> i64 {
    bid.time_ms - bid.time_ms.rem_euclid(DAY.as_millis() as i64)
}

/// What is told of the bids is the same in both crowds.
fn report(bids: KStream<'_, u64, Bid>, place: Place) -> KTable<'_, Scope, Report> {
    let bidders = crowd(bids, place, |bid| bid.bidder, ["by-bidder", "bidders"]);
    let auctions = crowd(bids, place, |bid| bid.auction, ["by-auction", "auctions"]);
    bidders.join(auctions, |bidders, auctions| Report {
        minute: bidders.minute,
        bids: bidders.bids.clone(),
        bidders: bidders.members.clone(),
        auctions: auctions.members.clone(),
    })
}

/// Those of a scope whose bids there are: first each with their bids, then all.
fn crowd<'a>(
    bids: KStream<'a, u64, Bid>,
    place: Place,
    id: fn(&Bid) -> u64,
    [parts, crowds]: [&'static str; 2],
) -> KTable<'a, Scope, Crowd> {
    let parts = bids
        .group_by(move |_, bid| {
            let (scope, _) = place(bid);
            Member {
                channel: scope.channel,
                day_ms: scope.day_ms,
                id: id(bid),
            }
        })
        .aggregate(
            Part::default,
            move |_, bid, mut part| {
                part.minute = part.minute.max(place(&bid).1);
                count(&mut part.bids, bid.price);
                part
            },
            parts,
        );
    parts
        .group_by(|member, part| {
            let scope = Scope {
                channel: member.channel.clone(),
                day_ms: member.day_ms,
            };
            (scope, part)
        })
        .aggregate(
            Crowd::default,
            |_, part, crowd| changed(crowd, &part, u64::wrapping_add),
            // A part's minute only grows, so the greatest of all stays when one is taken out to be put in anew.
            |_, part, crowd| changed(crowd, &part, u64::wrapping_sub),
            crowds,
        )
}

fn changed(mut crowd: Crowd, part: &Part, by: fn(u64, u64) -> u64) -> Crowd {
    crowd.minute = crowd.minute.max(part.minute);
    let (bids, members) = (&mut crowd.bids, &mut crowd.members);
    for (all, one, part) in [
        (&mut bids.total, &mut members.total, part.bids.total),
        (&mut bids.rank1, &mut members.rank1, part.bids.rank1),
        (&mut bids.rank2, &mut members.rank2, part.bids.rank2),
        (&mut bids.rank3, &mut members.rank3, part.bids.rank3),
    ] {
        *all = by(*all, part);
        *one = by(*one, part.min(1));
    }
    crowd
}

/// Counts a bid by its price.
pub(super) fn count(counts: &mut Counts, price: u64) {
    counts.total += 1;
    *match price {
        ..RANK2 => &mut counts.rank1,
        RANK2..RANK3 => &mut counts.rank2,
        _ => &mut counts.rank3,
    } += 1;
}

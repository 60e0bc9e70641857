//! The events of Nexmark by their number: of each fifty one person, three auctions, 46 bids, one a ms.
//! As Apache Beam's generator, but that bids and auctions name only what was there before them, so that a join's result does not
//! hang on who comes first. Invariant: an event depends on its number alone.

use super::event::{Auction, Bid, Person, Row};
use clap::ValueEnum;

/// Events after which the proportions repeat: a person, three auctions, bids.
const ROUND: u64 = 50;
const AUCTIONS_OF_ROUND: u64 = 3;
/// Of persons and of auctions.
const FIRST_ID: u64 = 1_000;
const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;
/// Persons who may bid and sell: the last ones.
const ACTIVE_PERSONS: u64 = 1_000;
/// Auctions that may be bid for: the last ones.
const IN_FLIGHT_AUCTIONS: u64 = 100;
/// Ids between which one is hot.
const HOT_STRIDE: u64 = 100;
/// Of the first event: ten seconds before that of Beam, 2015-07-15T00:00:00Z, so that queries by day see two of them.
const BEGIN_MS: i64 = 1_436_918_390_000;
/// Bytes of each kind on average, as in Beam; what is missing is filled up. Of a bid they hold, as in Nexmark's generator of that
/// project, neither channel nor url, which with their lengths are 88 bytes more.
const PERSON_BYTES: usize = 200;
const AUCTION_BYTES: usize = 500;
const BID_BYTES: usize = 100;
/// Of two bids one comes from a hot channel.
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const CHANNELS: u64 = 10_000;

const FIRST_NAMES: [&str; 11] = [
    "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter",
];
const LAST_NAMES: [&str; 9] = [
    "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris",
];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];

/// What happens.
pub(crate) enum Event {
    Person(Person),
    Auction(Auction),
    Bid(Bid),
    /// A row of the side input, by its number: none of those that are numbered, but there before them.
    Label(u64),
}

impl Event {
    /// Appends its bytes to `value`, and answers its topic, key and time in ms.
    pub(crate) fn write(&self, value: &mut Vec<u8>) -> (&'static str, u64, i64) {
        match self {
            Self::Person(person) => {
                person.write(value);
                ("persons", person.id, person.time_ms)
            }
            Self::Auction(auction) => {
                auction.write(value);
                ("auctions", auction.id, auction.time_ms)
            }
            Self::Bid(bid) => {
                bid.write(value);
                ("bids", bid.auction, bid.time_ms)
            }
            Self::Label(number) => {
                value.extend(number.to_string().as_bytes());
                ("labels", *number, BEGIN_MS)
            }
        }
    }
}

/// Events of one kind, as their topic is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Persons,
    Auctions,
    Bids,
    /// Not an event: the side input of query 13.
    Labels,
}

impl Kind {
    /// Event `index` of this kind, counted from nought.
    pub(crate) fn event(self, index: u64) -> Event {
        let (first, each) = match self {
            Self::Persons => (0, 1),
            Self::Auctions => (1, AUCTIONS_OF_ROUND),
            Self::Bids => (1 + AUCTIONS_OF_ROUND, ROUND - 1 - AUCTIONS_OF_ROUND),
            Self::Labels => return Event::Label(index),
        };
        event(index / each * ROUND + first + index % each)
    }
}

/// Event `number`.
pub(super) fn event(number: u64) -> Event {
    let (round, place) = (number / ROUND, number % ROUND);
    let mut random = Random(number);
    let time_ms = BEGIN_MS + number as i64;
    match place {
        0 => Event::Person(person(round, time_ms, &mut random)),
        1..=AUCTIONS_OF_ROUND => {
            let id = round * AUCTIONS_OF_ROUND + place - 1;
            Event::Auction(auction(id, round, time_ms, &mut random))
        }
        _ => Event::Bid(bid(round, time_ms, &mut random)),
    }
}

fn person(round: u64, time_ms: i64, random: &mut Random) -> Person {
    let name = format!("{} {}", random.of(&FIRST_NAMES), random.of(&LAST_NAMES));
    Person {
        id: FIRST_ID + round,
        time_ms,
        name,
        city: random.of(&CITIES).to_owned(),
        state: random.of(&STATES).to_owned(),
        extra: "p".repeat(PERSON_BYTES - 80),
    }
}

/// Auction `number`, counted from nought; persons up to that of the round are there.
fn auction(number: u64, round: u64, time_ms: i64, random: &mut Random) -> Auction {
    // Long enough for as many auctions as may be in flight.
    let horizon_ms = IN_FLIGHT_AUCTIONS * ROUND / AUCTIONS_OF_ROUND;
    Auction {
        id: FIRST_ID + number,
        time_ms,
        expires_ms: time_ms + 1 + random.below(2 * horizon_ms) as i64,
        seller: FIRST_ID + active_person(round, 0, random),
        category: FIRST_CATEGORY + random.below(CATEGORIES),
        extra: "a".repeat(AUCTION_BYTES - 50),
    }
}

fn bid(round: u64, time_ms: i64, random: &mut Random) -> Bid {
    let last = (round + 1) * AUCTIONS_OF_ROUND - 1;
    let number = match random.below(2) {
        0 => last - random.below(last.min(IN_FLIGHT_AUCTIONS - 1) + 1),
        _ => last / HOT_STRIDE * HOT_STRIDE,
    };
    let bidder = FIRST_ID + active_person(round, 1, random);
    // From 100 to 100,000,000, small ones as often as large ones.
    let price = (10_f64.powf(random.unit() * 6.0) * 100.0).round() as u64;
    let (channel, url) = channel(random);
    Bid {
        auction: FIRST_ID + number,
        time_ms,
        bidder,
        price,
        channel,
        url,
        extra: random.letters(BID_BYTES - 40),
    }
}

/// A channel and its url, which names the channel by an id in nine of ten that are not hot.
fn channel(random: &mut Random) -> (String, String) {
    let hot = HOT_CHANNELS.len() as u64;
    let number = match random.below(2) {
        0 => hot + random.below(CHANNELS),
        _ => random.below(hot),
    };
    // By its number, so that a channel has the same address always.
    let mut own = Random(number);
    let mut url = "https://www.nexmark.com/".to_owned();
    for _ in 0..3 {
        let length = 3 + own.below(2) as usize;
        url += &own.letters(length);
        url.push('/');
    }
    url += "item.htm?query=1";
    match HOT_CHANNELS.get(number as usize) {
        Some(name) => ((*name).to_owned(), url),
        None => {
            let index = (number - hot) as u32;
            if own.below(10) > 0 {
                let id = (index.reverse_bits() as i32).unsigned_abs();
                url += &format!("&channel_id={id}");
            }
            (format!("channel-{index}"), url)
        }
    }
}

/// One of the last persons; of four times three the hot one.
fn active_person(last: u64, hot: u64, random: &mut Random) -> u64 {
    match random.below(4) {
        0 => last - random.below(last.min(ACTIVE_PERSONS - 1) + 1),
        _ => (last / HOT_STRIDE * HOT_STRIDE + hot).min(last),
    }
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`, which is above nought.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// From 0 to 1, 1 excluded.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn letters(&mut self, length: usize) -> String {
        let letter = |_| char::from(b'a' + self.below(26) as u8);
        (0..length).map(letter).collect()
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_events_of_each_kind_are_all_events_in_their_order() {
        let mut indexes = [0; 3];
        for number in 0..7 * ROUND + 3 {
            let (mut expected, mut value) = (Vec::new(), Vec::new());
            let place = event(number).write(&mut expected);
            let kind = Kind::from_str(place.0, false).unwrap();
            let index = &mut indexes[kind as usize];
            assert_eq!(kind.event(*index).write(&mut value), place, "{number}");
            assert_eq!(value, expected, "{number}");
            *index += 1;
        }
        assert_eq!(indexes, [8, 23, 322]);
    }
}

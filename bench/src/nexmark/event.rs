//! Persons, auctions, bids, and rows that are made of them, with their bytes: big-endian numbers, strings behind their length.
//! Not their making. Invariant: what is written is read back equal.

use headwater::log::HeadersRef;
use headwater::{Data, Format, FormatError, FormatOf, Headers};
use std::sync::Arc;

/// Someone who sells or bids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    pub(super) id: u64,
    pub(super) time_ms: i64,
    pub(super) name: String,
    pub(super) city: String,
    pub(super) state: String,
    pub(super) extra: String,
}

/// Something for sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Auction {
    pub(super) id: u64,
    pub(super) time_ms: i64,
    pub(super) expires_ms: i64,
    pub(super) seller: u64,
    pub(super) category: u64,
    pub(super) extra: String,
}

/// An offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bid {
    pub(super) auction: u64,
    pub(super) time_ms: i64,
    pub(super) bidder: u64,
    pub(super) price: u64,
    /// Where it came from.
    pub(super) channel: String,
    pub(super) url: String,
    pub(super) extra: String,
}

/// Who sells an auction, of query 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seller {
    pub(super) name: String,
    pub(super) city: String,
    pub(super) state: String,
}

/// A bid with its auction's category, and whether it came in time, of query 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offer {
    pub(super) category: u64,
    pub(super) price: u64,
    pub(super) is_in_time: u64,
}

/// What an average is made of, of query 4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(super) sum: u64,
    pub(super) count: u64,
}

/// The auctions with the most bids of a window, by id, of query 5.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hottest {
    pub(super) bids: u64,
    pub(super) auctions: Vec<u64>,
}

/// An auction and its bids, of query 5.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(super) auction: u64,
    pub(super) bids: u64,
}

/// A person who sells, when both began, of query 8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewSeller {
    pub(super) name: String,
    pub(super) window_ms: i64,
    pub(super) auction: u64,
    /// Whether the auction began in the person's window.
    pub(super) is_in_window: u64,
}

/// A bid with its auction's seller, and whether it came in time, of query 6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Won {
    pub(super) seller: u64,
    pub(super) auction: u64,
    pub(super) time_ms: i64,
    pub(super) price: u64,
    pub(super) is_in_time: u64,
}

/// An auction that was won, of query 6.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sold {
    /// Of the winning bid.
    pub(super) time_ms: i64,
    pub(super) auction: u64,
    pub(super) price: u64,
}

/// What a seller sold, in order, of query 6.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sales {
    pub(super) sold: Vec<Sold>,
}

/// A bid and its auction, of queries 9 and 20.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sale {
    pub(super) auction: Auction,
    pub(super) bid: Bid,
}

/// A bid with the text of its auction's number, of query 13.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Labelled {
    pub(super) auction: u64,
    pub(super) bidder: u64,
    pub(super) price: u64,
    pub(super) time_ms: i64,
    pub(super) label: String,
}

/// A bid as query 14 reckons it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Calculated {
    pub(super) auction: u64,
    pub(super) bidder: u64,
    /// Of the currency, a thousandth each.
    pub(super) price_thousandths: u64,
    pub(super) time_type: String,
    pub(super) time_ms: i64,
    pub(super) extra: String,
    pub(super) count: u64,
}

/// Whose bids a part of a report is of: bidders or auctions, of queries 15 and 16.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(super) channel: String,
    pub(super) day_ms: i64,
    pub(super) id: u64,
}

/// What a report is about, of queries 15 and 16.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scope {
    pub(super) channel: String,
    pub(super) day_ms: i64,
}

/// How many there are, all of them and at each of three levels of price, of queries 15 to 17.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(super) total: u64,
    pub(super) rank1: u64,
    pub(super) rank2: u64,
    pub(super) rank3: u64,
}

/// The bids of a bidder or for an auction, of queries 15 and 16.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// The last in which a bid came.
    pub(super) minute: u64,
    pub(super) bids: Counts,
}

/// The bids of all bidders or for all auctions, of queries 15 and 16.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crowd {
    pub(super) minute: u64,
    pub(super) bids: Counts,
    pub(super) members: Counts,
}

/// The result of queries 15 and 16.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(super) minute: u64,
    pub(super) bids: Counts,
    pub(super) bidders: Counts,
    pub(super) auctions: Counts,
}

/// An auction on a day, of query 17.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct AuctionDay {
    pub(super) auction: u64,
    pub(super) day_ms: i64,
}

/// The bids for an auction on a day, of query 17.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prices {
    pub(super) bids: Counts,
    pub(super) lowest: u64,
    pub(super) highest: u64,
    pub(super) average: u64,
    pub(super) sum: u64,
}

/// Whose bid for which auction, of query 18.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bidding {
    pub(super) bidder: u64,
    pub(super) auction: u64,
}

/// The highest bids for an auction, the highest first, of query 19.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Highest {
    pub(super) bids: Vec<Bid>,
}

/// A bid with the id of its channel, of query 21.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Channelled {
    pub(super) auction: u64,
    pub(super) bidder: u64,
    pub(super) price: u64,
    pub(super) channel: String,
    pub(super) channel_id: String,
}

/// A bid with the directories of its address, of query 22.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(super) auction: u64,
    pub(super) bidder: u64,
    pub(super) price: u64,
    pub(super) channel: String,
    pub(super) dir1: String,
    pub(super) dir2: String,
    pub(super) dir3: String,
}

/// A row, or a part of one.
pub(super) trait Row: Sized {
    fn write(&self, bytes: &mut Vec<u8>);
    /// Takes it off the front.
    fn read(bytes: &mut &[u8]) -> Option<Self>;

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Row for $type {
            fn write(&self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_be_bytes());
            }
            fn read(bytes: &mut &[u8]) -> Option<Self> {
                let (first, rest) = bytes.split_first_chunk()?;
                *bytes = rest;
                Some(Self::from_be_bytes(*first))
            }
        }
    )*};
}

number!(u64 i64);

impl Row for String {
    fn write(&self, bytes: &mut Vec<u8>) {
        (self.len() as u64).write(bytes);
        bytes.extend(self.as_bytes());
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = u64::read(bytes)?;
        let (text, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
        *bytes = rest;
        Some(std::str::from_utf8(text).ok()?.to_owned())
    }
}

impl<T: Row> Row for Vec<T> {
    fn write(&self, bytes: &mut Vec<u8>) {
        (self.len() as u64).write(bytes);
        self.iter().for_each(|row| row.write(bytes));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = u64::read(bytes)?;
        (0..length).map(|_| T::read(bytes)).collect()
    }
}

macro_rules! row {
    ($($type:ident { $($field:ident)* })*) => {$(
        impl Row for $type {
            fn write(&self, bytes: &mut Vec<u8>) {
                $(self.$field.write(bytes);)*
            }
            fn read(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: Row::read(bytes)?),* })
            }
        }
        impl Data for $type {
            fn format() -> FormatOf<Self> {
                Arc::new(Rows)
            }
        }
    )*};
}

row! {
    Person { id time_ms name city state extra }
    Auction { id time_ms expires_ms seller category extra }
    Bid { auction time_ms bidder price channel url extra }
    Seller { name city state }
    Offer { category price is_in_time }
    Total { sum count }
    Hottest { bids auctions }
    Counted { auction bids }
    NewSeller { name window_ms auction is_in_window }
    Won { seller auction time_ms price is_in_time }
    Sold { time_ms auction price }
    Sales { sold }
    Sale { auction bid }
    Labelled { auction bidder price time_ms label }
    Calculated { auction bidder price_thousandths time_type time_ms extra count }
    Member { channel day_ms id }
    Scope { channel day_ms }
    Counts { total rank1 rank2 rank3 }
    Part { minute bids }
    Crowd { minute bids members }
    Report { minute bids bidders auctions }
    AuctionDay { auction day_ms }
    Prices { bids lowest highest average sum }
    Bidding { bidder auction }
    Highest { bids }
    Channelled { auction bidder price channel channel_id }
    Located { auction bidder price channel dir1 dir2 dir3 }
}

/// The format of every row.
struct Rows;

impl<T: Row> Format<T> for Rows {
    fn encode(
        &self,
        _: &str,
        _: &mut Headers,
        value: &T,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        value.write(bytes);
        Ok(())
    }

    fn decode(&self, _: &str, _: HeadersRef<'_>, mut bytes: &[u8]) -> Result<T, FormatError> {
        let row = T::read(&mut bytes).filter(|_| bytes.is_empty());
        row.ok_or_else(|| FormatError("bytes that are no such row".into()))
    }
}

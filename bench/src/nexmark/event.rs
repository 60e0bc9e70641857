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

/// A part of a row.
trait Field: Sized {
    fn write(&self, bytes: &mut Vec<u8>);
    /// Takes it off the front.
    fn read(bytes: &mut &[u8]) -> Option<Self>;
}

/// A row of fields.
pub(super) trait Row: Sized {
    fn write(&self, bytes: &mut Vec<u8>);
    fn read(bytes: &mut &[u8]) -> Option<Self>;

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }
}

macro_rules! number {
    ($($type:ty)*) => {$(
        impl Field for $type {
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

impl Field for String {
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

impl Field for Vec<u64> {
    fn write(&self, bytes: &mut Vec<u8>) {
        (self.len() as u64).write(bytes);
        self.iter().for_each(|number| number.write(bytes));
    }

    fn read(bytes: &mut &[u8]) -> Option<Self> {
        let length = u64::read(bytes)?;
        (0..length).map(|_| u64::read(bytes)).collect()
    }
}

macro_rules! row {
    ($($type:ident { $($field:ident)* })*) => {$(
        impl Row for $type {
            fn write(&self, bytes: &mut Vec<u8>) {
                $(self.$field.write(bytes);)*
            }
            fn read(bytes: &mut &[u8]) -> Option<Self> {
                Some(Self { $($field: Field::read(bytes)?),* })
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
    Bid { auction time_ms bidder price extra }
    Seller { name city state }
    Offer { category price is_in_time }
    Total { sum count }
    Hottest { bids auctions }
    Counted { auction bids }
    NewSeller { name window_ms auction is_in_window }
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

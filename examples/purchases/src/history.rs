//! The shop's history: the raw file, parsed and put in order of time, and the sequence of records that is appended of it.
//! Not the appending. Invariant: a record's place in the sequence depends on the input alone, so a place can be gone on from.

use crate::date::Date;
use crate::model::{Card, Purchase};
use anyhow::{Context, Result, bail, ensure};
use flate2::{Crc, read::GzDecoder};
use std::{collections::BTreeSet, fs, io::Read, path::Path};

/// The file the binary carries; `data/README.md` says where it is from.
const CDNOW: &[u8] = include_bytes!("../data/CDNOW_master.txt.gz");
/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Years between two repetitions: more than the history spans, so that no month and no week holds two of them.
const REPEAT_YEARS: u32 = 2;
/// Cards are older than every purchase: a task with both in view takes the record with the lower timestamp first.
const CARD_TIMESTAMP: i64 = 0;

/// A record to append.
pub(crate) enum Entry {
    Card {
        customer: String,
        card: Card,
        timestamp: i64,
    },
    Purchase {
        customer: String,
        purchase: Purchase,
        timestamp: i64,
    },
}

/// All purchases in order of time; those of one day in the order of the file.
pub(crate) struct History {
    cards: Vec<String>,
    purchases: Vec<(String, Purchase)>,
    checksum: u32,
}

impl History {
    /// Reads `input`, or what the binary carries.
    pub(crate) fn read(input: Option<&Path>) -> Result<Self> {
        let bytes = match input {
            Some(path) => {
                fs::read(path).with_context(|| format!("cannot read {}", path.display()))?
            }
            None => CDNOW.to_vec(),
        };
        let mut text = String::new();
        if bytes.starts_with(&GZIP) {
            GzDecoder::new(&bytes[..]).read_to_string(&mut text)
        } else {
            bytes.as_slice().read_to_string(&mut text)
        }
        .context("the purchases are no text")?;
        Self::parse(&text)
    }

    /// Parses the columns customer, yyyymmdd, CDs, dollars.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut purchases = Vec::new();
        // The first line is the heading.
        for (number, line) in text.lines().enumerate().skip(1) {
            if !line.trim().is_empty() {
                purchases.push(purchase(line).with_context(|| format!("line {}", number + 1))?);
            }
        }
        ensure!(!purchases.is_empty(), "there are no purchases in the input");
        let cards: BTreeSet<&String> = purchases.iter().map(|(customer, _)| customer).collect();
        let cards = cards.into_iter().cloned().collect();
        purchases.sort_by_key(|(_, purchase)| purchase.date); // Stable.
        let span = |at: usize| purchases[at].1.date;
        ensure!(
            span(purchases.len() - 1) < span(0).years_later(REPEAT_YEARS),
            "the purchases span {REPEAT_YEARS} years or more; --repeat would mix them"
        );
        let mut checksum = Crc::new();
        checksum.update(text.as_bytes());
        Ok(Self {
            cards,
            purchases,
            checksum: checksum.sum(),
        })
    }

    /// A name for this input, other for other inputs.
    pub(crate) fn source(&self) -> String {
        format!("history-{:08x}", self.checksum)
    }

    /// Purchases of one repetition.
    pub(crate) fn purchases(&self) -> u64 {
        self.purchases.len() as u64
    }

    /// How many records a history of `repeat` repetitions has.
    pub(crate) fn len(&self, repeat: u32) -> u64 {
        self.cards.len() as u64 + u64::from(repeat) * self.purchases()
    }

    /// The record at `place`: the cards first, then the purchases, repetition by repetition.
    pub(crate) fn entry(&self, place: u64) -> Result<Entry> {
        let cards = self.cards.len() as u64;
        if place < cards {
            let customer = self.cards[place as usize].clone();
            let number = customer
                .parse()
                .with_context(|| format!("customer '{customer}' is no number"))?;
            let (card, timestamp) = (Card::of_customer(number), CARD_TIMESTAMP);
            return Ok(Entry::Card {
                customer,
                card,
                timestamp,
            });
        }
        let (repetition, index) = (
            (place - cards) / self.purchases(),
            (place - cards) % self.purchases(),
        );
        let (customer, mut purchase) = self.purchases[index as usize].clone();
        purchase.date = purchase.date.years_later(repetition as u32 * REPEAT_YEARS);
        let timestamp = purchase.date.timestamp();
        Ok(Entry::Purchase {
            customer,
            purchase,
            timestamp,
        })
    }
}

fn purchase(line: &str) -> Result<(String, Purchase)> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let [customer, date, cds, dollars] = columns[..] else {
        bail!(
            "'{line}' has {} columns; expected customer, date, CDs, dollars",
            columns.len()
        );
    };
    let purchase = Purchase {
        date: Date::parse(date)?,
        cds: cds
            .parse()
            .with_context(|| format!("'{cds}' is no number of CDs"))?,
        cents: cents(dollars).with_context(|| format!("'{dollars}' is no amount like 11.77"))?,
    };
    Ok((customer.into(), purchase))
}

/// Cents of an amount with two decimals, without a detour over floating point.
fn cents(dollars: &str) -> Option<u64> {
    let (whole, cents) = dollars.split_once('.')?;
    let whole: u64 = whole.parse().ok()?;
    let cents: u64 = (cents.len() == 2).then(|| cents.parse().ok())??;
    whole.checked_mul(100)?.checked_add(cents)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "customer date cds dollars\r\n\
        00001 19970103 1 11.77\r\n\
        07000 19970101 5 0.05\r\n\
        07000 19970103 2 100.00\r\n";

    #[test]
    fn cards_come_first_then_purchases_by_date_and_file_order_again_two_years_later() {
        let history = History::parse(TEXT).unwrap();
        assert_eq!(history.len(2), 2 + 2 * 3);
        let lines: Vec<String> = (0..history.len(2))
            .map(|place| match history.entry(place).unwrap() {
                Entry::Card { customer, card, .. } => format!("{customer} {}", card.level),
                Entry::Purchase {
                    customer, purchase, ..
                } => {
                    format!("{customer} {} {}", purchase.date, purchase.cents)
                }
            })
            .collect();
        let expected = [
            "00001 gold",
            "07000 bronze",
            "07000 1997-01-01 5",
            "00001 1997-01-03 1177",
            "07000 1997-01-03 10000",
            "07000 1999-01-01 5",
            "00001 1999-01-03 1177",
            "07000 1999-01-03 10000",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_line_that_is_no_purchase_is_named() {
        for (line, message) in [
            (
                "00001 19970103 1",
                "line 2: '00001 19970103 1' has 3 columns",
            ),
            ("00001 19970103 1 11.7", "line 2: '11.7' is no amount"),
            ("00001 19970231 1 11.70", "line 2: '19970231' is no day"),
            ("00001 19970103 x 11.70", "line 2: 'x' is no number of CDs"),
        ] {
            let error = History::parse(&format!("heading\n{line}\n")).err().unwrap();
            let text = format!("{error:#}");
            assert!(text.starts_with(message), "{text}");
        }
    }

    #[test]
    fn the_binary_carries_the_whole_history() {
        let history = History::read(None).unwrap();
        assert_eq!(history.purchases(), 69_659);
        assert_eq!(history.len(1), 69_659 + 23_570);
    }
}

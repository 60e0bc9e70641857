//! Days of the calendar as the input writes them, yyyymmdd. Not times of day: a purchase has none.
//! Invariant: a date exists in the Gregorian calendar, so its month and its timestamp are what a reader expects.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::fmt;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A day, as the number yyyymmdd; its order is that of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Date(u32);

impl Date {
    /// Reads yyyymmdd.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let date = Self(
            text.parse()
                .with_context(|| format!("'{text}' is no date; expected yyyymmdd"))?,
        );
        ensure!(
            text.len() == 8 && Self::at(date.timestamp()) == date,
            "'{text}' is no day of the calendar"
        );
        Ok(date)
    }

    /// The same day of another year. The 29th of February becomes the 28th where there is no other.
    pub(crate) fn years_later(self, years: u32) -> Self {
        let later = Self(self.0 + years * 10_000);
        if Self::at(later.timestamp()) == later {
            later
        } else {
            Self(later.0 - 1)
        }
    }

    /// `1997-01`.
    pub(crate) fn month(self) -> String {
        format!("{:04}-{:02}", self.0 / 10_000, self.0 / 100 % 100)
    }

    /// Its midnight in UTC, ms since the epoch.
    pub(crate) fn timestamp(self) -> i64 {
        let (year, month, day) = (
            i64::from(self.0 / 10_000),
            i64::from(self.0 / 100 % 100),
            i64::from(self.0 % 100),
        );
        // Years begin in March here, so that the leap day is the last and (153 m + 2) / 5 counts the days before month m.
        let (year, month) = if month > 2 {
            (year, month - 3)
        } else {
            (year - 1, month + 9)
        };
        let of_year = (153 * month + 2) / 5 + day - 1;
        // 719,468 days lie between the 1st of March of year 0 and the epoch.
        (year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468) * DAY_MS
    }

    /// The day that holds `timestamp`, from the year 1970 on.
    pub(crate) fn at(timestamp: i64) -> Self {
        let days = timestamp.div_euclid(DAY_MS) + 719_468;
        // 146,097 days are 400 years.
        let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 {
            (month + 3, 0)
        } else {
            (month - 9, 1)
        };
        let year = era * 400 + year_of_era + next;
        Self((year * 10_000 + month * 100 + day) as u32)
    }
}

/// `1997-01-31`.
impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = (self.0 / 10_000, self.0 / 100 % 100, self.0 % 100);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_comes_back_from_its_timestamp() {
        let first = Date::parse("19700101").unwrap();
        assert_eq!(first.timestamp(), 0);
        let mut before = first;
        for day in 1..146_097 {
            let date = Date::at(day * DAY_MS);
            assert!(date > before, "{date} follows {before}");
            assert_eq!(date.timestamp(), day * DAY_MS, "{date}");
            before = date;
        }
        assert_eq!(before.to_string(), "2369-12-31");
        assert_eq!(
            Date::parse("19970101").unwrap().timestamp(),
            852_076_800_000
        );
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for text in ["19970229", "19971301", "19970100", "1997011", "later", ""] {
            assert!(Date::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_leap_day_moves_to_the_day_before_where_the_year_has_none() {
        let leap = Date::parse("20000229").unwrap();
        assert_eq!(leap.years_later(2).to_string(), "2002-02-28");
        assert_eq!(leap.years_later(4).to_string(), "2004-02-29");
    }
}

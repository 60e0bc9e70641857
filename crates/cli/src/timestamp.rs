//! A record's timestamp for people: RFC 3339 in UTC with milliseconds. Not a calendar library.
//! Invariant: times that have no four-digit year are shown as the number they are.

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The years 0000 and 10000.
const RANGE_MS: std::ops::Range<i64> = -62_167_219_200_000..253_402_300_800_000;

/// The text of a timestamp; `-` for the -1 of a record without one.
pub(crate) fn text(timestamp_ms: i64) -> String {
    if timestamp_ms == -1 {
        return "-".into();
    }
    if !RANGE_MS.contains(&timestamp_ms) {
        return format!("{timestamp_ms} ms");
    }
    let (year, month, day) = date(timestamp_ms.div_euclid(DAY_MS));
    let ms = timestamp_ms.rem_euclid(DAY_MS);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, ms) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The civil date of a day counted from 1970-01-01, by Howard Hinnant's `civil_from_days`: years begin in March there,
/// so that the leap day is their last.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(timestamp_ms: i64, expected: &str) {
        assert_eq!(text(timestamp_ms), expected);
    }

    #[test]
    fn timestamps_are_dates_where_they_can_be() {
        check(-1, "-");
        check(0, "1970-01-01T00:00:00.000Z");
        check(-2, "1969-12-31T23:59:59.998Z");
        check(951_782_400_000, "2000-02-29T00:00:00.000Z");
        check(1_700_000_000_123, "2023-11-14T22:13:20.123Z");
        check(253_402_300_799_999, "9999-12-31T23:59:59.999Z");
        check(253_402_300_800_000, "253402300800000 ms");
        check(i64::MAX, "9223372036854775807 ms");
        check(i64::MIN, "-9223372036854775808 ms");
    }
}

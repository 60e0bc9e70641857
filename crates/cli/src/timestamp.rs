//! Timestamps for people, RFC 3339 in UTC with milliseconds, and the times and durations that people write. Not a calendar library.
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

/// Days since 1970-01-01 of a civil date, the reverse of [`date`]; `None` where there is no such day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let march_year = if month <= 2 { year - 1 } else { year };
    let era = march_year.div_euclid(400);
    let year_of_era = march_year.rem_euclid(400);
    let march_month = (month + 9) % 12;
    let day_of_year = (153 * march_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    (date(days) == (year, month, day)).then_some(days)
}

/// The time `YYYY-MM-DDThh:mm:ss.sss` in UTC, or with `Z`, `+hh`, `+hhmm` or `+hh:mm` behind it, in ms since the epoch; the form that
/// Kafka's own tools take. Seconds and their fraction may be left out.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (day, time) = text.split_once('T')?;
    let day: Vec<&str> = day.split('-').collect();
    let [year, month, day] = day[..] else {
        return None;
    };
    let days = days(digits(year, 4)?, digits(month, 2)?, digits(day, 2)?)?;
    let zone = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone);
    let time: Vec<&str> = time.split(':').collect();
    let (hour, minute, second) = match time[..] {
        [hour, minute] => (hour, minute, "00"),
        [hour, minute, second] => (hour, minute, second),
        _ => return None,
    };
    let (second, fraction) = second.split_once('.').unwrap_or((second, "000"));
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = (hour * 60 + minute) * 60 + second - zone_seconds(zone)?;
    Some(days * DAY_MS + seconds * 1000 + digits(fraction, 3)?)
}

fn zone_seconds(zone: &str) -> Option<i64> {
    let (sign, zone) = match zone.split_at_checked(1) {
        None | Some(("Z", "")) => return Some(0),
        Some(("+", zone)) => (1, zone),
        Some(("-", zone)) => (-1, zone),
        Some(_) => return None,
    };
    let zone = zone.replacen(':', "", 1);
    let (hours, minutes) = match zone.len() {
        2 => (zone.as_str(), "00"),
        _ => zone.split_at_checked(2)?,
    };
    Some(sign * (digits(hours, 2)? * 60 + digits(minutes, 2)?) * 60)
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|it| it.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

/// The duration `PnDTnHnMn.nS` (ISO 8601 as Java's `Duration` reads it, in any case, each part with a sign if need be) in ms.
pub(crate) fn parse_duration_ms(text: &str) -> Option<i64> {
    let text = text.to_ascii_uppercase();
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(&text)),
    };
    let text = text.strip_prefix('P')?;
    let (days, time) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((days, time)) => (days, time),
        None => (text, ""),
    };
    let (mut parts, time) = (parts(days)?, parts(time)?);
    let is_one_day = parts.len() <= 1 && parts.iter().all(|(unit, _)| *unit == 'D');
    let is_time = time.iter().all(|(unit, _)| "HMS".contains(*unit));
    // Each unit once, the larger ones first.
    let is_falling = time.is_sorted_by(|(a, _), (b, _)| "HMS".find(*a) < "HMS".find(*b));
    parts.extend(time);
    if parts.is_empty() || !is_one_day || !is_time || !is_falling {
        return None;
    }
    let mut total_ms: i64 = 0;
    for (unit, number) in parts {
        let unit_ms = match unit {
            'D' => DAY_MS,
            'H' => 3_600_000,
            'M' => 60_000,
            'S' => 1000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if !fraction.is_empty() && unit != 'S' {
            return None;
        }
        let whole_ms = whole.parse::<i64>().ok()?.checked_mul(unit_ms)?;
        let thousandths: String = fraction.chars().chain("000".chars()).take(3).collect();
        let fraction_ms = digits(&thousandths, 3)?;
        let fraction_ms = if whole.starts_with('-') {
            -fraction_ms
        } else {
            fraction_ms
        };
        total_ms = total_ms.checked_add(whole_ms)?.checked_add(fraction_ms)?;
    }
    Some(sign * total_ms)
}

/// Numbers, each with the letter behind it.
fn parts(mut text: &str) -> Option<Vec<(char, &str)>> {
    let mut parts = Vec::new();
    while !text.is_empty() {
        let at = text.find(|it: char| it.is_ascii_alphabetic())?;
        parts.push((text[at..].chars().next()?, &text[..at]));
        text = &text[at + 1..];
    }
    Some(parts)
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

    #[test]
    fn times_are_read_as_kafkas_tools_read_them() {
        for (text, expected) in [
            ("2023-11-14T22:13:20.123", Some(1_700_000_000_123)),
            ("2023-11-14T22:13:20.123Z", Some(1_700_000_000_123)),
            ("2023-11-15T00:13:20.123+02:00", Some(1_700_000_000_123)),
            ("2023-11-14T18:43:20.123-0330", Some(1_700_000_000_123)),
            ("2023-11-14T23:13:20.123+01", Some(1_700_000_000_123)),
            ("1970-01-01T00:00", Some(0)),
            ("1969-12-31T23:59:59.998", Some(-2)),
            ("2000-02-29T00:00:00", Some(951_782_400_000)),
            ("2001-02-29T00:00:00", None),
            ("2001-13-01T00:00:00", None),
            ("2001-01-01", None),
            ("2001-01-01T24:00:00", None),
            ("2001-01-01T00:00:00.1", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_java_reads_them() {
        for (text, expected) in [
            ("PT1H", Some(3_600_000)),
            ("P2DT3H4M5.006S", Some(2 * DAY_MS + 11_045_006)),
            ("pt-0.5s", Some(-500)),
            ("-PT1M", Some(-60_000)),
            ("P1D", Some(DAY_MS)),
            ("P", None),
            ("PT", None),
            ("P1H", None),
            ("PT1D", None),
            ("PT1M1H", None),
            ("PT1.5H", None),
            ("PT1.é€S", None),
            ("1H", None),
        ] {
            assert_eq!(parse_duration_ms(text), expected, "{text}");
        }
    }
}

//! The result by a plain loop over the raw file. Not a use of Headwater or of the job's code.
//! Invariant: the JSON has the shape of the job's, without its `run`.

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::{cmp::Reverse, collections::BTreeMap, fs::File, io::Read, path::Path};

const MONTH_DAYS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/// Orders and cents.
type Sums = BTreeMap<String, (u64, u64)>;

/// What `repeat` repetitions of the history come to, each two years after the one before.
pub(crate) fn summary(repeat: i64) -> Value {
    let (mut months, mut weeks, mut levels, mut customers) =
        (Sums::new(), Sums::new(), Sums::new(), Sums::new());
    let (mut purchases, mut cds, mut cents) = (0u64, 0u64, 0u64);
    let text = text();
    for line in text.lines().skip(1) {
        let mut columns = line.split_whitespace();
        let mut next = || columns.next().unwrap();
        let (customer, date, count, dollars) = (next(), next(), next(), next());
        let amount: u64 = dollars.replace('.', "").parse().unwrap();
        let number: u32 = customer.parse().unwrap();
        let level = if number <= 1_000 {
            "gold"
        } else if number <= 6_000 {
            "silver"
        } else {
            "bronze"
        };
        for repetition in 0..repeat {
            let year = date[..4].parse::<i64>().unwrap() + 2 * repetition;
            let (month, day) = (date[4..6].parse().unwrap(), date[6..].parse().unwrap());
            purchases += 1;
            cds += count.parse::<u64>().unwrap();
            cents += amount;
            add(&mut months, format!("{year}-{month:02}"), amount);
            add(&mut weeks, week(year, month, day), amount);
            add(&mut levels, level.into(), amount);
            add(&mut customers, customer.into(), amount);
        }
    }
    let mut top: Vec<_> = customers.iter().collect();
    top.sort_by_key(|(customer, (_, cents))| (Reverse(*cents), customer.as_str()));
    top.truncate(10);
    let best = |(customer, (orders, cents)): &(&String, &(u64, u64))| json!({"customer": customer, "orders": orders, "cents": cents});
    json!({
        "purchases": purchases,
        "customers": customers.len(),
        "cds": cds,
        "cents": cents,
        "enriched_purchases": purchases,
        "months": rows("month", &months),
        "weeks": rows("from", &weeks),
        "top": top.iter().map(best).collect::<Vec<_>>(),
        "levels": rows("level", &levels),
    })
}

fn text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/CDNOW_master.txt.gz");
    let mut text = String::new();
    GzDecoder::new(File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn add(sums: &mut Sums, key: String, cents: u64) {
    let sum = sums.entry(key).or_default();
    sum.0 += 1;
    sum.1 += cents;
}

fn rows(name: &str, sums: &Sums) -> Value {
    let row = |(key, (orders, cents)): (&String, &(u64, u64))| json!({name: key, "orders": orders, "cents": cents});
    sums.iter().map(row).collect()
}

/// The first day of the week that holds the day: seven days each, counted from the 1st of January 1970.
fn week(year: i64, month: i64, day: i64) -> String {
    let mut days = day - 1;
    days += (1970..year)
        .map(|year| 365 + i64::from(leaps(year)))
        .sum::<i64>();
    days += (1..month).map(|month| month_days(year, month)).sum::<i64>();
    let mut days = days / 7 * 7;
    let mut year = 1970;
    while days >= 365 + i64::from(leaps(year)) {
        days -= 365 + i64::from(leaps(year));
        year += 1;
    }
    let mut month = 1;
    while days >= month_days(year, month) {
        days -= month_days(year, month);
        month += 1;
    }
    format!("{year}-{month:02}-{:02}", days + 1)
}

fn month_days(year: i64, month: i64) -> i64 {
    MONTH_DAYS[month as usize - 1] + i64::from(month == 2 && leaps(year))
}

fn leaps(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

//! What the applications read, from a seed. Not the results. Invariant: in two topics of one task no two records have one timestamp,
//! because nothing fixes their order.

use super::Kind;
use headwater::world::{Random, SeededRandom};

/// ms; long past, so that nothing depends on today.
const BEGIN_MS: i64 = 1_700_000_000_000;
/// ms of event time from record to record, on average.
const STEP_MS: u64 = 600;
/// How late a record may be, in ms: within the grace of all windows, and beyond it.
const LATE_MS: u64 = 90_000;

/// A foreign-key join's result has the right row's time, or the later of both rows', by which of them happened to come last. So the
/// right rows of a half are later than its left rows, and no right row ends: a left row that moves to a foreign key without a match may
/// leave its old result behind, by chance too.
const AFTER_LEFT_MS: i64 = 10_000_000;

const NULL: &str = "\\N";

/// Whether records are late. After a restart Kafka Streams does not remember how far time had come, so what becomes of late records
/// depends on where a run was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    SomeLate,
    ByTime,
}

/// Lines for the Java program: topic, key, value, timestamp, header.
pub(super) fn lines(kind: Kind, records: u64, order: Order, seed: u64) -> Vec<String> {
    let random = SeededRandom::new(seed);
    let mut now = BEGIN_MS;
    let mut lines = Vec::new();
    for number in 0..records {
        now += 2 * (1 + random.below(STEP_MS) as i64);
        let late = match order {
            Order::SomeLate if random.below(10) == 0 => 2 * random.below(LATE_MS / 2) as i64,
            _ => 0,
        };
        let is_right = kind.has_two_inputs() && random.below(2) == 0;
        let mut at = (now - late).max(BEGIN_MS) + i64::from(is_right);
        if kind == Kind::ForeignKeyJoin && is_right {
            at += AFTER_LEFT_MS * (1 + i64::from(number >= records / 2));
        }
        let topic = match (kind.has_two_inputs(), is_right) {
            (false, _) => "in",
            (true, false) => "left",
            (true, true) => "right",
        };
        let key = key(kind, is_right, &random);
        let value = value(kind, is_right, number, &random);
        let header = match random.below(8) {
            0 => format!("n={number}"),
            _ => String::new(),
        };
        lines.push(format!("{topic}\t{key}\t{value}\t{at}\t{header}"));
    }
    lines
}

fn key(kind: Kind, is_right: bool, random: &SeededRandom) -> String {
    match (kind, is_right) {
        (Kind::ForeignKeyJoin, true) => format!("f{}", random.below(6)),
        // Few enough to meet, with pauses long enough for sessions to end.
        _ => format!("k{}", random.below(17)),
    }
}

fn value(kind: Kind, is_right: bool, number: u64, random: &SeededRandom) -> String {
    let is_table = matches!(kind, Kind::TableJoin | Kind::ForeignKeyJoin);
    let may_end = kind == Kind::TableJoin || !is_right;
    if is_table && may_end && random.below(6) == 0 {
        return NULL.to_owned();
    }
    match (kind, is_right) {
        (Kind::ForeignKeyJoin, false) => format!("f{} v{number}", random.below(6)),
        (Kind::Count, _) => format!("w{} v{number}", random.below(23)),
        _ => format!("v{number}"),
    }
}

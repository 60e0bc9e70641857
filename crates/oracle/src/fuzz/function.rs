//! Random functions in the notation of the case files: pipelines, tests, list functions, joiners, reducers and
//! aggregators. Not their meaning, which is the interpreter's.
//! Invariant: the kind told with a function is the kind of its results.

use super::{kind::Kind, random::Random};

/// What a key function makes; few different keys, so that records meet.
const KEY_SEGMENTS: &[&str] = &[
    "prefix:1",
    "before::",
    "first_word",
    "prefix:1|lower",
    "const:k",
    "mod:3|to_string",
    "prefix:1|null_if:b",
    "after::",
    "length|to_string",
];

/// What records are made to fail on, and functions answer null to.
pub(crate) const MARKED: &[&str] = &["a", "7", "b:2", "c"];

/// A function of (key, value) to a value, and its kind.
pub(crate) fn of_value(random: &mut Random, key: Kind, value: Kind, fails: bool) -> (String, Kind) {
    let mut segments = Vec::new();
    let mut kind = start(random, key, value, &mut segments);
    for _ in 0..random.weighted(&[(60, 1), (25, 2), (10, 3), (5, 0)]) {
        kind = segment(random, kind, &mut segments);
    }
    if fails && random.chance(60) {
        segments.push(format!("fail_if:{}", random.pick(MARKED)));
    }
    if segments.is_empty() {
        segments.push("identity".to_owned());
    }
    (segments.join("|"), kind)
}

/// A function of (key, value) to a key of the given kind, which is not windowed.
pub(crate) fn of_key(random: &mut Random, key: Kind, value: Kind, wanted: Kind) -> String {
    let mut segments = Vec::new();
    match random.weighted(&[(65, "value"), (25, "key"), (10, "kv")]) {
        "value" => {}
        "key" => {
            segments.push("key");
            if key.is_windowed() {
                segments.push(*random.pick(&["window_key", "window_key", "window_start|mod:7"]));
            }
        }
        start => segments.push(start),
    }
    if !(segments.is_empty() && value == Kind::String && random.chance(30)) {
        segments.push(*random.pick(KEY_SEGMENTS));
    } else {
        segments.push("identity");
    }
    match wanted {
        Kind::Long => segments.push(*random.pick(&["mod:3", "length", "parse_long"])),
        _ => segments.push("to_string"),
    }
    segments.join("|")
}

fn start(random: &mut Random, key: Kind, value: Kind, segments: &mut Vec<String>) -> Kind {
    match random.weighted(&[(80, "value"), (10, "key"), (10, "kv")]) {
        "key" => {
            segments.push("key".to_owned());
            if !key.is_windowed() {
                return key;
            }
            let (part, kind) = random.weighted(&[
                (3, ("window_key", Kind::String)),
                (2, ("window_start", Kind::Long)),
                (2, ("window_end", Kind::Long)),
                (3, ("to_string", Kind::String)),
            ]);
            segments.push(part.to_owned());
            kind
        }
        "kv" => {
            segments.push("kv".to_owned());
            Kind::String
        }
        _ => {
            if random.chance(10) {
                segments.push("value".to_owned());
            }
            value
        }
    }
}

fn segment(random: &mut Random, kind: Kind, segments: &mut Vec<String>) -> Kind {
    let marked = *random.pick(MARKED);
    let (text, result) = match random.weighted(&[(60, 0), (25, 1), (8, 2), (7, 3)]) {
        0 => {
            let names = [
                "upper",
                "lower",
                "reverse",
                "append:!",
                "append:b",
                "prepend:a",
                "prefix:1",
                "prefix:3",
                "first_word",
                "before::",
                "after::",
                "to_string",
            ];
            ((*random.pick(&names)).to_owned(), Kind::String)
        }
        1 => {
            let names = [
                "length",
                "parse_long",
                "add:1",
                "add:-3",
                "mod:3",
                "mod:10",
                "const_long:5",
            ];
            ((*random.pick(&names)).to_owned(), Kind::Long)
        }
        2 => {
            let names = ["const:k", "if_null:none", "if_null:a"];
            ((*random.pick(&names)).to_owned(), Kind::String)
        }
        _ => {
            let same = random.weighted(&[(8, 0), (1, 1), (1, 2)]);
            let text = match same {
                0 => format!("null_if:{marked}"),
                1 => "null".to_owned(),
                _ => "identity".to_owned(),
            };
            (text, kind)
        }
    };
    segments.push(text);
    result
}

/// A test of (key, value).
pub(crate) fn test(random: &mut Random, key: Kind, value: Kind, fails: bool) -> String {
    let mut segments = Vec::new();
    let kind = start(random, key, value, &mut segments);
    if random.chance(20) {
        segment(random, kind, &mut segments);
    }
    if fails && random.chance(40) {
        segments.push(format!("fail_if:{}", random.pick(MARKED)));
    }
    let tests = [
        "always",
        "never",
        "is_null",
        "not_null",
        "not_null",
        "eq:a",
        "contains:a",
        "contains::",
        "starts_with:b",
        "gt:1",
        "gt:3",
        "lt:4",
        "lt:20",
        "even",
        "even",
    ];
    segments.push((*random.pick(&tests)).to_owned());
    segments.join("|")
}

/// A list function of (key, value), and the kind of its items.
pub(crate) fn list(random: &mut Random, key: Kind, value: Kind) -> (String, Kind) {
    let mut segments = Vec::new();
    let mut kind = start(random, key, value, &mut segments);
    if random.chance(20) {
        kind = segment(random, kind, &mut segments);
    }
    let (last, kind) = match random.below(4) {
        0 | 1 => ("split_words".to_owned(), Kind::String),
        2 => ("chars".to_owned(), Kind::String),
        _ => (format!("repeat:{}", random.between(0, 3)), kind),
    };
    segments.push(last);
    (segments.join("|"), kind)
}

/// A joiner of (left, right), and the kind of its results; one that sees the key only where `keyed`.
pub(crate) fn joiner(
    random: &mut Random,
    left: Kind,
    right: Kind,
    keyed: bool,
    fails: bool,
) -> (String, Kind) {
    if fails && random.chance(60) {
        let pair = format!("{},{}", random.pick(MARKED), random.pick(MARKED));
        return (format!("fail_if:{pair}"), Kind::String);
    }
    match random.weighted(&[
        (40, 0),
        (10, 1),
        (10, 2),
        (10, 3),
        (10, 4),
        (10, 5),
        (10, 6),
    ]) {
        1 => ("left".to_owned(), left),
        2 => ("right".to_owned(), right),
        3 => ("sum".to_owned(), Kind::Long),
        4 => {
            let pair = format!("{},{}", random.pick(MARKED), random.pick(MARKED));
            (format!("null_if:{pair}"), Kind::String)
        }
        5 if keyed => ("key_concat".to_owned(), Kind::String),
        6 => ("concat:/".to_owned(), Kind::String),
        _ => ("concat".to_owned(), Kind::String),
    }
}

/// A reducer or merger that keeps the kind.
pub(crate) fn reducer(random: &mut Random, kind: Kind) -> String {
    let marked = *random.pick(MARKED);
    match kind {
        Kind::Long => {
            (*random.pick(&["sum", "sum", "max", "min", "last", "first", "diff"])).to_owned()
        }
        _ => match random.below(12) {
            0 => "concat:-".to_owned(),
            1 => "first".to_owned(),
            2 => "last".to_owned(),
            3 => "max".to_owned(),
            4 => "min".to_owned(),
            5 => format!("null_if:{marked}"),
            _ => "concat".to_owned(),
        },
    }
}

/// An aggregator of values of `value` into results of `result`.
pub(crate) fn aggregator(random: &mut Random, value: Kind, result: Kind) -> String {
    let long = [
        "sum",
        "sum",
        "count",
        "max",
        "min",
        "diff",
        "null_at:3",
        "uncount",
    ];
    let text = [
        "concat",
        "concat",
        "concat:/",
        "key_concat",
        "null_if:a",
        "null_if:7",
    ];
    if value == result && random.chance(8) {
        return "last".to_owned();
    }
    match result {
        Kind::Long => (*random.pick(&long)).to_owned(),
        _ => (*random.pick(&text)).to_owned(),
    }
}

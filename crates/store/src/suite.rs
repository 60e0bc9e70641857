//! What every ordered byte store does, as tests over [`ByteStore`]. Not layouts, commits or checkpoints.
//! Invariant: each engine and each layer of a store runs all of it.

use crate::{ByteStore, Direction, KeyRange, ReadBytes};
use std::ops::{Bound, ControlFlow};

/// What the suite is run on: a store, and a way to move what was written to the layer under test.
pub(crate) trait Subject {
    /// The store.
    fn store(&mut self) -> &mut dyn ByteStore;
    /// Moves every write so far to the layer under test.
    fn sink(&mut self);
}

type Check = (&'static str, fn(&mut dyn Subject));

const CHECKS: &[Check] = &[
    ("an absent key is not found", absent),
    ("the last write of a key wins", last_write_wins),
    ("a deletion hides the layers below", deletion_hides),
    ("empty keys and values are entries", empty_bytes),
    ("a scan honours each kind of bound", bounds),
    ("a scan backward is the reverse of one forward", backward),
    ("a scan ends when the visitor breaks", break_ends),
    ("a scan merges layers", layers_merge),
    ("keys that are prefixes of one another stay apart", prefixes),
    ("long values survive", long_values),
    ("a scan reads many entries in both directions", many),
];

/// Runs the suite, a fresh subject for each check.
#[track_caller]
pub(crate) fn run<S: Subject>(mut fresh: impl FnMut() -> S) {
    for (name, check) in CHECKS {
        println!("{name}");
        check(&mut fresh());
    }
}

/// As [`run`], without the check that writes thousands of times.
#[track_caller]
pub(crate) fn run_small<S: Subject>(mut fresh: impl FnMut() -> S) {
    for (name, check) in &CHECKS[..CHECKS.len() - 1] {
        println!("{name}");
        check(&mut fresh());
    }
}

pub(crate) fn get(store: &dyn ReadBytes, key: &[u8]) -> Option<Vec<u8>> {
    let mut value = b"left over".to_vec();
    store.get(key, &mut value).unwrap().then_some(value)
}

pub(crate) fn all(
    store: &dyn ReadBytes,
    range: KeyRange<'_>,
    direction: Direction,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut visit = |key: &[u8], value: &[u8]| {
        entries.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    };
    store.scan(range, direction, &mut visit).unwrap();
    entries
}

fn keys(store: &dyn ReadBytes, range: KeyRange<'_>, direction: Direction) -> Vec<String> {
    let entries = all(store, range, direction);
    entries
        .into_iter()
        .map(|(key, _)| String::from_utf8(key).unwrap())
        .collect()
}

fn put_all(subject: &mut dyn Subject, keys: &[&str]) {
    for key in keys {
        subject
            .store()
            .put(key.as_bytes(), format!("value of {key}").as_bytes())
            .unwrap();
    }
}

fn absent(subject: &mut dyn Subject) {
    put_all(subject, &["a", "c"]);
    subject.sink();
    assert_eq!(get(subject.store(), b"b"), None);
    assert_eq!(
        get(subject.store(), b"a").as_deref(),
        Some(&b"value of a"[..])
    );
}

fn last_write_wins(subject: &mut dyn Subject) {
    for value in ["one", "two, longer", "3"] {
        subject.store().put(b"k", value.as_bytes()).unwrap();
        subject.sink();
        assert_eq!(
            get(subject.store(), b"k").as_deref(),
            Some(value.as_bytes())
        );
    }
    assert_eq!(
        keys(subject.store(), KeyRange::ALL, Direction::Forward),
        ["k"]
    );
}

fn deletion_hides(subject: &mut dyn Subject) {
    put_all(subject, &["a", "b", "c"]);
    subject.sink();
    subject.store().delete(b"b").unwrap();
    subject.store().delete(b"never there").unwrap();
    subject.sink();
    assert_eq!(get(subject.store(), b"b"), None);
    assert_eq!(
        keys(subject.store(), KeyRange::ALL, Direction::Forward),
        ["a", "c"]
    );
    subject.store().put(b"b", b"again").unwrap();
    subject.sink();
    assert_eq!(
        keys(subject.store(), KeyRange::ALL, Direction::Backward),
        ["c", "b", "a"]
    );
}

fn empty_bytes(subject: &mut dyn Subject) {
    subject.store().put(b"", b"value of the empty key").unwrap();
    subject.store().put(b"k", b"").unwrap();
    subject.sink();
    assert_eq!(
        get(subject.store(), b"").as_deref(),
        Some(&b"value of the empty key"[..])
    );
    assert_eq!(get(subject.store(), b"k").as_deref(), Some(&b""[..]));
    assert_eq!(
        keys(subject.store(), KeyRange::ALL, Direction::Forward),
        ["", "k"]
    );
}

fn bounds(subject: &mut dyn Subject) {
    put_all(subject, &["a", "b", "c", "d"]);
    subject.sink();
    let kind = |number: usize, key: &'static str| match number {
        0 => Bound::Included(key.as_bytes()),
        1 => Bound::Excluded(key.as_bytes()),
        _ => Bound::Unbounded,
    };
    let edges = ["", "a", "b", "bb", "c", "d", "e"];
    for (from_kind, to_kind) in (0..9).map(|pair| (pair / 3, pair % 3)) {
        for (from, to) in edges
            .iter()
            .flat_map(|from| edges.iter().map(move |to| (from, to)))
        {
            let range = KeyRange {
                from: kind(from_kind, from),
                to: kind(to_kind, to),
            };
            let inside = |key: &&&str| {
                let above = match range.from {
                    Bound::Included(from) => key.as_bytes() >= from,
                    Bound::Excluded(from) => key.as_bytes() > from,
                    Bound::Unbounded => true,
                };
                above
                    && match range.to {
                        Bound::Included(to) => key.as_bytes() <= to,
                        Bound::Excluded(to) => key.as_bytes() < to,
                        Bound::Unbounded => true,
                    }
            };
            let mut expected: Vec<&str> = ["a", "b", "c", "d"]
                .iter()
                .filter(inside)
                .copied()
                .collect();
            assert_eq!(
                keys(subject.store(), range, Direction::Forward),
                expected,
                "{range:?}"
            );
            expected.reverse();
            assert_eq!(
                keys(subject.store(), range, Direction::Backward),
                expected,
                "{range:?} backward"
            );
        }
    }
}

fn backward(subject: &mut dyn Subject) {
    put_all(subject, &["m", "a", "z", "k", "b"]);
    subject.sink();
    let mut entries = all(subject.store(), KeyRange::ALL, Direction::Forward);
    entries.reverse();
    assert_eq!(
        all(subject.store(), KeyRange::ALL, Direction::Backward),
        entries
    );
    assert_eq!(entries.len(), 5);
}

fn break_ends(subject: &mut dyn Subject) {
    put_all(subject, &["a", "b", "c"]);
    subject.sink();
    let mut seen = 0;
    let mut visit = |_: &[u8], _: &[u8]| {
        seen += 1;
        if seen == 2 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    subject
        .store()
        .scan(KeyRange::ALL, Direction::Forward, &mut visit)
        .unwrap();
    assert_eq!(seen, 2);
}

fn layers_merge(subject: &mut dyn Subject) {
    put_all(subject, &["a", "c", "e", "g"]);
    subject.sink();
    put_all(subject, &["b", "c", "h"]);
    subject.store().delete(b"e").unwrap();
    assert_eq!(
        keys(subject.store(), KeyRange::ALL, Direction::Forward),
        ["a", "b", "c", "g", "h"]
    );
    assert_eq!(
        keys(subject.store(), KeyRange::ALL, Direction::Backward),
        ["h", "g", "c", "b", "a"]
    );
    put_all(subject, &["d"]);
    assert_eq!(
        keys(
            subject.store(),
            KeyRange::inclusive(b"b", b"g"),
            Direction::Forward
        ),
        ["b", "c", "d", "g"]
    );
}

fn prefixes(subject: &mut dyn Subject) {
    let expected = ["a", "a\0", "a\0\0", "aa", "b"];
    put_all(subject, &["aa", "a\0\0", "b", "a", "a\0"]);
    subject.sink();
    assert_eq!(
        keys(subject.store(), KeyRange::ALL, Direction::Forward),
        expected
    );
    for key in expected {
        assert_eq!(
            get(subject.store(), key.as_bytes()),
            Some(format!("value of {key}").into_bytes())
        );
    }
}

fn long_values(subject: &mut dyn Subject) {
    let long = vec![7; 300_000];
    subject.store().put(b"long", &long).unwrap();
    subject.store().put(&[b'k'; 1_000], b"long key").unwrap();
    subject.sink();
    assert_eq!(get(subject.store(), b"long"), Some(long));
    assert_eq!(
        get(subject.store(), &[b'k'; 1_000]).as_deref(),
        Some(&b"long key"[..])
    );
}

fn many(subject: &mut dyn Subject) {
    let key = |number: u32| (number * 7_919 % 5_003).to_be_bytes();
    for number in 0..5_003 {
        subject
            .store()
            .put(&key(number), &number.to_be_bytes())
            .unwrap();
        if number % 1_000 == 0 {
            subject.sink();
        }
    }
    subject.sink();
    let entries = all(subject.store(), KeyRange::ALL, Direction::Forward);
    assert_eq!(entries.len(), 5_003);
    assert!(entries.is_sorted());
    let mut reversed = all(subject.store(), KeyRange::ALL, Direction::Backward);
    reversed.reverse();
    assert_eq!(entries, reversed);
}

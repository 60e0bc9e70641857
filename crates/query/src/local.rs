//! Answers from one reader, in the bytes of the store. Not the choice of the reader, and no wait.
//! Invariant: a page is of one commit, and bounded in entries handed out, entries looked at and bytes.

use crate::wire::{Answer, Question, Span, Times, VersionBytes};
use crate::{Blob, Error, Result};
use headwater_store::{
    Direction, Error as StoreError, KeyRange, ReadBytes, StoreReader, session, versioned, window,
};
use std::ops::{Bound, ControlFlow, RangeBounds, RangeInclusive};

/// Entries that one page looks at, handed out or not.
const LOOKED_AT_MAX: usize = 100_000;
/// Versions of one answer.
const VERSIONS_MAX: usize = 10_000;

/// Answers from `reader`, which is `lag` records behind where it is a standby's.
pub(crate) fn answer(reader: &StoreReader, what: &Question, lag: Option<i64>) -> Result<Answer> {
    match what {
        Question::Get { key, .. } | Question::Await { key, .. } => {
            let value = value(reader, &key.0)?;
            Ok(Answer::Value { value, lag })
        }
        Question::Scan { span, .. } => scan(reader, span, lag),
        Question::Version { key, as_of_ms, .. } => {
            let snapshot = reader.snapshot();
            let version = match as_of_ms {
                Some(as_of_ms) => versioned::get_as_of(&snapshot, &key.0, *as_of_ms),
                None => versioned::get(&snapshot, &key.0),
            };
            let version = version.map_err(failed)?;
            Ok(Answer::Versions(
                version.into_iter().map(bytes_of).collect(),
            ))
        }
        Question::History {
            key,
            from_ms,
            to_ms,
            versions_max,
            ..
        } => {
            let (snapshot, mut versions) = (reader.snapshot(), Vec::new());
            let versions_max = (*versions_max).min(VERSIONS_MAX);
            let visit = &mut |version| {
                versions.push(bytes_of(version));
                match versions.len() < versions_max {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            };
            if versions_max > 0 {
                let read = versioned::get_between(&snapshot, &key.0, *from_ms, *to_ms, visit);
                read.map_err(failed)?;
            }
            Ok(Answer::Versions(versions))
        }
        Question::Changes { .. } => Err(Error::Refused("a feed is asked, not a store".into())),
        Question::Derive => Err(Error::Refused("a task is asked, not a store".into())),
    }
}

/// The value under a key, as the store keeps it.
pub(crate) fn value(reader: &StoreReader, key: &[u8]) -> Result<Option<Blob>> {
    let mut value = Vec::new();
    let found = reader.get(key, &mut value).map_err(failed)?;
    Ok(found.then_some(Blob(value)))
}

/// A store that was closed under its reader, or a snapshot that took too long, may be had again; all else is a failure.
fn failed(error: StoreError) -> Error {
    match error {
        StoreError::Refused { store, message } => {
            Error::NotReady(format!("store '{store}': {message}"))
        }
        error => Error::Store(error.to_string()),
    }
}

fn bytes_of(version: versioned::Version) -> VersionBytes {
    VersionBytes {
        value: Blob(version.value),
        valid_from_ms: version.valid_from_ms,
        valid_to_ms: version.valid_to_ms,
    }
}

/// The store keys to look at.
pub(crate) struct Bounds {
    from: Bound<Vec<u8>>,
    to: Bound<Vec<u8>>,
    times: RangeInclusive<i64>,
}

impl Bounds {
    pub(crate) fn of(span: &Span) -> Self {
        let given = |bound: &Option<Blob>| match bound {
            Some(key) => Bound::Included(key.0.clone()),
            None => Bound::Unbounded,
        };
        let mut bounds = Self {
            from: given(&span.from),
            to: given(&span.to),
            times: i64::MIN..=i64::MAX,
        };
        if let Some(prefix) = &span.prefix {
            bounds.not_before(Bound::Included(prefix.0.clone()));
            bounds.not_after(behind(&prefix.0));
        }
        bounds.take_times(&span.times);
        if let Some(resume) = &span.resume {
            let key = resume.key.0.clone();
            let bound = match resume.inclusive {
                true => Bound::Included(key),
                false => Bound::Excluded(key),
            };
            match span.reverse {
                true => bounds.not_after(bound),
                false => bounds.not_before(bound),
            }
        }
        bounds
    }

    fn take_times(&mut self, times: &Times) {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        match times {
            Times::Any => return,
            Times::Windows {
                key,
                from_ms,
                to_ms,
            } => {
                // Windows never start before the epoch, and negative times would sort last.
                let from_ms = (*from_ms).max(0);
                self.times = from_ms..=*to_ms;
                let Some(key) = key else { return };
                window::key(&key.0, from_ms, 0, &mut from);
                window::key(&key.0, (*to_ms).max(0), u32::MAX, &mut to);
            }
            Times::Sessions {
                key,
                earliest_end_ms,
                ..
            } => {
                let earliest_end_ms = (*earliest_end_ms).max(0);
                self.times = earliest_end_ms..=i64::MAX;
                let Some(key) = key else { return };
                session::key(&key.0, 0, earliest_end_ms, &mut from);
                session::key(&key.0, i64::MAX, i64::MAX, &mut to);
            }
        }
        self.not_before(Bound::Included(from));
        self.not_after(Bound::Included(to));
    }

    fn not_before(&mut self, bound: Bound<Vec<u8>>) {
        if is_tighter(&bound, &self.from, |a, b| a > b) {
            self.from = bound;
        }
    }

    fn not_after(&mut self, bound: Bound<Vec<u8>>) {
        if is_tighter(&bound, &self.to, |a, b| a < b) {
            self.to = bound;
        }
    }

    pub(crate) fn contains(&self, key: &[u8]) -> bool {
        let range = self.range();
        RangeBounds::<[u8]>::contains(&(range.from, range.to), key)
    }

    fn range(&self) -> KeyRange<'_> {
        KeyRange {
            from: self.from.as_ref().map(Vec::as_slice),
            to: self.to.as_ref().map(Vec::as_slice),
        }
    }
}

fn is_tighter(
    bound: &Bound<Vec<u8>>,
    than: &Bound<Vec<u8>>,
    further: impl Fn(&Vec<u8>, &Vec<u8>) -> bool,
) -> bool {
    match (bound, than) {
        (Bound::Unbounded, _) => false,
        (_, Bound::Unbounded) => true,
        (Bound::Excluded(key), Bound::Included(than)) => key == than || further(key, than),
        (
            Bound::Included(key) | Bound::Excluded(key),
            Bound::Included(than) | Bound::Excluded(than),
        ) => further(key, than),
    }
}

/// Where the keys that begin with `prefix` end.
fn behind(prefix: &[u8]) -> Bound<Vec<u8>> {
    let mut bytes = prefix.to_vec();
    while let Some(last) = bytes.pop() {
        if last < u8::MAX {
            bytes.push(last + 1);
            return Bound::Excluded(bytes);
        }
    }
    Bound::Unbounded
}

pub(crate) fn is_wanted(times: &Times, bytes: &[u8]) -> bool {
    let of = |wanted: &Option<Blob>, key: &[u8]| wanted.as_ref().is_none_or(|it| it.0 == key);
    match times {
        Times::Any => true,
        Times::Windows {
            key,
            from_ms,
            to_ms,
        } => window::parse(bytes).is_some_and(|(found, start, _)| {
            of(key, found) && (*from_ms..=*to_ms).contains(&start)
        }),
        Times::Sessions {
            key,
            earliest_end_ms,
            latest_start_ms,
        } => session::parse(bytes).is_some_and(|(found, start, end)| {
            of(key, found) && end >= *earliest_end_ms && start <= *latest_start_ms
        }),
    }
}

fn scan(reader: &StoreReader, span: &Span, lag: Option<i64>) -> Result<Answer> {
    let (snapshot, bounds) = (reader.snapshot(), Bounds::of(span));
    let direction = match span.reverse {
        true => Direction::Backward,
        false => Direction::Forward,
    };
    let (mut entries, mut more) = (Vec::new(), None);
    let (mut bytes, mut looked_at) = (0, 0);
    let visit = &mut |key: &[u8], value: &[u8]| {
        looked_at += 1;
        if is_wanted(&span.times, key) {
            bytes += key.len() + value.len();
            entries.push((Blob::from(key), Blob::from(value)));
        }
        let is_full = entries.len() >= span.entries_max.max(1) || bytes >= span.bytes_max;
        match is_full || looked_at >= LOOKED_AT_MAX {
            true => {
                more = Some(Blob::from(key));
                ControlFlow::Break(())
            }
            false => ControlFlow::Continue(()),
        }
    };
    let range = bounds.range();
    if !range.is_empty() && !bounds.times.is_empty() {
        let read = snapshot.scan_times(range, bounds.times.clone(), direction, visit);
        read.map_err(failed)?;
    }
    Ok(Answer::Entries {
        entries,
        more,
        commit: snapshot.commit_number(),
        lag,
    })
}

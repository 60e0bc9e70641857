//! A table of settings by name, each with a verdict: honoured, without effect, or refused. Kafka's client and the runtime have one each.
//! Not the values. Invariant: a name that is not in the table has a nearest one that is, to suggest.

mod properties;

pub use properties::parse_properties;

/// What happens to a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingVerdict {
    /// Taken over.
    Honoured,
    /// Changes nothing here; a notice says so.
    NoEffect,
    /// Would change results or security and is not supported: an error.
    Refused,
}

/// A known setting.
#[derive(Clone, Copy, Debug)]
pub struct SettingName {
    /// Its name.
    pub name: &'static str,
    /// What happens to it.
    pub verdict: SettingVerdict,
    /// What it takes, or why it is not taken and what to do instead.
    pub note: &'static str,
}

/// A setting that is taken over.
pub const fn honoured(name: &'static str, note: &'static str) -> SettingName {
    SettingName {
        name,
        verdict: SettingVerdict::Honoured,
        note,
    }
}

/// A setting that changes nothing.
pub const fn no_effect(name: &'static str, note: &'static str) -> SettingName {
    SettingName {
        name,
        verdict: SettingVerdict::NoEffect,
        note,
    }
}

/// A setting that is not supported and must not be ignored.
pub const fn refused(name: &'static str, note: &'static str) -> SettingName {
    SettingName {
        name,
        verdict: SettingVerdict::Refused,
        note,
    }
}

/// The setting of this name.
pub fn find(table: &'static [SettingName], name: &str) -> Option<&'static SettingName> {
    table.iter().find(|known| known.name == name)
}

/// The name of the table that is closest to `name`; empty for an empty table.
pub fn nearest(table: &'static [SettingName], name: &str) -> &'static str {
    table
        .iter()
        .map(|known| known.name)
        .min_by_key(|known| distance(name, known))
        .unwrap_or_default()
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

//! How scenarios write keys and values. Not the formats under test: bytes are made and read by hand here.
//! Invariant: what is shown can be read again.

use headwater_streams::{Headers, TestRecord};

/// The type of a key or a value.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Text,
    Unsigned,
    Signed,
    Hex,
    None,
    /// A text key in a window of so many ms.
    Window(i64),
}

pub(super) struct Kinds {
    pub(super) key: Kind,
    pub(super) value: Kind,
}

impl Kind {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "text" => Self::Text,
            "u64" => Self::Unsigned,
            "i64" => Self::Signed,
            "hex" => Self::Hex,
            "none" => Self::None,
            _ => {
                let size = name
                    .strip_prefix("window(")
                    .and_then(|rest| rest.strip_suffix(')'));
                Self::Window(
                    size.and_then(|size| size.parse().ok())
                        .unwrap_or_else(|| panic!("no type {name}")),
                )
            }
        }
    }

    fn bytes(self, text: &str) -> Option<Vec<u8>> {
        if text == "-" {
            return None;
        }
        Some(match self {
            Self::Text => text.trim_matches('"').as_bytes().to_vec(),
            Self::Unsigned => text
                .parse::<u64>()
                .expect("a number")
                .to_be_bytes()
                .to_vec(),
            Self::Signed => text
                .parse::<i64>()
                .expect("a number")
                .to_be_bytes()
                .to_vec(),
            Self::Hex => {
                let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
                (0..text.len()).step_by(2).map(digit).collect()
            }
            Self::None | Self::Window(_) => panic!("records in have no such type"),
        })
    }

    pub(super) fn show(self, bytes: Option<&[u8]>) -> String {
        let Some(bytes) = bytes else {
            return "-".into();
        };
        let number = || bytes.try_into().expect("eight bytes");
        match self {
            Self::Text => format!("{:?}", String::from_utf8_lossy(bytes)),
            Self::Unsigned => u64::from_be_bytes(number()).to_string(),
            Self::Signed => i64::from_be_bytes(number()).to_string(),
            Self::Hex => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
            Self::None => panic!("bytes where none belong"),
            Self::Window(size) => show_window(bytes, size, 8),
        }
    }

    /// As [`Kind::show`], for keys as stores hold them.
    pub(super) fn show_stored(self, bytes: &[u8]) -> String {
        match self {
            Self::Window(size) => show_window(bytes, size, 12),
            _ => self.show(Some(bytes)),
        }
    }
}

fn show_window(bytes: &[u8], size: i64, suffix: usize) -> String {
    let (key, rest) = bytes.split_at(bytes.len() - suffix);
    let start = i64::from_be_bytes(rest[..8].try_into().expect("eight bytes"));
    format!(
        "{:?}[{start},{})",
        String::from_utf8_lossy(key),
        start + size
    )
}

impl Kinds {
    /// Reads `KEY:VALUE @TIME NAME="VALUE"..`.
    pub(super) fn record(&self, line: &str) -> TestRecord {
        let (data, rest) = line.rsplit_once(" @").expect("a timestamp");
        let (time, headers) = rest.split_once(' ').unwrap_or((rest, ""));
        let (key, value) = split(data.trim());
        let mut record = TestRecord {
            key: self.key.bytes(key),
            value: self.value.bytes(value),
            timestamp: time.parse().expect("a timestamp"),
            headers: Headers::default(),
        };
        for header in headers.split_whitespace() {
            let (name, value) = header.split_once('=').expect("a header");
            record.headers.add(name, Kind::Text.bytes(value).as_deref());
        }
        record
    }

    pub(super) fn show(&self, record: &TestRecord) -> String {
        let (key, value) = (
            self.key.show(record.key.as_deref()),
            self.value.show(record.value.as_deref()),
        );
        let mut text = format!("{key}:{value} @{}", record.timestamp);
        for header in record.headers.as_ref().iter() {
            let value = header.value.map_or("-".into(), |value| {
                format!("{:?}", String::from_utf8_lossy(value))
            });
            text.push_str(&format!(" {}={value}", String::from_utf8_lossy(header.key)));
        }
        text
    }
}

/// Splits at the colon behind the key, which may be quoted.
fn split(data: &str) -> (&str, &str) {
    let from = match data.strip_prefix('"') {
        Some(rest) => rest.find('"').expect("a closing quote") + 2,
        None => 0,
    };
    let colon = from
        + data[from..]
            .find(':')
            .expect("a colon between key and value");
    (&data[..colon], &data[colon + 1..])
}

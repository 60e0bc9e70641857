//! The input topics of the jobs and their sizes. Not the records: `headwater-bench kafka fill` makes them.
//! Invariant: a topic's records follow from its row here and the size chosen, and from nothing else.

/// Records of `events` up to which a run only shows that everything goes.
const QUICK_RECORDS_MAX: u64 = 100_000;

/// How much of what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// Of `events`; other inputs are so many times smaller or larger.
    pub(super) records: u64,
    pub(super) keys: u64,
    pub(super) value_bytes: u64,
}

impl Size {
    /// Too small for figures.
    pub(super) fn is_quick(self) -> bool {
        self.records <= QUICK_RECORDS_MAX
    }
}

/// An input topic.
#[derive(Debug, PartialEq)]
pub(super) struct Input {
    pub(super) topic: &'static str,
    /// Records for each hundred of `events`.
    percent: u64,
    /// So many, whatever the size chosen.
    fixed_records: Option<u64>,
    /// Instead of those chosen.
    keys: Option<u64>,
    value_bytes: Option<u64>,
    words: bool,
    /// Each key comes once before some come again, but for those of each fifth record.
    in_turn: bool,
    /// Events of auctions, all of this kind, instead of records of the shape told.
    event: Option<&'static str>,
    compression: &'static str,
    seed: u32,
    /// Of the first record.
    timestamp_ms: u64,
    records_per_ms: u32,
}

const EPOCH_MS: u64 = 1_700_000_000_000;
/// So much before other inputs that a table is full when the first of their records comes, whatever the order of equal times.
const EARLIER_MS: u64 = 3_600_000;
/// Of each line.
const LINE_WORDS: u64 = 10;

impl Input {
    pub(super) const EVENTS: Self = Self {
        topic: "events",
        percent: 100,
        fixed_records: None,
        keys: None,
        value_bytes: None,
        words: false,
        in_turn: false,
        event: None,
        compression: "none",
        seed: 42,
        timestamp_ms: EPOCH_MS,
        records_per_ms: 100,
    };
    pub(super) const EVENTS_HALF: Self = Self {
        topic: "events-half",
        percent: 50,
        ..Self::EVENTS
    };
    pub(super) const EVENTS_LZ4: Self = Self {
        topic: "events-lz4",
        percent: 50,
        compression: "lz4",
        ..Self::EVENTS
    };
    pub(super) const EVENTS_ZSTD: Self = Self {
        topic: "events-zstd",
        percent: 50,
        compression: "zstd",
        ..Self::EVENTS
    };
    pub(super) const EVENTS_1KB: Self = Self {
        topic: "events-1kb",
        percent: 20,
        value_bytes: Some(1_000),
        ..Self::EVENTS
    };
    pub(super) const EVENTS_10M: Self = Self {
        topic: "events-10m",
        percent: 625,
        keys: Some(10_000_000),
        in_turn: true,
        ..Self::EVENTS
    };
    pub(super) const PROFILES: Self = Self {
        topic: "profiles",
        percent: 20,
        timestamp_ms: EPOCH_MS - EARLIER_MS,
        ..Self::EVENTS
    };
    /// Over the same time as those that it is joined with.
    pub(super) const CLICKS: Self = Self {
        topic: "clicks",
        percent: 5,
        seed: 43,
        records_per_ms: 10,
        ..Self::EVENTS
    };
    pub(super) const LINES: Self = Self {
        topic: "lines",
        percent: 20,
        words: true,
        ..Self::EVENTS
    };
    /// Of each fifty events of Nexmark one is a person, three are auctions, 46 are bids.
    pub(super) const PERSONS: Self = Self {
        topic: "persons",
        percent: 2,
        event: Some("persons"),
        ..Self::EVENTS
    };
    pub(super) const AUCTIONS: Self = Self {
        topic: "auctions",
        percent: 6,
        event: Some("auctions"),
        ..Self::EVENTS
    };
    pub(super) const BIDS: Self = Self {
        topic: "bids",
        percent: 92,
        event: Some("bids"),
        ..Self::EVENTS
    };
    /// Rows of Nexmark's side input, which a global table holds.
    pub(super) const LABELS: Self = Self {
        topic: "labels",
        fixed_records: Some(10_000),
        event: Some("labels"),
        ..Self::EVENTS
    };
    pub(super) const NOTHING: Self = Self {
        topic: "nothing",
        percent: 0,
        ..Self::EVENTS
    };

    /// Records of the topic.
    pub(super) fn records(&self, size: Size) -> u64 {
        let share = size.records * self.percent / 100;
        self.fixed_records.unwrap_or(share)
    }

    /// What a job that reads it sees: records, or the words of lines.
    pub(super) fn seen(&self, size: Size) -> u64 {
        let each = if self.words { LINE_WORDS } else { 1 };
        self.records(size) * each
    }

    /// Arguments of `fill`, and of `produce` without the topic.
    pub(super) fn shape(&self, size: Size) -> Vec<String> {
        let mut words = vec![
            format!("--records={}", self.records(size)),
            format!("--keys={}", self.keys.unwrap_or(size.keys)),
            format!(
                "--value-bytes={}",
                self.value_bytes.unwrap_or(size.value_bytes)
            ),
            format!("--seed={}", self.seed),
            format!("--first-timestamp-ms={}", self.timestamp_ms),
            format!("--records-per-ms={}", self.records_per_ms),
            format!("--set=compression.type={}", self.compression),
        ];
        if self.words {
            words.push("--words".to_owned());
        }
        if self.in_turn {
            words.push("--in-turn".to_owned());
        }
        if let Some(event) = self.event {
            words.push(format!("--event={event}"));
        }
        words
    }

    /// Keys drawn from and bytes of a value, as they are told with figures; events have theirs by themselves.
    pub(super) fn told(&self, size: Size) -> serde_json::Value {
        if self.event.is_some() {
            return serde_json::json!({
                "topic": self.topic,
                "records": self.records(size),
                "compression": self.compression,
            });
        }
        serde_json::json!({
            "topic": self.topic,
            "records": self.records(size),
            "keys_drawn_from": self.keys.unwrap_or(size.keys),
            "value_bytes": self.value_bytes.unwrap_or(size.value_bytes),
            "compression": self.compression,
        })
    }
}

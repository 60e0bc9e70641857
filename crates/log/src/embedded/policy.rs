//! A topic's settings as the embedded log obeys them, under Kafka's names. Not their storage: a topic keeps the text it was given.
//! Invariant: a topic that exists has settings that parse, so later code never meets a bad one.

use super::options::{EmbeddedOptions, SEGMENT_BYTES_MAX};
use crate::{Error, Result, TopicConfig};

/// What the settings of one topic come to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Policy {
    /// `cleanup.policy` names `delete`.
    pub(super) delete: bool,
    /// `cleanup.policy` names `compact`.
    pub(super) compact: bool,
    /// `retention.ms`; `None` keeps for ever, which is the default here: this log is the application's one copy.
    pub(super) retention_ms: Option<i64>,
    /// `retention.bytes`, per partition.
    pub(super) retention_bytes: Option<u64>,
    /// `segment.bytes`.
    pub(super) segment_bytes: u64,
    /// `segment.ms`.
    pub(super) segment_ms: i64,
    /// `delete.retention.ms`: how long compaction keeps a tombstone.
    pub(super) delete_retention_ms: i64,
    /// `min.compaction.lag.ms`.
    pub(super) min_compaction_lag_ms: i64,
    /// `min.cleanable.dirty.ratio`.
    pub(super) dirty_ratio: f64,
    /// `index.interval.bytes`.
    pub(super) index_interval_bytes: u64,
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl Policy {
    /// Reads the settings of `topic`; those the embedded log does not know are kept and have no effect.
    pub(super) fn parse(
        topic: &str,
        config: &TopicConfig,
        options: &EmbeddedOptions,
    ) -> Result<Self> {
        let settings = Settings { topic, config };
        let cleanup = config
            .get("cleanup.policy")
            .map_or("delete", String::as_str);
        let (mut delete, mut compact) = (false, false);
        for word in cleanup
            .split(',')
            .map(str::trim)
            .filter(|word| !word.is_empty())
        {
            match word {
                "delete" => delete = true,
                "compact" => compact = true,
                _ => return Err(settings.bad("cleanup.policy", "delete, compact or both")),
            }
        }
        let limit = |name: &str| -> Result<Option<i64>> {
            let value: i64 = settings.number(name, -1, -1..=i64::MAX)?;
            Ok((value >= 0).then_some(value))
        };
        Ok(Self {
            delete,
            compact,
            retention_ms: limit("retention.ms")?,
            retention_bytes: limit("retention.bytes")?.map(|bytes| bytes as u64),
            segment_bytes: settings.number(
                "segment.bytes",
                options.segment_bytes as i64,
                14..=SEGMENT_BYTES_MAX as i64,
            )? as u64,
            segment_ms: settings.number("segment.ms", 7 * DAY_MS, 1..=i64::MAX)?,
            delete_retention_ms: settings.number("delete.retention.ms", DAY_MS, 0..=i64::MAX)?,
            min_compaction_lag_ms: settings.number("min.compaction.lag.ms", 0, 0..=i64::MAX)?,
            dirty_ratio: settings.ratio("min.cleanable.dirty.ratio", 0.5)?,
            index_interval_bytes: settings.number("index.interval.bytes", 4096, 0..=i64::MAX)?
                as u64,
        })
    }
}

struct Settings<'a> {
    topic: &'a str,
    config: &'a TopicConfig,
}

impl Settings<'_> {
    fn number(
        &self,
        name: &str,
        default: i64,
        allowed: std::ops::RangeInclusive<i64>,
    ) -> Result<i64> {
        let Some(text) = self.config.get(name) else {
            return Ok(default);
        };
        match text.trim().parse() {
            Ok(value) if allowed.contains(&value) => Ok(value),
            _ => Err(self.bad(
                name,
                &format!("a number from {} to {}", allowed.start(), allowed.end()),
            )),
        }
    }

    fn ratio(&self, name: &str, default: f64) -> Result<f64> {
        let Some(text) = self.config.get(name) else {
            return Ok(default);
        };
        match text.trim().parse() {
            Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
            _ => Err(self.bad(name, "a number from 0 to 1")),
        }
    }

    fn bad(&self, name: &str, wanted: &str) -> Error {
        let value = self.config.get(name).map_or("", String::as_str);
        Error::Invalid(format!(
            "topic '{}': {name}={value} is not {wanted}",
            self.topic
        ))
    }
}

/// Kafka's rule for topic names (`Topic.validate`).
pub(super) fn check_name(name: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=249).contains(&name.len()) && name.bytes().all(legal) && name != "." && name != ".." {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "topic name '{name}': use 1 to 249 of a-z A-Z 0-9 . _ -, and neither '.' nor '..'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_keep_for_ever_and_bad_values_name_topic_and_setting() {
        let options = EmbeddedOptions::default();
        let policy = Policy::parse("t", &TopicConfig::new(), &options).unwrap();
        assert_eq!(
            (policy.delete, policy.compact, policy.retention_ms),
            (true, false, None)
        );
        let both = TopicConfig::from([("cleanup.policy".into(), "compact, delete".into())]);
        let policy = Policy::parse("t", &both, &options).unwrap();
        assert!(policy.delete && policy.compact);
        for (name, value) in [
            ("cleanup.policy", "shred"),
            ("segment.bytes", "3000000000"),
            ("retention.ms", "soon"),
            ("min.cleanable.dirty.ratio", "2"),
        ] {
            let config = TopicConfig::from([(name.into(), value.into())]);
            let error = Policy::parse("orders", &config, &options)
                .unwrap_err()
                .to_string();
            assert!(error.contains("orders") && error.contains(name), "{error}");
        }
        check_name("app-store-changelog").unwrap();
        for name in ["", ".", "..", "a/b", "ä", &"x".repeat(250)] {
            check_name(name).unwrap_err();
        }
    }
}

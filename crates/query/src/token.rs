//! Consistency tokens: positions in the log that a read must have seen. Not a session: it names records, not the one who wrote them.
//! Invariant: a token only grows; what is read back from its text is what was written, or refused.
//!
//! Text: base64url without padding of `version u8 = 1 | entries | crc32c u32 BE` of what lies before; an entry is
//! `topic length u16 BE | topic | partition u32 BE | offset i64 BE`.

use crate::{Error, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use headwater_log::{CommittedOffset, Offset, Receipt, TopicPartition};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Characters of a token's text: what fits a header of any proxy.
pub(crate) const TOKEN_CHARS_MAX: usize = 6_000;
const VERSION: u8 = 1;

/// What a read must have seen: of each partition everything before an offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token(BTreeMap<TopicPartition, Offset>);

impl Token {
    /// Demands nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds that everything of `at` before `next` must be visible; the greater of two offsets stays. Before 0 there is nothing, and
    /// nobody tells the position of a partition that is empty.
    pub fn demand(&mut self, at: TopicPartition, next: Offset) {
        if next <= 0 {
            return;
        }
        let known = self.0.entry(at).or_insert(next);
        *known = (*known).max(next);
    }

    /// What a commit wrote: as the log, or a source writer, receipted it.
    pub fn of_receipt(receipt: &Receipt) -> Self {
        receipt.ends.iter().cloned().collect()
    }

    /// What a commit of the application read and made visible.
    pub fn of_positions(positions: &[(TopicPartition, CommittedOffset)]) -> Self {
        let positions = positions.iter();
        positions
            .map(|(at, position)| (at.clone(), position.offset))
            .collect()
    }

    /// A record that was produced here.
    pub fn of_record(topic: &str, partition: u32, offset: Offset) -> Self {
        let mut token = Self::new();
        token.demand(
            TopicPartition::new(topic, partition),
            offset.saturating_add(1),
        );
        token
    }

    /// Takes what `other` demands too.
    pub fn merge(&mut self, other: &Token) {
        for (at, next) in &other.0 {
            self.demand(at.clone(), *next);
        }
    }

    /// What is demanded, by partition: the next offset after what must be visible.
    pub fn positions(&self) -> impl Iterator<Item = (&TopicPartition, Offset)> + '_ {
        self.0.iter().map(|(at, next)| (at, *next))
    }

    /// True when nothing is demanded.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(TopicPartition, Offset)> for Token {
    fn from_iter<I: IntoIterator<Item = (TopicPartition, Offset)>>(positions: I) -> Self {
        let mut token = Self::new();
        for (at, next) in positions {
            token.demand(at, next);
        }
        token
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        for (at, next) in &self.0 {
            // Kafka's topic names have 249 characters at most.
            let len = u16::try_from(at.topic.len()).map_err(|_| fmt::Error)?;
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(at.topic.as_bytes());
            bytes.extend_from_slice(&at.partition.to_be_bytes());
            bytes.extend_from_slice(&next.to_be_bytes());
        }
        let sum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&sum.to_be_bytes());
        f.write_str(&URL_SAFE_NO_PAD.encode(&bytes))
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.len() > TOKEN_CHARS_MAX {
            return Err(Error::Refused(format!(
                "a token of {} characters; {TOKEN_CHARS_MAX} are allowed",
                text.len()
            )));
        }
        let damaged = || Error::Refused("a token that is damaged, or none of ours".into());
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| damaged())?;
        let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if u32::from_be_bytes(*sum) != crc32c::crc32c(body) {
            return Err(damaged());
        }
        match body.split_first() {
            Some((&VERSION, entries)) => parse(entries).ok_or_else(damaged),
            Some((version, _)) => Err(Error::Refused(format!(
                "a token of version {version}; this instance knows {VERSION}"
            ))),
            None => Err(damaged()),
        }
    }
}

fn parse(mut rest: &[u8]) -> Option<Token> {
    let mut token = Token::new();
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk::<2>()?;
        let (topic, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        let (partition, after) = after.split_first_chunk::<4>()?;
        let (next, after) = after.split_first_chunk::<8>()?;
        let topic = std::str::from_utf8(topic).ok()?;
        let at = TopicPartition::new(topic, u32::from_be_bytes(*partition));
        token.demand(at, i64::from_be_bytes(*next));
        rest = after;
    }
    Some(token)
}

//! The text committed with an offset: Kafka Streams keeps the partition's time there (`TopicPartitionMetadata`).
//! Not needed to resume, but without it stream time restarts at -1. Invariant: text of another origin reads as unknown.

use base64::{Engine, prelude::BASE64_STANDARD};

const VERSION: u8 = 2;

/// The metadata text for a partition time, ms since the epoch (-1 unknown).
pub fn encode_metadata(partition_time: i64) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&partition_time.to_be_bytes());
    BASE64_STANDARD.encode(bytes)
}

/// The partition time in a metadata text; -1 when it holds none. Versions 1 and 2 are read.
pub fn decode_metadata(text: &str) -> i64 {
    let Ok(bytes) = BASE64_STANDARD.decode(text) else {
        return -1;
    };
    match bytes.split_first() {
        Some((&(1 | VERSION), rest)) => rest
            .first_chunk::<8>()
            .map_or(-1, |time| i64::from_be_bytes(*time)),
        _ => -1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kafka_streams_own() {
        assert_eq!(encode_metadata(1500), "AgAAAAAAAAXc");
        assert_eq!(encode_metadata(-1), "Av//////////");
        assert_eq!(decode_metadata("AgAAAAAAAAXc"), 1500);
        assert_eq!(
            decode_metadata("AgAAAAAAAAXcAAAAAQAAAAdzdG9yZS1hAAAAAAAABNI="),
            1500
        );
        assert_eq!(decode_metadata(""), -1);
        assert_eq!(decode_metadata("anything"), -1);
    }
}

//! A batch that a broker finds too large, in two. Not what decides that it is: the topic's `max.message.bytes`.
//! Invariant: the records, their order and their sequences are those of the whole, so the broker takes the halves for what they are.

use super::next_sequence;
use crate::compression::{self, Compression};
use bytes::Bytes;
use headwater_log::AppendRecord;
use headwater_log::batch::{BatchBuilder, BatchView, stamp};

/// More than `max.request.size` and `batch.size` let a batch be before compression.
const UNPACKED_BYTES_MAX: usize = 1 << 30;

/// The halves of a stamped batch, stamped, with their numbers of records; `None` for a single record.
pub(super) fn halves(batch: &[u8], compression: Compression) -> Option<[(Bytes, i32); 2]> {
    let header = BatchView::parse(batch).ok()?;
    let count = header.count();
    if count < 2 {
        return None;
    }
    let (producer, is_transactional) = (header.producer_id(), header.is_transactional());
    let epoch = i16::from_be_bytes(batch.get(51..53)?.try_into().ok()?);
    let sequence = i32::from_be_bytes(batch.get(53..57)?.try_into().ok()?);
    let mut unpacked = Vec::new();
    let whole = match header.compression() {
        0 => header,
        _ => {
            compression::unpack(batch, UNPACKED_BYTES_MAX, &mut unpacked).ok()?;
            BatchView::parse(&unpacked).ok()?
        }
    };
    let first_count = count / 2;
    let mut builders = [BatchBuilder::default(), BatchBuilder::default()];
    for (number, record) in whole.records().enumerate() {
        let record = record.ok()?;
        let half = usize::from(number >= first_count as usize);
        builders[half].append(&AppendRecord {
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers,
        });
    }
    let [mut first, mut second] = builders;
    let stamped = |builder: &mut BatchBuilder, sequence: i32| {
        let mut half = compression::pack(builder.finish(), compression).ok()?;
        stamp(&mut half, producer, epoch, sequence, is_transactional);
        Some(Bytes::from(half))
    };
    Some([
        (stamped(&mut first, sequence)?, first_count),
        (
            stamped(&mut second, next_sequence(sequence, first_count))?,
            count - first_count,
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compression::Codec;
    use headwater_log::HeadersRef;

    fn values(batch: &[u8], codec: Codec) -> Vec<Vec<u8>> {
        let mut unpacked = Vec::new();
        let whole = match codec {
            Codec::None => batch,
            _ => {
                compression::unpack(batch, 1 << 20, &mut unpacked).unwrap();
                &unpacked
            }
        };
        let view = BatchView::parse(whole).unwrap();
        let values = view.records().map(|it| it.unwrap().value.unwrap().to_vec());
        values.collect()
    }

    #[test]
    fn halves_hold_the_records_of_the_whole_with_sequences_that_go_on() {
        for codec in [Codec::None, Codec::Lz4, Codec::Zstd] {
            let compression = Compression { codec, level: None };
            let mut builder = BatchBuilder::default();
            for number in 0..5u8 {
                builder.append(&AppendRecord {
                    timestamp: 1_000 + i64::from(number),
                    key: None,
                    value: Some(&[number]),
                    headers: HeadersRef::NONE,
                });
            }
            let mut batch = compression::pack(builder.finish(), compression).unwrap();
            stamp(&mut batch, 7, 3, i32::MAX - 1, true);
            let [(first, one), (second, other)] = halves(&batch, compression).unwrap();
            assert_eq!((one, other), (2, 3));
            let whole = [values(&first, codec), values(&second, codec)].concat();
            assert_eq!(whole, [[0], [1], [2], [3], [4]]);
            for (half, sequence) in [(&first, i32::MAX - 1), (&second, 0)] {
                let view = BatchView::check(half).unwrap();
                assert_eq!((view.producer_id(), view.is_transactional()), (7, true));
                assert_eq!(half[51..53], 3i16.to_be_bytes());
                assert_eq!(half[53..57], sequence.to_be_bytes());
            }
            let view = BatchView::parse(&second).unwrap();
            assert_eq!((view.count(), view.max_timestamp()), (3, 1_004));
        }
    }

    #[test]
    fn one_record_has_no_halves() {
        let mut builder = BatchBuilder::default();
        builder.append(&AppendRecord {
            timestamp: 1,
            key: None,
            value: None,
            headers: HeadersRef::NONE,
        });
        let compression = Compression {
            codec: Codec::None,
            level: None,
        };
        assert!(halves(&builder.finish(), compression).is_none());
    }
}

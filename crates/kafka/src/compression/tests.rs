//! Packed batches against those of Kafka's Java client, against themselves, and against damage.
//! Not a broker. `java.txt` holds the same thirty transactional records as `MemoryRecords` of Kafka 4.3.1 wrote them with each
//! codec. Invariant: unpacked, all of them are the uncompressed one, but for the CRC.

use super::{Codec, Compression, pack, unpack};
use headwater_log::AppendRecord;
use headwater_log::batch::{BatchBuilder, BatchView};
use proptest::prelude::*;

const CODECS: [(&str, Codec); 5] = [
    ("none", Codec::None),
    ("gzip", Codec::Gzip),
    ("snappy", Codec::Snappy),
    ("lz4", Codec::Lz4),
    ("zstd", Codec::Zstd),
];
const BYTES_MAX: usize = 1 << 20;

fn java(codec: &str) -> Vec<u8> {
    let line = include_str!("tests/java.txt")
        .lines()
        .find_map(|line| line.strip_prefix(codec)?.strip_prefix(' '))
        .unwrap();
    (0..line.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap())
        .collect()
}

fn without_crc(mut batch: Vec<u8>) -> Vec<u8> {
    batch[super::CRC].fill(0);
    batch
}

fn unpacked(batch: &[u8]) -> Vec<u8> {
    let mut out = vec![7];
    unpack(batch, BYTES_MAX, &mut out).unwrap();
    assert_eq!(out.remove(0), 7, "what stood there stays");
    out
}

#[test]
fn what_java_packed_is_unpacked_to_the_same_batch() {
    for (name, codec) in CODECS {
        let batch = java(name);
        assert_eq!(BatchView::parse(&batch).unwrap().compression(), codec as u8);
        assert_eq!(
            without_crc(unpacked(&batch)),
            without_crc(java("none")),
            "{name}"
        );
    }
}

#[test]
fn a_packed_batch_keeps_its_header_and_a_crc_that_holds() {
    for (name, codec) in CODECS {
        let compression = Compression { codec, level: None };
        let packed = pack(java("none"), compression).unwrap();
        let view = BatchView::check(&packed).unwrap();
        assert_eq!(view.compression(), codec as u8, "{name}");
        assert!(view.is_transactional(), "{name}");
        assert_eq!(
            without_crc(unpacked(&packed)),
            without_crc(java("none")),
            "{name}"
        );
    }
}

#[test]
fn a_batch_that_would_grow_is_sent_as_it_is() {
    let mut builder = BatchBuilder::default();
    builder.append(&AppendRecord {
        key: Some(b"k"),
        value: Some(b"v"),
        timestamp: 5,
        ..AppendRecord::default()
    });
    let batch = builder.finish();
    for (_, codec) in CODECS {
        let packed = pack(batch.clone(), Compression { codec, level: None }).unwrap();
        assert_eq!(packed, batch);
    }
}

#[test]
fn no_batch_is_unpacked_beyond_the_limit() {
    let mut builder = BatchBuilder::default();
    let zeros = vec![0; BYTES_MAX];
    builder.append(&AppendRecord {
        value: Some(&zeros),
        ..AppendRecord::default()
    });
    let batch = builder.finish();
    for (name, codec) in &CODECS[1..] {
        let packed = pack(
            batch.clone(),
            Compression {
                codec: *codec,
                level: None,
            },
        )
        .unwrap();
        assert!(packed.len() < batch.len() / 10, "{name}");
        let mut out = vec![7];
        let error = unpack(&packed, BYTES_MAX / 2, &mut out).unwrap_err();
        assert!(format!("{error:?}").contains("a "), "{name}: {error:?}");
        assert_eq!(out, [7], "{name}");
        assert!(
            out.capacity() <= 2 * BYTES_MAX,
            "{name}: {}",
            out.capacity()
        );
        assert_eq!(
            without_crc(unpacked_up_to(&packed, 2 * BYTES_MAX)),
            without_crc(batch.clone()),
            "{name}"
        );
    }
}

fn unpacked_up_to(batch: &[u8], bytes_max: usize) -> Vec<u8> {
    let mut out = Vec::new();
    unpack(batch, bytes_max, &mut out).unwrap();
    out
}

#[test]
fn a_batch_whose_crc_does_not_hold_is_refused() {
    for (name, _) in CODECS {
        let mut batch = java(name);
        let last = batch.len() - 1;
        batch[last] ^= 1;
        let error = unpack(&batch, BYTES_MAX, &mut Vec::new()).unwrap_err();
        assert!(format!("{error:?}").contains("CRC"), "{name}: {error:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_records_come_back(
        values in prop::collection::vec(prop::option::of(prop::collection::vec(0u8..4, 0..3000)), 1..60),
        level in 1..9i32,
    ) {
        let mut builder = BatchBuilder::default();
        for (at, value) in values.iter().enumerate() {
            builder.append(&AppendRecord { value: value.as_deref(), timestamp: at as i64, ..AppendRecord::default() });
        }
        let batch = builder.finish();
        for (_, codec) in CODECS {
            let packed = pack(batch.clone(), Compression { codec, level: Some(level) }).unwrap();
            prop_assert_eq!(without_crc(unpacked(&packed)), without_crc(batch.clone()));
        }
    }

    #[test]
    fn damaged_records_under_a_sound_crc_never_panic(
        codec in 1..5usize,
        damage in prop::collection::vec((61usize..400, any::<u8>()), 1..6),
        cut in 61usize..500,
    ) {
        let mut batch = java(CODECS[codec].0);
        for (at, byte) in damage {
            let len = batch.len();
            batch[61 + (at - 61) % (len - 61)] = byte;
        }
        batch.truncate(cut);
        super::relabel(&mut batch, codec as u8);
        let crc = crc32c::crc32c(&batch[21..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        let mut out = Vec::new();
        let _ = unpack(&batch, BYTES_MAX, &mut out);
        prop_assert!(out.capacity() <= 4 * BYTES_MAX);
    }
}

//! The 128-bit hash by which a foreign-key join tells whether an answer is still about the present left row
//! (`state.internals.Murmur3.hash128`). Not the common Murmur3: Kafka Streams' seed and constants are Hive's.
//! Invariant: equal bytes have equal hashes here and in Java, since they meet on topics.

const SEED: u64 = 104_729;
const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;
const N1: u64 = 0x52dc_e729;
const N2: u64 = 0x3849_5ab5;

/// A hash as topics hold it: two longs, big-endian.
pub(crate) type Hash = [u8; 16];

/// The hash of `bytes`.
pub(crate) fn hash128(bytes: &[u8]) -> Hash {
    let (mut h1, mut h2) = (SEED, SEED);
    let (blocks, tail) = bytes.as_chunks::<16>();
    for block in blocks {
        let [k1, k2] = words(block);
        h1 ^= mix1(k1);
        h1 = h1.rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(N1);
        h2 ^= mix2(k2);
        h2 = h2.rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(N2);
    }
    let mut last = [0; 16];
    last[..tail.len()].copy_from_slice(tail);
    // Zeroes mix to zero, so that an absent word changes nothing.
    let [k1, k2] = words(&last);
    h2 ^= mix2(k2);
    h1 ^= mix1(k1);
    h1 ^= bytes.len() as u64;
    h2 ^= bytes.len() as u64;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    h1 = finish(h1);
    h2 = finish(h2);
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    let mut hash = [0; 16];
    hash[..8].copy_from_slice(&h1.to_be_bytes());
    hash[8..].copy_from_slice(&h2.to_be_bytes());
    hash
}

fn words(block: &[u8; 16]) -> [u64; 2] {
    let (halves, _) = block.as_chunks::<8>();
    [u64::from_le_bytes(halves[0]), u64::from_le_bytes(halves[1])]
}

fn mix1(word: u64) -> u64 {
    word.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn mix2(word: u64) -> u64 {
    word.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn finish(mut word: u64) -> u64 {
    word ^= word >> 33;
    word = word.wrapping_mul(0xff51_afd7_ed55_8ccd);
    word ^= word >> 33;
    word = word.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_kafka_streams() {
        // Values printed by org.apache.kafka.streams.state.internals.Murmur3.hash128 of 4.3.1.
        for (text, h1, h2) in [
            (
                "",
                -7_122_613_646_888_064_702_i64,
                -8_341_524_471_658_347_240_i64,
            ),
            (
                "hello",
                3_512_725_192_710_940_516,
                6_227_047_293_690_958_278,
            ),
            (
                "The quick brown fox jumps over the lazy dog",
                -1_779_949_751_512_360_504,
                -5_190_294_356_955_732_186,
            ),
        ] {
            let expected = [h1.to_be_bytes(), h2.to_be_bytes()].concat();
            assert_eq!(hash128(text.as_bytes()).as_slice(), expected, "{text}");
        }
    }
}

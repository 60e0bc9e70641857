//! Damaged answers: cut short, with bits turned, lengths blown up or bytes put in. A decoder may refuse or misread them.
//! Not a check of what it reads. Invariant: no panic, no hang, and memory in proportion to the bytes that came.

use super::{Dice, Random, every_message};
use crate::protocol::{Reader, Request, Response, wire};
use bytes::Bytes;

/// In all, over every message and version.
const DAMAGED_MESSAGES_MIN: u64 = 100_000;
const DAMAGED_PER_VALUE: u64 = 50;
const VALUES_PER_VERSION: u64 = 30;

/// Bytes that a decoder may hold at once for each byte that came: an element of an array is larger in memory than on the wire, and
/// an array that grows is there twice for a moment. With these seeds the most was 3.3.
const HELD_PER_BYTE_MAX: u64 = 4;
/// And beside them whatever came: the text of an error with the path to its field, and the first element of an array.
const HELD_BYTES_MAX: u64 = 1_024;

fn damage(bytes: &mut Vec<u8>, dice: &mut Dice) {
    for _ in 0..=dice.below(3) {
        let at = dice.below(bytes.len().max(1));
        match dice.below(6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at.min(bytes.len()), dice.next() as u8),
            // What a length or a count looks like when it is enormous, in each of its forms.
            2 => overwrite(bytes, at, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            3 => overwrite(bytes, at, &[0x7f, 0xff, 0xff, 0xff]),
            4 => overwrite(bytes, at, &[dice.next() as u8]),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, new) in bytes.iter_mut().skip(at).zip(with) {
        *byte = *new;
    }
}

macro_rules! damaged {
    ($($module:ident $name:ident $other_module:ident $other_name:ident;)*) => {
        #[test]
        fn no_damage_makes_a_decoder_panic_or_hold_more_than_a_few_times_what_came() {
            let mut damaged = 0;
            $({
                use crate::protocol::$module::$name as Message;
                for version in Message::VERSIONS {
                    for seed in 0..VALUES_PER_VERSION {
                        let dice = &mut Dice::new(seed);
                        let value = Message::random(wire(version, Message::FLEXIBLE_FROM), dice);
                        let mut whole = Vec::new();
                        value.encode(version, &mut whole);
                        for _ in 0..DAMAGED_PER_VALUE {
                            let mut bytes = whole.clone();
                            damage(&mut bytes, dice);
                            let len = bytes.len() as u64;
                            let mut reader = Reader::new(Bytes::from(bytes));
                            let held = allocation_counter::measure(|| {
                                // Its result is of no interest: either way is right as long as it comes back.
                                let _ = Message::decode(version, &mut reader);
                            });
                            assert!(
                                held.bytes_max <= HELD_PER_BYTE_MAX * len + HELD_BYTES_MAX,
                                "{} {version} seed {seed}: {} bytes held for {len} that came",
                                stringify!($name),
                                held.bytes_max
                            );
                            damaged += 1;
                        }
                    }
                }
            })*
            assert!(damaged >= DAMAGED_MESSAGES_MIN, "{damaged} damaged messages");
        }
    };
}
every_message!(damaged);

#[test]
fn a_count_without_its_elements_reserves_nothing() {
    use crate::protocol::metadata::MetadataResponse;
    // Throttle time, then 2^31 brokers in five bytes and nothing behind them.
    let bytes = Bytes::from_static(&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x07]);
    let error = MetadataResponse::decode(12, &mut Reader::new(bytes)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "malformed message: MetadataResponse.brokers: 2147483646 elements in 0 bytes"
    );
}

#[test]
fn bytes_behind_a_message_are_an_error() {
    use crate::protocol::heartbeat::HeartbeatResponse;
    let mut bytes = Vec::new();
    HeartbeatResponse::default().encode(4, &mut bytes);
    bytes.push(0);
    let error = HeartbeatResponse::decode(4, &mut Reader::new(bytes.into())).unwrap_err();
    assert_eq!(error.0, "1 bytes left after byte 7");
}

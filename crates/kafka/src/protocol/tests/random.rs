//! Random messages: every field its version has, from a seed.
//! Not realistic ones. Invariant: one seed, one message.

use crate::protocol::{
    ErrorCode, Uuid,
    wire::{Nullable, Wire},
};
use bytes::Bytes;

/// A small generator (xorshift64*), because what it draws must not depend on another crate's version.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        let mut dice = Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        dice.next();
        dice.next();
        dice
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }
}

/// A value drawn for a version.
pub(crate) trait Random: Sized {
    fn random(wire: Wire, dice: &mut Dice) -> Self;
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl Random for $type {
            fn random(_: Wire, dice: &mut Dice) -> Self {
                match dice.below(8) {
                    0 => 0,
                    1 => <$type>::MAX,
                    2 => <$type>::MIN,
                    _ => dice.next() as $type,
                }
            }
        }
    )*};
}
integers!(i8, i16, i32, i64, u16);

impl Random for bool {
    fn random(_: Wire, dice: &mut Dice) -> Self {
        dice.below(2) == 1
    }
}

impl Random for ErrorCode {
    fn random(_: Wire, dice: &mut Dice) -> Self {
        Self(dice.below(150) as i16 - 1)
    }
}

impl Random for Uuid {
    fn random(_: Wire, dice: &mut Dice) -> Self {
        Self(u128::from(dice.next()) << 64 | u128::from(dice.next()))
    }
}

impl Random for String {
    fn random(_: Wire, dice: &mut Dice) -> Self {
        // Now and then longer than one byte of a varint can say.
        let len = if dice.below(16) == 0 {
            127 + dice.below(200)
        } else {
            dice.below(12)
        };
        (0..len)
            .map(|_| char::from(b"abcdefgh.-_XYZ0123"[dice.below(18)]))
            .collect()
    }
}

impl Random for Bytes {
    fn random(_: Wire, dice: &mut Dice) -> Self {
        let len = dice.below(300);
        (0..len).map(|_| dice.next() as u8).collect()
    }
}

impl<T: Random> Random for Vec<T> {
    fn random(wire: Wire, dice: &mut Dice) -> Self {
        let len = dice.below(4);
        (0..len).map(|_| T::random(wire, dice)).collect()
    }
}

impl<T: Random + Nullable> Random for Option<T> {
    fn random(wire: Wire, dice: &mut Dice) -> Self {
        (dice.below(4) != 0).then(|| T::random(wire, dice))
    }
}

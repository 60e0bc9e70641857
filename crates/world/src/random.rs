//! Random numbers. Not cryptography. Invariant: a seeded source gives the same numbers for the same seed on every platform.

use std::sync::Mutex;

/// A source of random numbers, shared by reference.
pub trait Random: Send + Sync {
    /// The next 64 random bits.
    fn next_u64(&self) -> u64;
    /// A number in `0..bound`; `bound` must not be 0.
    fn below(&self, bound: u64) -> u64 {
        self.next_u64() % bound
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, seeded, good enough for jitter and simulation.
pub struct SeededRandom(Mutex<u64>);

impl SeededRandom {
    /// A source that repeats for the same `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        let mut state = self
            .0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

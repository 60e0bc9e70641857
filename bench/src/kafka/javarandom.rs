//! `java.util.Random`, by its documented recurrence: what a seed gives in Java it gives here.
//! Not a source of randomness. Invariant: the sequence equals that of the Java class, call by call.

/// The generator.
pub(super) struct JavaRandom {
    state: u64,
}

const MASK: u64 = (1 << 48) - 1;

impl JavaRandom {
    /// As `new Random(seed)`.
    pub(super) fn new(seed: i64) -> Self {
        Self {
            state: (seed as u64 ^ 0x5_DEEC_E66D) & MASK,
        }
    }

    fn next(&mut self, bits: u32) -> u32 {
        self.state = self.state.wrapping_mul(0x5_DEEC_E66D).wrapping_add(0xB) & MASK;
        (self.state >> (48 - bits)) as u32
    }

    /// `nextDouble`: 53 bits, 0 included, 1 not.
    pub(super) fn next_double(&mut self) -> f64 {
        let (high, low) = (u64::from(self.next(26)), u64::from(self.next(27)));
        ((high << 27) + low) as f64 / (1u64 << 53) as f64
    }

    /// `nextBytes`: four from each draw, the lowest first.
    pub(super) fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(4) {
            let draw = self.next(32).to_le_bytes();
            chunk.copy_from_slice(&draw[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seed_42_gives_what_java_gives() {
        let mut random = JavaRandom::new(42);
        assert_eq!(random.next_double(), 0.727_563_680_032_868_1);
        let mut bytes = [0; 6];
        JavaRandom::new(42).fill(&mut bytes);
        // new Random(42).nextInt() is -1170105035, the next one 234785527.
        assert_eq!(bytes[..4], (-1_170_105_035_i32).to_le_bytes());
        assert_eq!(bytes[4..], 234_785_527_i32.to_le_bytes()[..2]);
    }
}

//! Kafka's zig-zag variable-length integers (`ByteUtils.writeVarint`). Not Protobuf's unsigned ones.
//! Invariant: what `put` and `Numbers` write, `take` reads back.

/// Appends `value`.
#[inline]
pub fn put(buffer: &mut Vec<u8>, value: i64) {
    let mut bits = zigzag(value);
    while bits >= 0x80 {
        buffer.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    buffer.push(bits as u8);
}

/// A number as its bits are written: small ones of either sign have few.
#[inline(always)]
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// A number in zigzag of at most three bytes as [`put`] writes it, the first byte lowest; and how many bytes it has.
#[inline(always)]
pub(crate) fn small(bits: u64) -> (u64, usize) {
    if bits < 1 << 7 {
        return (bits, 1);
    }
    if bits < 1 << 14 {
        return (bits & 0x7f | 0x80 | (bits & 0x3f80) << 1, 2);
    }
    let spread = bits & 0x7f | (bits & 0x3f80) << 1 | (bits & 0x1f_c000) << 2;
    (spread | 0x8080, 3)
}

/// Writes what [`small`] answered to `at`, and scrap behind it: eight bytes in all. Moves `at` past the number.
#[inline(always)]
pub(crate) fn put_small(buffer: &mut [u8], at: &mut usize, (bits, len): (u64, usize)) {
    buffer[*at..*at + 8].copy_from_slice(&bits.to_le_bytes());
    *at += len;
}

/// Bytes of [`Numbers`]: more than its numbers take.
pub(crate) const NUMBERS_BYTES: usize = 32;

/// Up to three numbers, gathered where the compiler needs no check for room, to be copied as a block of fixed size.
pub(crate) struct Numbers {
    bytes: [u8; NUMBERS_BYTES],
    len: usize,
}

impl Numbers {
    /// A byte in front of the numbers where `first` has one.
    #[inline]
    pub(crate) fn new(first: Option<u8>) -> Self {
        let mut bytes = [0; NUMBERS_BYTES];
        bytes[0] = first.unwrap_or(0);
        let len = usize::from(first.is_some());
        Self { bytes, len }
    }

    /// Appends `value`, as [`put`].
    #[inline]
    pub(crate) fn put(&mut self, value: i64) {
        let mut bits = zigzag(value);
        while bits >= 0x80 {
            self.bytes[self.len % NUMBERS_BYTES] = bits as u8 | 0x80;
            self.len += 1;
            bits >>= 7;
        }
        self.bytes[self.len % NUMBERS_BYTES] = bits as u8;
        self.len += 1;
    }

    /// The number of bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Copies the block to `at` and moves `at` past the numbers: what is behind them is scrap.
    #[inline]
    pub(crate) fn copy(&self, buffer: &mut [u8], at: &mut usize) {
        buffer[*at..*at + NUMBERS_BYTES].copy_from_slice(&self.bytes);
        *at += self.len;
    }
}

/// Reads a number at `*position` and moves past it; `None` when the bytes end or it is longer than 64 bits.
#[inline(always)]
pub fn take(bytes: &[u8], position: &mut usize) -> Option<i64> {
    let rest = bytes.get(*position..)?;
    // One and two bytes are nearly all there is in a batch: lengths, and deltas of neighbours.
    let (bits, len) = match *rest {
        [first, ..] if first < 0x80 => (u64::from(first), 1),
        [first, second, ..] if second < 0x80 => {
            (u64::from(first & 0x7f) | u64::from(second) << 7, 2)
        }
        _ => take_long(rest)?,
    };
    *position += len;
    Some((bits >> 1) as i64 ^ -((bits & 1) as i64))
}

/// A number of any length, and its length.
#[inline(never)]
fn take_long(bytes: &[u8]) -> Option<(u64, usize)> {
    let (mut bits, mut shift) = (0, 0);
    for (index, byte) in bytes.iter().enumerate() {
        bits |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if *byte < 0x80 {
            return Some((bits, index + 1));
        }
        shift += 7;
    }
    None
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_survive() {
        for value in [
            0,
            -1,
            1,
            63,
            64,
            -64,
            -65,
            8191,
            8192,
            -8193,
            1 << 20,
            -(1 << 20),
            (1 << 20) - 1,
            1 << 21,
            (1 << 27) - 1,
            i64::from(i32::MAX),
            i64::MIN,
            i64::MAX,
        ] {
            let mut buffer = Vec::new();
            super::put(&mut buffer, value);
            let (mut numbers, mut block, mut end) = (super::Numbers::new(None), [0; 64], 0);
            numbers.put(value);
            numbers.copy(&mut block, &mut end);
            assert_eq!(buffer, block[..end], "{value}");
            if buffer.len() <= 3 {
                let (mut block, mut end) = ([0; 16], 0);
                super::put_small(&mut block, &mut end, super::small(super::zigzag(value)));
                assert_eq!(buffer, block[..end], "{value}");
            }
            let mut position = 0;
            assert_eq!(super::take(&buffer, &mut position), Some(value));
            assert_eq!(position, buffer.len());
        }
        assert_eq!(super::take(&[0x80; 12], &mut 0), None);
    }
}

//! Kafka's zig-zag variable-length integers (`ByteUtils.writeVarint`). Not Protobuf's unsigned ones.
//! Invariant: what `put` writes, `take` reads back, in `len` bytes.

/// Appends `value`.
#[inline]
pub(crate) fn put(buffer: &mut Vec<u8>, value: i64) {
    let mut bits = ((value << 1) ^ (value >> 63)) as u64;
    while bits >= 0x80 {
        buffer.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    buffer.push(bits as u8);
}

/// The number of bytes `put` writes.
#[inline]
pub(crate) fn len(value: i64) -> usize {
    let bits = ((value << 1) ^ (value >> 63)) as u64;
    (70 - (bits | 1).leading_zeros() as usize) / 7
}

/// Reads a number at `*position` and moves past it; `None` when the bytes end or it is longer than 64 bits.
#[inline]
pub(crate) fn take(bytes: &[u8], position: &mut usize) -> Option<i64> {
    let first = *bytes.get(*position)?;
    *position += 1;
    if first < 0x80 {
        return Some(i64::from(first >> 1) ^ -i64::from(first & 1));
    }
    let mut bits = u64::from(first & 0x7f);
    let mut shift = 7;
    loop {
        let byte = *bytes.get(*position)?;
        *position += 1;
        bits |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some((bits >> 1) as i64 ^ -((bits & 1) as i64));
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_survive_in_the_length_promised() {
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
            i64::from(i32::MAX),
            i64::MIN,
            i64::MAX,
        ] {
            let mut buffer = Vec::new();
            super::put(&mut buffer, value);
            assert_eq!(buffer.len(), super::len(value), "{value}");
            let mut position = 0;
            assert_eq!(super::take(&buffer, &mut position), Some(value));
            assert_eq!(position, buffer.len());
        }
        assert_eq!(super::take(&[0x80; 12], &mut 0), None);
    }
}

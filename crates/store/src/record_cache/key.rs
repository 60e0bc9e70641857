//! A key in its slot: short ones lie in the slot itself, longer ones in memory of their own.
//! Not compared here. Invariant: the bytes are those that were set last.

/// Keys of so many bytes need no memory of their own: numbers, short names, ids of 16 bytes.
const INLINE_BYTES: usize = 30;

/// A key.
#[derive(Debug)]
pub(super) enum Key {
    /// Its length and bytes, with scrap behind them.
    Short(u8, [u8; INLINE_BYTES]),
    Long(Vec<u8>),
}

impl Default for Key {
    fn default() -> Self {
        Self::Short(0, [0; INLINE_BYTES])
    }
}

impl Key {
    #[inline(always)]
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(len, bytes) => &bytes[..*len as usize],
            Self::Long(bytes) => bytes,
        }
    }

    /// Takes other bytes, in the memory it has where that will do.
    #[inline]
    pub(super) fn set(&mut self, key: &[u8]) {
        if key.len() > INLINE_BYTES {
            self.set_long(key);
            return;
        }
        if let Self::Long(_) = self {
            *self = Self::default();
        }
        if let Self::Short(len, bytes) = self {
            *len = key.len() as u8;
            bytes[..key.len()].copy_from_slice(key);
        }
    }

    #[cold]
    fn set_long(&mut self, key: &[u8]) {
        match self {
            Self::Long(bytes) => {
                bytes.clear();
                bytes.extend_from_slice(key);
            }
            Self::Short(..) => *self = Self::Long(key.to_vec()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn a_key_is_what_was_set_last_whatever_its_length_was() {
        let text: Vec<u8> = (0..100).collect();
        let mut key = Key::default();
        assert!(key.bytes().is_empty());
        for len in [0, 1, 30, 31, 100, 30, 29, 31, 32, 8, 0] {
            key.set(&text[..len]);
            assert_eq!(key.bytes(), &text[..len]);
        }
    }
}

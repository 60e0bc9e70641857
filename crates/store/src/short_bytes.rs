//! Bytes that lie where their owner lies as long as they are few, and in memory of their own otherwise.
//! Not compared by a search here. Invariant: the bytes are those that were set last.

use std::{fmt, ops::Deref};

/// So many need no memory of their own: numbers, short names, ids of 16 bytes, a count with its timestamp.
const INLINE_BYTES: usize = 30;

/// Keys and values of the record cache, 32 bytes each besides what a long one has on the heap.
#[derive(Clone)]
pub struct ShortBytes(Bytes);

#[derive(Clone)]
enum Bytes {
    /// How many, and the bytes with scrap behind them.
    Here(u8, [u8; INLINE_BYTES]),
    Heap(Vec<u8>),
}

impl ShortBytes {
    /// Takes other bytes, in the memory it has where that will do.
    #[inline]
    pub fn set(&mut self, bytes: &[u8]) {
        if bytes.len() > INLINE_BYTES {
            self.set_long(bytes);
            return;
        }
        if let Bytes::Heap(_) = self.0 {
            *self = Self::default();
        }
        if let Bytes::Here(len, place) = &mut self.0 {
            *len = bytes.len() as u8;
            // Rows of numbers are common: a copy of fixed size is no call.
            match (<&[u8; 16]>::try_from(bytes), place.first_chunk_mut()) {
                (Ok(bytes), Some(place)) => *place = *bytes,
                _ => place[..bytes.len()].copy_from_slice(bytes),
            }
        }
    }

    #[cold]
    fn set_long(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Bytes::Heap(heap) => {
                heap.clear();
                heap.extend_from_slice(bytes);
            }
            Bytes::Here(..) => self.0 = Bytes::Heap(bytes.to_vec()),
        }
    }

    /// The first byte that is not here but on the heap, for who wants it loaded.
    #[inline(always)]
    pub(crate) fn first_on_heap(&self) -> Option<u8> {
        match &self.0 {
            Bytes::Here(..) => None,
            Bytes::Heap(heap) => heap.first().copied(),
        }
    }
}

impl Deref for ShortBytes {
    type Target = [u8];

    #[inline(always)]
    fn deref(&self) -> &[u8] {
        match &self.0 {
            Bytes::Here(len, bytes) => &bytes[..*len as usize],
            Bytes::Heap(bytes) => bytes,
        }
    }
}

impl Default for ShortBytes {
    #[inline]
    fn default() -> Self {
        Self(Bytes::Here(0, [0; INLINE_BYTES]))
    }
}

impl From<&[u8]> for ShortBytes {
    fn from(bytes: &[u8]) -> Self {
        let mut short = Self::default();
        short.set(bytes);
        short
    }
}

impl PartialEq for ShortBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for ShortBytes {}

impl fmt::Debug for ShortBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::ShortBytes;

    #[test]
    fn they_are_what_was_set_last_whatever_their_number_was() {
        let text: Vec<u8> = (0..100).collect();
        let mut bytes = ShortBytes::default();
        assert!(bytes.is_empty());
        for len in [0, 1, 30, 31, 100, 30, 29, 31, 32, 8, 0] {
            bytes.set(&text[..len]);
            assert_eq!(bytes[..], text[..len]);
            assert_eq!(bytes.first_on_heap(), (len > 30).then_some(0));
        }
    }

    #[test]
    fn equal_bytes_are_equal_wherever_they_lie() {
        let mut moved = ShortBytes::from(&[7; 40][..]);
        moved.set(&[1, 2]);
        assert_eq!(moved, ShortBytes::from(&[1, 2][..]));
        assert_ne!(moved, ShortBytes::from(&[1][..]));
        assert_eq!(size_of::<Option<ShortBytes>>(), 32);
    }
}

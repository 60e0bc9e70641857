//! Memory of large frames: lent with its bytes, back once the last of them is dropped, on whatever thread.
//! Not a limit of what is in use. Invariant: memory that was lent comes back once, to where it was taken.

use crate::spare::Spare;
use bytes::Bytes;
use std::sync::Arc;

const SPARE_BUFFERS_MAX: usize = 2;
const SPARE_BYTES_MAX: usize = 8 << 20;

/// Buffers are of whole steps, so that one is as good as another.
const STEP_BYTES: usize = 1 << 20;

type Home = Arc<Spare<SPARE_BUFFERS_MAX, SPARE_BYTES_MAX>>;

/// Lends buffers.
#[derive(Default)]
pub(super) struct Lender(Home);

/// A buffer in use.
struct Lent {
    bytes: Vec<u8>,
    home: Home,
}

impl Lender {
    /// An empty buffer with room for so many bytes.
    pub(super) fn take(&self, bytes: usize) -> Vec<u8> {
        let room = bytes.next_multiple_of(STEP_BYTES);
        let mut buffer = self.0.take(room);
        buffer.clear();
        buffer.reserve_exact(room);
        buffer
    }

    /// Bytes whose memory comes back.
    pub(super) fn lend(&self, bytes: Vec<u8>) -> Bytes {
        let home = Arc::clone(&self.0);
        Bytes::from_owner(Lent { bytes, home })
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.keep(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::{Lender, STEP_BYTES};

    #[test]
    fn memory_comes_back_with_the_last_of_its_bytes_and_no_more_than_some_is_kept() {
        let lender = Lender::default();
        let mut buffer = lender.take(10);
        buffer.extend_from_slice(b"0123456789");
        let place = buffer.as_ptr();
        let lent = lender.lend(buffer);
        let slice = lent.slice(3..5);
        drop(lent);
        let other = lender.take(10);
        assert_ne!(other.as_ptr(), place);
        assert_eq!(&slice[..], b"34");
        drop(slice);
        let again = lender.take(STEP_BYTES);
        assert_eq!(again.as_ptr(), place);
        let many: Vec<_> = (0..5).map(|_| lender.lend(lender.take(1))).collect();
        drop(many);
        assert_eq!(lender.0.len(), 2);
        drop(lender.lend(vec![0; 32 << 20]));
        assert_eq!(lender.0.len(), 2);
    }
}

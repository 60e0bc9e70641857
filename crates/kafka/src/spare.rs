//! Buffers that wait to be used again, of whatever sizes. Not a limit of what is in use.
//! Invariant: at most `BUFFERS_MAX` buffers with room for `BYTES_MAX` bytes in all wait.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Buffers of one purpose.
#[derive(Default)]
pub(crate) struct Spare<const BUFFERS_MAX: usize, const BYTES_MAX: usize> {
    waiting: Mutex<Vec<Vec<u8>>>,
}

impl<const BUFFERS_MAX: usize, const BYTES_MAX: usize> Spare<BUFFERS_MAX, BYTES_MAX> {
    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The smallest buffer with room for so many bytes, with whatever it holds. Where none has room, the largest: its user lets it
    /// grow or go, so that buffers that became too small do not wait for ever. One without memory where none waits.
    pub(crate) fn take(&self, bytes: usize) -> Vec<u8> {
        let mut waiting = self.lock();
        let best = (0..waiting.len()).min_by_key(|at| {
            let room = waiting[*at].capacity();
            match room >= bytes {
                true => (false, room),
                false => (true, usize::MAX - room),
            }
        });
        best.map(|at| waiting.swap_remove(at)).unwrap_or_default()
    }

    /// Keeps a buffer unless enough wait.
    pub(crate) fn keep(&self, buffer: Vec<u8>) {
        let mut waiting = self.lock();
        let held: usize = waiting.iter().map(Vec::capacity).sum();
        if waiting.len() < BUFFERS_MAX && held + buffer.capacity() <= BYTES_MAX {
            waiting.push(buffer);
        }
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::Spare;

    #[test]
    fn the_best_fitting_buffer_is_used_again_and_the_largest_where_none_fits() {
        let spare = Spare::<3, 1_000>::default();
        for room in [100, 300, 200, 50] {
            spare.keep(Vec::with_capacity(room));
        }
        let taken = [150, 1_000, 10, 10].map(|bytes| spare.take(bytes).capacity());
        assert_eq!(taken, [200, 300, 100, 0]);
        spare.keep(Vec::with_capacity(600));
        spare.keep(Vec::with_capacity(500));
        assert_eq!([600, 0], [0; 2].map(|bytes| spare.take(bytes).capacity()));
    }
}

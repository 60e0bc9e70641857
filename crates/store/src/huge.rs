//! Large tables in huge pages, where the system gives them to who asks: an entry found by its hash is else as often looked for in the
//! page tables as in the table. Not an allocator: the memory stays the vector's, which may move or free it as ever.
//! Invariant: asking is all that is done; what lies in memory, and where, is the same afterwards.

#![allow(unsafe_code)] // a hint about a range of addresses is a call of the system that takes a pointer

/// Bytes of a huge page, of the usual size.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Below so many bytes a vector has no huge page that is surely its own.
const HUGE_BYTES_MIN: usize = 2 * HUGE_PAGE_BYTES;

/// Adds an item; memory that it makes the vector ask for may come in huge pages.
#[inline]
pub(crate) fn push<T>(items: &mut Vec<T>, item: T) {
    let grows = items.len() == items.capacity();
    items.push(item);
    if grows {
        prefer(items);
    }
}

/// Asks for huge pages for the whole pages of that size in a vector's memory. A refusal changes nothing: the kernel may have none, or
/// be told to give none.
#[cold]
pub(crate) fn prefer<T>(items: &Vec<T>) {
    let bytes = items.capacity() * size_of::<T>();
    if bytes < HUGE_BYTES_MIN {
        return;
    }
    let begin = items.as_ptr().cast::<u8>();
    let skipped = begin.align_offset(HUGE_PAGE_BYTES);
    let whole = bytes.saturating_sub(skipped) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    if whole > 0 {
        advise(begin.wrapping_add(skipped), whole);
    }
}

#[cfg(target_os = "linux")]
fn advise(begin: *const u8, bytes: usize) {
    use rustix::mm::{Advice, madvise};
    // SAFETY: the range lies in one allocation, and this advice changes neither content nor mapping of any page.
    let _ = unsafe { madvise(begin.cast_mut().cast(), bytes, Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
fn advise(_: *const u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::{HUGE_BYTES_MIN, push};

    #[test]
    fn what_lies_in_a_large_vector_stays_as_it_is_while_it_grows() {
        let count = 3 * HUGE_BYTES_MIN as u64 / 8;
        let mut numbers = Vec::new();
        (0..count).for_each(|number| push(&mut numbers, number));
        assert!(numbers.into_iter().eq(0..count));
    }
}

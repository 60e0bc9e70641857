//! Slots in pages: a list that grows without moving what it holds, and by no more than a page at a time.
//! Not a slab: free slots are the owner's business. Invariant: all pages but the last are full.

use std::ops::{Index, IndexMut};

/// Elements of a page, a power of two. The first page grows up to it, so that a small list is small.
const PAGE: usize = 1 << PAGE_BITS;
const PAGE_BITS: u32 = 10;

/// A list in pages.
pub(crate) struct Pages<T> {
    pages: Vec<Vec<T>>,
    len: usize,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Self {
            pages: Vec::new(),
            len: 0,
        }
    }
}

impl<T> Pages<T> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get(&self, at: usize) -> Option<&T> {
        (at < self.len).then(|| &self[at])
    }

    /// Appends an element; answers its number.
    pub(crate) fn push(&mut self, element: T) -> usize {
        let at = self.len;
        match self.pages.last_mut() {
            Some(page) if page.len() < PAGE => page.push(element),
            None => self.pages.push(vec![element]),
            Some(_) => {
                let mut page = Vec::with_capacity(PAGE);
                page.push(element);
                self.pages.push(page);
            }
        }
        self.len += 1;
        at
    }
}

impl<T> Index<usize> for Pages<T> {
    type Output = T;

    #[inline(always)]
    fn index(&self, at: usize) -> &T {
        &self.pages[at >> PAGE_BITS][at & (PAGE - 1)]
    }
}

impl<T> IndexMut<usize> for Pages<T> {
    #[inline(always)]
    fn index_mut(&mut self, at: usize) -> &mut T {
        &mut self.pages[at >> PAGE_BITS][at & (PAGE - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::{PAGE, Pages};

    #[test]
    fn what_was_pushed_is_where_it_was_over_several_pages() {
        let mut pages = Pages::default();
        for number in 0..3 * PAGE + 7 {
            assert_eq!(pages.push(number), number);
            pages[number / 2] += 0;
        }
        pages[PAGE] = 1;
        assert_eq!(pages.len(), 3 * PAGE + 7);
        for number in (0..pages.len()).filter(|number| *number != PAGE) {
            assert_eq!(pages[number], number);
        }
        assert_eq!((pages.get(PAGE), pages.get(pages.len())), (Some(&1), None));
        assert!(pages.pages.iter().all(|page| page.capacity() <= PAGE));
    }
}

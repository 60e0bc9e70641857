//! Whose turn it is: the inputs with waiting records, by the time of the first. Not a fair queue: `java.util.PriorityQueue`,
//! whose binary heap decides between equal times.
//! Invariant: an input is in the heap exactly while records wait in it, and its time is that of the first.

#[derive(Clone, Copy, Debug)]
struct Turn {
    timestamp: i64,
    input: usize,
}

/// A binary heap of inputs. As many as the topology reads topics.
#[derive(Debug, Default)]
pub(super) struct Turns(Vec<Turn>);

impl Turns {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an input at the end, and moves it up while it is strictly earlier than its parent.
    pub(super) fn offer(&mut self, timestamp: i64, input: usize) {
        let mut at = self.0.len();
        self.0.push(Turn { timestamp, input });
        while at > 0 {
            let parent = (at - 1) / 2;
            if timestamp >= self.0[parent].timestamp {
                break;
            }
            self.0.swap(at, parent);
            at = parent;
        }
    }

    /// Takes the head; the last one moves to the root, and down while it is strictly later than the earlier child: the left one
    /// unless the right one is strictly earlier.
    pub(super) fn poll(&mut self) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let head = self.0.swap_remove(0);
        let mut at = 0;
        loop {
            let mut child = 2 * at + 1;
            let Some(left) = self.0.get(child) else {
                break;
            };
            let right = self.0.get(child + 1);
            if right.is_some_and(|right| right.timestamp < left.timestamp) {
                child += 1;
            }
            if self.0[at].timestamp <= self.0[child].timestamp {
                break;
            }
            self.0.swap(at, child);
            at = child;
        }
        Some(head.input)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_leave_in_the_order_of_javas_heap() {
        let mut turns = Turns::default();
        for input in 0..5 {
            turns.offer(7, input);
        }
        let order: Vec<usize> = std::iter::from_fn(|| turns.poll()).collect();
        assert_eq!(order, [0, 4, 3, 2, 1]);
    }

    #[test]
    fn the_earliest_goes_first() {
        let mut turns = Turns::default();
        for (input, timestamp) in [5, 3, 9, 1, 3].into_iter().enumerate() {
            turns.offer(timestamp, input);
        }
        let order: Vec<usize> = std::iter::from_fn(|| turns.poll()).collect();
        assert_eq!(order[0], 3);
        assert_eq!(order[3..], [0, 2]);
    }
}

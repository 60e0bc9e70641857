//! The orders in which Java's collections list names, which show in `Topology.describe()`: a `HashSet` by hash bucket, and a
//! `TreeSet` whose comparator looks at sizes that grow while the set is filled.
//! Not collections to keep anything in. Invariant: the same shape as Java's red-black tree after each insertion, since a
//! later comparison takes the path that this shape gives.

/// The order in which a Java `HashSet<String>` lists `names`, given in the order they were added.
pub(super) fn in_hash_order<'n, T>(names: Vec<T>, name: impl Fn(&T) -> &'n str) -> Vec<T> {
    in_bucket_order(names, |item| string_hash(name(item)))
}

/// The order in which a Java `HashMap` lists the partitions 0 of these topics.
pub(crate) fn in_partition_order(topics: &[&str]) -> Vec<usize> {
    // `TopicPartition.hashCode`: 31 x (31 + partition) + the topic's.
    let hash = |at: &usize| string_hash(topics[*at]).wrapping_add(31 * 31);
    in_bucket_order((0..topics.len()).collect(), hash)
}

fn string_hash(text: &str) -> u32 {
    text.encode_utf16().fold(0, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(u32::from(unit))
    })
}

fn in_bucket_order<T>(mut items: Vec<T>, hash: impl Fn(&T) -> u32) -> Vec<T> {
    let mut capacity = 16;
    // Java doubles a table once more than 3/4 of it is taken.
    while items.len() > capacity * 3 / 4 {
        capacity *= 2;
    }
    // The sort is stable: what shares a bucket stays in the order it was added.
    items.sort_by_key(|item| {
        let hash = hash(item);
        (hash ^ (hash >> 16)) as usize & (capacity - 1)
    });
    items
}

const NIL: usize = usize::MAX;

struct Link {
    item: usize,
    /// Left and right.
    children: [usize; 2],
    parent: usize,
    red: bool,
}

/// A Java `TreeSet`: insertion and listing.
#[derive(Default)]
pub(super) struct TreeSet {
    links: Vec<Link>,
    root: usize,
}

impl TreeSet {
    /// Adds `item`; `less` is the comparator as of now.
    pub(super) fn insert(&mut self, item: usize, less: impl Fn(usize, usize) -> bool) {
        let added = self.links.len();
        let (mut parent, mut side) = (NIL, 0);
        let mut at = if added == 0 { NIL } else { self.root };
        while at != NIL {
            parent = at;
            side = usize::from(!less(item, self.links[at].item));
            at = self.links[at].children[side];
        }
        self.links.push(Link {
            item,
            children: [NIL; 2],
            parent,
            red: true,
        });
        match parent {
            NIL => self.root = added,
            _ => self.links[parent].children[side] = added,
        }
        self.balance(added);
    }

    /// The items from left to right.
    pub(super) fn items(&self) -> Vec<usize> {
        let mut items = Vec::with_capacity(self.links.len());
        let mut open = Vec::new();
        let mut at = if self.links.is_empty() {
            NIL
        } else {
            self.root
        };
        while at != NIL || !open.is_empty() {
            while at != NIL {
                open.push(at);
                at = self.links[at].children[0];
            }
            if let Some(link) = open.pop() {
                items.push(self.links[link].item);
                at = self.links[link].children[1];
            }
        }
        items
    }

    /// `TreeMap.fixAfterInsertion`.
    fn balance(&mut self, added: usize) {
        let mut at = added;
        while at != self.root && self.links[self.links[at].parent].red {
            let parent = self.links[at].parent;
            let grandparent = self.links[parent].parent;
            let side = usize::from(self.links[grandparent].children[1] == parent);
            let uncle = self.links[grandparent].children[1 - side];
            if uncle != NIL && self.links[uncle].red {
                self.links[parent].red = false;
                self.links[uncle].red = false;
                self.links[grandparent].red = true;
                at = grandparent;
                continue;
            }
            if at == self.links[parent].children[1 - side] {
                at = parent;
                self.rotate(at, side);
            }
            let parent = self.links[at].parent;
            self.links[parent].red = false;
            self.links[grandparent].red = true;
            self.rotate(grandparent, 1 - side);
        }
        let root = self.root;
        self.links[root].red = false;
    }

    /// Moves `at` down to `side`; its child on the other side takes its place.
    fn rotate(&mut self, at: usize, side: usize) {
        let risen = self.links[at].children[1 - side];
        let moved = self.links[risen].children[side];
        self.links[at].children[1 - side] = moved;
        if moved != NIL {
            self.links[moved].parent = at;
        }
        let parent = self.links[at].parent;
        self.links[risen].parent = parent;
        match parent {
            NIL => self.root = risen,
            _ => {
                let place = usize::from(self.links[parent].children[1] == at);
                self.links[parent].children[place] = risen;
            }
        }
        self.links[risen].children[side] = at;
        self.links[at].parent = risen;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_listed_in_the_order_of_javas_hash_set() {
        let names = in_hash_order(vec!["lru", "hs", "plain", "dupw"], |name| *name);
        assert_eq!(names, ["plain", "dupw", "hs", "lru"]);
    }

    #[test]
    fn a_tree_lists_what_was_inserted_in_order() {
        for step in [1, 3, 7, 11] {
            let mut tree = TreeSet::default();
            for number in 0..50 {
                tree.insert(number * step % 50, |a, b| a < b);
            }
            let expected: Vec<usize> = (0..50).collect();
            assert_eq!(tree.items(), expected, "step {step}");
        }
    }
}

//! The axes along which cost may grow, and the points of each. Not the measuring.
//! Invariant: along an axis nothing changes but what its name says and, where told, the number of records.

/// What is run at a point: the arguments of `headwater-bench growth`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) records: u64,
    pub(super) keys: u64,
    pub(super) value_bytes: u64,
    pub(super) partitions: u64,
    pub(super) workers: u64,
    pub(super) stores: u64,
    pub(super) idle_stores: u64,
    pub(super) chain: u64,
}

/// From which an axis departs.
const BASE: Point = Point {
    records: 2_000_000,
    keys: 200_000,
    value_bytes: 100,
    partitions: 4,
    workers: 1,
    stores: 1,
    idle_stores: 0,
    chain: 0,
};
/// By so much all is smaller that only shows whether everything goes.
const QUICK_DIVISOR: u64 = 100;
/// Bytes of values of an input, at most.
const INPUT_BYTES_MAX: u64 = 1_200_000_000;

/// An axis.
pub(super) struct Axis {
    pub(super) name: &'static str,
    /// What grows, in words.
    pub(super) what: &'static str,
    /// What else there is to know of its points, as a sentence.
    pub(super) remark: &'static str,
    pub(super) places: &'static [u64],
    at: fn(u64) -> Point,
}

/// An axis is added here and nowhere else.
pub(super) const AXES: &[Axis] = &[
    Axis {
        name: "keys",
        what: "distinct keys",
        remark: "Two million records and more: each key comes equally often, twice at least. From a million keys on the state is \
                 larger than all caches.",
        places: &[
            10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000,
        ],
        at: |keys| Point {
            records: keys * (BASE.records / keys).max(2),
            keys,
            ..BASE
        },
    },
    Axis {
        name: "value-bytes",
        what: "bytes of a value",
        remark: "20,000 keys; a million records, at 10 KB 120,000, which is 1.2 GB.",
        places: &[10, 100, 1_000, 10_000],
        at: |value_bytes| Point {
            records: (INPUT_BYTES_MAX / value_bytes).min(BASE.records / 2),
            keys: BASE.keys / 10,
            value_bytes,
            ..BASE
        },
    },
    Axis {
        name: "partitions",
        what: "partitions, each with a task and a store of its own",
        remark: "The same two million records and 200,000 keys, spread.",
        places: &[1, 4, 16, 64, 256],
        at: |partitions| Point { partitions, ..BASE },
    },
    Axis {
        name: "workers",
        what: "workers",
        remark: "8 partitions; the log and whatever else runs share the cores.",
        places: &[1, 2, 3, 4],
        at: |workers| Point {
            partitions: 2 * BASE.partitions,
            workers,
            ..BASE
        },
    },
    Axis {
        name: "stores",
        what: "stores, each counting every record",
        remark: "400,000 records, 40,000 keys: the work is that of records times stores, and the record cache is shared.",
        places: &[1, 2, 4, 8, 16, 32],
        at: |stores| Point {
            records: BASE.records / 5,
            keys: BASE.keys / 5,
            stores,
            ..BASE
        },
    },
    Axis {
        name: "idle-stores",
        what: "stores, of which one counts and the others get nothing",
        remark: "",
        places: &[1, 2, 4, 8, 16, 32],
        at: |stores| Point {
            idle_stores: stores - 1,
            ..BASE
        },
    },
    Axis {
        name: "chain",
        what: "operators without state before the count, each writing a byte of the value",
        remark: "",
        places: &[1, 2, 4, 8, 16, 32, 64],
        at: |chain| Point { chain, ..BASE },
    },
];

impl Axis {
    /// Places and points; of a quick run the first and the last, in small.
    pub(super) fn points(&self, is_quick: bool) -> Vec<(u64, Point)> {
        let all = self.places.iter().map(|place| (*place, (self.at)(*place)));
        if !is_quick {
            return all.collect();
        }
        let ends = [self.places.first(), self.places.last()];
        let ends = ends.into_iter().flatten();
        ends.map(|place| (*place, (self.at)(*place).small()))
            .collect()
    }
}

impl Point {
    fn small(self) -> Self {
        let keys = (self.keys / QUICK_DIVISOR).max(1);
        Self {
            keys,
            records: keys * (self.records / self.keys),
            ..self
        }
    }

    /// Each number by its name.
    pub(super) fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("records", self.records),
            ("keys", self.keys),
            ("value-bytes", self.value_bytes),
            ("partitions", self.partitions),
            ("workers", self.workers),
            ("stores", self.stores),
            ("idle-stores", self.idle_stores),
            ("chain", self.chain),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_equally_often_at_every_point() {
        for axis in AXES {
            for (place, point) in axis.points(false).into_iter().chain(axis.points(true)) {
                let (name, rest) = (axis.name, point.records % point.keys);
                assert!(
                    rest == 0 && point.records > 0,
                    "{name} at {place}: {point:?}"
                );
            }
        }
    }

    #[test]
    fn along_an_axis_its_name_is_what_grows() {
        for axis in AXES.iter().filter(|axis| axis.name != "idle-stores") {
            for (place, point) in axis.points(false) {
                let named = point.named();
                let mine = named.iter().find(|(name, _)| *name == axis.name);
                assert_eq!(mine, Some(&(axis.name, place)));
            }
        }
    }
}

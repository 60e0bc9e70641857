//! A store against the bare tree it stands on, at an equal memory budget, checkpoints included. Not a regression test: the
//! figures are ratios of two sides that alternate in one run. Invariant: both sides end with the same entries on disk.
//!
//! `cargo run --release -p headwater-store --example store_bench -- [rounds] [operations] [budget MiB]`
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
#![allow(clippy::unwrap_used, reason = "a benchmark stops at the first error")]

use headwater_store::{
    Budget, Direction, EngineKind, Entry, KeyRange, Layout, RecordCache, Store, StoreOptions,
    window,
};
use headwater_world::World;
use lsm_tree::{AbstractTree, AnyTree, SeqNo, SequenceNumberCounter, compaction::Leveled};
use std::{ops::ControlFlow, path::Path, sync::Arc, time::Instant};

const KEYS: u64 = 1_000_000;
const VALUE_BYTES: usize = 100;
/// Puts in one commit: what a worker takes in 100 ms at 100,000 records a second.
const COMMIT_OPERATIONS: u64 = 10_000;

/// Zipf with exponent 0.99, by rejection-free inversion over the harmonic sum (Gray et al. 1994).
struct Zipf {
    items: f64,
    alpha: f64,
    eta: f64,
    zeta: f64,
    theta: f64,
    state: u64,
}

impl Zipf {
    fn new(items: u64, theta: f64, seed: u64) -> Self {
        let zeta = |n: u64| (1..=n).map(|i| 1.0 / (i as f64).powf(theta)).sum::<f64>();
        let (zeta_n, zeta_2) = (zeta(items), zeta(2));
        let n = items as f64;
        let eta = (1.0 - (2.0 / n).powf(1.0 - theta)) / (1.0 - zeta_2 / zeta_n);
        Self {
            items: n,
            alpha: 1.0 / (1.0 - theta),
            eta,
            zeta: zeta_n,
            theta,
            state: seed,
        }
    }

    fn uniform(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// A rank, scattered over the key space so that hot keys are not neighbours.
    fn next(&mut self) -> u64 {
        let u = (self.uniform() >> 11) as f64 / (1_u64 << 53) as f64;
        let uz = u * self.zeta;
        let rank = if uz < 1.0 {
            0
        } else if uz < 1.0 + 0.5_f64.powf(self.theta) {
            1
        } else {
            (self.items * (self.eta * u - self.eta + 1.0).powf(self.alpha)) as u64
        };
        mix(rank) % KEYS
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key-000000000000";
    key[8..].copy_from_slice(&number.to_be_bytes());
    key
}

fn fill_value(seed: u64, value: &mut [u8; VALUE_BYTES]) {
    for (at, chunk) in value.chunks_mut(8).enumerate() {
        let bytes = mix(seed ^ (at as u64) << 40).to_le_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
}

/// The bare tree, as one would use it: a memtable, flushed and compacted when it is full.
struct Bare {
    tree: AnyTree,
    seqno: SequenceNumberCounter,
    memtable_bytes_max: u64,
}

impl Bare {
    fn open(dir: &Path, bytes: usize) -> Self {
        let seqno = SequenceNumberCounter::default();
        let cache = Arc::new(lsm_tree::Cache::with_capacity_bytes(bytes as u64 / 2));
        let tree = lsm_tree::Config::new(dir, seqno.clone(), SequenceNumberCounter::default())
            .use_cache(cache)
            .open()
            .unwrap();
        Self {
            tree,
            seqno,
            memtable_bytes_max: bytes as u64 / 2,
        }
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        let (_, size) = self.tree.insert(key, value, self.seqno.next());
        if size > self.memtable_bytes_max {
            self.flush();
        }
    }

    fn flush(&self) {
        self.tree.rotate_memtable();
        let lock = self.tree.get_flush_lock();
        self.tree.flush(&lock, self.seqno.get()).unwrap();
        drop(lock);
        let strategy = Arc::new(
            Leveled::default()
                .with_l0_threshold(4)
                .with_table_target_size(32 << 20),
        );
        self.tree.compact(strategy, self.seqno.get()).unwrap();
    }
}

struct Sides {
    budget: Arc<Budget>,
    store: Store,
    windows: Store,
    now_ms: i64,
    bare: Bare,
}

/// Operations of one side; answers seconds of wall time and of the process's CPU time.
fn measured(run: impl FnOnce()) -> (f64, f64) {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    run();
    (start.elapsed().as_secs_f64(), cpu_seconds() - cpu)
}

fn cpu_seconds() -> f64 {
    // Fields 14 and 15 of the line, in ticks of 10 ms: user and system time of all threads.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}

fn commit_if_due(store: &mut Store, operation: u64) {
    if operation % COMMIT_OPERATIONS == COMMIT_OPERATIONS - 1 {
        store.seal();
        store.commit(Some(operation as i64)).unwrap();
        if store.needs_checkpoint() {
            store.checkpoint().unwrap();
        }
    }
}

fn finish(store: &mut Store, operations: u64) {
    store.seal();
    store.commit(Some(operations as i64)).unwrap();
    store.checkpoint().unwrap();
}

type Side = fn(&mut Sides, u64, u64);

fn store_puts(sides: &mut Sides, operations: u64, seed: u64) {
    let mut value = [0; VALUE_BYTES];
    for operation in 0..operations {
        let number = mix(seed + operation) % KEYS;
        fill_value(operation, &mut value);
        sides.store.put(&key(number), &value).unwrap();
        commit_if_due(&mut sides.store, operation);
    }
    finish(&mut sides.store, operations);
}

fn bare_puts(sides: &mut Sides, operations: u64, seed: u64) {
    let mut value = [0; VALUE_BYTES];
    for operation in 0..operations {
        let number = mix(seed + operation) % KEYS;
        fill_value(operation, &mut value);
        sides.bare.put(&key(number), &value);
    }
    sides.bare.flush();
}

fn store_gets(sides: &mut Sides, operations: u64, seed: u64) {
    let (mut zipf, mut value) = (Zipf::new(KEYS, 0.99, seed), Vec::new());
    for _ in 0..operations {
        assert!(sides.store.get(&key(zipf.next()), &mut value).unwrap());
    }
}

fn bare_gets(sides: &mut Sides, operations: u64, seed: u64) {
    let mut zipf = Zipf::new(KEYS, 0.99, seed);
    for _ in 0..operations {
        assert!(
            sides
                .bare
                .tree
                .get(key(zipf.next()), SeqNo::MAX)
                .unwrap()
                .is_some()
        );
    }
}

fn store_uniform_gets(sides: &mut Sides, operations: u64, seed: u64) {
    let mut value = Vec::new();
    for operation in 0..operations {
        assert!(
            sides
                .store
                .get(&key(mix(seed + operation) % KEYS), &mut value)
                .unwrap()
        );
    }
}

fn bare_uniform_gets(sides: &mut Sides, operations: u64, seed: u64) {
    for operation in 0..operations {
        assert!(
            sides
                .bare
                .tree
                .get(key(mix(seed + operation) % KEYS), SeqNo::MAX)
                .unwrap()
                .is_some()
        );
    }
}

fn count_in(value: &mut [u8]) {
    let count = value
        .first_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes));
    value[..8].copy_from_slice(&(count + 1).to_be_bytes());
}

fn store_counters(sides: &mut Sides, operations: u64, seed: u64) {
    let (mut zipf, mut value) = (Zipf::new(KEYS, 0.99, seed), Vec::new());
    for operation in 0..operations {
        let key = key(zipf.next());
        assert!(sides.store.get(&key, &mut value).unwrap());
        count_in(&mut value);
        sides.store.put(&key, &value).unwrap();
        commit_if_due(&mut sides.store, operation);
    }
    finish(&mut sides.store, operations);
}

fn bare_counters(sides: &mut Sides, operations: u64, seed: u64) {
    let mut zipf = Zipf::new(KEYS, 0.99, seed);
    for _ in 0..operations {
        let key = key(zipf.next());
        let mut value = sides
            .bare
            .tree
            .get(key, SeqNo::MAX)
            .unwrap()
            .map(|value| value.to_vec())
            .unwrap();
        count_in(&mut value);
        sides.bare.put(&key, &value);
    }
    sides.bare.flush();
}

/// Counters over as many keys as fit: the working set of most aggregates.
fn hot(number: u64) -> [u8; 16] {
    key(mix(number) % 20_000)
}

fn store_hot_counters(sides: &mut Sides, operations: u64, seed: u64) {
    let mut value = Vec::new();
    for operation in 0..operations {
        let key = hot(seed + operation);
        assert!(sides.store.get(&key, &mut value).unwrap());
        count_in(&mut value);
        sides.store.put(&key, &value).unwrap();
        commit_if_due(&mut sides.store, operation);
    }
    finish(&mut sides.store, operations);
}

fn bare_hot_counters(sides: &mut Sides, operations: u64, seed: u64) {
    for operation in 0..operations {
        let key = hot(seed + operation);
        let mut value = sides
            .bare
            .tree
            .get(key, SeqNo::MAX)
            .unwrap()
            .map(|value| value.to_vec())
            .unwrap();
        count_in(&mut value);
        sides.bare.put(&key, &value);
    }
    sides.bare.flush();
}

fn store_scans(sides: &mut Sides, operations: u64, seed: u64) {
    for operation in 0..operations / 100 {
        let from = key(mix(seed + operation) % KEYS);
        let range = KeyRange {
            from: std::ops::Bound::Included(&from),
            to: std::ops::Bound::Unbounded,
        };
        let mut left = 100;
        let mut visit = |_: &[u8], _: &[u8]| {
            left -= 1;
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        sides
            .store
            .scan(range, Direction::Forward, &mut visit)
            .unwrap();
    }
}

fn bare_scans(sides: &mut Sides, operations: u64, seed: u64) {
    use lsm_tree::Guard;
    for operation in 0..operations / 100 {
        let from = key(mix(seed + operation) % KEYS);
        for entry in sides.bare.tree.range(from.., SeqNo::MAX, None).take(100) {
            entry.into_inner().unwrap();
        }
    }
}

/// A stream-stream join's side: put a record, fetch the records of a key within a second.
fn store_joins(sides: &mut Sides, operations: u64, seed: u64) {
    let mut bytes = Vec::new();
    for operation in 0..operations {
        sides.now_ms += 1;
        let number = mix(seed + operation) % 1_000;
        window::key(&key(number), sides.now_ms, 1, &mut bytes);
        sides.windows.put(&bytes, &[7; VALUE_BYTES]).unwrap();
        let (from_ms, to_ms) = (sides.now_ms - 1_000, sides.now_ms + 1_000);
        let mut visit = |_: &[u8], _: i64, _: u32, _: &[u8]| ControlFlow::Continue(());
        let other = key(mix(number) % 1_000);
        window::fetch(
            &sides.windows,
            &other,
            from_ms,
            to_ms,
            Direction::Forward,
            &mut visit,
        )
        .unwrap();
        commit_if_due(&mut sides.windows, operation);
        if operation % COMMIT_OPERATIONS == 0 {
            sides.windows.advance(sides.now_ms).unwrap();
        }
    }
    finish(&mut sides.windows, operations);
}

fn bare_joins(sides: &mut Sides, operations: u64, seed: u64) {
    use lsm_tree::Guard;
    let (mut from, mut to) = (Vec::new(), Vec::new());
    for operation in 0..operations {
        sides.now_ms += 1;
        let number = mix(seed + operation) % 1_000;
        window::key(&key(number), sides.now_ms, 1, &mut from);
        sides.bare.put(&from, &[7; VALUE_BYTES]);
        let other = key(mix(number) % 1_000);
        window::key(&other, sides.now_ms - 1_000, 0, &mut from);
        window::key(&other, sides.now_ms + 1_000, 0, &mut to);
        for entry in sides.bare.tree.range(&from[..]..&to[..], SeqNo::MAX, None) {
            entry.into_inner().unwrap();
        }
    }
    sides.bare.flush();
}

fn store_restores(sides: &mut Sides, operations: u64, seed: u64) {
    let mut value = [0; VALUE_BYTES];
    for operation in 0..operations {
        fill_value(operation, &mut value);
        sides
            .store
            .restore(&key(mix(seed + operation) % KEYS), Some(&value))
            .unwrap();
        if operation % COMMIT_OPERATIONS == 0 {
            sides.store.set_position(operation as i64);
            if sides.store.needs_checkpoint() {
                sides.store.checkpoint().unwrap();
            }
        }
    }
    finish(&mut sides.store, operations);
}

const TESTS: &[(&str, Side, Side)] = &[
    ("puts, random", store_puts, bare_puts),
    ("restore, random", store_restores, bare_puts),
    ("gets, zipf 0.99", store_gets, bare_gets),
    ("gets, uniform", store_uniform_gets, bare_uniform_gets),
    ("counter, zipf 0.99", store_counters, bare_counters),
    (
        "counter, 20 k hot keys",
        store_hot_counters,
        bare_hot_counters,
    ),
    ("scans of 100", store_scans, bare_scans),
    ("join: put and fetch", store_joins, bare_joins),
];

fn load(sides: &mut Sides) {
    let mut value = [0; VALUE_BYTES];
    for number in 0..KEYS {
        fill_value(number, &mut value);
        sides.store.put(&key(number), &value).unwrap();
        commit_if_due(&mut sides.store, number);
        sides.bare.put(&key(number), &value);
    }
    finish(&mut sides.store, KEYS);
    sides.bare.flush();
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn open(dir: &Path, bytes: usize) -> Sides {
    let budget = Budget::new(bytes * 3 / 4, bytes / 4);
    let disk = |name: &str| StoreOptions {
        engine: EngineKind::Disk,
        ..StoreOptions::named(name)
    };
    let layout = Layout::Window {
        retention_ms: 120_000,
        segment_interval_ms: 60_000,
    };
    let windows = StoreOptions {
        layout,
        ..disk("windows")
    };
    Sides {
        budget: budget.clone(),
        store: Store::open(
            disk("store"),
            Some(&dir.join("store")),
            &budget,
            &World::real(),
        )
        .unwrap(),
        windows: Store::open(windows, Some(&dir.join("windows")), &budget, &World::real()).unwrap(),
        now_ms: 10_000,
        bare: Bare::open(&dir.join("bare"), bytes),
    }
}

/// Throughput of both sides and their ratio, then CPU time of an operation and its ratio.
fn row(sides: &mut Sides, ours: Side, theirs: Side, operations: u64, round: u64) -> [f64; 6] {
    let (seed, scale) = (mix(round + 1), operations as f64);
    let mut pair = [(0.0, 0.0); 2];
    // Alternating order: what else runs on the machine hits both.
    for side in if round.is_multiple_of(2) {
        [0, 1]
    } else {
        [1, 0]
    } {
        let run = if side == 0 { ours } else { theirs };
        pair[side] = measured(|| {
            run(sides, operations, seed);
            // Compaction belongs to the side whose checkpoints asked for it.
            while !sides.budget.is_compaction_idle() {
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
        });
    }
    let [(wall, cpu), (bare_wall, bare_cpu)] = pair;
    let per_operation = |cpu: f64| cpu / scale * 1e6;
    [
        scale / wall,
        scale / bare_wall,
        bare_wall / wall,
        per_operation(cpu),
        per_operation(bare_cpu),
        bare_cpu / cpu,
    ]
}

/// Nanoseconds of CPU time of a read-modify-write in the record cache, all keys cached.
fn record_cache_ns(operations: u64) -> f64 {
    let mut cache = RecordCache::new(64 << 20);
    let (store, mut value) = (cache.add_store(), Vec::new());
    let context = Entry {
        context_len: 5,
        value_overhead: 0,
        ..Entry::default()
    };
    let (_, cpu) = measured(|| {
        for operation in 0..operations {
            let key = hot(operation);
            value.clear();
            value.extend_from_slice(
                cache
                    .get(store, &key)
                    .and_then(|entry| entry.value.as_deref())
                    .unwrap_or(&[0; 8]),
            );
            count_in(&mut value);
            cache.put_slice(store, &key, Some(&value), &context);
            if operation % (10 * COMMIT_OPERATIONS) == 0 {
                cache.take_dirty(store, &mut |key, entry| {
                    std::hint::black_box((key, entry));
                });
            }
        }
    });
    cpu / operations as f64 * 1e9
}

fn main() {
    let argument = |at: usize, default: u64| {
        std::env::args()
            .nth(at)
            .map_or(default, |text| text.parse().unwrap())
    };
    let (rounds, operations, budget_mib) =
        (argument(1, 5), argument(2, 1_000_000), argument(3, 64));
    let only = std::env::args().nth(4).unwrap_or_default();
    let dir = tempfile::tempdir().unwrap();
    let mut sides = open(dir.path(), (budget_mib as usize) << 20);
    load(&mut sides);
    println!(
        "{KEYS} keys of 16 B with {VALUE_BYTES} B, {budget_mib} MiB a side, {operations} operations, medians of {rounds}"
    );
    println!(
        "{:24} {:>12} {:>12} {:>8} {:>10} {:>10} {:>8}",
        "", "store op/s", "bare op/s", "ratio", "us CPU/op", "bare", "ratio"
    );
    for (name, ours, theirs) in TESTS.iter().filter(|test| test.0.contains(&only)) {
        let mut figures: [Vec<f64>; 6] = Default::default();
        for round in 0..rounds {
            for (figure, value) in figures
                .iter_mut()
                .zip(row(&mut sides, *ours, *theirs, operations, round))
            {
                figure.push(value);
            }
        }
        let [ours, bare, ratio, cpu, bare_cpu, cpu_ratio] = figures.map(median);
        println!(
            "{name:24} {ours:>12.0} {bare:>12.0} {ratio:>8.2} {cpu:>10.2} {bare_cpu:>10.2} {cpu_ratio:>8.2}"
        );
    }
    println!(
        "record cache, 20 k hot keys: {:.0} ns CPU for a get and a put",
        record_cache_ns(operations)
    );
    println!("{:?}", sides.store.stats());
}

//! Joins by foreign key while rows of both sides change faster than answers come back, in seeded order.
//! Not the corpus, where each record is answered before the next. Invariant: in the end the result holds the rows that both
//! tables' last rows give, and no other.

use crate::application::{impatient, read_all};
use headwater_log::MemoryLog;
use headwater_runtime::{Settings, SourceWriter, Worker};
use headwater_streams::{App, Semantics, Store, Topology, TopologySettings};
use headwater_world::{Random, SeededRandom, World};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The tables need not be partitioned alike.
const LEFT_PARTITIONS: u32 = 4;
const RIGHT_PARTITIONS: u32 = 3;
const WORKERS: usize = 4;
const CHANGES: u64 = 400;
const LEFT_KEYS: u64 = 60;
/// What a left row names is its value modulo this; the last one stands for none.
const FOREIGN_KEYS: i64 = 7;
const LEFT_VALUES: u64 = 35;
const RIGHT_VALUES: u64 = 5;
/// Steps between two changes, on average; an answer takes some tens of them.
const CHANGE_STEPS: u64 = 4;
const STEPS: usize = 4_000;
const SEEDS: u64 = 24;

fn foreign_key(row: i64) -> Option<i64> {
    Some(row % FOREIGN_KEYS).filter(|key| key + 1 < FOREIGN_KEYS)
}

fn joined(left: i64, right: i64) -> String {
    format!("{left} with {right}")
}

fn topology(semantics: Semantics) -> Arc<Topology> {
    let app = App::new("app");
    app.configure(TopologySettings {
        semantics,
        ..TopologySettings::default()
    });
    let left = app.table_in::<u64, i64>("left", Store::from("l").without_cache());
    let right = app.table_in::<i64, i64>("right", Store::from("r").without_cache());
    let by = right.by(|_: &u64, row: &i64| foreign_key(*row));
    left.join(by, |left, right| joined(*left, *right))
        .to_stream()
        .to("out");
    Arc::new(app.build().unwrap())
}

type Rows = BTreeMap<u64, String>;

/// Changes of both tables, deletions among them, and their last rows.
struct Changes {
    writer: SourceWriter,
    random: SeededRandom,
    written: u64,
    last_key: u64,
    left: BTreeMap<u64, Option<i64>>,
    right: BTreeMap<i64, Option<i64>>,
}

impl Changes {
    fn new(log: &MemoryLog, settings: &Settings, seed: u64) -> Self {
        let mut writer = SourceWriter::open(log, "app", "file", settings).unwrap();
        writer.ensure_topic("left", LEFT_PARTITIONS).unwrap();
        writer.ensure_topic("right", RIGHT_PARTITIONS).unwrap();
        writer.ensure_topic("out", 1).unwrap();
        Self {
            writer,
            random: SeededRandom::new(seed ^ 0x5eed),
            written: 0,
            last_key: 0,
            left: BTreeMap::new(),
            right: BTreeMap::new(),
        }
    }

    fn write_next(&mut self) {
        let random = &self.random;
        let row = |values| (random.below(8) > 0).then(|| random.below(values) as i64);
        let time = self.written as i64;
        if random.below(8) == 0 {
            // Half of the foreign keys never have a row.
            let (key, row) = (random.below(3) as i64 * 2, row(RIGHT_VALUES));
            self.writer.append("right", &key, &row, time).unwrap();
            self.right.insert(key, row);
        } else {
            let (key, row) = (self.next_key(), row(LEFT_VALUES));
            self.writer.append("left", &key, &row, time).unwrap();
            self.left.insert(key, row);
            self.last_key = key;
        }
        self.written += 1;
        self.writer.commit(self.written).unwrap();
    }

    /// Often the key before: what asks anew before it has been answered.
    fn next_key(&self) -> u64 {
        match self.random.below(2) {
            0 => self.last_key,
            _ => self.random.below(LEFT_KEYS),
        }
    }

    fn joined(self) -> Rows {
        let join = |(key, left): (u64, Option<i64>)| {
            let right = (*self.right.get(&foreign_key(left?)?)?)?;
            Some((key, joined(left?, right)))
        };
        self.left.into_iter().filter_map(join).collect()
    }
}

/// What the result held in the end, and what it should.
fn run(seed: u64, semantics: Semantics) -> [Rows; 2] {
    let simulation = World::simulated(seed);
    let log = MemoryLog::new(&simulation.world);
    let settings = Settings {
        world: impatient(&simulation),
        commit_interval_ms: 5,
        step_records_max: 3,
        session_timeout_ms: 150,
        rebalance_timeout_ms: 300,
        ..Settings::default()
    };
    let mut changes = Changes::new(&log, &settings, seed);
    let topology = topology(semantics);
    let join = |number| {
        Worker::join(&topology, &*log, settings.clone(), number)
            .unwrap()
            .0
    };
    let mut workers: Vec<Worker> = (0..WORKERS).map(join).collect();
    let random = SeededRandom::new(seed);
    for step in 0..STEPS {
        if changes.written < CHANGES && random.below(CHANGE_STEPS) == 0 {
            changes.write_next();
        }
        let number = random.below(WORKERS as u64) as usize;
        simulation.clock.advance(Duration::from_millis(1));
        // One dies without a word, and another takes its tasks over.
        if step == STEPS / 4 {
            workers[number] = join(WORKERS);
        }
        workers[number].step().unwrap();
    }
    assert_eq!(changes.written, CHANGES);
    drop(workers);
    let mut found = Rows::new();
    for (key, value) in read_all(&*log, &settings.world, "out") {
        let key = u64::from_be_bytes(key.try_into().unwrap());
        // A tombstone is read as nothing.
        if value.is_empty() {
            found.remove(&key);
        } else {
            found.insert(key, String::from_utf8(value).unwrap());
        }
    }
    [found, changes.joined()]
}

#[test]
fn no_row_stays_that_its_left_row_has_left_behind() {
    for seed in 0..SEEDS {
        let [found, expected] = run(seed, Semantics::Headwater);
        assert_eq!(found, expected, "seed {seed}");
    }
}

#[test]
fn kafka_streams_rule_keeps_stale_rows_there() {
    let mut stale = 0;
    for seed in 0..SEEDS {
        let [found, expected] = run(seed, Semantics::Java);
        for (key, row) in &expected {
            assert_eq!(
                found.get(key),
                Some(row),
                "seed {seed}: too many, not wrong"
            );
        }
        stale += found.len() - expected.len();
    }
    assert!(stale > 0, "rows change fast enough to tell");
}

//! Scenarios: text in, text out, through the test driver. `HEADWATER_BLESS=1` rewrites the files with what happens.
//! Not a comparison with Kafka Streams: `oracle` and `golden` are. Invariant: a scenario says everything a reader needs: the
//! topology's name, the types of its topics, the records in and, below each, what came out.
//!
//! ```text
//! topology count            a function of `scenario::topology`
//! cache 0                   bytes of the record cache; 10 MiB without this line
//! topic words text:text     how keys and values are written: text, u64, i64, hex, none, window(SIZE)
//! store counts text:u64
//! > words "a":"x" @5 h="v"  a record in: key, value, timestamp, headers; `-` is null
//! clock 100                 the wall clock moves on by 100 ms
//! < counts "a":1 @5         a record out, to one of the topics above
//! ! message                 what failed instead
//! dropped 1                 records passed over so far, where the number has changed
//! ? counts "a" = 1          the row in a store
//! ```

mod topology;
mod value;

use headwater_streams::{App, TestDriver};
use std::{collections::BTreeMap, fmt::Write, path::PathBuf};
use value::{Kind, Kinds};

macro_rules! scenarios {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(stringify!($name));
        }
    )*};
}

scenarios! {
    aggregate bad_data_dead_letter bad_data_fail bad_data_skip count count_without_cache filter flat_map headers
    join_inner join_left map merge null_keys null_keys_unit null_values process punctuation reduce repartition select_key
    split table_from_stream table_from_topic timestamps window_hopping window_keys window_tumbling
}

#[track_caller]
fn check(name: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/scenarios")
        .join(format!("{name}.txt"));
    let expected = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let actual = Scenario::default().run(&expected);
    if expected == actual {
        return;
    }
    if std::env::var_os("HEADWATER_BLESS").is_some() {
        std::fs::write(&path, actual).expect("the scenario can be rewritten");
        return;
    }
    panic!(
        "{} differs; if this is right, `cargo xtask bless` rewrites it\n=== expected\n{expected}\n=== actual\n{actual}",
        path.display()
    );
}

#[derive(Default)]
struct Scenario {
    topology: String,
    cache_bytes: Option<usize>,
    topics: BTreeMap<String, Kinds>,
    stores: BTreeMap<String, Kinds>,
    driver: Option<TestDriver>,
    dropped: u64,
    text: String,
}

impl Scenario {
    fn run(mut self, scenario: &str) -> String {
        for line in scenario.lines() {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            if matches!(word, "<" | "!" | "dropped") {
                continue;
            }
            if word != "?" {
                self.text.push_str(line);
                self.text.push('\n');
            }
            let rest = rest.trim();
            match word {
                "" | "#" => {}
                "topology" => self.topology = rest.to_owned(),
                "cache" => self.cache_bytes = Some(rest.parse().expect("bytes")),
                "topic" => declare(&mut self.topics, rest),
                "store" => declare(&mut self.stores, rest),
                ">" => self.pipe(rest),
                "clock" => {
                    let ms = rest.parse().expect("milliseconds");
                    let result = self.driver().advance_wall_clock(ms);
                    self.report(result);
                }
                "?" => self.ask(rest),
                _ => panic!("a scenario has no line like: {line}"),
            }
        }
        self.text
    }

    fn driver(&mut self) -> &mut TestDriver {
        self.driver.get_or_insert_with(|| {
            let app = App::new("app");
            topology::named(&self.topology)(&app);
            let topology = app.build().expect("the topology is sound");
            match self.cache_bytes {
                Some(bytes) => TestDriver::with_cache(topology, bytes),
                None => TestDriver::new(topology),
            }
            .expect("the topology can be driven")
        })
    }

    fn pipe(&mut self, line: &str) {
        let (topic, record) = line.split_once(' ').expect("a topic and a record");
        let kinds = self
            .topics
            .get(topic)
            .unwrap_or_else(|| panic!("topic {topic} is not declared"));
        let record = kinds.record(record.trim());
        let result = self.driver().pipe_raw(topic, record);
        self.report(result);
    }

    fn report(&mut self, result: headwater_streams::Result<()>) {
        let written = self.driver().read_all();
        for (topic, record) in written {
            if let Some(kinds) = self.topics.get(&topic) {
                let _ = writeln!(self.text, "< {topic} {}", kinds.show(&record));
            }
        }
        if let Err(error) = result {
            let _ = writeln!(self.text, "! {error}");
        }
        let dropped = self.driver().dropped();
        if dropped != self.dropped {
            self.dropped = dropped;
            let _ = writeln!(self.text, "dropped {dropped}");
        }
    }

    fn ask(&mut self, question: &str) {
        let question = question
            .split_once(" =")
            .map_or(question, |(question, _)| question);
        let (store, key) = question.split_once(' ').expect("a store and a key");
        let driver = self.driver();
        let timestamped = driver
            .topology()
            .stores()
            .find(|info| info.name == store)
            .is_some_and(|info| info.timestamped);
        let entries = driver.entries_raw(store).expect("a store of the topology");
        let kinds = &self.stores[store];
        let row = entries
            .iter()
            .find(|(found, _)| kinds.key.show_stored(found) == key.trim());
        let row = row.map_or("-".to_owned(), |(_, row)| {
            kinds
                .value
                .show(Some(&row[if timestamped { 8 } else { 0 }..]))
        });
        let _ = writeln!(self.text, "? {store} {} = {row}", key.trim());
    }
}

fn declare(declared: &mut BTreeMap<String, Kinds>, line: &str) {
    let (name, kinds) = line.split_once(' ').expect("a name and types");
    let (key, value) = kinds
        .trim()
        .split_once(':')
        .expect("types of key and value");
    declared.insert(
        name.to_owned(),
        Kinds {
            key: Kind::named(key),
            value: Kind::named(value),
        },
    );
}

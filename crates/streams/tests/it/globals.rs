//! Global stores as processors see them, and what is left of an application after its build.
//! Not what the judge's corpus shows already. Invariant: each test drives a whole topology.

use headwater_streams::{
    App, Processor, ProcessorContext, Record, Result, Store, StoreHandle, TestDriver,
    TimestampedKeyValues, TopologySettings,
};
use std::ops::ControlFlow;

/// Fills a global store.
struct Fill(StoreHandle<String, String>);

impl Processor for Fill {
    type KeyIn = String;
    type ValueIn = String;
    type KeyOut = ();
    type ValueOut = ();

    fn process(
        &mut self,
        record: Record<String, String>,
        ctx: &mut ProcessorContext<'_, '_, (), ()>,
    ) -> Result<()> {
        let mut store = ctx.store(self.0)?;
        match &record.value {
            Some(value) => store.put(&record.key, value),
            None => store.delete(&record.key),
        }
    }
}

type Ctx<'a, 'c> = ProcessorContext<'a, 'c, String, String>;
type Look = fn(StoreHandle<String, String>, &str, &mut Ctx<'_, '_>) -> Result<String>;

/// Forwards what `look` makes of a value.
struct Reader(StoreHandle<String, String>, Look);

impl Processor for Reader {
    type KeyIn = String;
    type ValueIn = String;
    type KeyOut = String;
    type ValueOut = String;

    fn process(&mut self, record: Record<String, String>, ctx: &mut Ctx<'_, '_>) -> Result<()> {
        let value = record.value.clone().unwrap_or_default();
        let seen = (self.1)(self.0, &value, ctx)?;
        ctx.forward(record.with_value(Some(seen)))
    }
}

/// A store `words` of topic `dictionary`, a global table of topic `rows` in store `table`, and a reader from `in` to `out`.
fn driver(look: Look, settings: TopologySettings) -> Result<TestDriver> {
    let app = App::new("app");
    app.configure(settings);
    let words = app.global_store("dictionary", "words", Fill);
    app.global_table_in::<String, String>("rows", "table");
    let stream = app.stream::<String, String>("in");
    stream.process((), move || Reader(words, look)).to("out");
    let mut driver = TestDriver::new(app.build()?)?;
    for (key, value, time) in [("a", "1", 7), ("ab", "2", 8), ("b", "3", 9)] {
        driver.pipe("dictionary", key.to_owned(), value.to_owned(), time)?;
        driver.pipe("rows", key.to_owned(), value.to_owned(), time)?;
    }
    Ok(driver)
}

fn seen(look: Look, settings: TopologySettings, value: &str) -> Result<String> {
    let mut driver = driver(look, settings)?;
    driver.pipe("in", "k".to_owned(), value.to_owned(), 1)?;
    let records = driver.read::<String, String>("out")?;
    Ok(records[0].1.clone().unwrap_or_default())
}

#[test]
fn a_processor_reads_keys_and_ranges_of_a_global_store_without_being_connected() -> Result<()> {
    let look: Look = |words, value, ctx| {
        let mut store = ctx.store(words)?;
        let mut all = store.get(&value.to_owned())?.unwrap_or_default();
        let mut add = |key: String, value: String| {
            all.push_str(&format!(" {key}{value}"));
            ControlFlow::Continue(())
        };
        store.all(&mut add)?;
        store.reverse_range(None, Some(&"ab".to_owned()), &mut add)?;
        store.prefix(&"a".to_owned(), &mut add)?;
        Ok(all)
    };
    let all = seen(look, TopologySettings::default(), "b")?;
    assert_eq!(all, "3 a1 ab2 b3 ab2 a1 a1 ab2");
    Ok(())
}

#[test]
fn a_processor_reads_a_global_table_by_name_with_its_timestamps() -> Result<()> {
    let look: Look = |_, value, ctx| {
        let mut store = ctx.store_named::<String, String, TimestampedKeyValues>("table")?;
        let row = store.get(&value.to_owned())?;
        let mut text = row.map_or(String::new(), |row| {
            format!("{}@{}", row.value, row.timestamp)
        });
        store.all(|key, row| {
            text.push_str(&format!(" {key}{}@{}", row.value, row.timestamp));
            ControlFlow::Continue(())
        })?;
        Ok(text)
    };
    for stores_with_headers in [false, true] {
        let settings = TopologySettings {
            stores_with_headers,
            stores_in_memory: false,
            ..TopologySettings::default()
        };
        assert_eq!(seen(look, settings, "ab")?, "2@8 a1@7 ab2@8 b3@9");
    }
    Ok(())
}

#[test]
fn a_processor_that_writes_a_global_store_gets_an_error_that_names_it() {
    let writes: [Look; 3] = [
        |words, _, ctx| {
            ctx.store(words)?
                .put(&"a".into(), &"9".into())
                .map(|()| String::new())
        },
        |words, _, ctx| {
            ctx.store(words)?
                .delete(&"a".into())
                .map(|()| String::new())
        },
        |words, _, ctx| {
            let mut store = ctx.store(words)?;
            store
                .put_if_absent(&"a".into(), &"9".into())
                .map(|_| String::new())
        },
    ];
    for write in writes {
        let outcome = seen(write, TopologySettings::default(), "x");
        let error = outcome.expect_err("it is refused").to_string();
        assert!(error.contains("store 'words': it is global"), "{error}");
        assert!(error.contains("write to its topic instead"), "{error}");
    }
}

#[test]
fn a_global_store_of_other_types_is_refused_by_name() {
    let look: Look = |_, _, ctx| {
        ctx.store_named::<String, i64, TimestampedKeyValues>("table")
            .map(|_| String::new())
    };
    let outcome = seen(look, TopologySettings::default(), "x");
    let error = outcome.expect_err("it is refused").to_string();
    assert!(error.contains("store 'table' does not keep i64"), "{error}");
}

#[test]
fn to_connect_a_global_store_or_to_keep_versions_in_one_is_refused_with_its_cure() {
    let app = App::new("app");
    let words = app.global_store("dictionary", "words", Fill);
    let look: Look = |_, _, _| Ok(String::new());
    let stream = app.stream::<String, String>("in");
    stream.process(words, move || Reader(words, look)).to("out");
    let error = app.build().expect_err("it is refused").to_string();
    assert!(
        error.contains("KSTREAM-PROCESSOR-0000000003: store 'words' is global"),
        "{error}"
    );
    assert!(error.contains("leave it out"), "{error}");

    let app = App::new("app");
    let versions =
        Store::<String, String>::from("words").versioned(std::time::Duration::from_secs(1));
    app.global_store("dictionary", versions, Fill);
    let error = app.build().expect_err("it is refused").to_string();
    assert!(error.contains("leave out Store::versioned"), "{error}");
}

#[test]
fn handles_used_after_the_build_change_nothing_and_a_second_build_says_why() -> Result<()> {
    let app = App::new("app");
    let stream = app.stream::<String, String>("in").named("kept");
    let table = app.table::<String, String>("rows");
    let global = app.global_table::<String, String>("global");
    stream.map_values(|value| value).to("out");
    let topology = app.build()?;
    let described = topology.describe();

    let mapped = stream.map_values(|value| value + "!");
    mapped
        .join(table, |value, row| format!("{value}{row}"))
        .to("joined");
    let by = global.by(|key: &String, _: &String| key.clone());
    mapped
        .join(by, |value, row| format!("{value}{row}"))
        .to("looked up");
    mapped
        .group_by_key()
        .count("counts")
        .to_stream()
        .to("counted");
    mapped.group_by(|_, value| value.clone()).count("others");
    table
        .filter(|_, _| true)
        .to_stream()
        .merge(stream)
        .to("merged");
    app.stream::<String, String>("another").to("more");

    assert_eq!(topology.describe(), described);
    let error = app.build().expect_err("it is refused").to_string();
    assert!(
        error.contains("application 'app': it was built before"),
        "{error}"
    );
    assert!(error.contains("make a new App"), "{error}");
    Ok(())
}

//! What merging repartition topics must not merge. What it merges is compared with Kafka Streams in the corpus.
//! Invariant: a topology that builds can be wired.

use headwater_streams::{
    App, Data, FixedKeyContext, FixedKeyProcessor, FixedKeyRecord, Result, TestDriver,
};

/// The length of each text.
struct Length;

impl FixedKeyProcessor for Length {
    type Key = String;
    type ValueIn = String;
    type ValueOut = u64;

    fn process(
        &mut self,
        record: FixedKeyRecord<String, String>,
        ctx: &mut FixedKeyContext<'_, '_, '_, String, u64>,
    ) -> Result<()> {
        let length = record.value.as_ref().map(|text| text.len() as u64);
        ctx.forward(record.with_value(length))
    }
}

#[test]
fn a_repartition_behind_process_values_that_changes_the_type_stays_where_it_is() {
    let app = App::new("lengths");
    app.set("topology.optimization", "all").unwrap();
    let by_value = app
        .stream::<String, String>("in")
        .select_key(|_, value| value.clone());
    by_value.group_by_key().count("texts");
    by_value
        .process_values((), || Length)
        .values(u64::format())
        .group_by_key()
        .reduce(|old, new| old + new, "lengths");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    driver
        .pipe("in", "k".to_string(), "abc".to_string(), 1)
        .unwrap();
    driver
        .pipe("in", "k".to_string(), "abc".to_string(), 2)
        .unwrap();
    let key = "abc".to_string();
    assert_eq!(driver.get::<String, u64>("texts", &key).unwrap(), Some(2));
    assert_eq!(driver.get::<String, u64>("lengths", &key).unwrap(), Some(6));
}

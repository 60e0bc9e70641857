//! Versioned tables beyond what the corpus shows: where Kafka Streams forgets a deletion. Not their rows' layout: that is the
//! store's. Invariant: the order in which versions arrive does not decide which one holds.

use headwater_streams::{App, Headers, Semantics, Store, TestDriver, TestRecord, TopologySettings};
use std::time::Duration;

/// What a click at 20 ms meets after these versions of its price, `None` a deletion.
fn met(semantics: Semantics, versions: &[(Option<&str>, i64)]) -> String {
    let app = App::new("app");
    app.configure(TopologySettings {
        semantics,
        ..TopologySettings::default()
    });
    let second = Duration::from_secs(1);
    let prices = app.table_in::<String, String>("prices", Store::named("prices").versioned(second));
    app.stream::<String, String>("clicks")
        .left_join(prices, |_, price| {
            price.map_or("nothing", String::as_str).to_owned()
        })
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    for (price, timestamp) in versions {
        let record = TestRecord {
            key: Some(b"a".to_vec()),
            value: price.map(|price| price.as_bytes().to_vec()),
            timestamp: *timestamp,
            headers: Headers::default(),
        };
        driver.pipe_raw("prices", record).unwrap();
    }
    let click = ("a".to_owned(), "click".to_owned());
    driver.pipe("clicks", click.0, click.1, 20).unwrap();
    let mut out = driver.read::<String, String>("out").unwrap();
    assert_eq!(out.len(), 1);
    out.remove(0).1.unwrap()
}

#[test]
fn a_late_version_does_not_outlive_a_deletion_at_the_time_of_the_version_it_deleted() {
    let versions = [(Some("3"), 10), (None, 10), (Some("2"), 5)];
    assert_eq!(met(Semantics::Headwater, &versions), "nothing");
    assert_eq!(met(Semantics::Java, &versions), "2");
    // In every other order, and with a deletion one ms later, Kafka Streams agrees.
    for versions in [
        [(Some("2"), 5), (Some("3"), 10), (None, 10)],
        [(Some("3"), 10), (Some("2"), 5), (None, 10)],
        [(Some("3"), 10), (None, 11), (Some("2"), 5)],
    ] {
        for semantics in [Semantics::Headwater, Semantics::Java] {
            assert_eq!(met(semantics, &versions), "nothing", "{versions:?}");
        }
    }
}

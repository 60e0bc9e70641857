//! Settings of changelog topics. Not what is written to them: the corpus compares that with Kafka Streams.
//! Invariant: a group that Kafka Streams takes part in sees the same settings from both.

use headwater_streams::{App, TimeWindows};
use std::time::Duration;

#[test]
fn changelogs_of_windows_are_kept_as_much_longer_as_the_topology_says() {
    let retention_ms = |setting: Option<&str>| {
        let app = App::new("app");
        if let Some(value) = setting {
            let name = "windowstore.changelog.additional.retention.ms";
            app.set(name, value).map_err(|error| error.to_string())?;
        }
        app.stream::<String, String>("in")
            .group_by_key()
            .windowed_by(TimeWindows::of(Duration::from_secs(1)))
            .count("counts");
        let topology = app.build().unwrap();
        let config = topology.membership()[0].changelogs[0].config.clone();
        Ok::<_, String>(config["retention.ms"].clone())
    };
    assert_eq!(retention_ms(None).unwrap(), "86401000");
    assert_eq!(retention_ms(Some("5000")).unwrap(), "6000");
    assert!(retention_ms(Some("-1")).unwrap_err().contains("'-1'"));
}

//! Kafka's setting names: honoured, without effect, refused, unknown. Not what each setting does.
//! Invariant: no name is silently ignored.

use headwater::{Guarantee, Listener, SettingVerdict, Settings, config_names};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Notices(Mutex<Vec<String>>);

impl Listener for Notices {
    fn notice(&self, message: &str) {
        self.0.lock().unwrap().push(message.to_owned());
    }
}

fn apply(properties: &[(&str, &str)]) -> (headwater::Result<Settings>, Vec<String>) {
    let notices = Arc::new(Notices::default());
    let settings = Settings {
        listener: notices.clone(),
        ..Settings::default()
    };
    let applied = settings.with_properties(properties.iter().copied());
    let told = notices.0.lock().unwrap().clone();
    (applied.map_err(headwater::Error::from), told)
}

#[track_caller]
fn check_error(name: &str, value: &str, expected: &str) {
    let (applied, _) = apply(&[(name, value)]);
    let error = applied.map(|_| ()).unwrap_err().to_string();
    assert_eq!(error, expected);
}

#[test]
fn honoured_names_are_taken_over() {
    let (settings, told) = apply(&[
        ("processing.guarantee", "at_least_once"),
        ("num.stream.threads", "3"),
        ("state.dir", "/var/lib/app"),
        ("statestore.cache.max.bytes", "0"),
        ("consumer.max.poll.interval.ms", "60000"),
        ("headwater.commit.when.idle", "true"),
        ("app.colour", "blue"),
    ]);
    let settings = settings.unwrap();
    assert_eq!(settings.guarantee, Guarantee::AtLeastOnce);
    assert_eq!(
        settings.commit_interval_ms, 30_000,
        "Kafka's default at least once"
    );
    assert!(settings.commit_when_idle);
    assert_eq!(settings.workers, 3);
    assert_eq!(settings.state_dir.unwrap().to_str(), Some("/var/lib/app"));
    assert_eq!(settings.cache_bytes_max, 0);
    assert_eq!(settings.rebalance_timeout_ms, 60_000);
    assert_eq!(settings.app["colour"], "blue");
    assert_eq!(told, [""; 0]);
}

#[test]
fn an_interval_that_was_given_stays() {
    let given = [
        ("commit.interval.ms", "250"),
        ("processing.guarantee", "at_least_once"),
    ];
    assert_eq!(apply(&given).0.unwrap().commit_interval_ms, 250);
    let in_code = Settings {
        guarantee: Guarantee::AtLeastOnce,
        commit_interval_ms: 70,
        ..Settings::default()
    };
    let settings = in_code
        .with_properties([("num.stream.threads", "2")])
        .unwrap();
    assert_eq!(settings.commit_interval_ms, 70);
}

#[test]
fn a_name_without_effect_is_told_of() {
    let (settings, told) = apply(&[("poll.ms", "7")]);
    settings.unwrap();
    assert_eq!(
        told,
        ["setting 'poll.ms' has no effect here: workers wait to be woken"]
    );
}

#[test]
fn a_name_that_would_change_results_is_refused_and_an_unknown_one_suggests_the_nearest() {
    check_error(
        "bootstrap.servers",
        "localhost:9092",
        "setting 'bootstrap.servers' cannot be honoured: the log is given to start(..) or run(..): Kafka::at",
    );
    check_error(
        "comit.interval.ms",
        "100",
        "unknown setting 'comit.interval.ms'; did you mean 'commit.interval.ms'?",
    );
    check_error(
        "num.stream.treads",
        "1",
        "unknown setting 'num.stream.treads'; did you mean 'num.stream.threads'?",
    );
    check_error(
        "commit.interval.ms",
        "soon",
        "setting 'commit.interval.ms' is 'soon'; expected a whole number that is not negative",
    );
    check_error(
        "processing.guarantee",
        "twice",
        "setting 'processing.guarantee' is 'twice'; expected exactly_once_v2 or at_least_once",
    );
    check_error(
        "headwater.commit.when.idle",
        "1",
        "setting 'headwater.commit.when.idle' is '1'; expected true or false",
    );
}

#[test]
fn every_honoured_name_is_read_by_something() {
    for known in config_names() {
        let value = match known.name {
            "processing.guarantee" => "at_least_once",
            "application.server" => "host:1",
            "headwater.commit.when.idle" => "true",
            _ => "1",
        };
        let (applied, told) = apply(&[(known.name, value)]);
        let is_as_said = match known.verdict {
            SettingVerdict::Honoured => applied.is_ok() && told.is_empty(),
            SettingVerdict::NoEffect => applied.is_ok() && told.len() == 1,
            SettingVerdict::Refused => applied.is_err(),
        };
        assert!(is_as_said, "{}: {:?}", known.name, known.verdict);
    }
}

//! Settings by Kafka's names: what is taken over, what is refused, and the page that lists them.
//! Invariant: `docs/configuration.md` is the table in the code.
#![allow(
    clippy::disallowed_methods,
    reason = "the test reads and writes a page of the repository"
)]

use headwater_log::Guarantee;
use headwater_log::setting::SettingVerdict;
use headwater_runtime::{Settings, config_names};
use std::fmt::Write;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");

fn page() -> String {
    let mut text = String::from(
        "# Configuration\n\n\
         Settings have fields (`headwater::Settings`) and, for those who come from Kafka Streams, names\n\
         (`Settings::with_properties`). Each name has one verdict. An unknown name is an error that suggests the nearest known one.\n\
         `app.*` is the application's own. This page is written by a test: `cargo xtask bless`.\n\n\
         | name | verdict | note |\n|---|---|---|\n",
    );
    let mut names = config_names().to_vec();
    names.sort_by_key(|known| known.name);
    for known in names {
        let verdict = match known.verdict {
            SettingVerdict::Honoured => "honoured",
            SettingVerdict::NoEffect => "no effect, a notice says so",
            SettingVerdict::Refused => "refused",
        };
        writeln!(text, "| `{}` | {verdict} | {} |", known.name, known.note).unwrap();
    }
    text
}

#[test]
fn the_page_lists_every_setting() {
    if std::env::var_os("HEADWATER_BLESS").is_some() {
        std::fs::write(PAGE, page()).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(PAGE).unwrap(),
        page(),
        "run `cargo xtask bless`"
    );
}

#[test]
fn names_of_kafka_streams_are_taken_over() {
    let settings = Settings::default()
        .with_properties([
            ("processing.guarantee", "at_least_once"),
            ("num.stream.threads", "3"),
            ("state.dir", "/var/lib/app"),
            ("app.region", "eu"),
        ])
        .unwrap();
    assert_eq!(settings.guarantee, Guarantee::AtLeastOnce);
    assert_eq!(
        settings.commit_interval_ms, 30_000,
        "Kafka Streams' default under at least once"
    );
    assert_eq!(settings.workers, 3);
    assert_eq!(settings.state_dir.unwrap().to_str(), Some("/var/lib/app"));
    assert_eq!(settings.app["region"], "eu");
}

#[test]
fn a_setting_that_cannot_be_honoured_is_refused_and_a_misspelt_one_is_corrected() {
    let refused = |name, value| {
        Settings::default()
            .with_properties([(name, value)])
            .err()
            .unwrap()
            .to_string()
    };
    assert!(refused("topology.optimization", "all").contains("cannot be honoured"));
    assert!(refused("comit.interval.ms", "5").contains("did you mean 'commit.interval.ms'"));
    assert!(refused("commit.interval.ms", "soon").contains("expected a whole number"));
    assert!(refused("processing.guarantee", "exactly_once").contains("exactly_once_v2"));
}

#[test]
fn every_honoured_name_is_read() {
    for known in config_names()
        .iter()
        .filter(|known| known.verdict == SettingVerdict::Honoured)
    {
        let value = match known.name {
            "processing.guarantee" => "exactly_once_v2",
            "state.dir" => "/tmp",
            "application.server" => "h:1",
            "headwater.commit.when.idle" => "true",
            _ => "1",
        };
        Settings::default()
            .with_properties([(known.name, value)])
            .unwrap();
    }
}

//! The patterns, with restarts and kills. Not the program's own output, but what it leaves behind.
//! Invariant: expected results are those of a plain loop.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test at the rim: it starts processes and waits, and fails by a panic"
)]

use headwater::{MemoryLog, SourceWriter, TestDriver, log::Log, world::World};
use headwater::{Settings, committed_offsets};
use patterns::counters::{counters, metrics};
use patterns::latest::{APPLICATION, HISTORY, Image, LATEST, latest};
use patterns::memory_image::MemoryImage;
use patterns::rewards::{Purchase, RewardAccumulator, rewards};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const WAIT: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 86_400_000;

fn writer(log: &dyn Log) -> SourceWriter {
    SourceWriter::open(log, "test", "source", &Settings::default()).unwrap()
}

#[test]
fn purchases_earn_points_on_top_of_what_their_customer_has() {
    let mut driver = TestDriver::new(rewards().unwrap()).unwrap();
    let purchases = [("ann", 2, 9.99), ("bob", 1, 5.0), ("ann", 1, 1.5)];
    for (customer, quantity, price) in purchases {
        let purchase = Purchase {
            customer_id: customer.into(),
            quantity,
            price,
        };
        driver
            .pipe("purchases", "any".to_owned(), purchase, 1)
            .unwrap();
    }
    let found = driver.read::<String, RewardAccumulator>("rewards").unwrap();
    let found = found.into_iter().map(|(key, reward, _)| {
        let reward = reward.unwrap();
        assert_eq!(key, reward.customer_id);
        (
            key,
            reward.current_reward_points,
            reward.total_reward_points,
        )
    });
    let expected = [("ann", 19, 19), ("bob", 5, 5), ("ann", 1, 20)];
    let expected = expected.map(|(customer, now, total)| (customer.to_owned(), now, total));
    assert_eq!(found.collect::<Vec<_>>(), expected);
    let changelog = driver
        .read::<String, i32>("rewards-rewardsPointsStore-changelog")
        .unwrap();
    assert_eq!(changelog.last().unwrap().1, Some(20));
}

#[test]
fn points_are_there_again_after_a_restart_without_a_disk() {
    let log = MemoryLog::new(&World::real());
    let mut writer = writer(&*log);
    writer.ensure_topic("purchases", 3).unwrap();
    writer.ensure_topic("rewards", 3).unwrap();
    for round in 1..=3 {
        for key in 0..10_u64 {
            let purchase = Purchase {
                customer_id: "ann".into(),
                quantity: 1,
                price: 1.0,
            };
            writer
                .append("purchases", &key.to_string(), &purchase, 1)
                .unwrap();
        }
        writer.commit(round).unwrap();
        let running = headwater::start(rewards().unwrap(), &log).unwrap();
        running.caught_up(WAIT).unwrap();
        let view = running.view::<String, i32>("rewardsPointsStore").unwrap();
        assert_eq!(view.get(&"ann".into()).unwrap(), Some(10 * round as i32));
        running.stop(WAIT).unwrap();
    }
}

#[test]
fn the_image_is_whole_before_the_first_request() {
    let log = MemoryLog::new(&World::real());
    let mut writer = writer(&*log);
    writer.ensure_topic("products", 4).unwrap();
    for number in 0..5_000_u64 {
        let product = format!("product {number}");
        writer
            .append("products", &number.to_string(), &product, 1)
            .unwrap();
    }
    writer
        .append("products", &"7".to_owned(), &"renamed".to_owned(), 1)
        .unwrap();
    writer.commit(1).unwrap();
    let image = MemoryImage::open(&log, WAIT).unwrap();
    for number in 0..5_000_u64 {
        let expected = match number {
            7 => "renamed".to_owned(),
            _ => format!("product {number}"),
        };
        assert_eq!(image.get(&number.to_string()).unwrap(), Some(expected));
    }
    assert_eq!(image.get("5000").unwrap(), None);
    image.close(WAIT).unwrap();
}

/// F14: the counting process is killed again and again; nothing is counted twice, nothing is forgotten.
#[test]
fn counters_are_exact_after_kills() {
    const ORDERS: u64 = 6_000;
    let dir = TempDir::new().unwrap();
    let command = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patterns"));
        let command_with = command.arg("--data").arg(dir.path()).arg("counters");
        command_with
            .arg("--orders")
            .arg(ORDERS.to_string())
            .stderr(Stdio::null());
        command
    };
    for lifetime_ms in [60, 90, 130, 180] {
        let mut child = command().stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(lifetime_ms));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    for _ in 0..2 {
        let output = command().output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let expected = "# TYPE orders_total counter\norders_total{day=\"0\"} 2000\n\
            orders_total{day=\"1\"} 2000\norders_total{day=\"2\"} 2000\n";
        assert_eq!(text, expected);
    }
}

#[test]
fn metrics_are_the_totals_of_each_day() {
    let log = MemoryLog::new(&World::real());
    let mut writer = writer(&*log);
    writer.ensure_topic("orders", 2).unwrap();
    for (id, placed_ms) in [0, DAY_MS - 1, DAY_MS, -1].iter().enumerate() {
        writer
            .append("orders", &id.to_string(), placed_ms, 1)
            .unwrap();
    }
    writer.commit(4).unwrap();
    let running = headwater::start(counters().unwrap(), &log).unwrap();
    running.caught_up(WAIT).unwrap();
    let text = metrics(&running).unwrap();
    assert!(text.contains("orders_total{day=\"-1\"} 1\n"), "{text}");
    assert!(text.contains("orders_total{day=\"0\"} 2\n"), "{text}");
    assert!(text.contains("orders_total{day=\"1\"} 1\n"), "{text}");
    running.stop(WAIT).unwrap();
}

/// J1 and J2, on a log like Kafka's, whose offsets have gaps where transactions end.
#[test]
fn the_hand_over_from_latest_to_history_misses_nothing_and_applies_nothing_twice() {
    for log in [
        MemoryLog::new(&World::real()),
        MemoryLog::kafka_like(&World::real()),
    ] {
        let mut writer = writer(&*log);
        for topic in [HISTORY, LATEST] {
            writer.ensure_topic(topic, 3).unwrap();
        }
        let mut expected = BTreeMap::new();
        let mut send = |from: u64, to: u64| {
            for number in from..to {
                let key = format!("k{}", number % 7);
                writer.append(HISTORY, &key, &number, 1).unwrap();
                expected.insert(key, number);
            }
            writer.commit(to).unwrap();
            expected.clone()
        };
        let copied = send(0, 500);
        copy(&log);
        let mut image = Image::load(&*log).unwrap();
        assert_eq!(image.prices, copied);
        assert_eq!(image.follow(&*log).unwrap(), 0);
        // What is not copied yet comes from the history, once.
        let all = send(500, 620);
        let mut image = Image::load(&*log).unwrap();
        assert_eq!(image.prices, copied);
        assert_eq!(image.follow(&*log).unwrap(), 120);
        assert_eq!(image.prices, all);
        assert_eq!(image.follow(&*log).unwrap(), 0);
        copy(&log);
        assert_eq!(Image::load(&*log).unwrap().prices, all);
        assert!(!committed_offsets(&*log, APPLICATION).unwrap().is_empty());
    }
}

fn copy(log: &Arc<MemoryLog>) {
    headwater::run_to_end(latest().unwrap(), log).unwrap();
}

//! The long campaigns that are too slow for every change. Not part of `ci`.
//! Invariant: one failing campaign does not keep the others from running; all failures are named at the end.

use crate::process;
use anyhow::{Result, bail};
use std::time::Instant;

struct Campaign {
    name: &'static str,
    purpose: &'static str,
    /// Arguments of cargo.
    arguments: &'static [&'static str],
    /// The version of Kafka's brokers, where it is not the reference.
    kafka: Option<&'static str>,
}

/// The suite of the Kafka client; on older brokers it shows what they lack.
const KAFKA_SUITE: &[&str] = &[
    "test",
    "-p",
    "headwater-kafka",
    "--release",
    "--test",
    "it",
    "--",
    "--test-threads=2",
];

/// Add a campaign here and nowhere else.
const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "ignored-tests",
        purpose: "every test marked #[ignore] for its length, optimised",
        arguments: &["test", "--workspace", "--release", "--", "--ignored"],
        kafka: None,
    },
    Campaign {
        name: "oracle-fuzz",
        purpose: "5,000 random topologies of 50 seeds before Kafka Streams and us",
        arguments: &[
            "run",
            "-p",
            "headwater-oracle",
            "--release",
            "--bin",
            "fuzz",
            "--",
            "run",
            "--seed",
            "1000",
            "--seeds",
            "50",
            "--cases",
            "100",
            "--table",
        ],
        kafka: None,
    },
    Campaign {
        name: "kafka-fire",
        purpose: "100 rounds of faults on three brokers, exactly once",
        arguments: &[
            "test",
            "-p",
            "headwater-oracle",
            "--release",
            "--test",
            "it",
            "fire",
            "--",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ],
        kafka: None,
    },
    Campaign {
        name: "kafka-takeover",
        purpose: "every kind of state between Kafka Streams and us, both ways, on all terms",
        arguments: &[
            "test",
            "-p",
            "headwater-oracle",
            "--release",
            "--test",
            "it",
            "takeover",
            "--",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ],
        kafka: None,
    },
    Campaign {
        name: "kafka-versions",
        purpose: "the Kafka client on brokers 3.9.2: transactions v1, classic groups",
        arguments: KAFKA_SUITE,
        kafka: Some("3.9.2"),
    },
    Campaign {
        name: "kafka-versions",
        purpose: "the Kafka client on brokers 4.0.2: transactions v2, classic groups",
        arguments: KAFKA_SUITE,
        kafka: Some("4.0.2"),
    },
    Campaign {
        name: "orders",
        purpose: "20,000 orders read with their tokens while processes are killed; GETs that wait over 20 rebalances",
        arguments: &[
            "test",
            "-p",
            "orders",
            "--release",
            "--test",
            "it",
            "--",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ],
        kafka: None,
    },
    Campaign {
        name: "bench-quick",
        purpose: "each job beside Kafka Streams once over a small input: outputs are the same",
        arguments: &["run", "-p", "xtask", "--", "bench", "--quick"],
        kafka: None,
    },
    Campaign {
        name: "purchases-kills",
        purpose: "the main job killed 200 times; prints kills by phase and what restores cost",
        arguments: &[
            "test",
            "-p",
            "purchases",
            "--release",
            "--test",
            "it",
            "--",
            "--ignored",
            "--nocapture",
        ],
        kafka: None,
    },
];

/// Runs the campaigns named, or all of them.
pub(crate) fn run(names: &[String]) -> Result<()> {
    for name in names {
        if !CAMPAIGNS.iter().any(|campaign| campaign.name == name) {
            bail!("no campaign `{name}`; there are:\n{}", listing());
        }
    }
    let chosen = CAMPAIGNS
        .iter()
        .filter(|campaign| names.is_empty() || names.iter().any(|name| name == campaign.name));
    let mut failed = Vec::new();
    for campaign in chosen {
        eprintln!("==> {}: {}", campaign.name, campaign.purpose);
        let begin = Instant::now();
        let mut cargo = process::cargo(campaign.arguments);
        if let Some(version) = campaign.kafka {
            cargo.env("HEADWATER_KAFKA_VERSION", version);
        }
        let result = process::run(&mut cargo);
        let seconds = begin.elapsed().as_secs_f64();
        match result {
            Ok(()) => eprintln!("==> {} ok in {seconds:.1} s", campaign.name),
            Err(error) => {
                eprintln!("==> {} FAILED in {seconds:.1} s: {error:#}", campaign.name);
                failed.push(campaign.name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn listing() -> String {
    let line = |campaign: &Campaign| format!("  {:16} {}", campaign.name, campaign.purpose);
    CAMPAIGNS.iter().map(line).collect::<Vec<_>>().join("\n")
}

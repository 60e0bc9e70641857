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
}

/// Add a campaign here and nowhere else.
const CAMPAIGNS: &[Campaign] = &[
    Campaign {
        name: "ignored-tests",
        purpose: "every test marked #[ignore] for its length, optimised",
        arguments: &["test", "--workspace", "--release", "--", "--ignored"],
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
        let result = process::run(&mut process::cargo(campaign.arguments));
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

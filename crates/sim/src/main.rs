//! Runs seeds of the simulated cluster and prints what did not hold. Not the campaign of the nightly run, which is a test.
//! Invariant: the exit code is 1 when anything did not hold.

use headwater_log::Guarantee;
use headwater_sim::{FaultCounts, Plan, Planted, run};
use std::process::ExitCode;

const USAGE: &str = "headwater-sim FIRST [LAST] [--at-least-once] [--planted NAME]";

fn main() -> ExitCode {
    let mut seeds = Vec::new();
    let (mut guarantee, mut planted) = (Guarantee::ExactlyOnce, None);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--at-least-once" => guarantee = Guarantee::AtLeastOnce,
            "--planted" => {
                let name = arguments.next().unwrap_or_default();
                let mut all = Planted::ALL.into_iter();
                planted = all.find(|planted| format!("{planted:?}") == name);
                if planted.is_none() {
                    eprintln!("no fault '{name}'; there are {:?}", Planted::ALL);
                    return ExitCode::FAILURE;
                }
            }
            seed => match seed.parse::<u64>() {
                Ok(seed) => seeds.push(seed),
                Err(_) => {
                    eprintln!("{USAGE}");
                    return ExitCode::FAILURE;
                }
            },
        }
    }
    let Some(first) = seeds.first().copied() else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let last = seeds.get(1).copied().unwrap_or(first);
    let (mut failed, mut faults) = (0, FaultCounts::default());
    for seed in first..=last {
        let report = run(Plan {
            seed,
            guarantee,
            planted,
        });
        if first == last || !report.violations.is_empty() {
            println!("seed {seed}: {report:#?}");
        }
        faults.absorb(&report.faults);
        failed += u64::from(!report.violations.is_empty());
    }
    println!("{faults}");
    println!("{} seeds, {failed} with violations", last - first + 1);
    ExitCode::from(u8::from(failed > 0))
}

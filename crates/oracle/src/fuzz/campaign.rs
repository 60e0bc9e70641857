//! A campaign: so many cases of so many seeds, judged in batches, differences shrunk and kept. Not the command line.
//! Invariant: what a campaign says is equal was run by both judges.

use super::{
    coverage::Coverage,
    generate,
    judge::Judge,
    kept,
    shrink::shrink,
    verdict::{Verdict, ours, verdict},
};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::IsTerminal,
    path::{Path, PathBuf},
};

/// Cases in one run of the judge: enough that its start does not count, few enough to see progress.
const BATCH_CASES: usize = 100;

/// What to run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The seeds.
    pub seeds: std::ops::Range<u64>,
    /// Cases of each seed.
    pub cases: std::ops::Range<u64>,
    /// Only cases whose operators are all among these, unless it is empty.
    pub only: Vec<String>,
    /// How many different kinds of difference are shrunk.
    pub shrink_max: usize,
    /// Where shrunk cases are kept.
    pub kept: PathBuf,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    /// What occurred, and with what outcome.
    pub coverage: Coverage,
    /// By kind of difference: the cases that show it.
    pub differences: BTreeMap<String, Vec<(String, String)>>,
    /// Files of shrunk cases.
    pub kept: Vec<PathBuf>,
    /// What Headwater has not got, with the number of cases.
    pub unsupported: BTreeMap<String, usize>,
    /// Faults of Kafka Streams, with the number of cases.
    pub faults: BTreeMap<&'static str, usize>,
}

/// Runs it.
///
/// # Errors
/// If the judge fails as a whole, or files cannot be written.
pub fn run(judge: &Judge, plan: &Plan) -> Result<Report> {
    let mut report = Report::default();
    let cases = made(plan);
    let progress = progress(cases.len());
    let mut shrunk: Vec<String> = Vec::new();
    for batch in cases.chunks(BATCH_CASES) {
        let hearing = judge.hear(batch)?;
        let actual: Vec<_> = batch.iter().map(ours).collect();
        let expected = hearing.verdicts()?;
        for (at, case) in batch.iter().enumerate() {
            let verdict = verdict(expected[at].as_ref(), &actual[at]);
            report.coverage.add(case, expected[at].as_ref(), &verdict);
            let name = case["name"].as_str().unwrap_or_default().to_owned();
            note(&mut report, &name, &verdict);
            if let Some(signature) = verdict.signature()
                && shrunk.len() < plan.shrink_max
                && !shrunk.contains(&signature)
            {
                progress.println(format!("{name} differs in {signature}; shrinking"));
                let file = keep(judge, plan, case, &signature)?;
                report.kept.push(file);
                shrunk.push(signature);
            }
        }
        progress.inc(u64::try_from(batch.len()).unwrap_or(0));
        if progress.is_hidden() {
            let total = &report.coverage.total;
            eprintln!(
                "fuzz: {} of {} cases; {} equal, {} different, {} unsupported, {} unjudged",
                progress.position(),
                cases.len(),
                total.equal,
                total.different,
                total.unsupported,
                total.unjudged
            );
        }
    }
    progress.finish_and_clear();
    Ok(report)
}

/// The cases of a plan.
fn made(plan: &Plan) -> Vec<Value> {
    let all = plan
        .seeds
        .clone()
        .flat_map(|seed| plan.cases.clone().map(move |index| (seed, index)));
    let allowed = |case: &Value| {
        let nodes = case["nodes"].as_array().map_or(&[][..], Vec::as_slice);
        let known = |node: &Value| {
            node["op"]
                .as_str()
                .is_some_and(|op| plan.only.iter().any(|only| only == op))
        };
        plan.only.is_empty() || nodes.iter().all(known)
    };
    all.map(|(seed, index)| generate::case(seed, index))
        .filter(allowed)
        .collect()
}

fn note(report: &mut Report, name: &str, verdict: &Verdict) {
    if let Some(signature) = verdict.signature() {
        let text = match verdict {
            Verdict::Different(difference) => difference.to_string(),
            Verdict::Broken(what) => what.clone(),
            _ => String::new(),
        };
        report
            .differences
            .entry(signature)
            .or_default()
            .push((name.to_owned(), text));
    }
    match verdict {
        Verdict::Unsupported(what) => *report.unsupported.entry(what.clone()).or_default() += 1,
        Verdict::Fault(fault) => *report.faults.entry(fault).or_default() += 1,
        _ => {}
    }
}

/// Shrinks a case and writes it with the judge's result.
fn keep(judge: &Judge, plan: &Plan, case: &Value, signature: &str) -> Result<PathBuf> {
    let mut small = shrink(judge, case, signature)?;
    small["note"] = json!(format!("Differed in {signature}."));
    fs::create_dir_all(&plan.kept).with_context(|| plan.kept.display().to_string())?;
    let name = case["name"].as_str().unwrap_or("fuzz");
    let file = plan.kept.join(format!("{name}.json"));
    fs::write(&file, kept::text(&small))?;
    judge.write(&file)?;
    Ok(file)
}

/// Has the judge record a seed's cases; those it has no result for are left out.
///
/// # Errors
/// If the judge fails as a whole, or the file cannot be written.
pub fn record(judge: &Judge, seed: u64, count: u64, file: &Path) -> Result<usize> {
    let mut all = Vec::new();
    let cases: Vec<Value> = (0..count)
        .map(|index| generate::case(seed, index))
        .collect();
    for batch in cases.chunks(BATCH_CASES) {
        let expected = judge.hear(batch)?.verdicts()?;
        let heard = batch.iter().zip(expected);
        all.extend(heard.filter_map(|(case, result)| Some((case.clone(), result?))));
        eprintln!("record: {} of {} cases", all.len(), cases.len());
    }
    super::recorded::write(file, &all)?;
    Ok(all.len())
}

/// A bar on a terminal; elsewhere it is hidden and lines are printed.
fn progress(cases: usize) -> ProgressBar {
    let progress = ProgressBar::new(u64::try_from(cases).unwrap_or(u64::MAX));
    if !std::io::stderr().is_terminal() {
        progress.set_draw_target(ProgressDrawTarget::hidden());
        return progress;
    }
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} cases, {eta} left {msg}");
    progress.with_style(style.expect("the template is valid"))
}

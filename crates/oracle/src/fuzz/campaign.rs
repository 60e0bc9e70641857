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
use crate::Refusal;
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
    /// Also those of a kind that has been shrunk.
    pub every: bool,
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

/// A campaign under way.
struct Campaign<'a> {
    judge: &'a Judge,
    plan: &'a Plan,
    progress: ProgressBar,
    report: Report,
    /// Kinds of difference that have been shrunk.
    shrunk: Vec<String>,
    /// Cases that wait for the judge, with what we say.
    waiting: Vec<(Value, Result<Value, Refusal>)>,
}

/// Runs it.
///
/// # Errors
/// If the judge fails as a whole, or files cannot be written.
pub fn run(judge: &Judge, plan: &Plan) -> Result<Report> {
    let cases = made(plan);
    let mut campaign = Campaign {
        judge,
        plan,
        progress: progress(cases.len()),
        report: Report::default(),
        shrunk: Vec::new(),
        waiting: Vec::new(),
    };
    for case in cases {
        campaign.progress.inc(1);
        match ours(&case) {
            // There is nothing to compare, so the judge is not asked.
            Err(Refusal::Unsupported(what)) => {
                campaign.note(&case, None, &Verdict::Unsupported(what));
            }
            actual => campaign.waiting.push((case, actual)),
        }
        if campaign.waiting.len() == BATCH_CASES {
            campaign.judge_waiting()?;
        }
    }
    campaign.judge_waiting()?;
    campaign.progress.finish_and_clear();
    Ok(campaign.report)
}

impl Campaign<'_> {
    /// Hears the judge on all cases that wait.
    fn judge_waiting(&mut self) -> Result<()> {
        let (cases, actual): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.waiting).into_iter().unzip();
        if cases.is_empty() {
            return Ok(());
        }
        let expected = self.judge.hear(&cases)?.verdicts()?;
        for (at, case) in cases.iter().enumerate() {
            let verdict = verdict(expected[at].as_ref(), &actual[at]);
            self.note(case, expected[at].as_ref(), &verdict);
            if let Some(signature) = verdict.signature() {
                self.keep(case, signature)?;
            }
        }
        if self.progress.is_hidden() {
            let (done, total) = (self.progress.position(), &self.report.coverage.total);
            eprintln!(
                "fuzz: {done} cases; {} equal, {} different, {} unsupported, {} unjudged",
                total.equal, total.different, total.unsupported, total.unjudged
            );
        }
        Ok(())
    }

    fn note(&mut self, case: &Value, expected: Option<&Value>, verdict: &Verdict) {
        let report = &mut self.report;
        report.coverage.add(case, expected, verdict);
        if let Some(signature) = verdict.signature() {
            let name = case["name"].as_str().unwrap_or_default().to_owned();
            let text = match verdict {
                Verdict::Different(difference) => difference.to_string(),
                Verdict::Broken(what) => what.clone(),
                _ => String::new(),
            };
            report
                .differences
                .entry(signature)
                .or_default()
                .push((name, text));
        }
        match verdict {
            Verdict::Unsupported(what) => *report.unsupported.entry(what.clone()).or_default() += 1,
            Verdict::Fault(fault) => *report.faults.entry(fault).or_default() += 1,
            _ => {}
        }
    }

    /// Shrinks a differing case and writes it with the judge's result, unless enough of its kind are kept.
    fn keep(&mut self, case: &Value, signature: String) -> Result<()> {
        let again = self.shrunk.contains(&signature) && !self.plan.every;
        if again || self.shrunk.len() >= self.plan.shrink_max {
            return Ok(());
        }
        let name = case["name"].as_str().unwrap_or("fuzz");
        let line = format!("{name} differs in {signature}; shrinking");
        self.progress.suspend(|| eprintln!("{line}"));
        let mut small = shrink(self.judge, case, &signature)?;
        small["note"] = json!(format!("Differed in {signature}."));
        let folder = &self.plan.kept;
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let file = folder.join(format!("{name}.json"));
        fs::write(&file, kept::text(&small))?;
        self.judge.write(&file)?;
        self.report.kept.push(file);
        self.shrunk.push(signature);
        Ok(())
    }
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

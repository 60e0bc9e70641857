//! What `cargo xtask bench` was asked to do. Not the doing. Invariant: an unknown word is an error that shows the usage.

use super::{
    contender::Tuning,
    input::Size,
    job::{JOBS, Job, NEXMARK, System},
    librdkafka::Librdkafka,
};
use crate::root;
use anyhow::{Context, Result, bail};
use std::{path::PathBuf, str::FromStr};

const USAGE: &str = "\
cargo xtask bench [JOB ..] [OPTIONS]     jobs on a real broker, Headwater and Kafka Streams in turn, outputs checked
cargo xtask bench report [--json FILE]   docs/performance.md and its pictures from the results
cargo xtask bench growth [AXIS ..]       how cost grows with keys, values, partitions and more; --help says which
cargo xtask bench embedded JOB [..]      jobs on the embedded log: count, memory-image, restore, engine; --help says more

  --runs N          rounds of all jobs, in each of which every system does each job once (5)
  --records N       of the input; other inputs and jobs are so much smaller or larger (2,000,000)
  --keys N          keys drawn from (200,000)
  --value-bytes N   bytes of a value (100)
  --threads N       num.stream.threads of both (1)
  --commit-ms N     commit.interval.ms of both (100)
  --cache-bytes N   statestore.cache.max.bytes of both (10,485,760)
  --quick           one round over 60,000 records: does everything go?
  --ours            Headwater alone
  --program FILE    a headwater-bench that was built before, instead of building it optimised
  --json FILE       where a line for each run is appended (bench/results/kafka-streams.jsonl; with any other
                    option but --runs target/bench/trial.jsonl)

Jobs, those with a * only when they are named; nexmark names all whose names begin so:
";

const SIZE: Size = Size {
    records: 2_000_000,
    keys: 200_000,
    value_bytes: 100,
};
/// Of `--quick`.
const QUICK: Size = Size {
    records: 60_000,
    keys: 5_000,
    value_bytes: 100,
};
const RUNS: usize = 5;
/// Where the results that the page shows are kept.
pub(super) const RESULTS: &str = "bench/results/kafka-streams.jsonl";
const TRIALS: &str = "target/bench/trial.jsonl";

/// The choice.
pub(super) struct Chosen {
    pub(super) jobs: Vec<&'static Job>,
    pub(super) runs: usize,
    pub(super) size: Size,
    pub(super) tuning: Tuning,
    ours: bool,
    pub(super) program: Option<PathBuf>,
    pub(super) file: PathBuf,
}

impl Chosen {
    /// Of the words of the command line; none when they ask for help, which is then printed.
    pub(super) fn of(arguments: &[String]) -> Result<Option<Self>> {
        let mut chosen = Self {
            jobs: Vec::new(),
            runs: RUNS,
            size: SIZE,
            tuning: Tuning {
                threads: 1,
                commit_interval_ms: 100,
                cache_bytes: 10 << 20,
            },
            ours: false,
            program: None,
            file: PathBuf::new(),
        };
        let (mut file, mut is_trial) = (None, false);
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            is_trial |= word.starts_with("--") && !matches!(word.as_str(), "--runs" | "--json");
            let mut value = || words.next().with_context(|| format!("{word} what?"));
            match word.as_str() {
                "--runs" => chosen.runs = number(word, value()?)?,
                "--records" => chosen.size.records = number(word, value()?)?,
                "--keys" => chosen.size.keys = number(word, value()?)?,
                "--value-bytes" => chosen.size.value_bytes = number(word, value()?)?,
                "--threads" => chosen.tuning.threads = number(word, value()?)?,
                "--commit-ms" => chosen.tuning.commit_interval_ms = number(word, value()?)?,
                "--cache-bytes" => chosen.tuning.cache_bytes = number(word, value()?)?,
                "--quick" => (chosen.size, chosen.runs) = (QUICK, 1),
                "--ours" => chosen.ours = true,
                "--program" => chosen.program = Some(std::path::absolute(value()?)?),
                "--json" => file = Some(std::path::absolute(value()?)?),
                "--help" | "-h" | "help" => {
                    println!("{}", usage());
                    return Ok(None);
                }
                NEXMARK => {
                    let queries = JOBS.iter().filter(|job| job.name.starts_with(NEXMARK));
                    chosen.jobs.extend(queries);
                }
                name => chosen.jobs.push(job(name)?),
            }
        }
        if chosen.jobs.is_empty() {
            chosen.jobs = JOBS.iter().filter(|job| job.by_default).collect();
        }
        let default = if is_trial { TRIALS } else { RESULTS };
        chosen.file = file.unwrap_or_else(|| root().join(default));
        Ok(Some(chosen))
    }

    /// Who is to do a job.
    pub(super) fn systems(&self, job: &Job, librdkafka: Librdkafka) -> Vec<System> {
        let mut systems = job.systems().to_vec();
        systems.retain(|system| match system {
            System::Headwater | System::Floor => true,
            System::Librdkafka => librdkafka.has_kcat && !self.ours,
            // It has one thread.
            System::LibrdkafkaLoop => librdkafka.has_loop && !self.ours && self.tuning.threads == 1,
            _ => !self.ours,
        });
        systems
    }
}

fn job(name: &str) -> Result<&'static Job> {
    match JOBS.iter().find(|job| job.name == name) {
        Some(job) => Ok(job),
        None => bail!("no job or option `{name}`\n\n{}", usage()),
    }
}

pub(super) fn number<T: FromStr>(name: &str, word: &str) -> Result<T> {
    let plain: String = word.chars().filter(|one| !",_".contains(*one)).collect();
    let parsed = plain.parse().ok();
    parsed.with_context(|| format!("{name} wants a number, not `{word}`"))
}

pub(super) fn usage() -> String {
    let mut usage = USAGE.to_owned();
    for job in JOBS {
        let mark = if job.by_default { ' ' } else { '*' };
        usage += &format!("{mark} {:<22} {}\n", job.name, job.purpose);
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: &[&str]) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let chosen = Chosen::of(&words).unwrap().unwrap();
        let names: Vec<&str> = chosen.jobs.iter().map(|job| job.name).collect();
        assert_eq!(names, expected);
    }

    #[test]
    fn nexmark_names_its_queries_and_none_of_them_runs_unless_it_is_named() {
        let queries = [
            "nexmark-q0",
            "nexmark-q1",
            "nexmark-q2",
            "nexmark-q3",
            "nexmark-q4",
            "nexmark-q5",
            "nexmark-q6",
            "nexmark-q7",
            "nexmark-q8",
            "nexmark-q9",
            "nexmark-q11",
            "nexmark-q13",
            "nexmark-q14",
            "nexmark-q15",
            "nexmark-q16",
            "nexmark-q17",
            "nexmark-q18",
            "nexmark-q19",
            "nexmark-q20",
            "nexmark-q21",
            "nexmark-q22",
        ];
        check(&["nexmark", "--quick"], &queries);
        check(&["map", "nexmark-q7"], &["map", "nexmark-q7"]);
        let by_default = Chosen::of(&[]).unwrap().unwrap().jobs;
        assert!(by_default.iter().all(|job| !job.name.contains("nexmark")));
    }
}

//! The README's word count over a text file: each line is appended once, the counts go to topic "counts" and the most
//! frequent words to standard output. Not a tool for large texts: the file is read whole.
//! Invariant: a file that grew is read on where the last run ended; nothing is counted twice.
#![allow(
    clippy::disallowed_methods,
    reason = "a program at the rim: it reads a file and waits"
)]

mod lines;

use anyhow::{Context, bail};
use clap::Parser;
use headwater::{log::Log, prelude::*};
use std::{cmp::Reverse, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

/// Words printed.
const WORDS_MAX: usize = 20;
/// Time between two looks at whether the program is to stop.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);
/// How long the worker may take to commit and close at the end.
const STOP_MAX: Duration = Duration::from_secs(60);

/// Counts the words of a text file and prints the most frequent ones.
#[derive(Parser)]
struct Args {
    /// The text, in UTF-8.
    file: PathBuf,
    /// Where log and state live; counts of all files that were read into it are added up.
    #[arg(long, value_name = "DIR", default_value = "./data/word-count")]
    data: PathBuf,
    /// Apache Kafka to use as the log; only the state is in DIR then.
    #[arg(long, value_name = "HOST:PORT,..")]
    kafka: Option<String>,
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_lowercase).collect()
}

fn word_count() -> Result<Topology> {
    let app = App::new("word-count");
    app.stream::<String, String>("lines")
        .flat_map_values(|line| words(&line))
        .group_by(|_, word| word.clone())
        .count("word-counts")
        .to_stream()
        .to("counts");
    app.build()
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("word-count: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let stop = headwater::watch_signals()?;
    let log = open(args)?;
    lines::append(&*log, &args.file)?;
    let settings = Settings::in_dir(args.data.join("state"));
    let running = headwater::start_with(word_count()?, &log, settings)?;
    while running.caught_up(LOOK_INTERVAL).is_err() && !running.failed() && !stop() {}
    let counts = running.view::<String, u64>("word-counts")?.all();
    running.stop(STOP_MAX)?;
    if stop() {
        bail!("stopped; the same command goes on where it stopped");
    }
    print!("{}", table(counts?));
    Ok(())
}

fn open(args: &Args) -> anyhow::Result<Arc<dyn Log>> {
    if let Some(servers) = &args.kafka {
        return Ok(Arc::new(Kafka::at(servers)?));
    }
    let log = EmbeddedLog::open(&args.data)
        .with_context(|| format!("cannot open the log in {}", args.data.display()))?;
    Ok(log.shared())
}

/// The most frequent words, the most frequent first; of equally frequent ones in the order of letters.
fn table(mut counts: Vec<(String, u64)>) -> String {
    counts.sort_by(|a, b| (Reverse(a.1), &a.0).cmp(&(Reverse(b.1), &b.0)));
    let line = |(word, count): &(String, u64)| format!("{count:>8}  {word}\n");
    counts.iter().take(WORDS_MAX).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_whatever_their_case_and_line() {
        let mut driver = TestDriver::new(word_count().unwrap()).unwrap();
        for (line, timestamp) in [("All streams lead to", 1), ("the headwater lead", 2)] {
            let (file, line) = ("a.txt".to_owned(), line.to_owned());
            driver.pipe("lines", file, line, timestamp).unwrap();
        }
        let lead: Option<u64> = driver.get("word-counts", &"lead".to_owned()).unwrap();
        assert_eq!(lead, Some(2));
        let counts = driver.read::<String, u64>("counts").unwrap();
        assert_eq!(counts.last(), Some(&("lead".to_owned(), Some(2), 2)));
    }

    #[test]
    fn the_program_of_the_readme_is_this_one() {
        let readme = include_str!("../../../README.md");
        let source = include_str!("main.rs");
        let begin = readme.find("fn words(").unwrap();
        let end = readme.find("fn main(").unwrap();
        assert!(source.contains(readme[begin..end].trim_end()));
    }
}

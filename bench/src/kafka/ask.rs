//! Asks two instances of a service for counts over HTTP/1.1 while records are counted, and checks every answer. The same for
//! whoever serves. Not the service, and not the records, which another process writes meanwhile.
//! Invariant: a figure is only printed when no count went back, and all of them are right in the end.
//!
//! What is asked, one after the other: as fast as the answers come (so many connections, each with one request at a time), then at
//! a fixed rate, with times from when a request is due.

mod closed;
mod flood;
mod open;
mod phase;
mod service;

use super::Place;
use super::pour::record;
use super::produce::Writer;
use crate::process;
use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use headwater::TopicPartition;
use headwater::query::Token;
use phase::{Line, Phase, request};
use serde_json::{Map, Value, json};
use service::{Instance, Service};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Records of each key before the first question.
const FILLED_PER_KEY: u32 = 20;
/// On which pages are asked for; more than an instance works on at a time (`Limits::requests_max`).
const FLOOD_CONNECTIONS: usize = 1_500;
/// How long records alone are counted, to know what they cost.
const WITHOUT_QUESTIONS: Duration = Duration::from_secs(4);

/// What to ask.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The topic counted; it is empty.
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 10_000)]
    keys: u64,
    /// Records a second that are written meanwhile.
    #[arg(long, default_value_t = 10_000)]
    records_per_second: u64,
    /// HOST:PORT=PID of an instance; two of them.
    #[arg(long = "instance")]
    instances: Vec<String>,
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds of questions before figures are taken.
    #[arg(long, default_value_t = 40)]
    warm_up_seconds: u64,
    /// Seconds of each figure.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Questions a second where they come at a fixed rate.
    #[arg(long, default_value_t = 500)]
    rate: u64,
    /// Which questions.
    #[arg(long = "case")]
    cases: Vec<Case>,
}

/// What is asked, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Case {
    /// Of the instance that has the key.
    Local,
    /// Of the other one.
    Forwarded,
    /// Of any.
    Mixed,
    /// Of the instance that has the key, as new as a record that has been counted: only ours knows tokens.
    Token,
    /// Of the instance that has the key, while twice as many pages are asked for as can be answered: only ours has them.
    Overload,
}

/// Runs it.
pub(super) fn run(options: &Options) -> Result<()> {
    let instances = options.instances.iter().map(|text| Instance::parse(text));
    let service = Service::meet(instances.collect::<Result<_>>()?, options.keys)?;
    let filled = u64::from(FILLED_PER_KEY) * options.keys;
    fill(options, filled)?;
    service.await_counts(filled)?;
    let mut pouring = Pouring::start(options, filled)?;
    let asking = Asking {
        options,
        service: &service,
        tokens: tokens(options, &service),
    };
    let cases = asking.all()?;
    let written = pouring.stop()?;
    service.await_counts(written)?;
    for phase in &cases.phases {
        phase.check(written, options.keys)?;
    }
    let pids = service.instances.iter().map(|it| it.pid);
    let peak_mb: f64 = pids.map(|pid| process::peak_mb_of(&pid.to_string())).sum();
    let line = json!({
        "job": "ask",
        "records": written,
        "keys": options.keys,
        "peak_mb": peak_mb.round(),
        "idle_cores": cases.idle_cores,
        "cases": cases.figures,
    });
    println!("{line}");
    Ok(())
}

/// What all phases share.
struct Asking<'a> {
    options: &'a Options,
    service: &'a Service,
    /// Of each partition, that of the last record of the filling.
    tokens: Vec<String>,
}

struct Cases {
    figures: Map<String, Value>,
    /// Cores that the instances keep busy with records alone.
    idle_cores: f64,
    phases: Vec<Phase>,
}

impl Asking<'_> {
    fn all(&self) -> Result<Cases> {
        let Options {
            warm_up_seconds,
            seconds,
            rate,
            ..
        } = *self.options;
        let warm_up = Duration::from_secs(warm_up_seconds) / 2;
        let mut phases = vec![
            closed::run(&self.lines(Case::Mixed), warm_up)?,
            closed::run(&self.lines(Case::Forwarded), warm_up)?,
        ];
        let before = self.service.cpu_seconds();
        std::thread::sleep(WITHOUT_QUESTIONS);
        let idle_cores = (self.service.cpu_seconds() - before) / WITHOUT_QUESTIONS.as_secs_f64();
        let mut figures = Map::new();
        for case in &self.options.cases {
            let lines = self.lines(*case);
            if *case == Case::Overload {
                let (told, phase) = self.overload(&lines)?;
                figures.insert("overload".into(), told);
                phases.push(phase);
                continue;
            }
            let (before, own_before) = (self.service.cpu_seconds(), process::cpu_seconds());
            let user_before = process::user_seconds();
            let closed = closed::run(&lines, Duration::from_secs(seconds))?;
            let cpu = self.service.cpu_seconds() - before;
            let own_cpu = process::cpu_seconds() - own_before;
            let own_user = process::user_seconds() - user_before;
            let open = open::run(&lines, Duration::from_secs(seconds), rate)?;
            ensure!(open.refused == 0, "{} gets were refused", open.refused);
            let requests = closed.requests() as f64;
            let us = |cpu_seconds: f64| cpu_seconds * 1e6 / requests;
            let value = json!({
                "requests": closed.requests(),
                "requests_per_second": (requests / closed.seconds).round(),
                "cpu_us_per_request": us(cpu - idle_cores * closed.seconds),
                "cpu_us_per_request_with_records": us(cpu),
                "asker_cpu_us_per_request": us(own_cpu),
                "asker_user_us_per_request": us(own_user),
                "closed_p50_ms": closed.at(0.5)?,
                "closed_p99_ms": closed.at(0.99)?,
                "rate_per_second": rate,
                "p50_ms": open.at(0.5)?,
                "p99_ms": open.at(0.99)?,
                "p999_ms": open.at(0.999)?,
            });
            figures.insert(format!("{case:?}").to_lowercase(), value);
            phases.extend([closed, open]);
        }
        Ok(Cases {
            figures,
            idle_cores,
            phases,
        })
    }

    /// Gets at the fixed rate, while twice as many pages are wanted as the instances have answered before, when nobody else asked.
    fn overload(&self, lines: &[Line]) -> Result<(Value, Phase)> {
        let time = Duration::from_secs(self.options.seconds);
        let instances = self.service.instances.iter();
        let addresses: Vec<_> = instances.map(|it| it.address).collect();
        let begin = Instant::now();
        let pages = flood::run(&addresses, self.options.connections, time / 2, None)?;
        let pages: u64 = pages.values().sum();
        let capacity = pages as f64 / begin.elapsed().as_secs_f64();
        let every = FLOOD_CONNECTIONS as f64 / (2.0 * capacity);
        let every = Some(Duration::from_secs_f64(every));
        let (flooded, gets) = std::thread::scope(|scope| {
            let flood = scope.spawn(|| flood::run(&addresses, FLOOD_CONNECTIONS, time, every));
            let gets = open::run(lines, time, self.options.rate);
            (flood.join(), gets)
        });
        let (flooded, gets) = (flooded.map_err(|_| anyhow!("the flood panicked"))??, gets?);
        let statuses = flooded
            .iter()
            .map(|(it, number)| (it.to_string(), json!(number)));
        let told = json!({
            "pages_per_second_max": capacity.round(),
            "pages_by_status": statuses.collect::<Map<String, Value>>(),
            "requests": gets.requests(),
            "refused": gets.refused,
            "rate_per_second": self.options.rate,
            "p50_ms": gets.at(0.5)?,
            "p99_ms": gets.at(0.99)?,
            "p999_ms": gets.at(0.999)?,
        });
        Ok((told, gets))
    }

    /// What each connection asks, and whom.
    fn lines(&self, case: Case) -> Vec<Line> {
        let keys = self.options.keys;
        let requests = (0..keys).map(|key| match case {
            Case::Token => {
                let token = &self.tokens[self.service.partition(key)];
                request(key, &format!("?token={token}"))
            }
            _ => request(key, ""),
        });
        let requests: Arc<[Vec<u8>]> = requests.collect();
        let instances = self.service.instances.iter().enumerate();
        let asked: Vec<(_, Arc<[u64]>)> = instances
            .map(|(number, instance)| {
                let wanted = (0..keys).filter(|key| match case {
                    Case::Local | Case::Token | Case::Overload => {
                        self.service.owner(*key) == number
                    }
                    Case::Forwarded => self.service.owner(*key) != number,
                    Case::Mixed => true,
                });
                (instance.address, wanted.collect())
            })
            .collect();
        (0..self.options.connections)
            .map(|number| {
                let (address, keys) = asked[number % asked.len()].clone();
                Line {
                    address,
                    keys,
                    requests: requests.clone(),
                    floor: FILLED_PER_KEY,
                    seed: number as u64 + 1,
                }
            })
            .collect()
    }
}

fn fill(options: &Options, records: u64) -> Result<()> {
    let mut writer = Writer::open(&options.place, &options.topic)?;
    for number in 0..records {
        writer.write(&record(number, options.keys))?;
    }
    writer.finish()
}

/// The next offset of each partition behind the filling is how many records it holds: nothing else was written.
fn tokens(options: &Options, service: &Service) -> Vec<String> {
    let mut ends = [0; super::PARTITIONS];
    for key in 0..options.keys {
        ends[service.partition(key)] += i64::from(FILLED_PER_KEY);
    }
    let token = |(partition, end): (usize, &i64)| {
        let at = TopicPartition::new(options.topic.as_str(), partition as u32);
        Token::from_iter([(at, *end)]).to_string()
    };
    ends.iter().enumerate().map(token).collect()
}

/// Records that are written by a process of its own, so that what it uses is no asker's.
struct Pouring(Child);

impl Pouring {
    fn start(options: &Options, first: u64) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["kafka", "pour", "--topic", &options.topic]);
        command.args(["--bootstrap", options.place.bootstrap()]);
        command.args(["--keys", &options.keys.to_string()]);
        command.args(["--first", &first.to_string()]);
        command.args(["--rate", &options.records_per_second.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Self(command.spawn().context("cannot start the writer")?))
    }

    /// Ends it; how many records there are in all.
    fn stop(&mut self) -> Result<u64> {
        drop(self.0.stdin.take());
        let mut said = String::new();
        let mut stdout = self.0.stdout.take().context("the writer says nothing")?;
        std::io::Read::read_to_string(&mut stdout, &mut said)?;
        let status = self.0.wait()?;
        ensure!(status.success(), "the writer ended with {status}");
        Ok(said.trim().parse()?)
    }
}

impl Drop for Pouring {
    fn drop(&mut self) {
        // After a stop it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! One run of a job by one system: how it is started, and what its figures are once its output was found right.
//! Not the measuring. Invariant: the settings of one job are the same for all who do it; what differs is said here.

use super::{
    input::Size,
    job::{Job, System, Work},
    latency, librdkafka,
    measured::{self, Measured},
    query,
    scene::{Scene, parse},
    verdict::Verdicts,
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Stdio},
};

/// The longest a run may take.
const RUN_SECONDS_MAX: u64 = 1_500;

/// What all topologies are set to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    pub(super) threads: u32,
    pub(super) commit_interval_ms: u64,
    pub(super) cache_bytes: u64,
}

/// One run to be.
pub(super) struct Entry<'a> {
    pub(super) scene: &'a Scene,
    pub(super) job: &'static Job,
    pub(super) system: System,
    pub(super) tuning: Tuning,
    /// The application, or the topic written; no other run's.
    pub(super) name: String,
}

impl Entry<'_> {
    /// Runs it, and answers its figures if its output is right.
    pub(super) fn run(&self, verdicts: &mut Verdicts) -> Result<Value> {
        let outcome = self.figures(verdicts);
        // Whatever came of it, nothing of it stays; what stands in the way of that is second to what came of it.
        let cleared = self.clear();
        let figures = outcome?;
        cleared?;
        Ok(figures)
    }

    fn figures(&self, verdicts: &mut Verdicts) -> Result<Value> {
        match self.job.work {
            Work::Restore | Work::Consume => {}
            Work::Produce => self.scene.create_topic(&self.name)?,
            _ => self.scene.create_topic(&format!("{}-out", self.name))?,
        }
        if self.job.work == Work::Latency {
            return latency::run(self);
        }
        if self.job.work == Work::Query {
            return query::run(self);
        }
        let mut command = self.command()?;
        let measured = match self.job.work {
            Work::Drain(_) => {
                measured::run_until(&mut command, RUN_SECONDS_MAX, || self.is_drained())?
            }
            _ => measured::run(&mut command, RUN_SECONDS_MAX)?,
        };
        let output = verdicts.judge(self, &measured)?;
        let mut figures = match self.job.work {
            Work::Start => self.start(&measured)?,
            Work::Restore => self.restored(&measured)?,
            _ => self.throughput(&measured)?,
        };
        figures["output"] = output;
        Ok(figures)
    }

    /// Whether everything in the job's inputs and the application's own topics is read, and that is committed.
    fn is_drained(&self) -> Result<bool> {
        let mut request = format!("drained {}", self.name);
        for input in self.job.inputs() {
            request += " ";
            request += input.topic;
        }
        let answer = self.scene.ask(&request)?;
        answer["is_drained"].as_bool().context("is it drained?")
    }

    fn command(&self) -> Result<Command> {
        let size = self.scene.size;
        match (self.job.work, self.system) {
            (Work::Topology(_) | Work::Drain(_) | Work::Start | Work::Restore, _) => {
                Ok(self.topology(self.job.input.seen(size), self.job.input.topic))
            }
            (Work::Limit, _) => {
                let mut command = self.scene.headwater("limit");
                command.args(["--topic", self.job.input.topic]);
                command.args(["--records", &self.job.input.records(size).to_string()]);
                command.args(["--output", &format!("{}-out", self.name)]);
                Ok(command)
            }
            (_, System::Librdkafka) => self.kcat(),
            (_, System::JavaClient) => self.java_client(),
            _ => Ok(self.client()),
        }
    }

    /// A topology of the job's name, over `input`, waiting for `records` of it and those of the second input.
    pub(super) fn topology(&self, records: u64, input: &str) -> Command {
        let size = self.scene.size;
        let others = self.job.second.map_or(0, |second| second.seen(size));
        let second = self.job.second.map_or("none", |second| second.topic);
        let records = (records + others).to_string();
        let state = self.scene.folder.join(&self.name).display().to_string();
        let job = self.topology_name();
        match self.system {
            System::Headwater => {
                let mut command = self.scene.headwater("streams");
                command.args([job, "--application", &self.name, "--records", &records]);
                command.args(["--input", input, "--second", second, "--state-dir", &state]);
                for property in self.properties() {
                    command.args(["--property", &property]);
                }
                if self.job.is_idle_committed {
                    command.args(["--property", "headwater.commit.when.idle=true"]);
                }
                for property in self.job.stores_bytes_max.map(budgets).into_iter().flatten() {
                    command.args(["--property", &property]);
                }
                command
            }
            System::LibrdkafkaLoop => {
                let mut command = Command::new(librdkafka::program(&self.scene.folder));
                command.args([&self.scene.bootstrap(), &self.name, &records, input]);
                command.args(self.properties());
                command
            }
            _ => {
                let words = [job, &self.name, &records, &state, input, second];
                let class = "StreamsYardstick";
                self.scene.java(class, &words, &self.properties())
            }
        }
    }

    fn topology_name(&self) -> &'static str {
        match self.job.work {
            Work::Topology(name) | Work::Drain(name) => name,
            Work::Restore => "restore",
            Work::Start => "start",
            _ => "latest",
        }
    }

    /// The settings of both sides, by Kafka's names.
    pub(super) fn properties(&self) -> Vec<String> {
        let cache_bytes = match self.job.work {
            // Each record is to come out, so that each has a latency.
            Work::Latency => 0,
            _ => self.tuning.cache_bytes,
        };
        vec![
            format!("processing.guarantee={}", self.job.guarantee()),
            format!("commit.interval.ms={}", self.tuning.commit_interval_ms),
            format!("statestore.cache.max.bytes={cache_bytes}"),
            format!("num.stream.threads={}", self.tuning.threads),
        ]
    }

    fn client(&self) -> Command {
        let (input, size) = (self.job.input, self.scene.size);
        match self.job.work {
            Work::Produce => {
                let mut command = self.scene.headwater("produce");
                command
                    .args(["--topic", &self.name])
                    .args(input.shape(size));
                command
            }
            _ => {
                let mut command = self.scene.headwater("consume");
                command.args(["--topic", input.topic]);
                command.args(["--records", &input.records(size).to_string()]);
                command
            }
        }
    }

    fn java_client(&self) -> Result<Command> {
        let Size {
            keys, value_bytes, ..
        } = self.scene.size;
        let records = self.job.input.records(self.scene.size).to_string();
        let (keys, bytes) = (keys.to_string(), value_bytes.to_string());
        let words = match self.job.work {
            Work::Produce => vec!["produce", &self.name, &records, &keys, &bytes],
            Work::Consume => vec!["consume", self.job.input.topic, &records],
            work => bail!("the Java client cannot do {work:?}"),
        };
        Ok(self.scene.java("ClientYardstick", &words, &[]))
    }

    /// kcat prints nothing of what it reads, and reads what it writes from a file that it wrote before.
    fn kcat(&self) -> Result<Command> {
        let kcat = |mode: &str| {
            let mut command = Command::new("kcat");
            command.args([mode, "-b", &self.scene.bootstrap(), "-q"]);
            command
        };
        let records = self.job.input.records(self.scene.size).to_string();
        let read = |format: &str| {
            let mut command = kcat("-C");
            command.args(["-t", self.job.input.topic, "-o", "beginning"]);
            command.args(["-c", &records, "-f", format]);
            command
        };
        if self.job.work == Work::Consume {
            return Ok(read(""));
        }
        let file = self.scene.folder.join("records.txt");
        if !file.exists() {
            let to = fs::File::create(&file)?;
            let status = read("%k\t%s\n").stdout(Stdio::from(to)).status()?;
            ensure!(status.success(), "kcat could not write its input");
        }
        let mut command = kcat("-P");
        command.args(["-t", &self.name, "-K", "\t", "-l"]).arg(file);
        for setting in [
            "linger.ms=20",
            "batch.size=262144",
            "enable.idempotence=true",
            "partitioner=murmur2_random",
        ] {
            command.args(["-X", setting]);
        }
        Ok(command)
    }

    fn throughput(&self, measured: &Measured) -> Result<Value> {
        let size = self.scene.size;
        let inputs = self.job.inputs().map(|input| input.seen(size));
        let records: u64 = inputs.sum();
        let (seconds, seconds_closed) = match self.system {
            // kcat tells nothing: its time is that of the whole process, connecting included.
            System::Librdkafka => (measured.wall_seconds, measured.wall_seconds),
            _ => {
                let said = parse(measured.stdout.as_bytes())?;
                ensure!(
                    said["records"] == records,
                    "{} of {records} records came",
                    said["records"]
                );
                (number(&said, "seconds")?, number(&said, "seconds_closed")?)
            }
        };
        let mut figures = used(measured, records);
        figures["records_per_second"] = json!((records as f64 / seconds).round());
        figures["records_per_second_closed"] = json!((records as f64 / seconds_closed).round());
        Ok(figures)
    }

    fn restored(&self, measured: &Measured) -> Result<Value> {
        let said = parse(measured.stdout.as_bytes())?;
        let records = said["restored"].as_u64().context("how many records?")?;
        let mut figures = used(measured, records);
        let speed = records as f64 / number(&said, "restore_seconds")?;
        figures["records_per_second"] = json!(speed.round());
        figures["start_to_running_ms"] = json!(to_running(&said, measured)?);
        Ok(figures)
    }

    fn start(&self, measured: &Measured) -> Result<Value> {
        let said = parse(measured.stdout.as_bytes())?;
        let mut figures = used(measured, 0);
        figures["start_to_running_ms"] = json!(to_running(&said, measured)?);
        Ok(figures)
    }

    /// Takes away what the run wrote; a restore leaves the changelog to the next.
    fn clear(&self) -> Result<()> {
        let _ = fs::remove_dir_all(self.scene.folder.join(&self.name));
        match self.job.work {
            Work::Consume | Work::Restore => Ok(()),
            _ => self.scene.delete_topics(&self.name),
        }
    }
}

/// The settings of ours by which all stores keep so many bytes in memory: rows that wait to be written more than blocks read.
fn budgets(stores_bytes_max: u64) -> [String; 2] {
    let blocks = stores_bytes_max * 2 / 5;
    [
        format!(
            "headwater.write.back.max.bytes={}",
            stores_bytes_max - blocks
        ),
        format!("headwater.block.cache.bytes={blocks}"),
    ]
}

/// What a process used, in all and for each record.
pub(super) fn used(measured: &Measured, records: u64) -> Value {
    let mut figures = json!({
        "records": records,
        "cpu_seconds": measured.cpu_seconds,
        "peak_mb": measured.peak_mb.round(),
        "wall_seconds": measured.wall_seconds,
    });
    if records > 0 {
        figures["cpu_us_per_record"] = json!(measured.cpu_seconds * 1e6 / records as f64);
    }
    figures
}

pub(super) fn number(said: &Value, name: &str) -> Result<f64> {
    said[name].as_f64().with_context(|| format!("no {name}"))
}

/// ms from the start of the process, as its parent saw it, until all tasks ran, as it says.
fn to_running(said: &Value, measured: &Measured) -> Result<u64> {
    let running = said["running_unix_ms"].as_u64().context("never running")?;
    Ok(running.saturating_sub(measured.begin_unix_ms))
}

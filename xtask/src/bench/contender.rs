//! Who does a job: ours, Apache Kafka's Java, librdkafka; how each is started, and how its output is judged.
//! Not the measuring. Invariant: the settings of one job are the same for all who do it; what differs is said here.

use super::{
    measured::Measured,
    scene::{Scene, parse},
};
use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::{
    fs,
    process::{Command, Stdio},
};

/// A job by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    /// By key, exactly once, state on disk.
    Count,
    /// As `Count`, state in memory.
    CountMemory,
    /// Reading alone.
    Consume,
    /// Writing alone.
    Produce,
}

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    Headwater,
    /// Kafka Streams, or the Java consumer and producer.
    Java,
    /// Through kcat, where it is installed.
    Librdkafka,
}

impl Job {
    pub(super) const ALL: [Self; 4] =
        [Self::Count, Self::CountMemory, Self::Consume, Self::Produce];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::CountMemory => "count-memory",
            Self::Consume => "consume",
            Self::Produce => "produce",
        }
    }

    /// Who can do it here, ours first.
    pub(super) fn systems(self) -> Vec<System> {
        let mut systems = vec![System::Headwater, System::Java];
        let is_bare = matches!(self, Self::Consume | Self::Produce);
        if is_bare && Command::new("kcat").arg("-V").output().is_ok() {
            systems.push(System::Librdkafka);
        } else if is_bare {
            eprintln!("bench: SKIPPED: librdkafka: there is no kcat (apt-get install kcat)");
        }
        systems
    }
}

impl System {
    /// As rows of the table are called.
    pub(super) fn name(self, job: Job) -> &'static str {
        match (self, job) {
            (Self::Headwater, _) => "headwater",
            (Self::Java, Job::Count | Job::CountMemory) => "kafka-streams",
            (Self::Java, _) => "java-client",
            (Self::Librdkafka, _) => "librdkafka-kcat",
        }
    }
}

/// One run to be.
pub(super) struct Entry {
    pub(super) job: Job,
    pub(super) system: System,
    /// The application, or the topic written; no other run's.
    pub(super) name: String,
}

impl Entry {
    /// The command, after what it needs was made.
    pub(super) fn command(&self, scene: &Scene) -> Result<Command> {
        match self.job {
            Job::Count | Job::CountMemory => scene.create_topic(&format!("{}-out", self.name))?,
            Job::Produce => scene.create_topic(&self.name)?,
            Job::Consume => {}
        }
        let records = scene.size.records.to_string();
        match self.system {
            System::Headwater => Ok(self.ours(scene, &records)),
            System::Java => self.java(scene, &records),
            System::Librdkafka => self.kcat(scene, &records),
        }
    }

    fn ours(&self, scene: &Scene, records: &str) -> Command {
        let job = match self.job {
            Job::CountMemory => "count",
            job => job.name(),
        };
        let mut command = scene.headwater(job);
        command.args(["--records", records]);
        match self.job {
            Job::Count | Job::CountMemory => {
                command.args(["--application", &self.name, "--state-dir"]);
                command.arg(scene.folder.join(&self.name));
            }
            Job::Produce => {
                command.args(["--topic", &self.name]);
                command.args(["--keys", &scene.size.keys.to_string()]);
                command.args(["--value-bytes", &scene.size.value_bytes.to_string()]);
            }
            Job::Consume => {}
        }
        if self.job == Job::CountMemory {
            command.arg("--in-memory");
        }
        command
    }

    fn java(&self, scene: &Scene, records: &str) -> Result<Command> {
        let state = scene.folder.join(&self.name).display().to_string();
        let (keys, bytes) = (
            scene.size.keys.to_string(),
            scene.size.value_bytes.to_string(),
        );
        match self.job {
            Job::Count | Job::CountMemory => {
                scene.java(&[self.job.name(), &self.name, records, &state])
            }
            Job::Consume => scene.java(&["consume", "events", records]),
            Job::Produce => scene.java(&["produce", &self.name, records, &keys, &bytes]),
        }
    }

    /// kcat prints nothing of what it reads, and reads what it writes from a file that it wrote before.
    fn kcat(&self, scene: &Scene, records: &str) -> Result<Command> {
        let kcat = |mode: &str| {
            let mut command = Command::new("kcat");
            command.args([mode, "-b", &scene.bootstrap(), "-q"]);
            command
        };
        let read = |format: &str| {
            let mut command = kcat("-C");
            command.args(["-t", "events", "-o", "beginning", "-c", records]);
            command.args(["-f", format]);
            command
        };
        match self.job {
            Job::Consume => Ok(read("")),
            Job::Produce => {
                let file = scene.folder.join("records.txt");
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
            job => bail!("kcat cannot do {}", job.name()),
        }
    }

    /// The figures of a run, after its output was found right.
    pub(super) fn judge(&self, scene: &Scene, measured: &Measured) -> Result<Value> {
        let records = scene.size.records;
        match self.job {
            Job::Count | Job::CountMemory => {
                let found = scene.ask(&["sum", &format!("{}-out", self.name)])?;
                ensure!(
                    found["sum"] == records && found["keys"] == scene.keys_held,
                    "{} counted {records} records of {} keys as {found}",
                    self.name,
                    scene.keys_held
                );
            }
            Job::Produce => {
                let found = scene.ask(&["held", &self.name])?;
                ensure!(found["records"] == records, "{} wrote {found}", self.name);
            }
            // The job itself ends after so many records and not before.
            Job::Consume => {}
        }
        let said = match self.system {
            // kcat tells nothing: its time is that of the whole process, connecting included.
            System::Librdkafka => json!({
                "seconds": measured.wall_seconds, "seconds_closed": measured.wall_seconds, "start_to_running_ms": 0,
            }),
            _ => parse(measured.stdout.as_bytes())?,
        };
        let number = |name: &str| said[name].as_f64().with_context(|| format!("no {name}"));
        Ok(json!({
            "job": self.job.name(),
            "system": self.system.name(self.job),
            "records": records,
            "records_per_second": (records as f64 / number("seconds")?).round(),
            "records_per_second_closed": (records as f64 / number("seconds_closed")?).round(),
            "cpu_us_per_record": measured.cpu_seconds * 1e6 / records as f64,
            "peak_mb": measured.peak_mb.round(),
            "wall_seconds": measured.wall_seconds,
            "start_to_running_ms": number("start_to_running_ms")?,
        }))
    }

    /// Takes away what the run wrote.
    pub(super) fn clear(&self, scene: &Scene) -> Result<()> {
        let _ = fs::remove_dir_all(scene.folder.join(&self.name));
        match self.job {
            Job::Consume => Ok(()),
            _ => scene.delete_topics(&self.name),
        }
    }
}

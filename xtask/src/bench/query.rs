//! The job "query": two instances of a service that counts, and a program beside them that asks for counts while these change.
//! Not the asking. Invariant: both systems are asked and checked by the same program, with the same questions.

use super::{
    contender::Entry,
    job::System,
    scene::{Scene, parse},
};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// Instances of the service.
const INSTANCES: usize = 2;
/// Seconds that an instance may take to end when it is told to, before it is killed.
const END_SECONDS_MAX: u64 = 45;
/// Of `--quick`: enough to see that everything goes.
const QUICK: [(&str, &str); 4] = [
    ("--keys", "1000"),
    ("--warm-up-seconds", "2"),
    ("--seconds", "2"),
    ("--rate", "200"),
];

/// Figures of one run, by case.
pub(super) fn run(entry: &Entry<'_>) -> Result<Value> {
    let input = format!("{}-in", entry.name);
    entry.scene.create_topic(&input)?;
    let instances = (0..INSTANCES).map(|number| Instance::start(instance(entry, &input, number)));
    let mut instances: Vec<Instance> = instances.collect::<Result<_>>()?;
    let mut asker = entry.scene.headwater("ask");
    asker.args(["--topic", &input]);
    for instance in &instances {
        let (port, pid) = (instance.port, instance.child.id());
        asker.args(["--instance", &format!("127.0.0.1:{port}={pid}")]);
    }
    for case in cases(entry.system) {
        asker.args(["--case", case]);
    }
    if entry.scene.size.is_quick() {
        asker.args(QUICK.iter().flat_map(|(name, value)| [name, value]));
    }
    asker.stderr(Stdio::inherit()).env_remove("RUST_BACKTRACE");
    let output = asker.output().context("cannot start the asker")?;
    // Both at once: what one leaves the other need not take.
    for instance in &mut instances {
        drop(instance.child.stdin.take());
    }
    let status = output.status;
    ensure!(status.success(), "the asker ended with {status}");
    figures(&parse(&output.stdout)?)
}

/// What is asked of whom: tokens are ours alone.
fn cases(system: System) -> &'static [&'static str] {
    match system {
        System::Headwater => &["local", "forwarded", "mixed", "token", "overload"],
        _ => &["local", "forwarded", "mixed"],
    }
}

fn instance(entry: &Entry<'_>, input: &str, number: usize) -> Command {
    let scene: &Scene = entry.scene;
    let state = scene.folder.join(&entry.name).join(number.to_string());
    let state = state.display().to_string();
    let layer = match entry.system {
        System::Headwater => {
            let mut command = scene.headwater("serve");
            command.args(["--application", &entry.name, "--input", input]);
            command.args(["--state-dir", &state]);
            for property in entry.properties() {
                command.args(["--property", &property]);
            }
            return command;
        }
        System::KafkaStreamsJetty => "jetty",
        _ => "jersey",
    };
    let words = [layer, &entry.name, input, &state];
    scene.java("QueryYardstick", &words, &entry.properties())
}

/// The figures of each case, with what is of all of them.
fn figures(said: &Value) -> Result<Value> {
    let cases = said["cases"].as_object().context("no cases")?;
    let mut figures = json!({});
    for (case, told) in cases {
        let mut told = told.clone();
        for of_all in ["peak_mb", "idle_cores", "keys"] {
            told[of_all] = said[of_all].clone();
        }
        figures[case] = told;
    }
    Ok(json!({ "cases": figures }))
}

/// A running instance; dropped, it is told to end.
struct Instance {
    child: Child,
    port: u16,
}

impl Instance {
    /// Starts it, and waits for the port that it prints.
    fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().context("cannot start an instance")?;
        let mut instance = Self { child, port: 0 };
        let said = instance.child.stdout.take().context("it says nothing")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let port = line.trim().parse();
        instance.port = port.with_context(|| format!("no port: `{line}`"))?;
        Ok(instance)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let told = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if told.elapsed() > Duration::from_secs(END_SECONDS_MAX) {
                eprintln!("bench: an instance did not end and is killed");
                // Dropped next: there is nobody to tell an error to.
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

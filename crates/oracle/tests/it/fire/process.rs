//! One of our processes: `headwater-oracle live run`, killed and started again on the same state. Not its results.
//! Invariant: it never outlives the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A process that was asked to end may take so long to commit and close.
const STOP_DEADLINE: Duration = Duration::from_secs(60);

/// What the runtime tells when it wipes a store.
const WIPED: &str = "is restored from the beginning";

pub(crate) struct Process {
    folder: PathBuf,
    servers: String,
    case: String,
    settings: Vec<String>,
    child: Child,
}

impl Process {
    pub(crate) fn start(folder: &Path, servers: &str, case: &str, number: usize) -> Self {
        Self::start_with(folder, servers, case, number, &[])
    }

    /// With settings, `NAME=VALUE`.
    pub(crate) fn start_with(
        folder: &Path,
        servers: &str,
        case: &str,
        number: usize,
        settings: &[&str],
    ) -> Self {
        let settings: Vec<_> = settings.iter().map(|it| (*it).to_owned()).collect();
        let folder = folder.join(format!("process-{number}"));
        std::fs::create_dir_all(&folder).expect("a folder for state");
        Self {
            child: spawn(&folder, servers, case, &settings),
            settings,
            folder,
            servers: servers.to_owned(),
            case: case.to_owned(),
        }
    }

    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a process of ours");
        self.child.wait().expect("a process of ours");
    }

    pub(crate) fn restart(&mut self) {
        self.child = spawn(&self.folder, &self.servers, &self.case, &self.settings);
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// A fault that is not its own death must not end it.
    pub(crate) fn must_live(&mut self) {
        let status = self.child.try_wait().expect("a process of ours");
        assert_eq!(status, None, "{}", self.output());
    }

    /// Asks it to end, and holds it to ending well.
    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        self.must_end_well();
    }

    /// Waits until it has ended, as asked.
    pub(crate) fn must_end_well(&mut self) {
        let output = self.output();
        must_end_well(&mut self.child, &output);
        self.must_have_kept_state();
    }

    /// No store was thrown away and read again from the beginning of its changelog, whatever happened to the process.
    fn must_have_kept_state(&self) {
        let output = self.output();
        let wiped = output.lines().find(|line| line.contains(WIPED));
        assert_eq!(wiped, None, "{output}");
    }

    pub(crate) fn output(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("output")).unwrap_or_default();
        format!("{}:\n{text}", self.folder.display())
    }
}

/// Sends a signal to a process of ours.
pub(crate) fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid])
        .status();
    assert!(status.expect("a shell").success());
}

/// Waits until a process has ended as it was asked to; else `output` tells.
pub(crate) fn must_end_well(child: &mut Child, output: &str) {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a process of ours") {
            assert!(status.success(), "{output}");
            return;
        }
        assert!(begin.elapsed() < STOP_DEADLINE, "{output}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(folder: &Path, servers: &str, case: &str, settings: &[String]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_headwater-oracle"));
    command.args(["live", "run", case, "--kafka", servers]);
    command.args(["--application-id", "fire", "--threads", "2"]);
    command.args(["--guarantee", "exactly_once_v2", "--state-dir"]);
    command.arg(folder.join("state"));
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("our own program starts");
    let output = child.stdout.take().expect("it was asked for");
    let errors = child.stderr.take().expect("it was asked for");
    stamp(output, folder.join("output"));
    stamp(errors, folder.join("output"));
    child
}

/// Keeps what a process says, each line with the time at which it came: see [`stamped`].
fn stamp(pipe: impl Read + Send + 'static, to: PathBuf) {
    let mut to = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(to)
        .expect("a file for output");
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            // The folder may be gone by then, with the test.
            let _ = to.write_all(format!("{} {line}\n", stamped(Instant::now())).as_bytes());
        }
    });
}

/// A time as seconds since the first that was asked for: the timelines of all processes are one.
pub(crate) fn stamped(time: Instant) -> String {
    static BEGIN: OnceLock<Instant> = OnceLock::new();
    let begin = *BEGIN.get_or_init(|| time);
    format!(
        "{:8.3}",
        time.saturating_duration_since(begin).as_secs_f64()
    )
}

//! One process of the program, on Kafka: started, killed, started again on its state. Not what it is asked.
//! Invariant: it never outlives the test; nothing is sent to a process that has not said where it listens.

use crate::server::{Answer, try_exchange};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

const START_MAX: Duration = Duration::from_secs(120);

/// An instance of the Orders service.
pub(crate) struct Process {
    servers: String,
    folder: PathBuf,
    /// Another one after each start: who starts at a given port may find it taken.
    port: AtomicU16,
    running: Mutex<Running>,
}

struct Running {
    child: Child,
    /// Kept open, so that the program can go on printing.
    _output: BufReader<ChildStdout>,
}

impl Process {
    pub(crate) fn start(folder: &Path, servers: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let (running, port) = spawn(folder, servers);
        Self {
            servers: servers.to_owned(),
            folder: folder.to_owned(),
            port: AtomicU16::new(port),
            running: Mutex::new(running),
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&self) {
        self.running.lock().unwrap().end();
    }

    /// Asks it to end, and holds it to ending well.
    pub(crate) fn stop(&self) {
        let mut running = self.running.lock().unwrap();
        let id = running.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        assert!(running.child.wait().unwrap().success(), "{}", self.errors());
    }

    /// On the same state; returns when it says that it is ready.
    pub(crate) fn restart(&self) {
        let (running, port) = spawn(&self.folder, &self.servers);
        *self.running.lock().unwrap() = running;
        self.port.store(port, Ordering::Release);
        let begun = Instant::now();
        while self.ask("GET /ready HTTP/1.1\r\n", "").map(|it| it.status) != Ok(200) {
            assert!(begun.elapsed() < START_MAX, "not ready: {}", self.errors());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asks once; an error when it cannot be reached or breaks off.
    pub(crate) fn ask(&self, head: &str, body: &str) -> Result<Answer, String> {
        let request = format!("{head}host: shop\r\nconnection: close\r\n\r\n{body}");
        try_exchange(self.port.load(Ordering::Acquire), &request).map_err(|it| it.to_string())
    }

    fn errors(&self) -> String {
        std::fs::read_to_string(self.folder.join("errors")).unwrap_or_default()
    }
}

impl Running {
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

fn spawn(folder: &Path, servers: &str) -> (Running, u16) {
    let errors = File::options()
        .create(true)
        .append(true)
        .open(folder.join("errors"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_orders"))
        .args(["--kafka", servers, "--service", "orders", "--port", "0"])
        .arg("--data")
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(errors.unwrap())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    // A program that ends early closes its output.
    output.by_ref().read_line(&mut line).unwrap();
    let running = Running {
        child,
        _output: output,
    };
    let port = line.split("localhost:").nth(1);
    let port = port.and_then(|rest| rest.split('/').next()?.parse().ok());
    let errors = || std::fs::read_to_string(folder.join("errors")).unwrap_or_default();
    (
        running,
        port.unwrap_or_else(|| panic!("{line}{}", errors())),
    )
}

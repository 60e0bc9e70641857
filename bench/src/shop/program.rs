//! The program `orders` while it runs, and what it tells of itself. Not its clients.
//! Invariant: it never outlives the yardstick.

use super::Place;
use crate::http::{Asker, get};
use crate::process;
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// The longest that it may take to be ready, and its memory to be steady.
const READY_MAX: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// Memory is steady that has changed by less than so many MB for so long.
const STEADY_MB: f64 = 0.1;
const STEADY: Duration = Duration::from_secs(1);

pub(super) struct Program {
    child: Child,
    pub(super) address: SocketAddr,
    /// Kept open, so that the program can go on printing.
    _output: BufReader<ChildStdout>,
}

impl Program {
    /// Starts it on nothing, and waits until it is ready.
    pub(super) fn start(place: &Place) -> Result<Self> {
        let _ = std::fs::remove_dir_all(&place.dir);
        let mut command = Command::new(&place.program);
        command.args(["--port", "0", "--data"]).arg(&place.dir);
        command.stdout(Stdio::piped());
        let child = command.spawn();
        let mut child = child.with_context(|| {
            let program = place.program.display();
            format!("cannot start {program}: cargo build --release -p orders")
        })?;
        let output = child.stdout.take().context("it says nothing")?;
        let mut program = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            _output: BufReader::new(output),
        };
        let mut line = String::new();
        program._output.read_line(&mut line)?;
        let port = line.split("localhost:").nth(1);
        let port = port.and_then(|rest| rest.split('/').next()?.parse().ok());
        let port = port.with_context(|| format!("no port: `{line}`"))?;
        program.address.set_port(port);
        let begin = Instant::now();
        let mut asker = Asker::connect(program.address)?;
        while asker.ask(&get("/ready"))?.status != 200 {
            ensure!(begin.elapsed() < READY_MAX, "it is not ready");
            std::thread::sleep(LOOK_AGAIN);
        }
        Ok(program)
    }

    /// MB that are in memory, once they do not change any more.
    pub(super) fn steady_mb(&self) -> Result<f64> {
        let id = self.child.id().to_string();
        let (begin, mut since) = (Instant::now(), Instant::now());
        let mut steady = process::resident_mb_of(&id);
        loop {
            std::thread::sleep(LOOK_AGAIN);
            let resident = process::resident_mb_of(&id);
            ensure!(resident > 0.0, "it is gone");
            if (resident - steady).abs() > STEADY_MB {
                (steady, since) = (resident, Instant::now());
            }
            if since.elapsed() > STEADY || begin.elapsed() > READY_MAX {
                return Ok(resident);
            }
        }
    }

    /// Waits until it says that so many requests have no answer yet.
    pub(super) fn await_in_flight(&self, requests: usize) -> Result<()> {
        let (begin, mut asker) = (Instant::now(), Asker::connect(self.address)?);
        loop {
            let answer = asker.ask(&get("/metrics"))?;
            let text = std::str::from_utf8(answer.body)?;
            let told = text
                .lines()
                .find_map(|line| line.strip_prefix("headwater_http_in_flight "));
            let told: usize = told.context("no such figure")?.trim().parse()?;
            // It counts this question too.
            if told > requests {
                return Ok(());
            }
            let is_late = begin.elapsed() > READY_MAX;
            ensure!(!is_late, "{told} of {requests} requests wait");
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    pub(super) fn cpu_seconds(&self) -> f64 {
        process::cpu_seconds_of(&self.child.id().to_string())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself: then there is nobody to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

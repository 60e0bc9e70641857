//! The judge of outputs: `bench/java/Judge.java`, by Apache Kafka's own clients, in a process that lives as long as the scene.
//! Not a participant: its time is in no figure. Invariant: an answer that tells an error is an error.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::{
    cell::RefCell,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// The process. Requests are told at the head of `Judge.java`.
pub(super) struct Judge {
    child: Child,
    pipes: RefCell<Pipes>,
}

struct Pipes {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Judge {
    pub(super) fn start(mut java: Command) -> Result<Self> {
        let mut child = java
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the judge")?;
        let to = child.stdin.take().context("the judge hears nothing")?;
        let from = child.stdout.take().context("the judge says nothing")?;
        let pipes = RefCell::new(Pipes {
            to,
            from: BufReader::new(from),
        });
        Ok(Self { child, pipes })
    }

    /// Asks, and waits for the answer; the judge itself limits how long it reads.
    pub(super) fn ask(&self, request: &str) -> Result<Value> {
        let mut pipes = self.pipes.borrow_mut();
        writeln!(pipes.to, "{request}").context("the judge has ended")?;
        pipes.to.flush()?;
        let mut line = String::new();
        pipes.from.read_line(&mut line)?;
        let answer: Value = serde_json::from_str(&line)
            .with_context(|| format!("the judge answers `{line}` to `{request}`"))?;
        if let Some(error) = answer["error"].as_str() {
            bail!("the judge fails at `{request}`: {error}");
        }
        Ok(answer)
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        // It has nothing to lose, and a process that has ended already is as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

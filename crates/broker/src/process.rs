//! Running other programs and saying clearly when they fail. Not a shell: arguments are passed as they are.
//! Invariant: a command that ends with anything but success is an error that shows the command and what it said.

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// Lines of a failed command's errors that go into the message.
const LINES_SHOWN_MAX: usize = 20;

/// Runs to the end; standard output is the result.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let shown = shown(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{shown}` ended with {}: {}",
            output.status,
            last_lines(&errors)
        );
    }
    Ok(output.stdout)
}

/// Sends a signal by name (`KILL`, `TERM`, `STOP`, `CONT`).
pub(crate) fn signal(name: &str, pid: u32) -> Result<()> {
    let mut kill = Command::new("sh");
    kill.args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &pid.to_string()]);
    output(&mut kill).map(drop)
}

/// The end of a text, as much of it as a message may hold.
pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN_MAX)..].join("\n")
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words = words.map(|word| word.to_string_lossy().into_owned());
    words.collect::<Vec<_>>().join(" ")
}

//! What ends a broker when the process that started it is gone, however it went. Not a supervisor: a broker that dies stays dead.
//! Invariant: the watch waits on a pipe that only its owner holds open; the kernel closes it even after `kill -9`.

use anyhow::{Context, Result};
use std::{
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
};

/// `$1` is the broker, `$2` a folder to remove or nothing, `$3` where its output is kept. Two seconds are plenty for the kernel to take a
/// process apart, and a zombie that nobody collects must not keep the folder.
const SCRIPT: &str = r#"
read -r _
kill -s KILL "$1" 2>/dev/null
[ -n "$2" ] || exit 0
i=0
while kill -s 0 "$1" 2>/dev/null && [ $i -lt 20 ]; do i=$((i + 1)); sleep 0.1; done
mkdir -p "$3" && cp "$2"/*.log "$3"/ 2>/dev/null
rm -rf -- "$2"
rmdir -- "$(dirname -- "$2")" 2>/dev/null
exit 0
"#;

/// Watches one broker.
#[derive(Debug)]
pub(crate) struct Watch(Child);

impl Watch {
    /// `remove` is the node's folder where it goes with the process; its output is copied to `keep` before.
    pub(crate) fn over(pid: u32, remove: Option<&Path>, keep: &Path) -> Result<Self> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SCRIPT, "headwater-broker-watch", &pid.to_string()]);
        shell.arg(remove.unwrap_or(Path::new(""))).arg(keep);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // Its own process group: what ends the test by its group must not end the watch.
        let child = shell
            .process_group(0)
            .spawn()
            .context("cannot start sh to watch over a broker")?;
        Ok(Self(child))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // Before the pipe closes: the broker was ended already, or is meant to live on.
        // Both fail only where the watch is gone, and then there is nothing to end.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

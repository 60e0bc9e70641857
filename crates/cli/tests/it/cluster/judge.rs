//! An application of Kafka Streams in a process of its own, by the oracle's program. Not its results.
//! Invariant: it is ended with the test.

use headwater_broker::Cluster;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Seconds after which it ends by itself, whatever happens to the test.
const RUN_S_MAX: &str = "300";

pub(super) struct Java(Child);

/// The program; `None`, loudly, where it is missing.
pub(super) fn program() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/oracle/oracle");
    if !program.exists() {
        eprintln!("SKIPPED: Kafka Streams' judge is not at ../shared/oracle");
        return None;
    }
    Some(program)
}

impl Java {
    /// Counts topic `in` by key into `out`, in a group of this protocol.
    pub(super) fn start(
        program: &Path,
        cluster: &Cluster,
        id: &str,
        protocol: &str,
        dir: &Path,
    ) -> Self {
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("../oracle/cases/agg_count.json");
        let mut command = Command::new(program);
        command.args(["live", "run"]).arg(case);
        command.args(["--kafka", &cluster.bootstrap(), "--application-id", id]);
        command.args(["--group-protocol", protocol, "--threads", "2"]);
        command
            .args(["--seconds", RUN_S_MAX, "--state-dir"])
            .arg(dir.join(id));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self(command.spawn().unwrap())
    }

    /// Ends it as an operator would.
    pub(super) fn stop(mut self) {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.0.wait().unwrap();
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

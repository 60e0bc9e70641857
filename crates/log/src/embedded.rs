//! The embedded log: topics in a directory, commits in a journal with one sync, no server. Not shared between processes: one at a
//! time owns the directory. `docs/design/embedded-log.md` draws every byte.
//! Invariant: a commit that was answered is on the medium, whole, and nothing else is ever shown.

mod checkpoint;
mod cleaner;
mod client;
mod compaction;
mod core;
mod entry;
mod files;
mod founding;
mod hint;
mod index;
mod journal;
mod maintenance;
mod membership;
mod meta;
mod options;
mod overlay;
mod partition;
mod plan;
mod policy;
mod question;
mod queue;
mod reader;
mod recovery;
mod retention;
mod segment;
mod state;
mod stored;
#[cfg(test)]
mod tests;
mod verify;
mod walk;
mod warnings;
mod wire;

pub use options::EmbeddedOptions;
pub use verify::{PartitionFiles, SegmentFile, VerifyReport, verify};

use crate::{Client, ClientOptions, Error, Log, Result};
use headwater_world::World;
use std::{
    path::Path,
    sync::{Arc, Mutex, Weak},
    thread::JoinHandle,
};

/// A log in a directory of this machine.
///
/// On a real disk it has two threads of its own; on a simulated disk its clients crank it from [`Client::poll`].
pub struct EmbeddedLog {
    core: Arc<core::Core>,
    /// Clients keep the log open.
    this: Weak<EmbeddedLog>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, or founds one there. A second opener gets an error while this one lives.
    pub fn open(
        dir: impl AsRef<Path>,
        world: World,
        options: EmbeddedOptions,
    ) -> Result<Arc<EmbeddedLog>> {
        let dir = dir.as_ref();
        let (recovered, changed) = recovery::recover(&world, dir, &options, false)?;
        let core = core::Core::new(world, dir.to_owned(), options, recovered);
        if changed {
            core.checkpoint_now()?;
        }
        founding::sweep(&core)?;
        Self::start(Arc::new(core))
    }

    /// Opens the log in `dir` on this machine, with default options.
    pub fn open_default(dir: impl AsRef<Path>) -> Result<Arc<EmbeddedLog>> {
        Self::open(dir, World::real(), EmbeddedOptions::default())
    }

    /// Opens the log in `dir` for reading only, also beside the application that owns it: takes no lock, writes nothing, and shows
    /// the state of this moment; journal entries that are not in segments yet are applied in memory.
    pub fn open_read_only(dir: impl AsRef<Path>, world: World) -> Result<Arc<EmbeddedLog>> {
        let (dir, options) = (dir.as_ref(), EmbeddedOptions::default());
        let mut attempts = 0;
        loop {
            let overlay = overlay::OverlayDisk::new(Arc::clone(&world.disk));
            let world = World {
                disk: Arc::new(overlay),
                ..world.clone()
            };
            match recovery::recover(&world, dir, &options, true) {
                Ok((recovered, _)) => {
                    let core = core::Core::new(world, dir.to_owned(), options, recovered);
                    return Self::start(Arc::new(core));
                }
                // The owner may have made a checkpoint between two reads: the files changed, nothing is wrong.
                Err(error) if attempts == READ_ONLY_ATTEMPTS_MAX => return Err(error),
                Err(_) => attempts += 1,
            }
        }
    }

    fn start(core: Arc<core::Core>) -> Result<Arc<EmbeddedLog>> {
        let log = Arc::new_cyclic(|this| EmbeddedLog {
            core,
            this: this.clone(),
            threads: Mutex::default(),
        });
        if log.core.threaded {
            type Run = fn(&core::Core);
            let runs: [(&str, Run); 2] = [
                ("headwater-log", core::Core::run),
                ("headwater-log-upkeep", core::Core::run_maintenance),
            ];
            for (name, run) in runs {
                let core = Arc::clone(&log.core);
                let thread = std::thread::Builder::new()
                    .name(name.into())
                    .spawn(move || run(&core))
                    .map_err(|error| Error::io(&log.core.dir, "start a thread", &error))?;
                core::lock(&log.threads).push(thread);
            }
        }
        Ok(log)
    }

    /// Does the work that waits; false when there was none. Only for a simulated disk: a real log has a thread for it.
    pub fn turn(&self) -> bool {
        !self.core.threaded && self.core.turn()
    }

    /// What a person should know: torn writes that were cut, files rebuilt, the failure that closed the log.
    pub fn warnings(&self) -> Vec<String> {
        self.core.warnings.all()
    }
}

/// Looks at a directory that its owner changes meanwhile.
const READ_ONLY_ATTEMPTS_MAX: usize = 5;

impl Log for EmbeddedLog {
    fn client(&self, options: ClientOptions) -> Result<Box<dyn Client>> {
        let Some(log) = self.this.upgrade() else {
            return Err(Error::Unavailable("the log is closing".into()));
        };
        Ok(Box::new(client::EmbeddedClient::new(log, options)))
    }

    fn describe(&self) -> String {
        format!("the embedded log in {}", self.core.dir.display())
    }
}

impl Drop for EmbeddedLog {
    /// Serves what was submitted, then leaves a directory that opens without replay.
    fn drop(&mut self) {
        self.core.close();
        self.core.stop_maintenance();
        for thread in std::mem::take(&mut *core::lock(&self.threads)) {
            // A panic of the thread was printed by it; there is nobody to tell.
            let _ = thread.join();
        }
        self.core.finish();
    }
}

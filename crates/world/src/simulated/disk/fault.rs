//! The faults a test switches on, and the count of changes by which it aims them. Not the crash itself: see `crash`.
//! Invariant: a call that a fault refuses has changed nothing, except that a failed sync loses what it should have saved.

use super::SimulatedDisk;
use std::io::{Error, ErrorKind, Result};

#[derive(Default)]
pub(super) struct Faults {
    pub(super) capacity_bytes: Option<u64>,
    mutations: u64,
    /// The mutation that fails, in the numbering of `mutations`.
    fails_at: Option<u64>,
    crashed: bool,
    read_only: bool,
    failing_syncs: u64,
}

impl SimulatedDisk {
    /// Calls so far that changed the disk or synced it: each write, sync, `set_len`, rename, removed entry, created
    /// file or directory, `sync_dir`.
    ///
    /// Run a scenario once to learn its count, then once for each number up to it with [`SimulatedDisk::fail_after_writes`].
    pub fn mutations(&self) -> u64 {
        self.lock_drive().faults.mutations
    }

    /// The `n`-th mutation from now fails without effect, and every call after it, reads too: the process is dead.
    ///
    /// `n` counts from 1; 0 means 1. What the dead process left is [`SimulatedDisk::crash`].
    pub fn fail_after_writes(&self, n: u64) {
        let mut drive = self.lock_drive();
        drive.faults.fails_at = Some(drive.faults.mutations + n.max(1));
    }

    /// The next `n` calls of `sync` or `sync_dir` fail, and the process lives on.
    ///
    /// As on Linux, the writes a failed `sync` covered stay readable but never reach the medium, whatever is synced after it.
    pub fn fail_syncs(&self, n: u64) {
        self.lock_drive().faults.failing_syncs = n;
    }

    /// Limits the bytes in all files together; beyond it writes fail with `StorageFull`. `None` lifts the limit.
    pub fn set_capacity_bytes(&self, capacity: Option<u64>) {
        self.lock_drive().faults.capacity_bytes = capacity;
    }

    /// While set, every change fails with `ReadOnlyFilesystem`, as after a kernel has remounted a faulty disk.
    pub fn set_read_only(&self, read_only: bool) {
        self.lock_drive().faults.read_only = read_only;
    }
}

impl Faults {
    /// Passed by every call.
    pub(super) fn alive(&self) -> Result<()> {
        if self.crashed {
            return Err(crash());
        }
        Ok(())
    }

    pub(super) fn writable(&self) -> Result<()> {
        if self.read_only {
            return Err(Error::new(
                ErrorKind::ReadOnlyFilesystem,
                "the simulated disk is read-only",
            ));
        }
        Ok(())
    }

    /// Passed by every call that changes something, after its arguments are checked and before its effect.
    pub(super) fn mutation(&mut self) -> Result<()> {
        self.alive()?;
        self.writable()?;
        self.mutations += 1;
        self.crashed = self
            .fails_at
            .is_some_and(|fails_at| self.mutations >= fails_at);
        self.alive()
    }

    pub(super) fn sync(&mut self) -> Result<()> {
        if self.failing_syncs == 0 {
            return Ok(());
        }
        self.failing_syncs -= 1;
        Err(Error::other("simulated sync failure"))
    }
}

fn crash() -> Error {
    Error::other("simulated crash")
}

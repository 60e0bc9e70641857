//! The service that is asked: its two instances, and which of them has which key. Not the questions.
//! Invariant: it is only asked once both instances say the same, and each has half of the partitions.

use super::super::{PARTITIONS, pour};
use super::phase::{count, request};
use crate::http::{Asker, get};
use crate::process;
use anyhow::{Context, Result, bail, ensure};
use headwater::log::partition_for_key;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// The longest that the instances may take to share the partitions.
const SHARED_MAX: Duration = Duration::from_secs(90);
/// The longest that counts may take to be what they are to be.
const COUNTED_MAX: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One of the two.
pub(super) struct Instance {
    pub(super) address: SocketAddr,
    pub(super) pid: u32,
}

impl Instance {
    /// Of HOST:PORT=PID.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (address, pid) = text.split_once('=').context("HOST:PORT=PID")?;
        Ok(Self {
            address: address.parse()?,
            pid: pid.parse()?,
        })
    }
}

/// Both.
pub(super) struct Service {
    pub(super) instances: Vec<Instance>,
    /// Which instance has a partition.
    owners: [usize; PARTITIONS],
    /// The partition of each key.
    partitions: Vec<usize>,
}

impl Service {
    /// Waits until they have shared the partitions.
    pub(super) fn meet(instances: Vec<Instance>, keys: u64) -> Result<Self> {
        ensure!(instances.len() == 2, "two instances are asked");
        let begin = Instant::now();
        let owners = loop {
            let told: Vec<_> = instances.iter().map(owners).collect();
            let half = |owners: &[usize; PARTITIONS]| {
                owners.iter().filter(|owner| **owner == 0).count() == PARTITIONS / 2
            };
            let addresses = |told: &[SocketAddr; PARTITIONS]| {
                told.map(|it| usize::from(it != instances[0].address))
            };
            match &told[..] {
                [Ok(one), Ok(other)] if one == other && half(&addresses(one)) => {
                    break addresses(one);
                }
                _ if begin.elapsed() > SHARED_MAX => bail!("partitions are not shared: {told:?}"),
                _ => std::thread::sleep(LOOK_AGAIN),
            }
        };
        let partition = |key: u64| {
            let partition = partition_for_key(pour::key(key).as_bytes(), PARTITIONS as u32);
            partition as usize
        };
        Ok(Self {
            instances,
            owners,
            partitions: (0..keys).map(partition).collect(),
        })
    }

    pub(super) fn partition(&self, key: u64) -> usize {
        self.partitions[key as usize]
    }

    /// The number of the instance that has a key.
    pub(super) fn owner(&self, key: u64) -> usize {
        self.owners[self.partition(key)]
    }

    /// CPU time of both so far.
    pub(super) fn cpu_seconds(&self) -> f64 {
        let pids = self.instances.iter().map(|it| it.pid.to_string());
        pids.map(|pid| process::cpu_seconds_of(&pid)).sum()
    }

    /// Waits until both tell all counts of the first `written` records; a count that is higher is an error.
    pub(super) fn await_counts(&self, written: u64) -> Result<()> {
        let begin = Instant::now();
        let keys = self.partitions.len() as u64;
        for instance in &self.instances {
            let mut asker = Asker::connect(instance.address)?;
            for key in 0..keys {
                let (whole, request) = (count(key, written, keys), request(key, ""));
                loop {
                    let answer = asker.ask(&request)?;
                    // While partitions settle each layer has its own way to say that it is not ready.
                    let status = answer.status;
                    let found = match status {
                        200 => answer.count()?,
                        _ => 0,
                    };
                    ensure!(found <= whole, "key {key}: {found} of {whole}");
                    if found == whole {
                        break;
                    }
                    let late = begin.elapsed() > COUNTED_MAX;
                    ensure!(
                        !late,
                        "key {key} stays at {found} of {whole}, status {status}"
                    );
                    std::thread::sleep(LOOK_AGAIN);
                }
            }
        }
        Ok(())
    }
}

/// The addresses of those that have the partitions, as an instance tells them.
fn owners(instance: &Instance) -> Result<[SocketAddr; PARTITIONS]> {
    let mut asker = Asker::connect(instance.address)?;
    let answer = asker.ask(&get("/metadata"))?;
    let told: Value = serde_json::from_slice(answer.body)?;
    let told = told["stores"][0]["partitions"].as_array();
    let mut owners = [instance.address; PARTITIONS];
    let told = told.filter(|told| told.len() == PARTITIONS);
    for (owner, partition) in owners.iter_mut().zip(told.context("no partitions yet")?) {
        let active = partition["active"].as_str().context("no owner yet")?;
        *owner = active.parse()?;
        let is_here = *owner == instance.address;
        ensure!(partition["here"] == is_here, "an owner that is none yet");
    }
    Ok(owners)
}

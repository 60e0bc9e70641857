//! A reader of committed records that notes when each came: kcat, running all the time. Not a check of what they say.
//! Invariant: a gap is one of a single partition, since the others go on.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

type Arrivals = Arc<Mutex<BTreeMap<u32, Vec<Instant>>>>;

pub(super) struct Reader {
    kcat: Child,
    arrivals: Arrivals,
}

impl Reader {
    pub(super) fn start(servers: &str, topic: &str) -> Self {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", servers, "-C", "-t", topic, "-q", "-u", "-f", "%p\\n"]);
        for setting in ["isolation.level=read_committed", "fetch.wait.max.ms=50"] {
            kcat.args(["-X", setting]);
        }
        kcat.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut kcat = kcat.spawn().expect("kcat is installed");
        let output = kcat.stdout.take().expect("it was asked for");
        let arrivals = Arrivals::default();
        let noted = arrivals.clone();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let Ok(partition) = line.parse() else {
                    continue;
                };
                let mut noted = noted.lock().expect("nobody panics");
                noted.entry(partition).or_default().push(Instant::now());
            }
        });
        Self { kcat, arrivals }
    }

    /// Partitions that anything came of.
    pub(super) fn partitions(&self) -> usize {
        self.arrivals.lock().expect("nobody panics").len()
    }

    /// Every partition has gone on after `time`.
    pub(super) fn all_after(&self, time: Instant) -> bool {
        let arrivals = self.arrivals.lock().expect("nobody panics");
        let mut last = arrivals.values().map(|all| all.last());
        last.all(|last| last.is_some_and(|last| *last > time))
    }

    /// The longest time between two records of a partition of which the later came after `time`.
    pub(super) fn gap_around(&self, time: Instant) -> Duration {
        let arrivals = self.arrivals.lock().expect("nobody panics");
        let gaps = arrivals.values().flat_map(|all| {
            let pairs = all.windows(2).filter(|pair| pair[1] > time);
            pairs.map(|pair| pair[1] - pair[0])
        });
        gaps.max().unwrap_or_default()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // A process of ours, alive until here.
        let _ = self.kcat.kill();
        let _ = self.kcat.wait();
    }
}

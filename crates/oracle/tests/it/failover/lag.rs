//! What a survivor restored after a take-over, against how far its standbys were behind. Not how long that took.
//! Invariant: the end of a changelog is kcat's word, and a task that had a standby goes on exactly where that was.

use crate::fire::process::stamped;
use headwater_broker::Cluster;
use std::collections::BTreeMap;
use std::fmt;
use std::process::Command;
use std::time::Instant;

/// The marker that ends what a dead process had open.
const MARKERS_MAX: i64 = 1;

/// By store and partition.
type Places = BTreeMap<(String, u32), i64>;

/// Where the changelogs of these stores end, with what is open.
pub(super) fn ends(
    cluster: &Cluster,
    application: &str,
    stores: &[&str],
    partitions: u32,
) -> Places {
    let mut kcat = Command::new("kcat");
    // The end of a partition is what is written, not what is committed.
    kcat.args(["-b", &cluster.bootstrap(), "-Q"]);
    kcat.args(["-X", "isolation.level=read_uncommitted"]);
    for store in stores {
        for partition in 0..partitions {
            let topic = format!("{application}-{store}-changelog:{partition}:-1");
            kcat.args(["-t", &topic]);
        }
    }
    let output = kcat.output().expect("kcat is installed");
    let text = String::from_utf8(output.stdout).expect("kcat writes text");
    let mut ends = Places::new();
    for line in text.lines() {
        // `topic [partition] offset N`
        let words: Vec<_> = line.split_whitespace().collect();
        let [topic, partition, _, offset] = words[..] else {
            continue;
        };
        let store = topic.strip_prefix(&format!("{application}-"));
        let store = store.and_then(|rest| rest.strip_suffix("-changelog"));
        let store = store.expect("a changelog that was asked for");
        let partition = partition.trim_matches(['[', ']']).parse();
        let place = (store.to_owned(), partition.expect("a partition"));
        ends.insert(place, offset.parse().expect("an offset"));
    }
    assert_eq!(ends.len(), stores.len() * partitions as usize, "{text}");
    ends
}

/// The sums of one take-over.
pub(super) struct Restored {
    standbys: usize,
    records: i64,
    most: i64,
    lag: i64,
    without_standby: usize,
}

impl fmt::Display for Restored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} standbys of stores, {} records behind, {} restored (at most {} of one store), {} stores restored without a standby",
            self.standbys, self.lag, self.records, self.most, self.without_standby
        )
    }
}

/// Reads it from what a survivor said since a moment, and holds it to the standbys' lag as of `ends`.
pub(super) fn restored(output: &str, since: Instant, ends: &Places) -> Restored {
    let since = stamped(since);
    let mut standbys = Places::new();
    let mut sums = Restored {
        standbys: 0,
        records: 0,
        most: 0,
        lag: 0,
        without_standby: 0,
    };
    for line in output.lines().filter(|line| **line >= *since) {
        let words: Vec<_> = line.split_whitespace().skip(1).collect();
        let number = |word: &str| word.parse::<i64>().expect("an offset");
        match words[..] {
            // A coordinator takes a standby away before it gives the task, where another worker of the process is to have it.
            ["promoted" | "closed", task, store, at] => {
                let place = place(task, store);
                sums.standbys += 1;
                sums.lag += (ends[&place] - number(at)).max(0);
                standbys.insert(place, number(at));
            }
            ["restored", task, store, from, to] => {
                let place = place(task, store);
                let (from, to) = (number(from), number(to));
                let Some(at) = standbys.get(&place) else {
                    sums.without_standby += 1;
                    continue;
                };
                assert_eq!(from, *at, "{line}: the standby's place is kept");
                let lag = ends[&place] - at;
                assert!(to - from <= lag + MARKERS_MAX, "{line}: {lag} behind");
                sums.records += to - from;
                sums.most = sums.most.max(to - from);
            }
            _ => {}
        }
    }
    sums
}

fn place(task: &str, store: &str) -> (String, u32) {
    let partition = task.split_once('_').and_then(|(_, it)| it.parse().ok());
    (store.to_owned(), partition.expect("a task"))
}

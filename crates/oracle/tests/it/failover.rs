//! One of two processes ends, exactly once, under load: killed, asked to stop, or taken for dead while it lives. Not other faults: see
//! `fire`. Invariant: what a reader of committed records is given, by kcat, is the exact result, whatever the gap was.

mod lag;
mod reader;

use crate::fire::{
    check_balances, check_counts, drained,
    process::{Process, stamped},
    script::Script,
};
use headwater_broker::{Cluster, Options, is_usable};
use reader::Reader;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const CASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fire.json");
const PARTITIONS: u32 = 8;
/// What stands for "not by the session's timeout", which is 45 s, on a machine that may be busy.
const GAP_MAX: Duration = Duration::from_secs(20);
/// A session of 45 s, a transaction's timeout of 10 s and what finds it, with as much again.
const SESSION_GAP_MAX: Duration = Duration::from_secs(120);
/// Longer gaps come with what happened meanwhile.
const GAP_TOLD: Duration = Duration::from_millis(700);
const TOLD_BEFORE: Duration = Duration::from_secs(2);
/// One standby, everything else as brokers and applications have it.
const SETTINGS: &[&str] = &["num.standby.replicas=1"];

/// Two processes that have shared the work for a while.
struct Field {
    cluster: Cluster,
    folder: tempfile::TempDir,
    script: Script,
    reader: Reader,
    fleet: Vec<Process>,
}

impl Field {
    fn start(settings_of: impl Fn(usize) -> Vec<String>) -> Self {
        let cluster = Cluster::start(&Options::default()).expect("a broker starts");
        crate::topics::create(&cluster, &["events", "counts", "balances"], PARTITIONS);
        let folder = tempfile::tempdir().expect("a folder for state");
        let fleet = (0..2)
            .map(|number| process(&cluster, folder.path(), number, &settings_of(number)))
            .collect();
        let reader = Reader::start(&cluster.bootstrap(), "counts");
        let script = Script::start(&cluster.bootstrap(), "events", 1);
        let mut field = Self {
            cluster,
            folder,
            script,
            reader,
            fleet,
        };
        // Joins, and standbys that have caught up.
        field.write_until(Duration::from_secs(60), |field| {
            field.reader.partitions() == 8
        });
        field.script.write_for(Duration::from_secs(5));
        field
    }

    fn write_until(&mut self, at_most: Duration, is_done: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_done(self) {
            assert!(begin.elapsed() < at_most, "{}", self.outputs());
            self.script.write_for(Duration::from_millis(100));
        }
    }

    /// Writes on after `since` until every partition has gone on; the longest gap around then.
    fn gap(&mut self, since: Instant) -> Duration {
        self.gap_within(since, GAP_MAX)
    }

    fn gap_within(&mut self, since: Instant, at_most: Duration) -> Duration {
        self.write_until(at_most, |field| {
            field.reader.all_after(since + Duration::from_millis(300))
        });
        self.script.write_for(Duration::from_secs(2));
        let gap = self.reader.gap_around(since);
        println!("struck at {}, gap {gap:?}", stamped(since));
        if gap > GAP_TOLD {
            // A gap may have begun before.
            self.tell_since(since.checked_sub(gap + TOLD_BEFORE).unwrap_or(since));
        }
        gap
    }

    /// What all processes have said from a moment on, by time.
    fn tell_since(&self, since: Instant) {
        let begin = stamped(since);
        let mut lines: Vec<(String, usize)> = Vec::new();
        for (number, process) in self.fleet.iter().enumerate() {
            let output = process.output();
            // The first is the file's name.
            let later = output.lines().skip(1).filter(|line| **line >= *begin);
            lines.extend(later.map(|line| (line.to_owned(), number)));
        }
        lines.sort();
        for (line, number) in lines {
            println!("  {number} {line}");
        }
    }

    fn outputs(&self) -> String {
        self.fleet.iter().map(Process::output).collect()
    }

    /// The result is exact; everyone ends well.
    fn end(self) {
        let expected = self.script.end();
        let counts = drained(&self.cluster, "counts", expected.events);
        let balances = drained(&self.cluster, "balances", 2 * expected.events);
        for process in self.fleet {
            process.stop();
        }
        check_counts(&counts, &expected.counts);
        check_balances(&balances, &expected.balances);
        println!("{} events: exact", expected.events);
        drop(self.folder);
    }
}

fn process(cluster: &Cluster, folder: &Path, number: usize, settings: &[String]) -> Process {
    let settings: Vec<_> = settings.iter().map(String::as_str).collect();
    Process::start_with(folder, &cluster.bootstrap(), CASE, number, &settings)
}

fn plain(_: usize) -> Vec<String> {
    SETTINGS.iter().map(|it| (*it).to_owned()).collect()
}

#[test]
fn a_killed_process_is_replaced_long_before_its_session_ends() {
    kills(1);
}

#[test]
#[ignore = "a measurement of some minutes"]
fn ten_killed_processes_are_replaced() {
    kills(10);
}

fn kills(rounds: usize) {
    if !is_usable("failover") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let mut field = Field::start(plain);
    let mut gaps = Vec::new();
    for round in 0..rounds {
        let number = round % 2;
        let since = Instant::now();
        field.fleet[number].kill();
        let ends = lag::ends(&field.cluster, "fire", &["counts", "balances"], 8);
        gaps.push(field.gap(since));
        let restored = lag::restored(&field.fleet[1 - number].output(), since, &ends);
        println!("round {round}: gap {:?}, {restored}", gaps[round]);
        field.fleet[number].restart();
        // Its share comes back, and its standbys follow.
        field.script.write_for(Duration::from_secs(8));
    }
    tell("kill -9", gaps);
    field.end();
}

#[test]
fn a_process_that_is_asked_to_stop_hands_over() {
    stops(1);
}

#[test]
#[ignore = "a measurement of some minutes"]
fn ten_stopped_processes_hand_over() {
    stops(10);
}

fn stops(rounds: usize) {
    if !is_usable("failover") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let mut field = Field::start(plain);
    let mut gaps = Vec::new();
    for round in 0..rounds {
        let number = round % 2;
        let since = Instant::now();
        field.fleet[number].signal("TERM");
        gaps.push(field.gap(since));
        println!("round {round}: gap {:?}", gaps[round]);
        field.fleet[number].must_end_well();
        field.fleet[number].restart();
        field.script.write_for(Duration::from_secs(8));
    }
    tell("SIGTERM", gaps);
    field.end();
}

#[test]
#[ignore = "takes as long as a session"]
fn a_frozen_process_is_replaced_when_its_session_ends() {
    if !is_usable("failover") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    let mut field = Field::start(plain);
    let since = Instant::now();
    field.fleet[0].signal("STOP");
    let gap = field.gap_within(since, SESSION_GAP_MAX);
    println!("SIGSTOP: gap {gap:?}");
    field.fleet[0].signal("CONT");
    field.script.write_for(Duration::from_secs(8));
    field.fleet[0].must_live();
    field.end();
}

#[test]
fn a_live_process_that_is_evicted_starts_over_and_nothing_is_lost_or_doubled() {
    if !is_usable("failover") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    // The second process is found through a door of ours, which can be shut.
    let place = free_port();
    let mut door = Some(Door::open(place));
    let at = door.as_ref().expect("it is open").address();
    let mut field = Field::start(|number| {
        let mut settings = plain(number);
        if number == 1 {
            settings.push(format!("headwater.endpoint=127.0.0.1:{place}"));
            settings.push(format!("headwater.endpoint.advertised={at}"));
        }
        settings
    });
    let since = Instant::now();
    drop(door.take());
    let gap = field.gap(since);
    println!("live process evicted: gap {gap:?}");
    field.script.write_for(Duration::from_secs(4));
    for process in &mut field.fleet {
        process.must_live();
    }
    let (evictor, evicted) = (field.fleet[0].output(), field.fleet[1].output());
    assert!(evictor.contains("were taken out of group"), "{evictor}");
    assert!(evicted.contains("was fenced"), "{evicted}");
    field.end();
}

fn tell(what: &str, mut gaps: Vec<Duration>) {
    gaps.sort();
    let (median, max) = (gaps[gaps.len() / 2], gaps[gaps.len() - 1]);
    println!(
        "{what}: {} rounds, gap median {median:?}, max {max:?}",
        gaps.len()
    );
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound").port()
}

/// A forwarder of connections, which ends with all of them at once.
struct Door {
    listener: Option<TcpListener>,
    open: std::sync::Arc<std::sync::Mutex<Vec<TcpStream>>>,
    address: String,
}

impl Door {
    fn open(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket of ours");
        let address = listener.local_addr().expect("it is bound").to_string();
        let open = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let (taken, kept) = (listener.try_clone().expect("a descriptor"), open.clone());
        let kept = std::sync::Arc::downgrade(&kept);
        thread::spawn(move || {
            // Ends with the door, which holds the only strong reference.
            while let Some(open) = kept.upgrade() {
                match taken.accept() {
                    Ok((near, _)) => {
                        near.set_nonblocking(false).expect("a socket of ours");
                        if let Ok(far) = TcpStream::connect(("127.0.0.1", to)) {
                            forward(&near, &far);
                            open.lock().expect("nobody panics").extend([near, far]);
                        }
                    }
                    Err(_) => thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self {
            listener: Some(listener),
            open,
            address,
        }
    }

    fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        drop(self.listener.take());
        let open = std::mem::take(&mut *self.open.lock().expect("nobody panics"));
        self.open = std::sync::Arc::default();
        // The thread sees the end, and with it goes its copy of the listener.
        thread::sleep(Duration::from_millis(100));
        for stream in open {
            drop(stream.shutdown(std::net::Shutdown::Both));
        }
    }
}

fn forward(near: &TcpStream, far: &TcpStream) {
    for (from, to) in [(near, far), (far, near)] {
        let mut from = from.try_clone().expect("a descriptor");
        let mut to = to.try_clone().expect("a descriptor");
        thread::spawn(move || io::copy(&mut from, &mut to));
    }
}

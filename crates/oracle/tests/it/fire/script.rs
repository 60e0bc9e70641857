//! What is written and what happens, both from a seed, and the result that follows from what was written. Not the doing of it.
//! Invariant: one idempotent producer (kcat) writes all events, so that a broker's fall neither loses nor doubles one.

use headwater::world::{Random, SeededRandom};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

const ACCOUNTS: u64 = 50;
const KEYS: u64 = 200;
/// Events go out in bursts of so many, with a pause between: enough that each fault meets open transactions.
const BURST: usize = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// Topics that the writer and the application write all the time.
const WRITTEN: [&str; 3] = ["events", "counts", "balances"];

/// Which broker a fault is for; who that is, is looked up when the fault comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Target {
    /// The leader of this partition.
    Leader(&'static str, u32),
    /// The coordinator of the transactions of one of the application's members.
    Transactions(usize),
    /// The coordinator of the application's group.
    Group,
}

impl Target {
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Leader(..) => "the leader of a partition that is written",
            Self::Transactions(_) => "the coordinator of a member's transactions",
            Self::Group => "the group's coordinator",
        }
    }
}

/// What happens in a round.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    KillProcess(usize),
    FreezeProcess(usize, Duration),
    KillBroker(Target),
    FreezeBroker(Target, Duration),
    /// Every connection through the proxies.
    Cut,
    /// The next answer to requests of this key, once on each broker.
    LoseAnswer(i16),
}

impl Fault {
    /// For counting.
    pub(crate) fn kind(self) -> String {
        match self {
            Self::KillProcess(_) => "a process killed".into(),
            Self::FreezeProcess(..) => "a process frozen".into(),
            Self::KillBroker(target) => format!("{} killed", target.kind()),
            Self::FreezeBroker(target, _) => format!("{} frozen", target.kind()),
            Self::Cut => "all connections cut".into(),
            Self::LoseAnswer(_) => "answers lost".into(),
        }
    }
}

const PRODUCE: i16 = 0;
const INIT_PRODUCER_ID: i16 = 22;
const END_TXN: i16 = 26;
const TXN_OFFSET_COMMIT: i16 = 28;
const STREAMS_GROUP_HEARTBEAT: i16 = 88;

/// The fault of a round.
pub(crate) fn fault(seed: u64, round: u64, processes: usize, partitions: u32) -> Fault {
    let random = SeededRandom::new(seed ^ (round << 32) ^ 0x5eed);
    let one_of = |count: usize| random.below(count as u64) as usize;
    // The first rounds show each kind, so that a short campaign does.
    let kind = match round {
        0..5 => round as usize,
        _ => one_of(6),
    };
    let time = Duration::from_millis(500 * (1 + one_of(14)) as u64);
    let target = || match one_of(4) {
        0..2 => {
            let partition = random.below(u64::from(partitions)) as u32;
            Target::Leader(WRITTEN[one_of(WRITTEN.len())], partition)
        }
        2 => Target::Transactions(one_of(processes)),
        _ => Target::Group,
    };
    match kind {
        0 => Fault::KillProcess(one_of(processes)),
        1 => Fault::LoseAnswer(
            [
                END_TXN,
                PRODUCE,
                TXN_OFFSET_COMMIT,
                INIT_PRODUCER_ID,
                STREAMS_GROUP_HEARTBEAT,
            ][one_of(5)],
        ),
        2 => Fault::KillBroker(target()),
        3 => Fault::FreezeProcess(one_of(processes), time),
        4 => Fault::Cut,
        _ => Fault::FreezeBroker(target(), time),
    }
}

/// What the result must be.
#[derive(Default)]
pub(crate) struct Expected {
    pub(crate) events: usize,
    pub(crate) counts: BTreeMap<String, usize>,
    pub(crate) balances: BTreeMap<String, i64>,
}

/// The writer of events.
pub(crate) struct Script {
    producer: Child,
    input: BufWriter<ChildStdin>,
    random: SeededRandom,
    expected: Expected,
}

impl Script {
    pub(crate) fn start(servers: &str, topic: &str, seed: u64) -> Self {
        let mut kcat = Command::new("kcat");
        kcat.args(["-b", servers, "-P", "-t", topic, "-K", "\t"]);
        for setting in [
            "enable.idempotence=true",
            "message.timeout.ms=300000",
            "partitioner=murmur2_random",
            "linger.ms=5",
        ] {
            kcat.args(["-X", setting]);
        }
        kcat.stdin(Stdio::piped()).stderr(Stdio::null());
        let mut producer = kcat.spawn().expect("kcat is installed");
        let input = producer.stdin.take().expect("it was asked for");
        Self {
            producer,
            input: BufWriter::new(input),
            random: SeededRandom::new(seed),
            expected: Expected::default(),
        }
    }

    pub(crate) fn write_for(&mut self, time: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < time {
            for _ in 0..BURST {
                self.write_one();
            }
            self.input.flush().expect("kcat reads");
            std::thread::sleep(PAUSE);
        }
    }

    fn write_one(&mut self) {
        let key = format!("k{}", self.random.below(KEYS));
        let from = format!("a{}", self.random.below(ACCOUNTS));
        let to = format!("a{}", self.random.below(ACCOUNTS));
        let amount = 1 + self.random.below(1_000) as i64;
        writeln!(self.input, "{key}\t{from}:-{amount} {to}:{amount}").expect("kcat reads");
        self.expected.events += 1;
        *self.expected.counts.entry(key).or_default() += 1;
        *self.expected.balances.entry(from).or_default() -= amount;
        *self.expected.balances.entry(to).or_default() += amount;
    }

    /// Everything is written when this returns.
    pub(crate) fn end(self) -> Expected {
        drop(self.input);
        let mut producer = self.producer;
        let status = producer.wait().expect("a process of ours");
        assert!(status.success(), "kcat could not write all events");
        self.expected
    }
}

//! Exactly once under fire: processes that count and move money, on three brokers, while one after the other is killed, frozen or cut
//! off. Not a test of speed. Invariant: kcat, not we, reads the result, and it is the one computed here from the input alone.

mod leader;
pub(crate) mod process;
pub(crate) mod script;

use headwater_broker::{Cluster, Listener, Options, Proxy, Record, is_usable, read_committed};
use leader::Leaders;
use process::Process;
use script::{Fault, Script, Target, fault};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

pub(crate) const CASE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/fire.json");
const PARTITIONS: u32 = 4;
const BROKERS: usize = 3;
/// How long the last records may take after the last fault: sessions and transactions of the dead run out first.
const DRAIN: Duration = Duration::from_secs(240);

#[test]
fn five_rounds_of_faults_leave_the_exact_result() {
    campaign(5, 2, 1);
}

#[test]
#[ignore = "takes half an hour"]
fn a_hundred_rounds_of_faults_leave_the_exact_result() {
    let seed = std::env::var("HEADWATER_SEED").ok();
    let seed = seed.map_or(1, |seed| seed.parse().expect("HEADWATER_SEED is a number"));
    campaign(100, 3, seed);
}

fn campaign(rounds: u64, processes: usize, seed: u64) {
    if !is_usable("exactly once under fire") {
        return;
    }
    let _one = crate::one_cluster_at_a_time();
    println!("seed {seed}: HEADWATER_SEED gives it again");
    let cluster = Cluster::start(&options_of(BROKERS)).expect("three brokers start");
    let proxies = cluster.proxies(seed).expect("their proxies start");
    crate::topics::create(&cluster, &["events", "counts", "balances"], PARTITIONS);
    let folder = tempfile::tempdir().expect("a folder for state");
    let servers = cluster.bootstrap_of(Listener::Proxied);
    let mut fleet: Vec<_> = (0..processes)
        .map(|number| Process::start(folder.path(), &servers, CASE, number))
        .collect();
    let mut script = Script::start(&cluster.bootstrap(), "events", seed);
    let leaders = Leaders::of(&cluster);
    let mut hits: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..rounds {
        script.write_for(Duration::from_millis(1_500));
        let fault = fault(seed, round, processes, PARTITIONS);
        println!("round {round}: {fault:?}");
        let field = (&cluster, &proxies[..], &leaders);
        strike(field, &mut fleet, &mut script, fault);
        *hits.entry(fault.kind()).or_default() += 1;
        for process in &mut fleet {
            process.must_live();
        }
    }
    let expected = script.end();
    let counts = drained(&cluster, "counts", expected.events);
    let balances = drained(&cluster, "balances", 2 * expected.events);
    for process in fleet {
        process.stop();
    }
    check_counts(&counts, &expected.counts);
    check_balances(&balances, &expected.balances);
    // Nothing came in the time that the second topic took.
    let again = read_committed(&cluster, "counts").expect("kcat reads");
    assert_eq!(again.len(), counts.len());
    println!("{} events, {rounds} faults: exact", expected.events);
    for (kind, count) in hits {
        println!("{count:4} x {kind}");
    }
}

/// Sessions as short as a busy machine allows, so that rounds are many and not long.
pub(crate) fn options_of(brokers: usize) -> Options {
    Options::nodes(brokers)
        .listen(Listener::Proxied)
        .set("group.streams.min.session.timeout.ms", 5_000)
        .set("group.streams.session.timeout.ms", 5_000)
        .set("group.streams.min.heartbeat.interval.ms", 200)
        .set("group.streams.heartbeat.interval.ms", 500)
        .set("broker.session.timeout.ms", 6_000)
}

fn strike(
    (cluster, proxies, leaders): (&Cluster, &[Proxy], &Leaders),
    fleet: &mut [Process],
    script: &mut Script,
    fault: Fault,
) {
    match fault {
        Fault::KillProcess(number) => {
            fleet[number].kill();
            script.write_for(Duration::from_millis(500));
            fleet[number].restart();
        }
        Fault::FreezeProcess(number, time) => {
            fleet[number].signal("STOP");
            script.write_for(time);
            fleet[number].signal("CONT");
        }
        Fault::KillBroker(target) => {
            let node = hit(leaders, target);
            cluster.kill(node).expect("a broker that runs");
            script.write_for(Duration::from_secs(1));
            cluster.restart(node).expect("it comes back");
        }
        Fault::FreezeBroker(target, time) => {
            let node = hit(leaders, target);
            cluster.freeze(node).expect("a broker that runs");
            script.write_for(time);
            cluster.thaw(node).expect("a broker that stands");
        }
        Fault::Cut => {
            for proxy in proxies {
                proxy.cut_all();
            }
            script.write_for(Duration::from_millis(500));
        }
        Fault::LoseAnswer(api_key) => {
            for proxy in proxies {
                proxy.plan(api_key, headwater_broker::Fault::LoseAnswer);
            }
            script.write_for(Duration::from_secs(1));
        }
    }
}

/// The broker that the target is at this moment; says which.
fn hit(leaders: &Leaders, target: Target) -> usize {
    let found = leaders.find(target);
    println!("  broker {}: {}", found.node + 1, found.role);
    found.node
}

/// What a topic holds once it holds so many records, or when patience ends.
pub(crate) fn drained(cluster: &Cluster, topic: &str, records: usize) -> Vec<Record> {
    let begin = Instant::now();
    loop {
        let found = read_committed(cluster, topic).expect("kcat reads");
        if found.len() >= records || begin.elapsed() > DRAIN {
            return found;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Without a cache each event shows: of every key 1, 2, 3 and so on, each once, in this order.
pub(crate) fn check_counts(found: &[Record], expected: &BTreeMap<String, usize>) {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for record in found {
        let count = counts.entry(record.key.clone()).or_default();
        *count += 1;
        let value = record.value.as_deref().expect("a count");
        assert_eq!(value, count.to_string(), "{record:?}");
    }
    assert_eq!(counts, *expected);
}

pub(crate) fn check_balances(found: &[Record], expected: &BTreeMap<String, i64>) {
    let last = found.iter().map(|record| {
        let value = record.value.as_deref().expect("a balance");
        let value: i64 = value.parse().expect("a balance is a number");
        (record.key.clone(), value)
    });
    let last: BTreeMap<_, _> = last.collect();
    assert_eq!(last, *expected);
    assert_eq!(last.values().sum::<i64>(), 0, "money was made or lost");
}

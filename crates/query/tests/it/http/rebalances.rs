//! GETs that wait while instances join and leave, at those that stay and at those that go. Not the reads without a network.
//! Invariant: each GET is answered with its own order in the end; what refuses it before is a 503 or the end of an instance that leaves,
//! and is counted. At an instance that stays none is refused, and no connection ends without an answer.
//!
//! The instances are another process, so that either side has files for its ends of the connections.

use super::process::{Process, alone, is_other, report};
use super::{Served, Speech, on_network, orders};
use crate::instance::{PARTITIONS, Shop, place, until, until_for};
use headwater_query::http::Limits;
use headwater_streams::{App, Topology};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Instances that join or leave.
const TIMES: usize = 20;
/// ms that a GET waits which is answered in the end: the most that may be asked for.
const WAIT_MS: u64 = 300_000;
/// ms that a GET waits for an order which never comes.
const VAIN_MS: u64 = 1_500;
/// How late an answer may be on a busy machine: to a few hundred, and to thousands.
const LATE_MAX: Duration = Duration::from_secs(30);
const LATE_OF_THOUSANDS_MAX: Duration = Duration::from_secs(180);
/// Before who was refused asks again.
const AGAIN: Duration = Duration::from_millis(20);

/// One table alone, so that each instance has some of it.
fn table() -> Topology {
    let app = App::new("shop");
    app.table_in::<String, i64>("orders", "orders-store");
    app.build().unwrap()
}

/// The instances: obeys `start`, `stop`, which means the second one, `wait` for so many GETs, and `place` orders from and to.
#[test]
#[ignore = "the other process of a test"]
fn serves() {
    if !is_other() {
        return;
    }
    on_network(async {
        let shop = Shop::of(table);
        let runtime = tokio::runtime::Handle::current();
        let obey = move || {
            let mut instances = Vec::new();
            for line in std::io::stdin().lines() {
                obey(&runtime, &shop, &mut instances, &line.unwrap());
            }
            for served in instances {
                runtime.block_on(served.stop());
            }
        };
        tokio::task::spawn_blocking(obey).await.unwrap();
    });
}

fn obey(runtime: &tokio::runtime::Handle, shop: &Shop, instances: &mut Vec<Served>, line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    let number = |at: usize| words[at].parse::<usize>().unwrap();
    let mut said = String::new();
    match words[0] {
        "start" => {
            let served = runtime.block_on(Served::start(shop, &Speech::default(), orders));
            said = served.address().to_string();
            instances.push(served);
            share(instances);
        }
        "stop" => {
            runtime.block_on(instances.remove(1).stop());
            share(instances);
        }
        "wait" => until_for(LATE_OF_THOUSANDS_MAX, "all wait", || {
            let waiters = |it: &Served| it.queries.state().watches().waiters();
            instances.iter().map(waiters).sum::<usize>() >= number(1)
        }),
        _ => {
            let orders = number(1) as i64..number(2) as i64;
            place(&mut shop.writer("client"), "orders", orders);
        }
    }
    report(&format!("done {said}"));
}

/// Waits until each instance has partitions, and none is missing.
fn share(instances: &[Served]) {
    until("a share for each", || {
        let held = |it: &Served| it.queries.state().views().readers("orders-store").len();
        let all: usize = instances.iter().map(held).sum();
        all == PARTITIONS as usize && instances.iter().all(|it| held(it) > 0)
    });
}

/// What clients know, and what they are told besides answers.
struct Clients {
    /// The instances that run, the first of which stays.
    addresses: Mutex<Vec<SocketAddr>>,
    refused: AtomicU64,
    cut_off: AtomicU64,
    too_slow: AtomicU64,
    in_vain: AtomicU64,
    is_over: AtomicBool,
    late_max: Duration,
}

#[derive(Debug)]
enum Outcome {
    Answered(u16, String),
    /// The connection ended without an answer, and how.
    CutOff(String),
    /// As well, but the client said nothing for as long as a server waits for it: it got no time of a busy machine.
    TooSlow,
}

impl Clients {
    fn newest(&self) -> SocketAddr {
        *self.addresses.lock().unwrap().last().unwrap()
    }

    fn first(&self) -> SocketAddr {
        self.addresses.lock().unwrap()[0]
    }

    fn count(&self, outcome: &Outcome) {
        match outcome {
            Outcome::Answered(503, _) => self.refused.fetch_add(1, Ordering::Relaxed),
            Outcome::CutOff(_) => self.cut_off.fetch_add(1, Ordering::Relaxed),
            Outcome::TooSlow => self.too_slow.fetch_add(1, Ordering::Relaxed),
            Outcome::Answered(status, body) => panic!("{status}: {body}"),
        };
    }

    /// Waits for an order until it is there: at the instance that stays, or at the newest one, and anew where that leaves.
    async fn wait_for(&self, number: usize) {
        let begun = Instant::now();
        loop {
            let is_at_first = number.is_multiple_of(2);
            let address = match is_at_first {
                true => self.first(),
                false => self.newest(),
            };
            match self.ask(address, &format!("order-{number}"), WAIT_MS).await {
                Outcome::Answered(200, body) => {
                    assert_eq!(body, number.to_string());
                    return;
                }
                Outcome::Answered(503, why) | Outcome::CutOff(why) if is_at_first => {
                    panic!("by an instance that stays: {why}");
                }
                outcome => self.count(&outcome),
            }
            assert!(begun.elapsed() < Duration::from_millis(WAIT_MS), "lost");
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Waits for what never comes, again and again.
    async fn wait_in_vain(&self, number: usize) {
        let key = format!("nothing-{number}");
        while !self.is_over.load(Ordering::Relaxed) {
            let is_at_first = number.is_multiple_of(2);
            let address = match is_at_first {
                true => self.first(),
                false => self.newest(),
            };
            let begun = Instant::now();
            let outcome = self.ask(address, &key, VAIN_MS).await;
            let (waited, wait) = (begun.elapsed(), Duration::from_millis(VAIN_MS));
            assert!(waited < wait + self.late_max, "{waited:?}: {outcome:?}");
            match outcome {
                // The other one where the partition's owner is too busy to say so itself.
                Outcome::Answered(504 | 502, _) => {
                    assert!(waited >= wait, "{waited:?}");
                    self.in_vain.fetch_add(1, Ordering::Relaxed);
                }
                Outcome::CutOff(how) if is_at_first => {
                    panic!("cut off by an instance that stays: {how}");
                }
                outcome => {
                    self.count(&outcome);
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    /// No answer came on a connection on which all was said after `asked`. Hundreds have time to speak; thousands may lack it.
    fn cut_off(&self, asked: Duration, how: String) -> Outcome {
        let head_max = Duration::from_millis(Limits::default().head_ms_max);
        match self.late_max > LATE_MAX && asked >= head_max {
            true => Outcome::TooSlow,
            false => Outcome::CutOff(how),
        }
    }

    /// A GET that waits, on a connection of its own.
    async fn ask(&self, address: SocketAddr, key: &str, wait_ms: u64) -> Outcome {
        let begun = Instant::now();
        let mut client = match TcpStream::connect(address).await {
            Ok(client) => client,
            Err(error) => return Outcome::CutOff(format!("not connected: {error}")),
        };
        let (connected, local) = (begun.elapsed(), client.local_addr().unwrap());
        let path = format!("/stores/orders-store/{key}?wait={wait_ms}");
        let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        if let Err(error) = client.write_all(head.as_bytes()).await {
            return self.cut_off(begun.elapsed(), format!("not asked: {error}"));
        }
        let asked = begun.elapsed();
        let wait = Duration::from_millis(wait_ms) + self.late_max;
        let mut text = String::new();
        let read = tokio::time::timeout(wait, client.read_to_string(&mut text)).await;
        let waited = begun.elapsed();
        let how = format!("{local} connected after {connected:?}, {read:?} after {waited:?}");
        // A connection that is reset has ended too.
        assert!(
            read.is_ok(),
            "an answer or an end in time: {address}, {how}"
        );
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            assert_eq!(text, "", "half an answer");
            return self.cut_off(asked, how);
        };
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        match status {
            200 => Outcome::Answered(status, body.to_owned()),
            _ => Outcome::Answered(status, format!("{body} {how}")),
        }
    }
}

/// `count` GETs wait, a tenth as many in vain, while instances join and leave; half of the orders come meanwhile, the others then.
fn rebalances(count: usize, late_max: Duration) {
    let _alone = alone();
    let mut instances = Process::start("http::rebalances::serves");
    let first = instances.ask("start", "done ");
    let second = instances.ask("start", "done ");
    let clients = Arc::new(Clients {
        addresses: Mutex::new(vec![first.parse().unwrap(), second.parse().unwrap()]),
        refused: AtomicU64::new(0),
        cut_off: AtomicU64::new(0),
        too_slow: AtomicU64::new(0),
        in_vain: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
        late_max,
    });
    on_network(async {
        let waiting = (0..count).map(|number| {
            let clients = clients.clone();
            tokio::spawn(async move { clients.wait_for(number).await })
        });
        let waiting: Vec<_> = waiting.collect();
        let in_vain = (0..count / 10).map(|number| {
            let clients = clients.clone();
            tokio::spawn(async move { clients.wait_in_vain(number).await })
        });
        let in_vain: Vec<_> = in_vain.collect();
        let moving = clients.clone();
        let moved = tokio::task::spawn_blocking(move || {
            instances.ask(&format!("wait {count}"), "done");
            let placed = move_about(&mut instances, &moving, count / 2);
            instances.ask(&format!("place {placed} {count}"), "done");
            instances
        });
        let instances = moved.await.unwrap();
        for answer in waiting {
            let answered = tokio::time::timeout(late_max, answer).await;
            answered.expect("none is lost").unwrap();
        }
        clients.is_over.store(true, Ordering::Relaxed);
        for waiter in in_vain {
            waiter.await.unwrap();
        }
        instances.end();
    });
    let told = |of: &AtomicU64| of.load(Ordering::Relaxed);
    println!(
        "{count} GETs answered over {TIMES} rebalances; refused {}, cut off by instances that left {}, too slow themselves {}, in vain {}",
        told(&clients.refused),
        told(&clients.cut_off),
        told(&clients.too_slow),
        told(&clients.in_vain)
    );
    assert!(
        told(&clients.refused) > 0,
        "GETs wait where instances leave, and are told so"
    );
    assert!(told(&clients.in_vain) > 0);
}

/// Instances join and leave, in turn, and so many orders come meanwhile, or a few less; how many.
fn move_about(instances: &mut Process, clients: &Clients, orders: usize) -> usize {
    let (each, mut placed) = (orders / TIMES, 0);
    for time in 0..TIMES {
        if time % 2 == 0 {
            let joined = instances.ask("start", "done ").parse().unwrap();
            clients.addresses.lock().unwrap().push(joined);
        } else {
            // Nobody is sent there any more; who waits there is cut off.
            clients.addresses.lock().unwrap().remove(1);
            instances.ask("stop", "done");
        }
        instances.ask(&format!("place {placed} {}", placed + each), "done");
        placed += each;
    }
    placed
}

#[test]
fn five_hundred_gets_that_wait_are_all_answered_over_twenty_rebalances() {
    rebalances(500, LATE_MAX);
}

#[test]
#[ignore = "ten thousand connections at each end: nightly"]
fn ten_thousand_gets_that_wait_are_all_answered_over_twenty_rebalances() {
    rebalances(10_000, LATE_OF_THOUSANDS_MAX);
}

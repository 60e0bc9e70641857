//! Ten thousand GETs that wait on one instance, one connection each: what they cost of the process's memory, and how soon they are
//! answered. Not for `ci`: it measures. Invariant: the instance is a process of its own, so that nothing of its clients is counted.

use super::process::{Process, alone, is_other, report};
use super::{Served, Speech, on_network, orders};
use crate::instance::{Shop, WAIT, place, until};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const GETS: usize = 10_000;
const KEYS: usize = 1_000;
const MORE_MB_MAX: f64 = 60.0;
const RELEASE_MAX: Duration = Duration::from_secs(1);

/// The instance: says where it listens, and obeys lines: `wait`, until all wait, and `place`, all orders.
#[test]
#[ignore = "the other process of the measurement"]
fn serves() {
    if !is_other() {
        return;
    }
    on_network(async {
        let shop = Shop::new();
        let served = Served::start(&shop, &Speech::default(), orders).await;
        let mut writer = shop.writer("client");
        place(&mut writer, "orders", 5_000..5_010);
        report(&format!("at {}", served.address()));
        let state = served.queries.state().clone();
        let obey = tokio::task::spawn_blocking(move || {
            for line in std::io::stdin().lines() {
                match line.unwrap().as_str() {
                    "wait" => until("all wait", || state.watches().waiters() >= GETS),
                    _ => drop(place(&mut writer, "orders", 0..KEYS as i64)),
                }
                report("done");
            }
        });
        obey.await.unwrap();
        served.stop().await;
    });
}

#[test]
#[ignore = "measures memory and time: nightly"]
fn ten_thousand_waiting_gets_cost_less_than_sixty_megabytes_and_are_answered_within_a_second() {
    let _alone = alone();
    let mut server = Process::start("http::ten_thousand::serves");
    let address: SocketAddr = server.hear("at ").parse().unwrap();
    let id = server.id();
    let resident = || resident_mb(id);
    on_network(async {
        let idle = resident();
        let mut clients = Vec::new();
        for number in 0..GETS {
            let mut client = TcpStream::connect(address).await.unwrap();
            let path = format!("/stores/orders-store/order-{}?wait=200000", number % KEYS);
            let head = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
            client.write_all(head.as_bytes()).await.unwrap();
            clients.push((number % KEYS, client));
        }
        server.ask("wait", "done");
        let parked = resident();
        println!(
            "idle {idle:.1} MB, parked {parked:.1} MB: {:.1} more",
            parked - idle
        );
        let answered = clients.into_iter().map(|(number, mut client)| {
            tokio::spawn(async move {
                let mut text = String::new();
                let read = tokio::time::timeout(WAIT, client.read_to_string(&mut text)).await;
                read.expect("none is lost").unwrap();
                assert!(text.ends_with(&format!("\r\n\r\n{number}")), "{text:?}");
            })
        });
        let answered: Vec<_> = answered.collect();
        server.ask("place", "done");
        let placed = Instant::now();
        for answer in answered {
            answer.await.unwrap();
        }
        let after = placed.elapsed();
        println!("all answered {after:?} after the last order was acknowledged");
        assert!(parked - idle < MORE_MB_MAX, "{:.1} MB more", parked - idle);
        assert!(after < RELEASE_MAX, "{after:?}");
    });
    server.end();
}

/// MB of a process that are in memory.
fn resident_mb(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kb: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kb / 1_024.0
}

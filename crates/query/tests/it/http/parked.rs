//! GETs that wait for an event: what each costs, and that its connection goes on as if it had not waited. Not how long they wait.
//! Invariant: a waiting GET is answered on the connection it came on, once, as its client asked for it.

use super::client::{read, say};
use super::{Served, Speech, on_network};
use crate::instance::{Shop, WAIT, place, until};
use axum::routing::get;
use headwater_query::http::{Limits, Server, Stores};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Heap of one waiting GET, with its connection, behind the gate and the count of requests, and what hash tables grow by at once.
const BYTES_EACH_MAX: u64 = 5_700;

fn show(stores: Stores) -> Stores {
    stores.show::<String, i64>("orders-store").unwrap()
}

#[test]
fn a_waiting_get_and_its_connection_cost_few_bytes() {
    // One thread, so that all is counted; the application has its own, where waiters do not live.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let shop = Shop::new();
    let served = runtime.block_on(Served::start(&shop, &Speech::default(), show));
    let address = served.address();
    let mut clients = Vec::with_capacity(1_000);
    let mut park = |count: usize| {
        let before = clients.len();
        runtime.block_on(async {
            for number in before..before + count {
                let mut client = std::net::TcpStream::connect(address).unwrap();
                let path = format!("/stores/orders-store/order-{number}?wait=60000");
                let head =
                    format!("GET {path} HTTP/1.1\r\nHost: test\r\nUser-Agent: a browser\r\n\r\n");
                client.write_all(head.as_bytes()).unwrap();
                clients.push(client);
                while served.queries.state().watches().waiters() < clients.len() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
    };
    // What grows by doubling has grown.
    park(300);
    let count = 200;
    let spent = allocation_counter::measure(|| park(count));
    let each = u64::try_from(spent.bytes_current).unwrap() / count as u64;
    println!(
        "{each} bytes each, {} in all allocations",
        spent.bytes_total / count as u64
    );
    assert!(each <= BYTES_EACH_MAX, "{each} bytes each");
    place(&mut shop.writer("client"), "orders", 0..500);
    runtime.block_on(async {
        for (number, client) in clients.into_iter().enumerate() {
            client.set_nonblocking(true).unwrap();
            let mut client = TcpStream::from_std(client).unwrap();
            let answer = answers(&mut client, 1).await;
            assert!(answer.ends_with(&format!("\r\n\r\n{number}")), "{answer}");
        }
        served.stop().await;
    });
}

/// Reads until so many answers are there, each with a length.
async fn answers(client: &mut TcpStream, count: usize) -> String {
    let mut text = String::new();
    let mut chunk = vec![0; 4_096];
    while ends(&text) < count {
        let read = tokio::time::timeout(WAIT, client.read(&mut chunk));
        let read = read.await.expect("an answer within a minute").unwrap();
        assert!(read > 0, "the connection ended behind {text:?}");
        text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
    }
    text
}

/// How many whole answers `text` holds.
fn ends(mut text: &str) -> usize {
    let mut count = 0;
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.expect("a length").parse().unwrap();
        let Some(rest) = rest.get(length..) else {
            break;
        };
        (text, count) = (rest, count + 1);
    }
    count
}

/// A server whose `/wait/{number}` answers once that number has been called, and `/now` at once.
async fn waits(called: &watch::Sender<u32>) -> Server {
    let called = called.subscribe();
    let wait = move |axum::extract::Path(number): axum::extract::Path<u32>| {
        let mut called = called.clone();
        async move {
            drop(called.wait_for(|it| *it >= number).await.unwrap());
            format!("number {number}")
        }
    };
    let routes = axum::Router::new()
        .route("/wait/{number}", get(wait))
        .route("/now", get(|| async { "now" }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Server::start(listener, routes, &Limits::default(), None).unwrap()
}

async fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(text.as_bytes()).await.unwrap();
    client
}

/// Until so many handlers wait: each holds a receiver, and the route one.
fn waiting(called: &watch::Sender<u32>, count: usize) {
    until("they wait", || called.receiver_count() == count + 1);
}

#[test]
fn a_connection_goes_on_behind_a_get_that_waited() {
    on_network(async {
        let (call, _) = watch::channel(0);
        let server = waits(&call).await;
        // Three at once, the second of which waits again.
        let three = "GET /wait/1 HTTP/1.1\r\nHost: a\r\n\r\nGET /wait/2 HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut client = connect(server.address(), three).await;
        waiting(&call, 1);
        call.send_replace(1);
        let first = answers(&mut client, 1).await;
        assert!(first.ends_with("number 1"), "{first}");
        waiting(&call, 1);
        call.send_replace(2);
        let rest = answers(&mut client, 2).await;
        assert!(rest.contains("number 2") && rest.ends_with("now"), "{rest}");
        let again = b"GET /wait/3 HTTP/1.1\r\nHost: a\r\n\r\n";
        client.write_all(again).await.unwrap();
        waiting(&call, 1);
        // The next request comes while this one waits.
        let next = b"GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        client.write_all(next).await.unwrap();
        call.send_replace(3);
        let last = read(&mut client).await.unwrap();
        assert!(last.body.starts_with("number 3HTTP/1.1 200"), "{last:?}");
        assert!(last.body.ends_with("now"), "{last:?}");
        server.stop(Duration::from_secs(1)).await;
    });
}

#[test]
fn an_answer_that_was_waited_for_is_framed_as_its_request_asked() {
    on_network(async {
        let (call, _) = watch::channel(0);
        let server = waits(&call).await;
        let address = server.address();
        let asked = [
            "HEAD /wait/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET /wait/1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            "GET /wait/1 HTTP/1.0\r\n\r\n",
        ];
        let asked: Vec<_> = asked
            .map(|text| tokio::spawn(async move { say(address, text).await.unwrap() }))
            .into();
        waiting(&call, 3);
        call.send_replace(1);
        let mut answered = Vec::new();
        for answer in asked {
            answered.push(answer.await.unwrap());
        }
        let [head, close, old] = &answered[..] else {
            panic!("three")
        };
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert!(head.head.contains("content-length: 8"), "{head:?}");
        assert_eq!((close.status, close.body.as_str()), (200, "number 1"));
        assert!(close.head.contains("connection: close"), "{close:?}");
        assert!(old.head.starts_with("http/1.0 200"), "{old:?}");
        assert_eq!(old.body, "number 1");
        server.stop(Duration::from_secs(1)).await;
    });
}

#[test]
fn a_client_that_goes_takes_its_wait_with_it() {
    on_network(async {
        let (call, _) = watch::channel(0);
        let server = waits(&call).await;
        let stays = connect(server.address(), "GET /wait/1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let goes = connect(server.address(), "GET /wait/1 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        waiting(&call, 2);
        drop(goes);
        waiting(&call, 1);
        drop(stays);
        waiting(&call, 0);
        server.stop(Duration::from_secs(1)).await;
    });
}

#[test]
fn a_server_that_stops_answers_those_that_wait_and_closes_behind_them() {
    on_network(async {
        let (call, _) = watch::channel(0);
        let server = waits(&call).await;
        let mut silent = TcpStream::connect(server.address()).await.unwrap();
        let text = "GET /wait/1 HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut client = connect(server.address(), text).await;
        waiting(&call, 1);
        let stopped = tokio::spawn(server.stop(WAIT));
        assert!(read(&mut silent).await.is_none());
        call.send_replace(1);
        let answer = read(&mut client).await.unwrap();
        assert_eq!(answer.body, "number 1");
        assert!(answer.head.contains("connection: close"), "{answer:?}");
        stopped.await.unwrap();
    });
}

#[test]
fn those_that_wait_longer_than_a_server_takes_to_stop_are_told_so() {
    on_network(async {
        let (call, _) = watch::channel(0);
        let server = waits(&call).await;
        let text = "GET /wait/1 HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut client = connect(server.address(), text).await;
        waiting(&call, 1);
        server.stop(Duration::from_millis(200)).await;
        let answer = read(&mut client).await.unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.head.contains("retry-after"), "{answer:?}");
        assert!(answer.head.contains("connection: close"), "{answer:?}");
        assert!(answer.body.contains("stops"), "{answer:?}");
        until("nobody waits", || call.receiver_count() == 0);
    });
}

//! What a server does with clients that ask too much, too slowly, or nonsense. Not what it answers the others.
//! Invariant: while one client misbehaves another is answered.

use super::client::{get, read, say};
use super::{Served, Speech, on_network, orders};
use crate::instance::{Shop, WAIT};
use axum::routing::get as get_route;
use headwater_query::http::{Gate, Limits, Server};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A server whose `/slow` takes half a second, and `/fast` nothing.
async fn slow_and_fast(limits: &Limits) -> Server {
    let slow = get_route(|| async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        "done"
    });
    let routes = axum::Router::new().route("/slow", slow);
    let fast = axum::Router::new().route("/fast", get_route(|| async { "done" }));
    let routes = Gate::new(limits, None).around(routes);
    let routes = routes.merge(Gate::new(limits, None).around(fast));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    Server::start(listener, routes, limits, None).unwrap()
}

#[test]
fn more_requests_than_turns_are_told_at_once_and_other_routes_go_on() {
    on_network(async {
        let limits = Limits {
            requests_max: 4,
            ..Limits::default()
        };
        let server = slow_and_fast(&limits).await;
        let address = server.address();
        let asked = (0..8).map(|_| tokio::spawn(async move { get(address, "/slow").await }));
        let asked: Vec<_> = asked.collect();
        assert_eq!(get(address, "/fast").await.status, 200);
        let (mut done, mut refused) = (0, 0);
        for answer in asked {
            let answer = answer.await.unwrap();
            match answer.status {
                200 => done += 1,
                503 => {
                    assert!(answer.head.contains("retry-after: 1"), "{answer:?}");
                    refused += 1;
                }
                _ => panic!("{answer:?}"),
            }
        }
        assert_eq!((done, refused), (4, 4));
        assert_eq!(get(address, "/slow").await.status, 200, "turns come back");
        server.stop(Duration::from_secs(1)).await;
    });
}

#[test]
fn bodies_that_are_too_large_or_too_slow_and_heads_that_are_none_are_answered_as_such() {
    on_network(async {
        let limits = Limits {
            body_bytes_max: 100,
            body_ms_max: 200,
            head_ms_max: 200,
            ..Limits::default()
        };
        let server = slow_and_fast(&limits).await;
        let address = server.address();
        let with_body = |headers: &str, body: &str| {
            format!("GET /fast HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n{body}")
        };
        let declared = say(address, &with_body("Content-Length: 101\r\n", ""))
            .await
            .unwrap();
        assert_eq!(declared.status, 413);
        let chunk = format!("96\r\n{}\r\n0\r\n\r\n", "x".repeat(150));
        let chunked = say(
            address,
            &with_body("Transfer-Encoding: chunked\r\n", &chunk),
        )
        .await;
        assert_eq!(chunked.unwrap().status, 413);
        let slow = say(address, &with_body("Content-Length: 10\r\n", "half"))
            .await
            .unwrap();
        assert_eq!(slow.status, 408);
        let whole = say(address, &with_body("Content-Length: 4\r\n", "body"))
            .await
            .unwrap();
        assert_eq!(whole.status, 200);
        let nonsense = say(address, "WHAT IS THIS\r\n\r\n").await.unwrap();
        assert_eq!(nonsense.status, 400);
        let header = format!("A: {}\r\n", "x".repeat(40_000));
        let large = say(address, &with_body(&header, "")).await;
        assert_eq!(large.unwrap().status, 431);
        // Half a head, and no more: the connection is closed.
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /fast HT").await.unwrap();
        let answer = read(&mut stream).await;
        assert!(answer.is_none_or(|it| it.status == 408));
        server.stop(Duration::from_secs(1)).await;
    });
}

#[test]
fn connections_beyond_the_limit_wait_for_those_before_them() {
    on_network(async {
        let limits = Limits {
            connections_max: 2,
            head_ms_max: 300,
            ..Limits::default()
        };
        let server = slow_and_fast(&limits).await;
        let mut idle = Vec::new();
        for _ in 0..2 {
            idle.push(TcpStream::connect(server.address()).await.unwrap());
        }
        // Served once the idle ones are closed for sending nothing.
        assert_eq!(get(server.address(), "/fast").await.status, 200);
        server.stop(Duration::from_secs(1)).await;
    });
}

#[test]
fn pages_have_turns_of_their_own_and_gets_find_one() {
    on_network(async {
        let shop = Shop::new();
        let speech = Speech::limited(Limits {
            requests_max: 1,
            pages_max: 0,
            ..Limits::default()
        });
        let served = Served::start(&shop, &speech, orders).await;
        let address = served.address();
        crate::instance::place(&mut shop.writer("client"), "orders", 0..1);
        let one = "/stores/orders-store/order-0?wait=60000";
        assert_eq!(get(address, one).await.status, 200);
        // No page is ever made: one waits, in the only place there is, and who comes meanwhile is told so.
        let mut pages = tokio::task::JoinSet::new();
        let refused = loop {
            for _ in 0..2 {
                pages.spawn(async move { get(address, "/stores/orders-store").await });
            }
            let answer = pages.join_next().await.unwrap().unwrap();
            if answer.body.contains("too many pages") {
                break answer;
            }
        };
        assert_eq!(refused.status, 503);
        let one = "/stores/orders-store/order-0";
        assert_eq!(get(address, one).await.status, 200);
        served.stop().await;
    });
}

#[test]
fn gets_that_wait_take_no_turns() {
    on_network(async {
        let shop = Shop::new();
        let speech = Speech::limited(Limits {
            requests_max: 2,
            ..Limits::default()
        });
        let served = Served::start(&shop, &speech, orders).await;
        let address = served.address();
        let waiting: Vec<_> = (0..20)
            .map(|number| {
                let path = format!("/stores/orders-store/order-{number}?wait=60000");
                tokio::spawn(async move { get(address, &path).await })
            })
            .collect();
        crate::instance::until("all wait", || {
            served.queries.state().watches().waiters() >= 20
        });
        assert_eq!(get(address, "/stores").await.status, 200);
        crate::instance::place(&mut shop.writer("client"), "orders", 0..20);
        for (number, answer) in waiting.into_iter().enumerate() {
            let answer = answer.await.unwrap();
            assert_eq!((answer.status, answer.body), (200, number.to_string()));
        }
        served.stop().await;
    });
}

#[test]
fn who_connects_while_a_server_takes_none_waits_for_it_and_is_answered() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        // Fewer places than come at once: what its maker asked for is not enough.
        let listener = socket.listen(8).unwrap();
        let fast = axum::Router::new().route("/fast", get_route(|| async { "done" }));
        let server = Server::start(listener, fast, &Limits::default(), None).unwrap();
        let address = server.address();
        // The thread that would take them makes them, so none is taken meanwhile.
        let connect = |_| std::net::TcpStream::connect_timeout(&address, WAIT).unwrap();
        let clients: Vec<_> = (0..100).map(connect).collect();
        for client in clients {
            client.set_nonblocking(true).unwrap();
            let mut client = TcpStream::from_std(client).unwrap();
            let text = "GET /fast HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
            client.write_all(text.as_bytes()).await.unwrap();
            assert_eq!(read(&mut client).await.unwrap().status, 200);
        }
        server.stop(Duration::from_secs(1)).await;
    });
}

//! The Orders service over HTTP: OrdersServiceTest of the Java original with its data, its waits, and what is not an order.
//! Invariant: the service is asked over a real connection.

use crate::place::everywhere;
use crate::samples::order;
use crate::server::Server;
use crate::shops::Shops;
use orders::model::Order;
use orders::model::OrderState::Validated;
use orders::model::Product::{Jumpers, Underpants};
use orders::service::Service;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ONLY_ORDERS: &[Service] = &[Service::Orders];

/// OrdersServiceTest.shouldPostOrderAndGetItBack.
#[test]
fn an_order_is_there_at_its_location_and_by_its_id() {
    everywhere(|place| {
        let shops = Shops::open(place, ONLY_ORDERS);
        let placed = order(1, 2, Jumpers, 10, 100.0);
        let answer = shops.place(&placed);
        let location = answer.header("location").unwrap().to_owned();
        assert_eq!(location, "/v1/orders/1");
        let found = shops.get(&format!("{location}?timeout=30000"));
        assert_eq!(found.order(), placed);
        assert_eq!(shops.get("/v1/orders/1?timeout=30000").order(), placed);
        shops.stop();
        // And after a restart, from what the log and the state's directory hold.
        let shops = Shops::open(place, ONLY_ORDERS);
        assert_eq!(shops.get("/v1/orders/1?timeout=30000").order(), placed);
        shops.stop();
    });
}

/// OrdersServiceTest.shouldGetValidatedOrderOnRequest.
#[test]
fn a_validated_order_is_waited_for() {
    everywhere(|place| {
        let shops = Shops::open(place, ONLY_ORDERS);
        let placed = order(1, 3, Jumpers, 10, 100.0);
        shops.place(&placed);
        shops.write(&[placed.with_state(Validated)], &[]);
        let found = shops.get("/v1/orders/1/validated?timeout=30000");
        assert_eq!(found.order().state, Validated);
        shops.stop();
    });
}

/// OrdersServiceTest.shouldTimeoutGetIfNoResponseIsFound.
#[test]
fn an_order_that_does_not_come_is_a_timeout_that_says_so() {
    everywhere(|place| {
        let shops = Shops::open(place, ONLY_ORDERS);
        let answer = shops.get("/v1/orders/1?timeout=100");
        assert_eq!(answer.status, 504);
        assert_eq!(answer.body, "HTTP GET timed out after 100 ms");
        shops.stop();
    });
}

/// Faults 1 and 2: no wake-up is lost between looking and waiting, and no waiter takes another's place.
/// A new order releases those who wait for any order of its id, and not those who wait for a verdict.
#[test]
fn all_who_wait_for_an_order_hear_of_it_and_who_waits_for_a_verdict_waits_on() {
    everywhere(|place| {
        let shops = Shops::open(place, ONLY_ORDERS);
        let placed = order(1, 2, Jumpers, 1, 1.0);
        std::thread::scope(|scope| {
            let any: Vec<_> = (0..20)
                .map(|_| scope.spawn(|| shops.get("/v1/orders/1?timeout=60000")))
                .collect();
            let decided: Vec<_> = (0..20)
                .map(|_| scope.spawn(|| shops.get("/v1/orders/1/validated?timeout=60000")))
                .collect();
            std::thread::sleep(Duration::from_millis(200));
            shops.place(&placed);
            for waiter in any {
                assert_eq!(waiter.join().unwrap().order(), placed);
            }
            std::thread::sleep(Duration::from_millis(200));
            assert!(decided.iter().all(|waiter| !waiter.is_finished()));
            shops.write(&[placed.clone().with_state(Validated)], &[]);
            for waiter in decided {
                assert_eq!(waiter.join().unwrap().order().state, Validated);
            }
        });
        shops.stop();
    });
}

#[test]
fn the_same_order_again_is_no_second_order_and_another_one_is_a_conflict() {
    everywhere(|place| {
        let shops = Shops::open(place, ONLY_ORDERS);
        let placed = order(1, 2, Jumpers, 1, 1.0);
        std::thread::scope(|scope| {
            let posts: Vec<_> = (0..10)
                .map(|_| scope.spawn(|| shops.place(&placed)))
                .collect();
            let locations = posts.into_iter().map(|post| post.join().unwrap());
            assert!(
                locations
                    .into_iter()
                    .all(|it| it.header("location") == Some("/v1/orders/1"))
            );
        });
        let other = serde_json::to_string(&order(1, 2, Underpants, 1, 1.0)).unwrap();
        assert_eq!(shops.post("/v1/orders", &other).status, 409);
        // Nor is it another one because its verdict has come.
        shops.write(&[placed.clone().with_state(Validated)], &[]);
        shops.get("/v1/orders/1/validated?timeout=30000").order();
        shops.place(&placed);
        assert_eq!(shops.get("/v1/orders/1").order().state, Validated);
        assert_eq!(shops.records(orders::topics::ORDERS), 2);
        shops.stop();
    });
}

#[test]
fn of_two_orders_of_one_id_at_the_same_time_one_is_taken_and_the_other_hears_it() {
    const IDS: u32 = 20;
    everywhere(|place| {
        let shops = Shops::open(place, ONLY_ORDERS);
        let post = |order: &Order| {
            let answer = shops.post("/v1/orders", &serde_json::to_string(order).unwrap());
            (answer.status, order.clone())
        };
        for id in 0..IDS {
            // At different instances, where there are two.
            let rivals = [Jumpers, Underpants].map(|product| order(id, 2, product, 1, 1.0));
            let answers = std::thread::scope(|scope| {
                let post = &post;
                let posts = rivals
                    .each_ref()
                    .map(|order| scope.spawn(move || post(order)));
                posts.map(|post| post.join().unwrap())
            });
            let taken: Vec<_> = answers
                .iter()
                .filter(|(status, _)| *status == 201)
                .collect();
            let refused = answers.iter().filter(|(status, _)| *status == 409);
            assert_eq!((taken.len(), refused.count()), (1, 1), "{answers:?}");
            let found = shops.get(&format!("/v1/orders/{id}?timeout=60000"));
            assert_eq!(found.order(), taken[0].1);
        }
        assert_eq!(shops.records(orders::topics::ORDERS), u64::from(IDS));
        shops.stop();
    });
}

#[test]
fn a_token_shows_a_write_to_who_carries_it() {
    everywhere(|place| {
        let shops = Shops::open(place, ONLY_ORDERS);
        for pieces in 1..20 {
            let body = format!(r#"{{"product":"JUMPERS","quantity":{pieces}}}"#);
            let answer = shops.post("/v1/inventory", &body);
            assert_eq!(answer.status, 201);
            let token = answer.header("headwater-token").unwrap().to_owned();
            let stock = shops.get_after("/v1/inventory", &token).body;
            let expected = format!(r#"{{"product":"JUMPERS","quantity":{pieces},"sold":0}}"#);
            assert!(stock.contains(&expected), "{stock}");
        }
        assert_eq!(shops.get_after("/v1/inventory", "nonsense").status, 400);
        shops.stop();
    });
}

#[test]
fn what_is_no_order_is_refused_and_the_service_goes_on() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, ONLY_ORDERS);
    let long = "x".repeat(20_000);
    let no_product = r#"{"id":"1","customerId":1,"product":null,"quantity":1,"price":1}"#;
    for (body, status) in [
        ("", 400),
        ("{", 400),
        ("[]", 400),
        (r#"{"id":"1"}"#, 400),
        (
            r#"{"id":"","customerId":1,"product":"JUMPERS","quantity":1,"price":1}"#,
            400,
        ),
        (
            r#"{"id":"1","customerId":1,"product":"SOCKS","quantity":1,"price":1}"#,
            400,
        ),
        (
            r#"{"id":"1","customerId":1,"product":"JUMPERS","quantity":3000000000,"price":1}"#,
            400,
        ),
        (no_product, 400),
        (&long, 413),
    ] {
        assert_eq!(server.post("/v1/orders", body).status, status, "{body}");
    }
    assert_eq!(
        server
            .post("/v1/inventory", r#"{"product":"JUMPERS","quantity":-1}"#)
            .status,
        400
    );
    assert_eq!(server.get("/v1/orders/1?timeout=soon").status, 400);
    assert_eq!(server.get("/v1/no-such").status, 404);
    assert_eq!(server.get("/v1/payments").status, 405);
    let unnamed = r#"{"customerId":1,"product":"JUMPERS","quantity":1,"price":1}"#;
    let answer = server.post("/v1/orders/", unnamed);
    assert_eq!(answer.status, 201, "{answer:?}");
    let id = server.get(answer.header("location").unwrap()).order().id;
    assert_eq!(id.len(), 36);
    // An id that a path cannot hold as it is.
    let odd = r#"{"id":"a/b ü","customerId":1,"product":"JUMPERS","quantity":1,"price":1}"#;
    let answer = server.post("/v1/orders", odd);
    assert_eq!(answer.header("location"), Some("/v1/orders/a%2Fb%20%C3%BC"));
    let found = server.get(answer.header("location").unwrap());
    assert_eq!(found.order().id, "a/b ü");
    server.stop();
}

/// Fault 3: who has given up waiting is forgotten.
#[test]
fn nothing_is_kept_of_waiters_that_have_gone() {
    everywhere(|place| {
        let shops = Shops::open(place, ONLY_ORDERS);
        for _ in 0..20 {
            // One that is answered, and one that hangs up.
            assert_eq!(shops.get("/v1/orders/1?timeout=1").status, 504);
            for server in &shops.servers {
                let mut gone = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
                gone.write_all(b"GET /v1/orders/1?timeout=60000 HTTP/1.1\r\nhost: shop\r\n\r\n")
                    .unwrap();
            }
        }
        let begun = Instant::now();
        while shops.waiting() > 0 {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "{} wait",
                shops.waiting()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        shops.stop();
    });
}

#[test]
fn a_page_that_watches_is_told_of_orders_and_one_opened_later_too() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, ONLY_ORDERS);
    let watch = || {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        stream
            .write_all(b"GET /v1/events HTTP/1.1\r\nhost: shop\r\n\r\n")
            .unwrap();
        BufReader::new(stream)
    };
    let told = |reader: BufReader<TcpStream>| {
        let mut lines = reader.lines().map_while(Result::ok);
        let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
        serde_json::from_str::<orders::model::Order>(&data.unwrap()).unwrap()
    };
    let early = watch();
    let placed = order(1, 2, Jumpers, 1, 1.0);
    server.place(&placed);
    assert_eq!(told(early), placed);
    assert_eq!(told(watch()), placed);
    let page = server.get("/");
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert!(page.body.contains("<title>Orders</title>"));
    server.stop();
}

#[test]
fn a_page_that_watches_is_told_of_the_end_when_the_server_stops() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, ONLY_ORDERS);
    server.place(&order(1, 2, Jumpers, 1, 1.0));
    let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let wait = Some(Duration::from_secs(60));
    stream.set_read_timeout(wait).unwrap();
    let request = b"GET /v1/events HTTP/1.1\r\nhost: shop\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut lines = BufReader::new(stream).lines();
    let is_event = |line: std::io::Result<String>| line.unwrap().starts_with("data: ");
    assert!(lines.by_ref().any(is_event));
    let stopped = std::thread::spawn(|| server.stop_gently());
    // Chunks that are not cut off end with an empty one.
    let last: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(last.ends_with(&["0".into(), String::new()]), "{last:?}");
    stopped.join().unwrap();
}

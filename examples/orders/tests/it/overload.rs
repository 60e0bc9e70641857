//! More clients than the shop has turns: slow ones, and twice as many at once as it takes. Not a measurement.
//! Invariant: what is answered 201 is in the log, and nothing that was refused at the door.

use crate::samples::order;
use crate::server::{ANSWER_MAX, Answer, Server};
use orders::model::Product::Jumpers;
use orders::service::{Service, limits};
use std::io::{Read, Write};
use std::net::TcpStream;
use tempfile::TempDir;

/// Half of a POST, from as many clients as there are turns: they hold connections and no turn, so others are served at once, and
/// they are told 408 in the end.
#[test]
fn clients_that_send_half_an_order_hold_up_nobody_and_are_told_so() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, &[Service::Orders]);
    let half = "POST /v1/orders HTTP/1.1\r\nhost: shop\r\nconnection: close\r\ncontent-length: 100\r\n\r\n{";
    let slow: Vec<_> = (0..limits().requests_max)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
            stream.set_read_timeout(Some(ANSWER_MAX)).unwrap();
            stream.write_all(half.as_bytes()).unwrap();
            stream
        })
        .collect();
    for id in 0..10 {
        let placed = order(id, 2, Jumpers, 1, 1.0);
        server.place(&placed);
        assert_eq!(
            server
                .get(&format!("/v1/orders/{id}?timeout=60000"))
                .order(),
            placed
        );
    }
    for mut stream in slow {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    server.stop();
}

#[test]
fn twice_as_many_orders_at_once_as_there_are_turns_are_taken_or_refused_and_none_is_half_done() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir, &[Service::Orders]);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let posts: Vec<_> = (0..2 * limits().requests_max)
            .map(|id| {
                let order = order(u32::try_from(id).unwrap(), 2, Jumpers, 1, 1.0);
                let body = serde_json::to_string(&order).unwrap();
                let server = &server;
                scope.spawn(move || server.post("/v1/orders?timeout=300000", &body))
            })
            .collect();
        posts.into_iter().map(|post| post.join().unwrap()).collect()
    });
    let known = |answer: &Answer| [201, 503].contains(&answer.status);
    assert!(answers.iter().all(known), "{answers:?}");
    let taken = answers.iter().filter(|it| it.status == 201).count() as u64;
    let at_the_door = answers
        .iter()
        .filter(|it| it.body.contains("turns are taken"));
    let let_in = (answers.len() - at_the_door.count()) as u64;
    let placed = server.records(orders::topics::ORDERS);
    assert!(
        taken > 0 && (taken..=let_in).contains(&placed),
        "{taken}, {placed}, {let_in}"
    );
    assert_eq!(server.get("/v1/orders/no-such?timeout=1").status, 504);
    server.stop();
}

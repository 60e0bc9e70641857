//! The proxy before an echo of requests. Not before a broker: the client's tests do that.
//! Invariant: what passes is unchanged, and what is spoilt is spoilt as planned.

use headwater_broker::{Fault, Proxy, Weather};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

const FETCH: i16 = 1;
const END_TXN: i16 = 26;

/// Answers every message with itself, and notes what came.
fn echo() -> (SocketAddr, Arc<Mutex<Vec<Vec<u8>>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, noted) = (stream.unwrap(), Arc::clone(&noted));
            std::thread::spawn(move || {
                while let Some(message) = read(&mut stream) {
                    noted.lock().unwrap().push(message.clone());
                    if stream.write_all(&message).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, seen)
}

fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = vec![0; 4];
    stream.read_exact(&mut message).ok()?;
    let bytes = u32::from_be_bytes(message[..4].try_into().unwrap());
    message.resize(4 + bytes as usize, 0);
    stream.read_exact(&mut message[4..]).ok()?;
    Some(message)
}

fn request(api_key: i16, bytes: usize) -> Vec<u8> {
    let length = u32::try_from(bytes + 8).unwrap();
    let mut message = length.to_be_bytes().to_vec();
    message.extend(api_key.to_be_bytes());
    message.extend([0, 4, 0, 0, 0, 7]);
    message.extend((0..bytes).map(|at| u8::try_from(at % 251).unwrap()));
    message
}

fn proxy(seed: u64) -> (Proxy, Arc<Mutex<Vec<Vec<u8>>>>) {
    let (to, seen) = echo();
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    (Proxy::start(listen, to, seed).unwrap(), seen)
}

fn ask(stream: &mut TcpStream, message: &[u8]) -> Option<Vec<u8>> {
    stream.write_all(message).ok()?;
    read(stream)
}

#[test]
fn bytes_pass_unchanged_in_pieces_and_late() {
    let (proxy, _) = proxy(1);
    proxy.weather(Weather {
        delay_ms_max: 2,
        piece_bytes_max: 7,
        cuts_per_mille: 0,
    });
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    for bytes in [0, 1, 100, 100_000] {
        let message = request(FETCH, bytes);
        assert_eq!(ask(&mut stream, &message), Some(message));
    }
    assert_eq!(proxy.figures(), (4, 0));
}

#[test]
fn a_planned_fault_meets_its_own_kind_of_request_once() {
    let (proxy, seen) = proxy(2);
    proxy.plan(END_TXN, Fault::LoseRequest);
    proxy.plan(END_TXN, Fault::LoseAnswer);
    let message = request(END_TXN, 10);
    for reached in [0, 1] {
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        assert!(ask(&mut stream, &request(FETCH, 10)).is_some());
        assert_eq!(ask(&mut stream, &message), None);
        let seen = seen.lock().unwrap();
        let ends = seen.iter().filter(|one| **one == message);
        assert_eq!(ends.count(), reached);
    }
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    assert!(ask(&mut stream, &message).is_some());
    let happened = [(END_TXN, Fault::LoseRequest), (END_TXN, Fault::LoseAnswer)];
    assert_eq!(proxy.happened(), happened);
}

#[test]
fn a_late_request_arrives_after_its_connection_has_gone() {
    let (proxy, seen) = proxy(3);
    proxy.plan(END_TXN, Fault::DeliverLate { ms: 200 });
    let mut stream = TcpStream::connect(proxy.address()).unwrap();
    let message = request(END_TXN, 10);
    assert_eq!(ask(&mut stream, &message), None);
    assert!(seen.lock().unwrap().is_empty());
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(*seen.lock().unwrap(), [message]);
}

#[test]
fn the_same_seed_cuts_the_same_requests() {
    let run = |seed| {
        let (proxy, _) = proxy(seed);
        proxy.weather(Weather {
            cuts_per_mille: 200,
            ..Weather::default()
        });
        let mut stream = TcpStream::connect(proxy.address()).unwrap();
        let answered = (0..100).map(|_| {
            let is_answered = ask(&mut stream, &request(FETCH, 20)).is_some();
            if !is_answered {
                stream = TcpStream::connect(proxy.address()).unwrap();
            }
            is_answered
        });
        answered.collect::<Vec<_>>()
    };
    let first = run(7);
    assert_eq!(first, run(7));
    assert_ne!(first, run(8));
    assert!(first.contains(&true) && first.contains(&false));
}

//! Live subscriptions over HTTP, as a browser's `EventSource` takes them. Not what they tell of moves: those have their own tests.
//! Invariant: every event is read off the wire, its id and its name with it.

use super::client::{get, get_with};
use super::{Served, Speech, on_network, orders};
use crate::instance::{Shop, WAIT, place};
use headwater_query::http::{Bearer, Limits, Stores};
use headwater_query::{Read, Token, WATCHES_MAX, Watched};
use headwater_streams::{App, Store, TimeWindows, Topology};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A client that reads events.
struct Source {
    reader: BufReader<TcpStream>,
    head: String,
    last_id: String,
}

impl Source {
    async fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // HTTP/1.0: no chunks around the events.
        let text = format!("GET {path} HTTP/1.0\r\nHost: test\r\n{headers}\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut source = Self {
            reader: BufReader::new(stream),
            head: String::new(),
            last_id: String::new(),
        };
        while let Some(line) = source.line().await.filter(|line| !line.is_empty()) {
            source.head += &format!("{}\n", line.to_ascii_lowercase());
        }
        source
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(WAIT, self.reader.read_line(&mut line)).await;
        match read.expect("a line within a minute") {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(line.trim_end().to_owned()),
        }
    }

    /// The next event's name and data; `None` at the end.
    async fn event(&mut self) -> Option<(String, Value)> {
        let (mut name, mut data) = (String::new(), None);
        loop {
            let line = self.line().await?;
            match (line.split_once(": "), data.take()) {
                (Some(("event", text)), _) => name = text.into(),
                (Some(("id", text)), _) => self.last_id = text.into(),
                (Some(("data", text)), _) => data = Some(serde_json::from_str(text).unwrap()),
                (None, Some(data)) => return Some((name, data)),
                _ => {}
            }
        }
    }

    /// Events until one is `live`; that is left out.
    async fn state(&mut self) -> Vec<(String, Value)> {
        let mut events = Vec::new();
        loop {
            let (name, data) = self.event().await.expect("an event");
            if name == "live" {
                return events;
            }
            events.push((name, data));
        }
    }
}

#[test]
fn a_key_and_a_range_are_told_as_events_and_go_on_from_their_last_id() {
    on_network(async {
        let shop = Shop::new();
        let served = Served::start(&shop, &Speech::default(), orders).await;
        let address = served.address();
        let mut writer = shop.writer("client");
        let path = "/stores/orders-store/order-5?watch";
        let mut one = Source::open(address, path, "").await;
        assert!(
            one.head.contains("content-type: text/event-stream"),
            "{}",
            one.head
        );
        let (name, data) = one.event().await.unwrap();
        assert_eq!((name.as_str(), &data["value"]), ("entry", &Value::Null));
        assert_eq!(one.event().await.unwrap().0, "live");
        // Feeds that begin between a commit and its ring would be told to look at all once more.
        let mut early = Source::open(address, "/stores/orders-store?watch", "").await;
        assert_eq!(early.state().await.len(), 4);
        place(&mut writer, "orders", 0..10);
        for _ in 0..10 {
            assert_eq!(early.event().await.unwrap().0, "entry");
        }
        let (_, data) = one.event().await.unwrap();
        assert_eq!(
            (&data["key"], &data["value"]),
            (&json!("order-5"), &json!(5))
        );
        let mut all = Source::open(address, "/stores/orders-store?watch&prefix=order", "").await;
        let state = all.state().await;
        let states = state.iter().filter(|(name, _)| name == "state").count();
        assert_eq!((states, state.len()), (4, 14));
        let id = format!("Last-Event-ID: {}\r\n", all.last_id);
        drop(all);
        place(&mut writer, "orders", 10..11);
        let path = "/stores/orders-store?watch&prefix=order";
        let mut again = Source::open(address, path, &id).await;
        let mut told = Vec::new();
        while told.len() < 2 {
            told.push(again.event().await.unwrap());
        }
        told.retain(|(name, _)| name != "live");
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0].1["key"], json!("order-10"));
        served.stop().await;
    });
}

/// Counts of orders in windows of 10 ms, which are kept for a minute.
fn windows() -> Topology {
    let app = App::new("shop");
    app.stream::<String, i64>("orders")
        .group_by_key()
        .windowed_by(TimeWindows::of(Duration::from_millis(10)))
        .count(Store::from("windows").retention(Duration::from_secs(60)));
    app.build().unwrap()
}

#[test]
fn windows_are_told_with_their_times_and_when_they_are_gone() {
    on_network(async {
        let shop = Shop::of(windows);
        let show = |stores: Stores| stores.show_windows::<String, u64>("windows").unwrap();
        let served = Served::start(&shop, &Speech::default(), show).await;
        let address = served.address();
        let mut writer = shop.writer("client");
        let mut put = |time_ms: i64| {
            let key = "x".to_owned();
            writer.append("orders", &key, &1_i64, time_ms).unwrap();
            writer.commit(writer.position() + 1).unwrap();
            Token::of_receipt(writer.receipt())
        };
        let mut all = Source::open(address, "/stores/windows?watch", "").await;
        let mut of_key = Source::open(address, "/stores/windows/x?watch&from_ms=10", "").await;
        assert_eq!(
            (all.state().await.len(), of_key.state().await.len()),
            (4, 1)
        );
        let window = |start: i64, count: u64| {
            let window = json!({ "start_ms": start, "end_ms": start + 10 });
            (json!("x"), window, json!(count))
        };
        let entry = |(name, data): (String, Value)| {
            assert_eq!(name, "entry", "{data}");
            (
                data["key"].clone(),
                data["window"].clone(),
                data["value"].clone(),
            )
        };
        for time_ms in [3, 14] {
            let token = put(time_ms);
            let reached = served.queries.reached("windows", &token, WAIT);
            reached.await.unwrap();
        }
        assert_eq!(entry(all.event().await.unwrap()), window(0, 1));
        assert_eq!(entry(all.event().await.unwrap()), window(10, 1));
        assert_eq!(entry(of_key.event().await.unwrap()), window(10, 1));
        for time_ms in [600_000, 600_010] {
            let token = put(time_ms);
            let reached = served.queries.reached("windows", &token, WAIT);
            reached.await.unwrap();
        }
        for source in [&mut all, &mut of_key] {
            let mut told = Vec::new();
            while told.len() < 3 {
                told.push(source.event().await.unwrap());
            }
            let gone = told.iter().position(|(name, _)| name == "gone").unwrap();
            let (_, gone) = told.remove(gone);
            assert_eq!(gone["before_ms"], json!(540_000), "{gone}");
            let told: Vec<_> = told.into_iter().map(entry).collect();
            assert_eq!(told, [window(600_000, 1), window(600_010, 1)]);
        }
        let refused = get(address, "/stores/windows?watch&prefix=x").await;
        assert_eq!(refused.status, 400, "{refused:?}");
        served.stop().await;
    });
}

#[test]
fn what_cannot_be_watched_is_refused_and_the_gate_is_the_same() {
    on_network(async {
        let shop = Shop::new();
        let speech = Speech {
            public: Some(Bearer::new("secret-of-the-watches").unwrap()),
            ..Speech::default()
        };
        let served = Served::start(&shop, &speech, orders).await;
        let address = served.address();
        let path = "/stores/orders-store?watch";
        assert_eq!(get(address, path).await.status, 401);
        let secret = "Authorization: Bearer secret-of-the-watches\r\n";
        for (path, word) in [
            ("/stores/orders-store?watch=AAAA", "position"),
            ("/stores/orders-store?watch&limit=5", "alone"),
            ("/stores/orders-store/a?watch&wait=5", "alone"),
            ("/stores/orders-store/a?watch&stale=true", "stale"),
            ("/stores/orders-store?watch&from_ms=5", "from_ms"),
            ("/stores/orders-store?watch&partition=400", "partition 400"),
        ] {
            let refused = get_with(address, path, secret).await;
            assert_eq!(refused.status, 400, "{path}: {refused:?}");
            let detail = refused.json()["detail"].to_string();
            assert!(detail.contains(word), "{path}: {detail}");
        }
        let mut source = Source::open(address, path, secret).await;
        assert_eq!(source.state().await.len(), 4);
        served.stop().await;
    });
}

#[test]
fn watches_take_no_turns_and_above_their_limit_are_503() {
    on_network(async {
        let shop = Shop::new();
        let speech = Speech::limited(Limits {
            requests_max: 2,
            ..Limits::default()
        });
        let served = Served::start(&shop, &speech, orders).await;
        let address = served.address();
        let mut sources = Vec::new();
        for _ in 0..5 {
            let mut source = Source::open(address, "/stores/orders-store?watch", "").await;
            source.state().await;
            sources.push(source);
        }
        let table = served.queries.store::<String, i64>("orders-store").unwrap();
        let mut open = Vec::new();
        for _ in 5..WATCHES_MAX {
            open.push(table.watch(Watched::all(), Read::new()).await.unwrap());
        }
        let refused = get(address, "/stores/orders-store?watch").await;
        assert_eq!(refused.status, 503, "{refused:?}");
        assert!(refused.head.contains("retry-after"), "{refused:?}");
        // A client that goes is noticed, and makes room.
        sources.clear();
        let room = async {
            while table.watch(Watched::all(), Read::new()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(WAIT, room).await.unwrap();
        served.stop().await;
    });
}

#[test]
fn a_server_that_stops_ends_its_watches_within_its_limit() {
    on_network(async {
        let shop = Shop::new();
        let served = Served::start(&shop, &Speech::default(), orders).await;
        let mut source = Source::open(served.address(), "/stores/orders-store?watch", "").await;
        source.state().await;
        // A limit that the test would not outlive: the stream ends, or it is not kept.
        timeout(WAIT, served.server.stop(10 * WAIT)).await.unwrap();
        assert_eq!(source.event().await, None);
        served.running.shut_down(WAIT).unwrap();
    });
}

#[test]
fn a_client_that_takes_nothing_for_long_is_told_all_when_it_does() {
    on_network(async {
        let shop = Shop::new();
        let served = Served::start(&shop, &Speech::default(), orders).await;
        let mut writer = shop.writer("client");
        let mut slow = Source::open(served.address(), "/stores/orders-store?watch", "").await;
        slow.state().await;
        let mut token = headwater_query::Token::new();
        for round in 0..10 {
            token = place(&mut writer, "orders", round * 30_000..(round + 1) * 30_000);
        }
        let reached = served.queries.reached("orders-store", &token, WAIT);
        reached.await.unwrap();
        let mut keys = std::collections::BTreeSet::new();
        while keys.len() < 300_000 {
            let Some((name, data)) = slow.event().await else {
                // It took nothing for too long: it comes back.
                let id = format!("Last-Event-ID: {}\r\n", slow.last_id);
                slow = Source::open(served.address(), "/stores/orders-store?watch", &id).await;
                continue;
            };
            if name == "entry" {
                keys.insert(data["key"].as_str().unwrap().to_owned());
            }
        }
        served.stop().await;
    });
}

#[test]
fn two_instances_tell_the_same_and_a_watch_outlives_the_owner() {
    on_network(async {
        let shop = Shop::new();
        let first = Served::start(&shop, &Speech::default(), orders).await;
        let second = Served::start(&shop, &Speech::default(), orders).await;
        crate::instance::until("a share for each", || {
            let held = |it: &Served| it.queries.state().views().readers("orders-store").len();
            held(&first) == 2 && held(&second) == 2
        });
        let mut source = Source::open(first.address(), "/stores/orders-store?watch", "").await;
        source.state().await;
        let mut writer = shop.writer("client");
        place(&mut writer, "orders", 0..40);
        let mut known = std::collections::BTreeMap::new();
        let mut take = |(name, data): (String, Value)| {
            if name == "entry" {
                known.insert(data["key"].to_string(), data["value"].clone());
            }
            known.len()
        };
        while take(source.event().await.unwrap()) < 40 {}
        second.stop().await;
        place(&mut writer, "orders", 40..80);
        while take(source.event().await.unwrap()) < 80 {}
        first.stop().await;
    });
}

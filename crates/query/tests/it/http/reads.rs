//! Reads of shown stores by path and query. Not their limits.
//! Invariant: what a test awaits it makes visible by a token first, so that nothing depends on time.

use super::client::{get, get_with};
use super::{Served, Speech, on_network, orders};
use crate::instance::{PARTITIONS, Shop, WAIT, place, until};
use crate::partitioned::{region, regions};
use headwater_query::http::{Gate, Limits, Server, Stores, store_routes};
use headwater_streams::{App, Store, TimeWindows, Topology};
use serde_json::json;
use std::time::Duration;
use tokio::net::TcpListener;

fn kinds() -> Topology {
    let app = App::new("shop");
    app.stream::<String, i64>("orders")
        .group_by_key()
        .windowed_by(TimeWindows::of(Duration::from_millis(10)))
        .count("windows");
    let versions = Store::named("versions").versioned(Duration::from_secs(3_600));
    app.table_in::<String, i64>("prices", versions);
    app.build().unwrap()
}

fn kinds_shown(stores: Stores) -> Stores {
    let stores = stores.show_windows::<String, u64>("windows").unwrap();
    stores.show_versions::<String, i64>("versions").unwrap()
}

#[test]
fn a_key_is_found_as_soon_as_the_token_of_its_write_says_so_and_an_absent_one_is_404() {
    on_network(async {
        let shop = Shop::new();
        let served = Served::start(&shop, &Speech::default(), orders).await;
        let token = place(&mut shop.writer("client"), "orders", 0..20);
        let header = format!("headwater-token: {token}\r\n");
        let found = get_with(served.address(), "/stores/orders-store/order-7", &header).await;
        assert_eq!((found.status, found.json()), (200, json!(7)), "{found:?}");
        let path = format!("/stores/orders-store/nobody?token={token}");
        let absent = get(served.address(), &path).await;
        assert_eq!(absent.status, 404);
        assert!(
            absent.head.contains("application/problem+json"),
            "{absent:?}"
        );
        let hidden = get(served.address(), "/stores/by-kind/kind-1").await;
        assert_eq!(hidden.status, 404, "not shown: {hidden:?}");
        served.stop().await;
    });
}

#[test]
fn a_get_that_waits_is_answered_by_the_write_and_otherwise_times_out() {
    on_network(async {
        let shop = Shop::new();
        let served = Served::start(&shop, &Speech::default(), orders).await;
        let address = served.address();
        let late = get(address, "/stores/orders-store/order-3?wait=50").await;
        assert!(matches!(late.status, 503 | 504), "{late:?}");
        let path = "/stores/orders-store/order-3?wait=60000";
        let waiting = tokio::spawn(async move { get(address, path).await });
        until("the get waits", || {
            served.queries.state().watches().waiters() > 0
        });
        place(&mut shop.writer("client"), "orders", 3..4);
        let answered = waiting.await.unwrap();
        assert_eq!((answered.status, answered.json()), (200, json!(3)));
        served.stop().await;
    });
}

#[test]
fn pages_follow_each_other_by_their_next() {
    on_network(async {
        let shop = Shop::new();
        let served = Served::start(&shop, &Speech::default(), orders).await;
        let token = place(&mut shop.writer("client"), "orders", 0..95);
        served
            .queries
            .reached("orders-store", &token, WAIT)
            .await
            .unwrap();
        let (mut keys, mut path) = (Vec::new(), "/stores/orders-store?limit=10".to_owned());
        loop {
            let page = get(served.address(), &path).await.json();
            let entries = page["entries"].as_array().unwrap();
            assert!(entries.len() <= 10);
            keys.extend(
                entries
                    .iter()
                    .map(|it| it["key"].as_str().unwrap().to_owned()),
            );
            match page["next"].as_str() {
                Some(next) => path = format!("/stores/orders-store?limit=10&page={next}"),
                None => break,
            }
        }
        let mut expected: Vec<String> = (0..95).map(|number| format!("order-{number}")).collect();
        expected.sort();
        assert_eq!(keys, expected);
        let few = get(
            served.address(),
            "/stores/orders-store?prefix=order-9&reverse=true",
        )
        .await;
        let first = &few.json()["entries"][0];
        assert_eq!(first, &json!({ "key": "order-94", "value": 94 }));
        served.stop().await;
    });
}

#[test]
fn windows_and_versions_have_their_times() {
    on_network(async {
        let shop = Shop::of(kinds);
        let served = Served::start(&shop, &Speech::default(), kinds_shown).await;
        let mut writer = shop.writer("client");
        let mut token = place(&mut writer, "orders", 0..30);
        token.merge(&place(&mut writer, "prices", 0..30));
        let header = format!("headwater-token: {token}\r\n");
        let address = served.address();
        let windows = get_with(
            address,
            "/stores/windows/order-12?from_ms=0&to_ms=100",
            &header,
        );
        let expected =
            json!([{ "key": "order-12", "window": { "start_ms": 10, "end_ms": 20 }, "value": 1 }]);
        assert_eq!(windows.await.json()["entries"], expected);
        let version = get_with(address, "/stores/versions/order-12", &header).await;
        let expected = json!({ "value": 12, "valid_from_ms": 12, "valid_to_ms": null });
        assert_eq!(version.json(), expected, "{version:?}");
        let before = get(address, "/stores/versions/order-12?as_of_ms=11").await;
        assert_eq!(before.status, 404);
        let history = get(address, "/stores/versions/order-12?from_ms=0").await;
        assert_eq!(history.json()["versions"], json!([expected]));
        served.stop().await;
    });
}

#[test]
fn what_makes_no_sense_is_refused_in_words() {
    on_network(async {
        let shop = Shop::new();
        let served = Served::start(&shop, &Speech::default(), orders).await;
        for (path, word) in [
            ("/stores/orders-store?limit=many", "limit"),
            ("/stores/orders-store?colour=red", "colour"),
            ("/stores/orders-store?page=AAAA", "page position"),
            ("/stores/orders-store?prefix=a&from=b", "prefix"),
            ("/stores/orders-store/a?token=AAAA", "token"),
            ("/stores/orders-store/a?as_of_ms=5", "versions"),
            ("/stores/orders-store/a?partition=400", "partition 400"),
        ] {
            let refused = get(served.address(), path).await;
            assert_eq!(refused.status, 400, "{path}: {refused:?}");
            let detail = refused.json()["detail"].to_string();
            assert!(detail.contains(word), "{path}: {detail}");
        }
        served.stop().await;
    });
}

#[test]
fn operators_see_whether_it_is_ready_who_holds_what_and_how_much_was_done() {
    on_network(async {
        let shop = Shop::new();
        let served = Served::start(&shop, &Speech::default(), orders).await;
        let address = served.address();
        let token = place(&mut shop.writer("client"), "orders", 0..20);
        served
            .queries
            .reached("orders-store", &token, WAIT)
            .await
            .unwrap();
        assert_eq!(get(address, "/health").await.status, 200);
        assert_eq!(get(address, "/ready").await.status, 200);
        let metadata = get(address, "/metadata").await.json();
        let partitions = metadata["stores"][0]["partitions"].as_array().unwrap();
        assert_eq!(partitions.len(), PARTITIONS as usize);
        assert!(
            partitions
                .iter()
                .all(|it| it["active"] == json!(address.to_string()))
        );
        let metrics = get(address, "/metrics").await.body;
        for line in [
            "headwater_records_total 4",
            "headwater_task_running{task=\"0_0\",role=\"active\"} 1",
            "headwater_http_requests_total{route=\"/health\",status=\"200\"} 1",
            "# EOF",
        ] {
            assert!(metrics.contains(line), "{line}: {metrics}");
        }
        let description = get(address, "/openapi.json").await.json();
        let paths = description["paths"].as_object().unwrap();
        assert!(paths.contains_key("/stores/orders-store/{key}"));
        served.stop().await;
    });
}

#[test]
fn a_key_in_a_chosen_partition_is_asked_for_with_it_or_by_a_table_that_knows_it() {
    on_network(async {
        let shop = Shop::of(regions);
        let show = |stores: Stores| stores.show::<String, i64>("regional").unwrap();
        let served = Served::start(&shop, &Speech::default(), show).await;
        let address = served.address();
        let token = place(&mut shop.writer("client"), "orders", 0..20);
        let reached = served.queries.reached("regional", &token, WAIT);
        reached.await.unwrap();
        let refused = get(address, "/stores/regional/order-6").await;
        assert_eq!(refused.status, 400, "{refused:?}");
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains("?partition="), "{detail}");
        let watched = get(address, "/stores/regional/order-6?watch").await;
        assert_eq!(watched.status, 400, "{watched:?}");
        let told = get(address, "/stores/regional/order-6?partition=2").await;
        assert_eq!((told.status, told.json()), (200, json!(6)), "{told:?}");
        let page = get(address, "/stores/regional").await.json();
        assert_eq!(page["entries"].as_array().unwrap().len(), 20);

        let table = served.queries.store::<String, i64>("regional").unwrap();
        let table = table.partitioned_by(|key, of| region(key, of));
        let stores = Stores::new(&served.queries).show_table(table);
        let limits = Limits::default();
        let routes = store_routes(stores, Gate::new(&limits, None));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Server::start(listener, routes, &limits, None).unwrap();
        for number in 0..20 {
            let path = format!("/stores/regional/order-{number}");
            let found = get(server.address(), &path).await;
            assert_eq!(
                (found.status, found.json()),
                (200, json!(number)),
                "{found:?}"
            );
        }
        server.stop(WAIT).await;
        served.stop().await;
    });
}

//! A question is answered on whichever instance it is asked. Not tokens, not waits.

use crate::instance::{Shop, WAIT, block_on, endpoint, place, share, until};
use headwater_log::Endpoint;
use headwater_query::wire::Ask;
use headwater_query::{Error, Peer, PeerAnswer, Queries, Read, Scan, Staleness};
use headwater_streams::App;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn every_instance_answers_for_every_key() {
    let shop = Shop::new();
    let (a, b) = (shop.start(1), shop.start(2));
    share(&[&a, &b]);
    let token = place(&mut shop.writer("client"), "orders", 0..200);
    for instance in [&a, &b] {
        let orders = instance
            .queries
            .store::<String, i64>("orders-store")
            .unwrap();
        block_on(async {
            for number in 0..200 {
                let key = format!("order-{number}");
                let read = Read::new().after(token.clone());
                assert_eq!(orders.get(&key, read).await.unwrap(), Some(number));
            }
            let absent = orders.get(&"order-x".into(), Read::new()).await;
            assert_eq!(absent.unwrap(), None);
            let all = orders.all(Scan::new(), Read::new()).await.unwrap();
            assert_eq!(all.entries.len(), 200);
            assert_eq!(all.commits.len(), 4);
            assert_eq!(all.next, None);
        });
        let hosts = instance.queries.state().hosts().all();
        let found: Vec<_> = hosts.iter().map(|it| it.endpoint.clone()).collect();
        assert_eq!(found, [endpoint(1), endpoint(2)]);
        assert!(hosts.iter().all(|host| !host.active.is_empty()));
    }
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn a_partition_that_moves_is_found_again() {
    let shop = Shop::new();
    let (a, b) = (shop.start(1), shop.start(2));
    share(&[&a, &b]);
    let token = place(&mut shop.writer("client"), "orders", 0..50);
    let orders = b.queries.store::<String, i64>("orders-store").unwrap();
    block_on(b.reached("orders-store", &token));
    let asker = std::thread::spawn(move || {
        block_on(async {
            for round in 0..4_000 {
                let number = round % 50;
                let value = orders.get(&format!("order-{number}"), Read::new()).await;
                assert_eq!(value.unwrap(), Some(number));
                tokio::task::yield_now().await;
            }
        });
    });
    a.stop(&shop);
    asker.join().unwrap();
    b.stop(&shop);
}

#[test]
fn what_is_nowhere_is_an_error_at_the_deadline_and_never_an_answer() {
    let shop = Shop::new();
    let a = shop.start(1);
    share(&[&a]);
    let orders = a.queries.store::<String, i64>("orders-store").unwrap();
    a.running.shut_down(WAIT).unwrap();
    let asked = Instant::now();
    let read = Read::new().within(Duration::from_millis(100));
    let error = block_on(orders.get(&"order-1".into(), read)).unwrap_err();
    assert!(matches!(error, Error::NotReady(_)), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_store_whose_worker_has_died_is_not_ready_and_no_endless_question() {
    let shop = Shop::of(|| {
        let app = App::new("shop");
        let orders = app.table_in::<String, i64>("orders", "orders-store");
        let checked = orders.to_stream().filter(|_, value| {
            assert_ne!(*value, 13, "a bug of the application");
            true
        });
        checked.to("prices");
        app.build().unwrap()
    });
    let a = shop.start(1);
    share(&[&a]);
    place(&mut shop.writer("client"), "orders", 0..20);
    until("a worker that has died", || a.running.failed());
    let orders = a.queries.store::<String, i64>("orders-store").unwrap();
    let asked = Instant::now();
    let read = Read::new().within(Duration::from_millis(300));
    let error = block_on(orders.get(&"order-1".into(), read)).unwrap_err();
    assert!(matches!(error, Error::NotReady(_)), "{error}");
    assert!(asked.elapsed() < Duration::from_secs(5));
}

#[test]
fn unknown_stores_and_other_types_are_refused() {
    let shop = Shop::new();
    let a = shop.start(1);
    let unknown = a.queries.store::<String, i64>("order-store").err();
    assert_eq!(unknown, Some(Error::UnknownStore("order-store".into())));
    let types = a.queries.store::<String, String>("orders-store").err();
    assert!(matches!(types, Some(Error::Refused(_))));
    a.stop(&shop);
}

#[test]
fn a_standby_answers_only_those_who_allow_it() {
    let mut shop = Shop::new();
    shop.standbys = 1;
    let (a, b) = (shop.start(1), shop.start(2));
    share(&[&a, &b]);
    let token = place(&mut shop.writer("client"), "orders", 0..100);
    block_on(a.reached("orders-store", &token));
    let views = a.queries.state().views().clone();
    until("a standby that has caught up", || {
        (0..4).all(|partition| {
            views.reader("orders-store", partition).is_some()
                || views
                    .follower("orders-store", partition)
                    .is_some_and(|it| it.lag == 0)
        })
    });
    // Nobody answers at the owner any more, and the group does not know it yet.
    shop.joined.remove(&endpoint(2));
    let orders = a.queries.store::<String, i64>("orders-store").unwrap();
    block_on(async {
        let scan = || Scan::new();
        let short = Read::new().within(Duration::from_millis(200));
        let stale = short.clone().staleness(Staleness::StandbyAllowed);
        let page = orders.all(scan(), stale).await.unwrap();
        assert_eq!((page.entries.len(), page.lag), (100, Some(0)));
        let error = orders.all(scan(), short).await.unwrap_err();
        assert!(error.is_retriable(), "{error}");
    });
    a.stop(&shop);
    b.running.stop(WAIT).unwrap();
}

/// The way to instances that have no turn for anybody.
struct Busy;

impl Peer for Busy {
    fn ask(&self, _: Endpoint, _: Ask) -> PeerAnswer<'_> {
        let why = "all turns are taken".to_owned();
        Box::pin(std::future::ready(Err(Error::NotReady(why))))
    }
}

#[test]
fn an_owner_that_is_too_busy_until_the_deadline_is_no_failure_of_the_way_to_it() {
    let shop = Shop::new();
    let running = shop.run(endpoint(1));
    let queries = Queries::new(&running, Arc::new(Busy));
    let b = shop.start(2);
    until("a share for each", || {
        let held = |it: &Queries| it.state().views().readers("orders-store").len();
        held(&queries) == 2 && held(&b.queries) == 2
    });
    let orders = queries.store::<String, i64>("orders-store").unwrap();
    block_on(async {
        let (mut here, mut busy) = (0, 0);
        for number in 0..20 {
            let read = Read::new().within(Duration::from_millis(100));
            match orders.get(&format!("order-{number}"), read).await {
                Ok(None) => here += 1,
                Err(Error::NotReady(why)) => {
                    assert!(why.contains("all turns are taken"), "{why}");
                    busy += 1;
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(here > 0 && busy > 0, "{here} here, {busy} at the other");
    });
    running.stop(WAIT).unwrap();
    b.stop(&shop);
}

//! Reads that wait: for a value, many for one key, over moves, up to their deadline. The faults 1, 2, 3, 6 and 7 that the original has.

use crate::instance::{Shop, WAIT, block_on, place, share};
use headwater_query::{Error, Read};
use std::time::{Duration, Instant};

/// Joins the outcomes of tasks.
async fn all<T: 'static>(tasks: Vec<tokio::task::JoinHandle<T>>) -> Vec<T> {
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

#[test]
fn several_waiters_of_one_key_all_hear_of_it_on_any_instance() {
    let shop = Shop::new();
    let (a, b) = (shop.start(1), shop.start(2));
    share(&[&a, &b]);
    block_on(async {
        let mut waiting = Vec::new();
        for _ in 0..10 {
            for instance in [&a, &b] {
                let orders = instance
                    .queries
                    .store::<String, i64>("orders-store")
                    .unwrap();
                waiting.push(tokio::spawn(async move {
                    let read = Read::new().within(WAIT);
                    let key = "order-7".to_owned();
                    orders.wait_for(&key, |value| value.is_some(), read).await
                }));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        place(&mut shop.writer("client"), "orders", 0..20);
        for outcome in all(waiting).await {
            assert_eq!(outcome, Ok(Some(7)));
        }
    });
    assert_eq!(a.queries.state().watches().waiters(), 0);
    assert_eq!(b.queries.state().watches().waiters(), 0);
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn a_value_that_comes_while_a_waiter_is_registered_is_not_missed() {
    let shop = Shop::new();
    let a = shop.start(1);
    share(&[&a]);
    let orders = a.queries.store::<String, i64>("orders-store").unwrap();
    let mut writer = shop.writer("client");
    block_on(async {
        for number in 0..300 {
            // The look and the worker's commit fall together, a little earlier or later.
            place(&mut writer, "orders", number..number + 1);
            let key = format!("order-{number}");
            let read = Read::new().within(WAIT);
            let value = orders.wait_for(&key, |value| value.is_some(), read).await;
            assert_eq!(value, Ok(Some(number)));
        }
    });
    a.stop(&shop);
}

#[test]
fn a_waiter_is_gone_at_its_deadline() {
    let shop = Shop::new();
    let a = shop.start(1);
    share(&[&a]);
    let orders = a.queries.store::<String, i64>("orders-store").unwrap();
    let (asked, watches) = (Instant::now(), a.queries.state().watches().clone());
    block_on(async {
        let read = Read::new().within(Duration::from_millis(150));
        let key = "order-1".to_owned();
        let error = orders
            .wait_for(&key, |it| it.is_some(), read)
            .await
            .unwrap_err();
        assert!(matches!(error, Error::TimedOut(_)), "{error}");
    });
    assert!(asked.elapsed() >= Duration::from_millis(150));
    assert_eq!(watches.waiters(), 0);
    a.stop(&shop);
}

#[test]
fn waiters_follow_a_partition_that_moves() {
    let shop = Shop::new();
    let (a, b) = (shop.start(1), shop.start(2));
    share(&[&a, &b]);
    let orders = b.queries.store::<String, i64>("orders-store").unwrap();
    let waiter = std::thread::spawn(move || {
        block_on(async {
            let mut waiting = Vec::new();
            for number in 0..200 {
                let orders = orders.clone();
                waiting.push(tokio::spawn(async move {
                    let key = format!("order-{number}");
                    let read = Read::new().within(WAIT);
                    orders.wait_for(&key, |it| it.is_some(), read).await
                }));
            }
            all(waiting).await
        })
    });
    crate::instance::until("waiters", || {
        let waiting = |it: &crate::instance::Instance| it.queries.state().watches().waiters();
        waiting(&a) + waiting(&b) >= 200
    });
    // Away, and partly back: the waiters hear of both.
    a.stop(&shop);
    let c = shop.start(3);
    share(&[&b, &c]);
    place(&mut shop.writer("client"), "orders", 0..200);
    for (number, outcome) in waiter.join().unwrap().into_iter().enumerate() {
        assert_eq!(outcome, Ok(Some(number as i64)));
    }
    b.stop(&shop);
    c.stop(&shop);
}

#[test]
fn ten_thousand_parked_waiters_are_released_within_a_second() {
    const WAITERS: i64 = 10_000;
    let shop = Shop::new();
    let a = shop.start(1);
    share(&[&a]);
    let orders = a.queries.store::<String, i64>("orders-store").unwrap();
    let mut writer = shop.writer("client");
    block_on(async {
        let mut waiting = Vec::new();
        for number in 0..WAITERS {
            let orders = orders.clone();
            waiting.push(tokio::spawn(async move {
                let key = format!("order-{number}");
                let read = Read::new().within(WAIT);
                let outcome = orders.wait_for(&key, |it| it.is_some(), read).await;
                (outcome, Instant::now())
            }));
        }
        while a.queries.state().watches().waiters() < WAITERS as usize {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        place(&mut writer, "orders", 0..WAITERS);
        let committed = Instant::now();
        let mut slowest = Duration::ZERO;
        for (number, (outcome, at)) in all(waiting).await.into_iter().enumerate() {
            assert_eq!(outcome, Ok(Some(number as i64)));
            slowest = slowest.max(at.saturating_duration_since(committed));
        }
        eprintln!(
            "{WAITERS} waiters: the last was released {slowest:?} after the commit of its record"
        );
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    });
    a.stop(&shop);
}

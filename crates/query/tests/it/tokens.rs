//! Reads that carry a token see what it names, on any instance, direct and across a repartition, while instances come and go.

use crate::instance::{PARTITIONS, Shop, WAIT, block_on, place, share, until};
use headwater_log::TopicPartition;
use headwater_query::{Error, Queries, Read, Token};
use std::time::Duration;

#[test]
fn a_token_survives_its_text_and_is_checked() {
    let mut token = Token::of_record("orders", 3, 41);
    token.demand(TopicPartition::new("prices", 0), 7);
    token.demand(TopicPartition::new("orders", 3), 5);
    let text = token.to_string();
    assert_eq!(text.parse::<Token>().unwrap(), token);
    let positions: Vec<_> = token.positions().map(|(_, next)| next).collect();
    assert_eq!(positions, [42, 7]);
    let damaged = text.replacen('A', "B", 1);
    let long = "A".repeat(10_000);
    for bad in [&text[1..], &damaged, "", "?", &long] {
        let error = bad.parse::<Token>().unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{bad}: {error}");
    }
}

#[test]
fn a_token_beyond_the_deadline_is_an_error_and_no_value() {
    let shop = Shop::new();
    let a = shop.start(1);
    share(&[&a]);
    place(&mut shop.writer("client"), "orders", 0..10);
    let orders = a.queries.store::<String, i64>("orders-store").unwrap();
    let future: Token = (0..4)
        .map(|partition| (TopicPartition::new("orders", partition), 1_000))
        .collect();
    let read = Read::new().after(future).within(Duration::from_millis(100));
    let error = block_on(orders.get(&"order-1".into(), read)).unwrap_err();
    assert!(matches!(error, Error::TimedOut(_)), "{error}");
    a.stop(&shop);
}

#[test]
fn a_token_is_followed_across_a_repartition_and_into_a_global_store() {
    let shop = Shop::new();
    let (a, b) = (shop.start(1), shop.start(2));
    share(&[&a, &b]);
    let mut writer = shop.writer("client");
    block_on(async {
        for round in 0..20 {
            let mut token = place(&mut writer, "orders", round * 10..round * 10 + 10);
            token.merge(&place(&mut writer, "prices", round..round + 1));
            for queries in [&a.queries, &b.queries] {
                let read = || Read::new().after(token.clone()).within(WAIT);
                let kinds = queries.store::<String, u64>("by-kind").unwrap();
                let mut total = 0;
                for kind in 0..5 {
                    let key = format!("kind-{kind}");
                    total += kinds.get(&key, read()).await.unwrap().unwrap_or(0);
                }
                assert_eq!(total, (round as u64 + 1) * 10);
                let prices = queries.store::<String, i64>("prices-store").unwrap();
                let price = prices.get(&format!("order-{round}"), read()).await;
                assert_eq!(price, Ok(Some(round)));
            }
        }
    });
    a.stop(&shop);
    b.stop(&shop);
}

/// Writes one order and reads it back from the instance that `pick` names, with and without its token; the misses of each.
async fn write_and_read(
    shop: &Shop,
    number: i64,
    instances: &[&Queries],
    seed: u64,
) -> (usize, usize) {
    let mut writer = shop.writer(&format!("client-{seed}"));
    let token = place(&mut writer, "orders", number..number + 1);
    let pick = (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ seed) >> 60;
    let queries = instances[pick as usize % instances.len()];
    let orders = queries.store::<String, i64>("orders-store").unwrap();
    let key = format!("order-{number}");
    let bare = orders.get(&key, Read::new().within(WAIT)).await.unwrap();
    let read = Read::new().after(token.clone()).within(WAIT);
    let direct = orders.get(&key, read.clone()).await.unwrap();
    let kinds = queries.store::<String, u64>("by-kind").unwrap();
    let kind = format!("kind-{}", number % 5);
    let of_kind = kinds.get(&kind, read).await.unwrap();
    // Orders come in order, one by one.
    let expected = number as u64 / 5 + 1;
    let missed = usize::from(direct != Some(number)) + usize::from(of_kind != Some(expected));
    (missed, usize::from(bare != Some(number)))
}

#[test]
fn with_a_token_nobody_misses_his_own_write_while_instances_come_and_go() {
    const ORDERS: i64 = 240;
    for seed in 1..=3 {
        let shop = Shop::new();
        let (a, mut b) = (shop.start(1), shop.start(2));
        share(&[&a, &b]);
        let (mut missed, mut missed_without) = (0, 0);
        for number in 0..ORDERS {
            if number % 60 == 30 {
                // Stopped in the one round and started again in the next.
                b.stop(&shop);
                b = shop.start(2);
            }
            let instances = [&a.queries, &b.queries];
            let (with, without) = block_on(write_and_read(&shop, number, &instances, seed));
            missed += with;
            missed_without += without;
        }
        eprintln!(
            "seed {seed}: {ORDERS} pairs of reads: {missed} misses with a token, {missed_without} without"
        );
        assert_eq!(missed, 0);
        assert!(
            missed_without > 0,
            "a store that is never behind tests nothing"
        );
        until("rest", || {
            a.running.failed() || a.running.running_tasks() > 0
        });
        a.stop(&shop);
        b.stop(&shop);
    }
}

#[test]
fn a_token_of_the_end_of_an_empty_partition_demands_nothing() {
    let shop = Shop::new();
    let instance = shop.start(1);
    let ends = (0..PARTITIONS).map(|partition| (TopicPartition::new("orders", partition), 0));
    let token: Token = ends.collect();
    assert!(token.is_empty());
    block_on(async {
        instance.reached("orders-store", &token).await;
    });
    instance.stop(&shop);
}

//! Stores of topics whose writer chooses partitions: no question for a key goes to an instance that cannot know. Not other routing.
//! Invariant: what is there is found, or the question is refused; it is never said to be absent.

use crate::instance::{Instance, PARTITIONS, Shop, WAIT, block_on, place, until};
use headwater_query::{Change, Error, Read, Result, Scan, Table, Watched};
use headwater_streams::{App, TimeWindows, Topic, Topology, Windowed};
use std::time::Duration;

/// Orders, and the same in a topic whose partitions are those of their values: in a table, in windows and in versions.
pub(crate) fn regions() -> Topology {
    let app = App::new("shop");
    let orders = app.table_in::<String, i64>("orders", "orders-store");
    let by_value = |value: i64, partitions: u32| u32::try_from(value).unwrap() % partitions;
    let regional = Topic::<String, i64>::from("prices")
        .partition_by(move |_, value, of| by_value(*value.unwrap(), of));
    orders.to_stream().to(regional);
    let prices = app.stream::<String, i64>("prices");
    prices.to_table("regional");
    prices
        .group_by_key()
        .windowed_by(TimeWindows::of(Duration::from_secs(10)))
        .count("windows");
    app.build().unwrap()
}

/// The partition of an order: its value is its number.
pub(crate) fn region(key: &str, partitions: u32) -> Option<u32> {
    let number: u32 = key.strip_prefix("order-")?.parse().unwrap();
    Some(number % partitions)
}

fn two(shop: &Shop) -> (Instance, Instance) {
    let (a, b) = (shop.start(1), shop.start(2));
    until("a share for each", || {
        let held = |it: &Instance| it.queries.state().views().readers("regional").len();
        held(&a) == 2 && held(&b) == 2
    });
    (a, b)
}

#[track_caller]
fn refused<T>(answer: Result<T>, word: &str) {
    match answer {
        Err(Error::Refused(why)) => assert!(why.contains(word), "{why}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("an answer that may be wrong"),
    }
}

#[test]
fn a_key_is_found_where_its_partition_is_told_and_refused_where_it_is_not() {
    let shop = Shop::of(regions);
    let (a, b) = two(&shop);
    let token = place(&mut shop.writer("client"), "orders", 0..40);
    let read = || Read::new().within(WAIT);
    block_on(async {
        a.reached("regional", &token).await;
        for instance in [&a, &b] {
            let table: Table<String, i64> = instance.queries.store("regional").unwrap();
            let told = table.clone().partitioned_by(|key, of| region(key, of));
            for number in 0..40 {
                let key = format!("order-{number}");
                refused(table.get(&key, read()).await, "'prices'");
                let region = region(&key, PARTITIONS).unwrap();
                let found = table.get(&key, read().partition(region)).await;
                assert_eq!(found, Ok(Some(number)));
                assert_eq!(told.get(&key, read()).await, Ok(Some(number)));
                let elsewhere = read().partition((region + 1) % PARTITIONS);
                assert_eq!(told.get(&key, elsewhere).await, Ok(None), "as it was told");
            }
            let key = "order-7".to_owned();
            refused(table.wait_for(&key, |_| true, read()).await, "prices");
            refused(
                table.watch(Watched::key(key.clone()), read()).await,
                "prices",
            );
            let waited = told.wait_for(&key, |value| value.is_some(), read());
            assert_eq!(waited.await, Ok(Some(7)));
            let watch = told.watch(Watched::key(key.clone()), read());
            let first = watch.await.unwrap().next().await.unwrap();
            assert!(
                matches!(
                    first,
                    Change::Entry {
                        partition: 3,
                        value: Some(7),
                        ..
                    }
                ),
                "{first:?}"
            );
            // What is asked of all partitions needs no key's.
            let all = table.all(Scan::new(), read()).await.unwrap();
            assert_eq!(all.entries.len(), 40);
            let beyond = table.clone().partitioned_by(|_, of| Some(of));
            refused(beyond.get(&key, read()).await, "partition 4 of 4");
            let orders: Table<String, i64> = instance.queries.store("orders-store").unwrap();
            assert_eq!(orders.get(&key, read()).await, Ok(Some(7)), "by the hash");
            let hashed = orders.partitioned_by(|_, _| None);
            assert_eq!(hashed.get(&key, read()).await, Ok(Some(7)), "by the hash");
        }
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn windows_of_a_key_are_found_as_their_key_is() {
    let shop = Shop::of(regions);
    let (a, b) = two(&shop);
    let token = place(&mut shop.writer("client"), "orders", 0..20);
    block_on(async {
        a.reached("windows", &token).await;
        for instance in [&a, &b] {
            let table: Table<Windowed<String>, u64> = instance.queries.store("windows").unwrap();
            let told = table.clone();
            let told = told.partitioned_by(|windowed, of| region(&windowed.key, of));
            for number in 0..20 {
                let fetch = |of: &Table<Windowed<String>, u64>| {
                    let (of, key) = (of.clone(), format!("order-{number}"));
                    async move { of.fetch(key, 0..=i64::MAX, Scan::new(), Read::new()).await }
                };
                refused(fetch(&table).await, "prices");
                assert_eq!(fetch(&told).await.unwrap().entries.len(), 1);
            }
            let one = || Watched::windows("order-1".to_owned(), 0..=i64::MAX);
            refused(table.watch(one(), Read::new()).await, "prices");
            assert!(told.watch(one(), Read::new()).await.is_ok());
        }
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn topics_that_a_topology_writes_for_itself_follow_its_keys() {
    let app = App::new("shop");
    let orders = app.table_in::<String, i64>("orders", "orders-store");
    let customers = app.table::<i64, String>("customers");
    // Its answers go to the partition that asked, which is that of the order.
    orders
        .join(
            customers.by(|_, customer: &i64| Some(*customer)),
            |_, name| name.clone(),
        )
        .to_stream()
        .to("named");
    orders
        .to_stream()
        .group_by(|_, value| format!("kind-{}", value % 5))
        .count("by-kind");
    let topology = app.build().unwrap();
    let topics = topology.source_topics();
    assert!(topics.len() > 4, "{topics:?}");
    assert!(
        topics
            .iter()
            .all(|topic| !topology.chooses_partitions(topic))
    );
    assert!(regions().chooses_partitions("prices"));
}

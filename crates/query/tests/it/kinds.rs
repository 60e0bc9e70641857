//! Every kind of store, by key, by range, by time and by version, over the partitions of two instances, page by page.

use crate::instance::{PARTITIONS, Shop, WAIT, block_on, endpoint, place, until};
use headwater_query::{Error, Page, Read, Scan, Table};
use headwater_streams::{App, SessionWindows, Store, TimeWindows, Topology, Windowed};
use std::time::Duration;

fn kinds() -> Topology {
    let app = App::new("shop");
    let orders = app.stream::<String, i64>("orders");
    let grouped = orders.group_by_key();
    grouped
        .windowed_by(TimeWindows::of(Duration::from_millis(10)))
        .count("windows");
    grouped
        .windowed_by(SessionWindows::of(Duration::from_millis(3)))
        .count("sessions");
    let versions = Store::named("versions").versioned(Duration::from_secs(3_600));
    app.table_in::<String, i64>("prices", versions);
    grouped.count("plain");
    app.build().unwrap()
}

/// All entries in pages of `entries_max`, and how many pages that took.
async fn pages<K: 'static, V: 'static>(
    table: &Table<K, V>,
    scan: Scan,
    entries_max: usize,
) -> (Vec<(K, V)>, usize) {
    let (mut entries, mut count, mut after) = (Vec::new(), 0, None);
    loop {
        let mut scan = scan.clone().entries_max(entries_max);
        if let Some(after) = after.take() {
            scan = scan.after(after);
        }
        let page: Page<K, V> = table.all(scan, Read::new()).await.unwrap();
        assert!(page.entries.len() <= entries_max);
        entries.extend(page.entries);
        count += 1;
        match page.next {
            Some(next) => after = Some(next),
            None => return (entries, count),
        }
    }
}

#[test]
fn pages_of_a_range_are_in_order_and_complete_over_all_partitions() {
    let shop = Shop::of(kinds);
    let (a, b) = (shop.start(1), shop.start(2));
    let token = place(&mut shop.writer("client"), "orders", 0..150);
    block_on(async {
        a.reached("plain", &token).await;
        let plain = a.queries.store::<String, u64>("plain").unwrap();
        let mut keys: Vec<String> = (0..150).map(|number| format!("order-{number}")).collect();
        keys.sort();
        let (found, count) = pages(&plain, Scan::new(), 7).await;
        assert!(found.iter().map(|(key, _)| key).eq(keys.iter()));
        assert_eq!(count, 22);
        let (found, _) = pages(&plain, Scan::new().reverse(), 40).await;
        assert!(found.iter().map(|(key, _)| key).eq(keys.iter().rev()));
        let (from, to) = ("order-14".to_owned(), "order-17".to_owned());
        let range = plain.range(Some(&from), Some(&to), Scan::new(), Read::new());
        let expected = keys.iter().filter(|it| (&from..=&to).contains(it));
        let range = range.await.unwrap().entries;
        assert!(range.iter().map(|(key, _)| key).eq(expected));
        let prefix = plain
            .prefix(b"order-14", Scan::new(), Read::new())
            .await
            .unwrap();
        let expected = keys.iter().filter(|key| key.starts_with("order-14"));
        assert!(prefix.entries.iter().map(|(key, _)| key).eq(expected));
        let page = plain
            .all(Scan::new().bytes_max(1), Read::new())
            .await
            .unwrap();
        assert_eq!(page.entries.len(), 1);
        let next = page.next.unwrap();
        let reversed = plain
            .all(Scan::new().reverse().after(&next), Read::new())
            .await;
        assert!(
            matches!(reversed, Err(Error::Refused(_))),
            "another direction"
        );
        let damaged = plain.all(Scan::new().after(&next[1..]), Read::new()).await;
        assert!(matches!(damaged, Err(Error::Refused(_))));
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn windows_and_sessions_are_fetched_by_key_and_time() {
    let shop = Shop::of(kinds);
    let (a, b) = (shop.start(1), shop.start(2));
    let mut writer = shop.writer("client");
    for time in [0, 1, 2, 12, 13, 25, 40] {
        for key in ["x", "xy", "z"] {
            writer
                .append("orders", &key.to_owned(), &1_i64, time)
                .unwrap();
        }
    }
    writer.commit(1).unwrap();
    let token = headwater_query::Token::of_receipt(writer.receipt());
    let read = || Read::new().after(token.clone()).within(WAIT);
    block_on(async {
        for queries in [&a.queries, &b.queries] {
            let windows = queries.store::<Windowed<String>, u64>("windows").unwrap();
            let found = windows.fetch("x".into(), 5..=20, Scan::new(), read()).await;
            let found = found.unwrap().entries;
            let starts: Vec<_> = found.iter().map(|(key, n)| (key.start, *n)).collect();
            assert_eq!(starts, [(10, 2), (20, 1)]);
            let back = Scan::new().reverse();
            let found = windows
                .fetch("x".into(), 0..=100, back, read())
                .await
                .unwrap();
            let starts: Vec<_> = found.entries.iter().map(|(key, _)| key.start).collect();
            assert_eq!(starts, [40, 20, 10, 0]);
            let all = windows
                .fetch_all(10..=20, Scan::new(), read())
                .await
                .unwrap();
            let mut keys: Vec<_> = all.entries.iter().map(|(key, _)| &*key.key).collect();
            keys.dedup();
            assert_eq!((keys, all.entries.len()), (vec!["x", "xy", "z"], 6));
            let one = Windowed {
                key: "z".to_owned(),
                start: 0,
                end: 10,
            };
            assert_eq!(windows.get(&one, read()).await, Ok(Some(3)));
            let sessions = queries.store::<Windowed<String>, u64>("sessions").unwrap();
            let found = sessions
                .fetch("x".into(), 2..=12, Scan::new(), read())
                .await;
            let found = found.unwrap().entries;
            let ends: Vec<_> = found
                .iter()
                .map(|(key, n)| (key.start, key.end, *n))
                .collect();
            assert_eq!(ends, [(0, 2, 3), (12, 13, 2)]);
            let plain = queries.store::<String, u64>("windows").err();
            assert!(matches!(plain, Some(Error::Refused(_))));
        }
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn versions_are_read_as_they_are_as_they_were_and_in_their_order() {
    let shop = Shop::of(kinds);
    let (a, b) = (shop.start(1), shop.start(2));
    let mut writer = shop.writer("client");
    for (value, time) in [(10_i64, 100), (20, 200), (30, 300)] {
        writer
            .append("prices", &"tea".to_owned(), &value, time)
            .unwrap();
    }
    writer
        .append("prices", &"salt".to_owned(), &1_i64, 50)
        .unwrap();
    writer.commit(1).unwrap();
    let token = headwater_query::Token::of_receipt(writer.receipt());
    let read = || Read::new().after(token.clone()).within(WAIT);
    block_on(async {
        for queries in [&a.queries, &b.queries] {
            let prices = queries.store::<String, i64>("versions").unwrap();
            let tea = "tea".to_owned();
            assert_eq!(prices.get(&tea, read()).await, Ok(Some(30)));
            let held = prices.as_of(&tea, 250, read()).await.unwrap().unwrap();
            assert_eq!(
                (held.value, held.valid_from_ms, held.valid_to_ms),
                (20, 200, Some(300))
            );
            assert_eq!(prices.as_of(&tea, 99, read()).await, Ok(None));
            let history = prices.history(&tea, 150..=1_000, 10, read()).await.unwrap();
            let values: Vec<_> = history.iter().map(|it| it.value).collect();
            assert_eq!(values, [10, 20, 30]);
            let all = prices.all(Scan::new(), read()).await.unwrap();
            assert_eq!(
                all.entries,
                [("salt".to_owned(), 1), ("tea".to_owned(), 30)]
            );
        }
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn hosts_follow_those_who_come_and_go() {
    let shop = Shop::of(kinds);
    let a = shop.start(1);
    let hosts = a.queries.state().hosts().clone();
    let of = |number: u16| {
        let all = hosts.all();
        let found = all.iter().find(|it| it.endpoint == endpoint(number));
        found.map_or(0, |it| it.active.len())
    };
    let tasks = a.queries.state().topology().subtopologies().len() * PARTITIONS as usize;
    until("all tasks at one", || of(1) == tasks);
    let b = shop.start(2);
    until("shared tasks", || {
        of(1) > 0 && of(2) > 0 && of(1) + of(2) == tasks
    });
    b.stop(&shop);
    until("all tasks at one again", || of(1) == tasks);
    a.stop(&shop);
}

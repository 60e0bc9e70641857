//! Live subscriptions: the state, then what changes, over all instances and moves. Not over HTTP.
//! Invariant: a subscriber that does as it is told ends with what the store holds, however slow it was and wherever partitions went.

use crate::instance::{Instance, Shop, WAIT, block_on, place, share};
use headwater_query::{Change, Error, Read, Scan, Table, Token, WATCHES_MAX, Watch, Watched};
use headwater_runtime::SourceWriter;
use headwater_streams::{App, Store};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// What a subscriber knows that does as it is told, and what it was told.
#[derive(Default)]
pub(crate) struct Folded {
    pub(crate) entries: BTreeMap<(u32, String), i64>,
    pub(crate) restated: usize,
    pub(crate) told: usize,
    pub(crate) is_live: bool,
}

impl Folded {
    fn take(&mut self, change: Change<String, i64>) {
        self.told += 1;
        match change {
            Change::Restated { partition } => {
                self.restated += 1;
                self.is_live = false;
                self.entries.retain(|(of, _), _| *of != partition);
            }
            Change::Entry {
                partition,
                key,
                value: Some(value),
            } => {
                self.entries.insert((partition, key), value);
            }
            Change::Entry { partition, key, .. } => {
                self.entries.remove(&(partition, key));
            }
            Change::Live => self.is_live = true,
            Change::Gone { .. } => panic!("of a store without windows: {change:?}"),
        }
    }

    pub(crate) fn keys(&self) -> BTreeMap<String, i64> {
        let entries = self.entries.iter();
        entries
            .map(|((_, key), value)| (key.clone(), *value))
            .collect()
    }

    /// The value of a key, without a look at all the others.
    fn value(&self, key: &str) -> Option<i64> {
        let mut values = (0..4).filter_map(|of| self.entries.get(&(of, key.to_owned())));
        values.next().copied()
    }

    /// Listens until `is_it` says so of what is known.
    pub(crate) async fn listen(
        &mut self,
        watch: &mut Watch<String, i64>,
        is_it: impl Fn(&Self) -> bool,
    ) -> Result<(), Error> {
        while !is_it(self) {
            let change = timeout(WAIT, watch.next()).await;
            let change = change
                .unwrap_or_else(|_| panic!("live {}: only {:?}", self.is_live, self.entries))?;
            self.take(change);
        }
        Ok(())
    }
}

fn orders(instance: &Instance) -> Table<String, i64> {
    instance.queries.store("orders-store").unwrap()
}

fn put(writer: &mut SourceWriter, entries: &[(&str, Option<i64>)]) -> Token {
    for (key, value) in entries {
        let key = (*key).to_owned();
        writer.append("orders", &key, value, 1).unwrap();
    }
    let position = writer.position() + 1;
    writer.commit(position).unwrap();
    Token::of_receipt(writer.receipt())
}

fn map(entries: &[(&str, i64)]) -> BTreeMap<String, i64> {
    let entries = entries.iter();
    entries
        .map(|(key, value)| ((*key).to_owned(), *value))
        .collect()
}

#[test]
fn a_key_is_told_absent_then_there_then_deleted() {
    let shop = Shop::new();
    let (a, b) = (shop.start(1), shop.start(2));
    share(&[&a, &b]);
    let mut writer = shop.writer("client");
    block_on(async {
        // Some of them are at the other instance.
        for key in ["order-1", "order-2", "order-3", "order-4"] {
            let watched = Watched::key(key.to_owned());
            let mut watch = orders(&a).watch(watched, Read::new()).await.unwrap();
            let mut next = async || timeout(WAIT, watch.next()).await.unwrap().unwrap();
            let entry = |value| move |told: Change<String, i64>| matches!(&told, Change::Entry { key: of, value: is, .. } if of == key && *is == value);
            assert!(entry(None)(next().await));
            assert_eq!(next().await, Change::Live);
            put(&mut writer, &[(key, Some(1)), ("another", Some(2))]);
            assert!(entry(Some(1))(next().await));
            put(&mut writer, &[("another", None), (key, None)]);
            assert!(entry(None)(next().await));
        }
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn ranges_prefixes_and_all_are_told_of_every_partition() {
    let shop = Shop::new();
    let (a, b) = (shop.start(1), shop.start(2));
    share(&[&a, &b]);
    let mut writer = shop.writer("client");
    put(
        &mut writer,
        &[("a1", Some(1)), ("b1", Some(2)), ("c1", Some(3))],
    );
    block_on(async {
        let key = |text: &str| Some(text.to_owned());
        for (watched, first, last) in [
            (
                Watched::all(),
                &[("a1", 1), ("b1", 2), ("c1", 3)][..],
                &[("a1", 9), ("b2", 8), ("c1", 3)][..],
            ),
            (Watched::prefix("b"), &[("b1", 2)], &[("b2", 8)]),
            (
                Watched::range(key("b"), key("c1")),
                &[("b1", 2), ("c1", 3)],
                &[("b2", 8), ("c1", 3)],
            ),
            (Watched::range(None, key("a9")), &[("a1", 1)], &[("a1", 9)]),
        ] {
            put(
                &mut writer,
                &[("a1", Some(1)), ("b1", Some(2)), ("b2", None)],
            );
            let mut watch = orders(&a).watch(watched, Read::new()).await.unwrap();
            let mut folded = Folded::default();
            let first = map(first);
            folded
                .listen(&mut watch, |it| it.is_live && it.keys() == first)
                .await
                .unwrap();
            put(
                &mut writer,
                &[("a1", Some(9)), ("b1", None), ("b2", Some(8))],
            );
            let last = map(last);
            folded
                .listen(&mut watch, |it| it.is_live && it.keys() == last)
                .await
                .unwrap();
        }
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn a_position_goes_on_without_state_and_one_of_other_keys_is_refused() {
    let shop = Shop::new();
    let (a, b) = (shop.start(1), shop.start(2));
    share(&[&a, &b]);
    let mut writer = shop.writer("client");
    let token = place(&mut writer, "orders", 0..40);
    block_on(async {
        a.reached("orders-store", &token).await;
        let table = orders(&a);
        let mut watch = table.watch(Watched::all(), Read::new()).await.unwrap();
        let mut folded = Folded::default();
        folded.listen(&mut watch, |it| it.is_live).await.unwrap();
        assert_eq!(folded.entries.len(), 40);
        let position = watch.position().unwrap();
        drop(watch);
        put(&mut writer, &[("order-7", None), ("order-8", Some(80))]);
        // At the other instance: the cursors are the owners'.
        let table = orders(&b);
        let watched = Watched::all().after(&position);
        let mut watch = table.watch(watched, Read::new()).await.unwrap();
        let (told, restated) = (folded.told, folded.restated);
        let is_done = |it: &Folded| it.entries.len() == 39 && it.keys()["order-8"] == 80;
        folded.listen(&mut watch, is_done).await.unwrap();
        assert_eq!(folded.restated, restated, "no state again");
        assert!(folded.told <= told + 3, "two changes, and that it is live");
        let other = Watched::prefix("order").after(&position);
        let refused = table.watch(other, Read::new()).await.err();
        assert!(matches!(refused, Some(Error::Refused(_))), "{refused:?}");
        let damaged = Watched::all().after("AAAA");
        let refused = table.watch(damaged, Read::new()).await.err();
        assert!(matches!(refused, Some(Error::Refused(_))), "{refused:?}");
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn a_position_of_a_key_tells_its_value_only_if_that_is_another() {
    let shop = Shop::new();
    let a = shop.start(1);
    share(&[&a]);
    let mut writer = shop.writer("client");
    let token = place(&mut writer, "orders", 0..1);
    block_on(async {
        a.reached("orders-store", &token).await;
        let table = orders(&a);
        let watched = || Watched::key("order-0".to_owned());
        let mut watch = table.watch(watched(), Read::new()).await.unwrap();
        let mut folded = Folded::default();
        folded.listen(&mut watch, |it| it.is_live).await.unwrap();
        let position = watch.position().unwrap();
        let mut watch = table
            .watch(watched().after(&position), Read::new())
            .await
            .unwrap();
        assert_eq!(watch.next().await.unwrap(), Change::Live);
        put(&mut writer, &[("order-0", Some(5))]);
        folded
            .listen(&mut watch, |it| it.keys()["order-0"] == 5)
            .await
            .unwrap();
        let mut watch = table
            .watch(watched().after(&position), Read::new())
            .await
            .unwrap();
        let mut late = Folded::default();
        late.listen(&mut watch, |it| it.is_live).await.unwrap();
        assert_eq!(late.keys(), map(&[("order-0", 5)]));
    });
    a.stop(&shop);
}

#[test]
fn who_is_too_slow_is_told_the_state_again() {
    let shop = Shop::new();
    let a = shop.start(1);
    share(&[&a]);
    let mut writer = shop.writer("client");
    block_on(async {
        let table = orders(&a);
        let mut watch = table.watch(Watched::all(), Read::new()).await.unwrap();
        let mut folded = Folded::default();
        folded.listen(&mut watch, |it| it.is_live).await.unwrap();
        let restated = folded.restated;
        // More changes than the four rings keep.
        let mut token = Token::new();
        for round in 0..10 {
            token = place(&mut writer, "orders", round * 30_000..(round + 1) * 30_000);
        }
        a.reached("orders-store", &token).await;
        let last = ("order-0", Some(-1));
        put(&mut writer, &[last]);
        let is_done = |it: &Folded| it.is_live && it.entries.len() == 300_000;
        folded.listen(&mut watch, is_done).await.unwrap();
        assert!(folded.restated > restated, "told that it missed something");
        // Thousands of changes may come before it, of partitions that are told once more too.
        let is_last = |it: &Folded| it.value("order-0") == Some(-1);
        folded.listen(&mut watch, is_last).await.unwrap();
    });
    a.stop(&shop);
}

#[test]
fn a_watch_follows_partitions_that_move_and_loses_nothing() {
    let shop = Shop::new();
    let (a, b) = (shop.start(1), shop.start(2));
    share(&[&a, &b]);
    let mut writer = shop.writer("client");
    place(&mut writer, "orders", 0..100);
    let table = orders(&b);
    let watcher = std::thread::spawn(move || {
        block_on(async {
            let mut watch = table.watch(Watched::all(), Read::new()).await.unwrap();
            let mut folded = Folded::default();
            let is_done = |it: &Folded| it.is_live && it.entries.len() == 400;
            folded.listen(&mut watch, is_done).await.unwrap();
            folded
        })
    });
    place(&mut writer, "orders", 100..200);
    a.stop(&shop);
    place(&mut writer, "orders", 200..300);
    let c = shop.start(3);
    share(&[&b, &c]);
    place(&mut writer, "orders", 300..400);
    let folded = watcher.join().unwrap();
    for number in 0..400 {
        assert_eq!(folded.keys()[&format!("order-{number}")], number);
    }
    b.stop(&shop);
    c.stop(&shop);
}

#[test]
fn a_folded_watch_equals_the_store_after_random_writes_deletions_and_restarts() {
    let seed = match std::env::var("WATCH_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => headwater_world::World::real().random.next_u64(),
    };
    println!("WATCH_SEED={seed}");
    let mut random = seed | 1;
    let mut below = move |end: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % end
    };
    let shop = Shop::new();
    let watching = shop.start(0);
    let mut others: Vec<Instance> = vec![shop.start(1)];
    let mut number = 1;
    let mut writer = shop.writer("client");
    let table = orders(&watching);
    let (end, ended) = tokio::sync::oneshot::channel::<Token>();
    let watcher = std::thread::spawn(move || {
        block_on(async {
            let mut watch = table.watch(Watched::all(), Read::new()).await.unwrap();
            let mut folded = Folded::default();
            let is_done = |it: &Folded| it.is_live && it.keys().contains_key("the end");
            folded.listen(&mut watch, is_done).await.unwrap();
            let read = Read::new().within(WAIT).after(ended.await.unwrap());
            let all = table.all(Scan::new(), read).await.unwrap();
            let expected: BTreeMap<String, i64> = all.entries.into_iter().collect();
            let is_done = |it: &Folded| it.is_live && it.keys() == expected;
            let outcome = folded.listen(&mut watch, is_done).await;
            assert_eq!(outcome, Ok(()), "WATCH_SEED={seed}");
        });
    });
    let mut token = Token::new();
    for _ in 0..60 {
        let changes = (0..below(30)).map(|_| {
            let key = format!("key-{}", below(50));
            let value = (below(4) > 0).then(|| i64::try_from(below(1_000)).unwrap());
            (key, value)
        });
        let changes: Vec<_> = changes.collect();
        let changes: Vec<_> = changes
            .iter()
            .map(|(key, value)| (&key[..], *value))
            .collect();
        token.merge(&put(&mut writer, &changes));
        match below(12) {
            0 => {
                number += 1;
                others.push(shop.start(number));
            }
            1 if !others.is_empty() => {
                let at = usize::try_from(below(others.len() as u64)).unwrap();
                others.remove(at).stop(&shop);
            }
            _ => {}
        }
    }
    token.merge(&put(&mut writer, &[("the end", Some(0))]));
    end.send(token).unwrap();
    watcher.join().unwrap();
    for instance in others.into_iter().chain([watching]) {
        instance.stop(&shop);
    }
}

#[test]
fn a_global_store_is_watched_key_by_key() {
    let shop = Shop::new();
    let a = shop.start(1);
    share(&[&a]);
    let mut writer = shop.writer("client");
    let token = place(&mut writer, "prices", 0..30);
    block_on(async {
        a.reached("prices-store", &token).await;
        let prices = a.queries.store::<String, i64>("prices-store").unwrap();
        let mut watch = prices.watch(Watched::all(), Read::new()).await.unwrap();
        let mut folded = Folded::default();
        folded.listen(&mut watch, |it| it.is_live).await.unwrap();
        assert_eq!((folded.entries.len(), folded.restated), (30, 1));
        let told = folded.told;
        place(&mut writer, "prices", 30..40);
        folded
            .listen(&mut watch, |it| it.entries.len() == 40)
            .await
            .unwrap();
        assert_eq!((folded.told, folded.restated), (told + 10, 1));
    });
    a.stop(&shop);
}

#[test]
fn the_latest_versions_are_watched() {
    let shop = Shop::of(|| {
        let app = App::new("shop");
        let versions = Store::named("orders-store").versioned(Duration::from_secs(3_600));
        app.table_in::<String, i64>("orders", versions);
        app.build().unwrap()
    });
    let a = shop.start(1);
    share(&[&a]);
    let mut writer = shop.writer("client");
    put(&mut writer, &[("order-1", Some(1)), ("order-2", Some(2))]);
    block_on(async {
        let table = orders(&a);
        let one = Watched::key("order-1".to_owned());
        let mut one = table.watch(one, Read::new()).await.unwrap();
        let mut all = table.watch(Watched::all(), Read::new()).await.unwrap();
        let (mut of_one, mut of_all) = (Folded::default(), Folded::default());
        of_one
            .listen(&mut one, |it| it.keys() == map(&[("order-1", 1)]))
            .await
            .unwrap();
        let both = map(&[("order-1", 1), ("order-2", 2)]);
        of_all
            .listen(&mut all, |it| it.keys() == both)
            .await
            .unwrap();
        put(&mut writer, &[("order-1", None), ("order-2", Some(3))]);
        of_one
            .listen(&mut one, |it| it.entries.is_empty())
            .await
            .unwrap();
        let last = map(&[("order-2", 3)]);
        of_all
            .listen(&mut all, |it| it.keys() == last)
            .await
            .unwrap();
    });
    a.stop(&shop);
}

#[test]
fn more_watches_than_there_may_be_are_told_so_and_those_that_end_make_room() {
    let shop = Shop::new();
    let a = shop.start(1);
    share(&[&a]);
    block_on(async {
        let table = orders(&a);
        let mut open = Vec::new();
        for _ in 0..WATCHES_MAX {
            open.push(table.watch(Watched::all(), Read::new()).await.unwrap());
        }
        let refused = table.watch(Watched::all(), Read::new()).await.err();
        assert!(matches!(refused, Some(Error::Overloaded(_))), "{refused:?}");
        open.pop();
        assert!(table.watch(Watched::all(), Read::new()).await.is_ok());
    });
    a.stop(&shop);
}

//! Live subscriptions to stores that forget: of windows, of sessions, and of the least recently used. Not those that keep all.
//! Invariant: a subscriber that does as it is told ends with what the store holds, also when windows are dropped.

use crate::instance::{Instance, PARTITIONS, Shop, WAIT, block_on, place, until};
use crate::watches::Folded;
use headwater_log::partition_for_key;
use headwater_query::{Change, Error, Read, Scan, Table, Token, Watch, Watched};
use headwater_runtime::SourceWriter;
use headwater_streams::{App, SessionWindows, Store, TimeWindows, Topology, Windowed};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// What a window or session store keeps, in stream time: the least there is, of which a segment is as long.
const RETENTION_MS: i64 = 60_000;
/// The size of a window, and the gap of sessions.
const SIZE_MS: u64 = 10;

fn windows() -> Topology {
    let app = App::new("shop");
    let (size, kept) = (
        Duration::from_millis(SIZE_MS),
        Duration::from_millis(RETENTION_MS.unsigned_abs()),
    );
    let orders = app.stream::<String, i64>("orders").group_by_key();
    orders
        .windowed_by(TimeWindows::of(size))
        .count(Store::from("windows").retention(kept));
    orders
        .windowed_by(SessionWindows::of(size))
        .count(Store::from("sessions").retention(kept));
    app.build().unwrap()
}

/// A key, and when its window or session begins and ends.
type Of = (String, i64, i64);

/// What a subscriber knows that does as it is told, and what it was told.
#[derive(Default)]
struct Known {
    entries: BTreeMap<(u32, Of), u64>,
    restated: usize,
    gone: usize,
    is_live: bool,
    /// A session is gone when its end is, a window when its start is.
    by_end: bool,
}

impl Known {
    fn take(&mut self, change: Change<Windowed<String>, u64>) {
        match change {
            Change::Restated { partition } => {
                (self.restated, self.is_live) = (self.restated + 1, false);
                self.entries.retain(|(of, _), _| *of != partition);
            }
            Change::Entry {
                partition,
                key,
                value,
            } => {
                let key = (partition, (key.key, key.start, key.end));
                match value {
                    Some(value) => drop(self.entries.insert(key, value)),
                    None => drop(self.entries.remove(&key)),
                }
            }
            Change::Gone {
                partition,
                before_ms,
            } => {
                self.gone += 1;
                let by_end = self.by_end;
                self.entries.retain(|(of, (_, start, end)), _| {
                    let time = if by_end { end } else { start };
                    *of != partition || *time >= before_ms
                });
            }
            Change::Live => self.is_live = true,
        }
    }

    fn all(&self) -> BTreeMap<Of, u64> {
        let entries = self.entries.iter();
        entries
            .map(|((_, of), count)| (of.clone(), *count))
            .collect()
    }

    /// Listens until it knows exactly this.
    async fn listen(&mut self, watch: &mut Counts, expected: &BTreeMap<Of, u64>) {
        while !self.is_live || self.all() != *expected {
            let change = timeout(WAIT, watch.next()).await;
            let change =
                change.unwrap_or_else(|_| panic!("only {:?}, not {expected:?}", self.all()));
            self.take(change.unwrap());
        }
    }
}

type Counts = Watch<Windowed<String>, u64>;
type CountTable = Table<Windowed<String>, u64>;

fn table(instance: &Instance, store: &str) -> CountTable {
    instance.queries.store(store).unwrap()
}

async fn watch(table: &CountTable, watched: Watched<Windowed<String>>) -> Counts {
    table.watch(watched, Read::new()).await.unwrap()
}

/// Commits records of these keys and times.
fn put(writer: &mut SourceWriter, records: &[(&str, i64)]) -> Token {
    for (key, time_ms) in records {
        let key = (*key).to_owned();
        writer.append("orders", &key, &1_i64, *time_ms).unwrap();
    }
    writer.commit(writer.position() + 1).unwrap();
    Token::of_receipt(writer.receipt())
}

fn counts(entries: &[(&str, i64, i64, u64)]) -> BTreeMap<Of, u64> {
    let entries = entries.iter();
    entries
        .map(|(key, start, end, count)| (((*key).to_owned(), *start, *end), *count))
        .collect()
}

/// What the store holds once it has come to a token; page by page.
async fn held(table: &CountTable, token: &Token) -> BTreeMap<Of, u64> {
    let read = Read::new().after(token.clone()).within(WAIT);
    let (mut found, mut scan) = (BTreeMap::new(), Scan::new());
    loop {
        let page = table.fetch_all(i64::MIN..=i64::MAX, scan, read.clone());
        let page = page.await.unwrap();
        let entries = page.entries.into_iter();
        found.extend(entries.map(|(key, count)| ((key.key, key.start, key.end), count)));
        match page.next {
            Some(next) => scan = Scan::new().after(next),
            None => return found,
        }
    }
}

/// Keys by the partition that they are in.
fn one_of_each_partition() -> [String; PARTITIONS as usize] {
    std::array::from_fn(|partition| {
        let mut keys = (0..1_000).map(|number| format!("key-{number}"));
        let is_there =
            |key: &String| partition_for_key(key.as_bytes(), PARTITIONS) as usize == partition;
        keys.find(is_there).unwrap()
    })
}

fn two(shop: &Shop) -> (Instance, Instance) {
    let (a, b) = (shop.start(1), shop.start(2));
    until("a share for each", || {
        let held = |it: &Instance| it.queries.state().views().readers("windows").len();
        held(&a) == 2 && held(&b) == 2
    });
    (a, b)
}

#[test]
fn windows_are_told_by_key_and_time_and_those_that_are_dropped_too() {
    let shop = Shop::of(windows);
    let (a, b) = two(&shop);
    let mut writer = shop.writer("client");
    block_on(async {
        let of_a = table(&a, "windows");
        let mut all = watch(&of_a, Watched::all_windows(i64::MIN..=i64::MAX)).await;
        let mut one = watch(&of_a, Watched::windows("x".into(), i64::MIN..=i64::MAX)).await;
        let mut some = watch(&of_a, Watched::all_windows(10..=19)).await;
        let (mut of_all, mut of_one, mut of_some) =
            (Known::default(), Known::default(), Known::default());
        // Feeds that begin between a commit and its ring would be told to look at all once more.
        of_all.listen(&mut all, &BTreeMap::new()).await;
        of_one.listen(&mut one, &BTreeMap::new()).await;
        of_some.listen(&mut some, &BTreeMap::new()).await;
        // "xy" begins as "x" does, and its windows lie between those of "x".
        put(&mut writer, &[("x", 0), ("xy", 5), ("z", 7), ("x", 15)]);
        let both = [("x", 0, 10, 1), ("x", 10, 20, 1)];
        let others = [("xy", 0, 10, 1), ("z", 0, 10, 1)];
        of_all
            .listen(&mut all, &counts(&[&both[..], &others].concat()))
            .await;
        of_one.listen(&mut one, &counts(&both)).await;
        of_some.listen(&mut some, &counts(&both[1..])).await;
        let token = put(&mut writer, &[("x", 16), ("z", 18)]);
        let expected = [("x", 0, 10, 1), ("x", 10, 20, 2), ("z", 10, 20, 1)];
        let of_two = [&expected[..], &others].concat();
        assert_eq!(held(&of_a, &token).await, counts(&of_two));
        of_all.listen(&mut all, &counts(&of_two)).await;
        of_one.listen(&mut one, &counts(&expected[..2])).await;
        of_some.listen(&mut some, &counts(&expected[1..])).await;
        assert_eq!((of_all.gone, of_one.gone), (0, 0), "nothing is that old");

        // What is dropped by one commit is old by the time of the commit before.
        for time_ms in [600_000, 600_010] {
            let token = put(&mut writer, &[("x", time_ms)]);
            a.reached("windows", &token).await;
        }
        let left = [("x", 600_000, 600_010, 1), ("x", 600_010, 600_020, 1)];
        of_one.listen(&mut one, &counts(&left)).await;
        assert_eq!(of_one.gone, 1, "of one partition, once");
        let token = put(&mut writer, &[("z", 20)]);
        let left = held(&of_a, &token).await;
        assert!(!left.contains_key(&("x".to_owned(), 0, 10)), "{left:?}");
        of_all.listen(&mut all, &left).await;
        // Whoever begins now is told what is left.
        let mut late = watch(&of_a, Watched::all_windows(i64::MIN..=i64::MAX)).await;
        Known::default().listen(&mut late, &left).await;
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn who_comes_back_with_a_position_is_told_what_was_dropped_meanwhile() {
    let shop = Shop::of(windows);
    let (a, b) = two(&shop);
    let mut writer = shop.writer("client");
    block_on(async {
        let of_a = table(&a, "windows");
        let watched = || Watched::windows("x".to_owned(), i64::MIN..=i64::MAX);
        let (mut one, mut known) = (watch(&of_a, watched()).await, Known::default());
        known.listen(&mut one, &BTreeMap::new()).await;
        put(&mut writer, &[("x", 0), ("x", 15)]);
        let both = counts(&[("x", 0, 10, 1), ("x", 10, 20, 1)]);
        known.listen(&mut one, &both).await;
        let position = one.position().unwrap();
        drop(one);
        for time_ms in [600_000, 600_010] {
            let token = put(&mut writer, &[("x", time_ms)]);
            a.reached("windows", &token).await;
        }
        let of_b = table(&b, "windows");
        let mut again = watch(&of_b, watched().after(&position)).await;
        let restated = known.restated;
        let left = counts(&[("x", 600_000, 600_010, 1), ("x", 600_010, 600_020, 1)]);
        known.listen(&mut again, &left).await;
        assert_eq!(known.restated, restated, "no state again");
        let other = Watched::windows("x".to_owned(), 0..=9).after(&position);
        let refused = of_b.watch(other, Read::new()).await.err();
        assert!(matches!(refused, Some(Error::Refused(_))), "{refused:?}");
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn sessions_that_merge_are_deletions_and_those_that_are_dropped_go_by_their_end() {
    let shop = Shop::of(windows);
    let (a, b) = two(&shop);
    let mut writer = shop.writer("client");
    block_on(async {
        let sessions = table(&a, "sessions");
        let mut one = watch(&sessions, Watched::windows("x".into(), i64::MIN..=i64::MAX)).await;
        let mut known = Known {
            by_end: true,
            ..Known::default()
        };
        known.listen(&mut one, &BTreeMap::new()).await;
        put(&mut writer, &[("x", 0)]);
        known.listen(&mut one, &counts(&[("x", 0, 0, 1)])).await;
        put(&mut writer, &[("x", 8), ("y", 3)]);
        known.listen(&mut one, &counts(&[("x", 0, 8, 2)])).await;
        let mut token = Token::new();
        for time_ms in [600_000, 600_005] {
            token = put(&mut writer, &[("x", time_ms)]);
            a.reached("sessions", &token).await;
        }
        let left = counts(&[("x", 600_000, 600_005, 2)]);
        known.listen(&mut one, &left).await;
        assert_eq!((known.gone, known.restated), (1, 1));
        let mut of_all = held(&sessions, &token).await;
        of_all.retain(|(key, _, _), _| key == "x");
        assert_eq!(of_all, left);
    });
    a.stop(&shop);
    b.stop(&shop);
}

#[test]
fn windows_that_move_are_told_anew_and_who_is_too_slow_as_well() {
    let shop = Shop::of(windows);
    let (a, b) = two(&shop);
    let mut writer = shop.writer("client");
    block_on(async {
        let of_b = table(&b, "windows");
        let mut all = watch(&of_b, Watched::all_windows(i64::MIN..=i64::MAX)).await;
        let mut known = Known::default();
        known.listen(&mut all, &BTreeMap::new()).await;
        // A key of each partition: half of them move.
        let keys = one_of_each_partition();
        let mut ones = Vec::new();
        for key in &keys {
            let watched = Watched::windows(key.clone(), i64::MIN..=i64::MAX);
            ones.push((watch(&of_b, watched).await, Known::default()));
        }
        for (one, known) in &mut ones {
            known.listen(one, &BTreeMap::new()).await;
        }
        put(&mut writer, &keys.each_ref().map(|key| (key.as_str(), 1)));
        let window = |at: usize, count| counts(&[(keys[at].as_str(), 0, 10, count)]);
        for (at, (one, known)) in ones.iter_mut().enumerate() {
            known.listen(one, &window(at, 1)).await;
        }
        let four = keys.each_ref().map(|key| (key.as_str(), 0, 10, 1));
        known.listen(&mut all, &counts(&four)).await;
        let restated = known.restated;
        assert!(ones.iter().all(|(_, known)| known.restated == 1));
        a.stop(&shop);
        let token = put(&mut writer, &keys.each_ref().map(|key| (key.as_str(), 4)));
        let expected = held(&of_b, &token).await;
        assert_eq!(
            expected,
            counts(&four.map(|(key, from, to, _)| (key, from, to, 2)))
        );
        known.listen(&mut all, &expected).await;
        assert!(known.restated >= restated + 2, "of those that moved");
        for (at, (one, known)) in ones.iter_mut().enumerate() {
            known.listen(one, &window(at, 2)).await;
        }
        let moved = ones.iter().filter(|(_, known)| known.restated > 1);
        assert_eq!(moved.count(), 2, "those that moved and no other");

        // More bytes of keys than the ring of one partition keeps, in commits of a few.
        let restated = known.restated;
        let long = "long".repeat(12_000);
        let mut token = Token::new();
        for round in 0..50 {
            let records = (0..6).map(|at| (long.as_str(), (round * 6 + at) * 10));
            let records: Vec<(&str, i64)> = records.collect();
            token = put(&mut writer, &records);
            b.reached("windows", &token).await;
        }
        let expected = held(&of_b, &token).await;
        assert_eq!(expected.len(), 4 + 300);
        known.listen(&mut all, &expected).await;
        assert!(known.restated > restated, "told that it missed something");
    });
    b.stop(&shop);
}

#[test]
fn one_window_is_told_until_it_is_dropped() {
    let shop = Shop::of(windows);
    let a = shop.start(1);
    let mut writer = shop.writer("client");
    block_on(async {
        let table = table(&a, "windows");
        let (start, end) = (0, 10);
        let key = "x".to_owned();
        let mut one = watch(&table, Watched::key(Windowed { key, start, end })).await;
        let mut known = Known::default();
        known.listen(&mut one, &BTreeMap::new()).await;
        put(&mut writer, &[("x", 0), ("x", 15)]);
        known.listen(&mut one, &counts(&[("x", 0, 10, 1)])).await;
        // Asked before it is dropped: nothing rings for that, and its owner answers after 15 s.
        let nothing = timeout(Duration::from_millis(100), one.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        for time_ms in [600_000, 600_010] {
            let token = put(&mut writer, &[("x", time_ms)]);
            a.reached("windows", &token).await;
        }
        known.listen(&mut one, &BTreeMap::new()).await;
        assert_eq!((known.gone, known.restated), (0, 0));
    });
    a.stop(&shop);
}

#[test]
fn what_a_store_of_the_least_recently_used_forgets_is_told() {
    let shop = Shop::of(|| {
        let app = App::new("shop");
        app.table_in::<String, i64>("orders", Store::named("orders-store").lru(3));
        app.build().unwrap()
    });
    let a = shop.start(1);
    let mut writer = shop.writer("client");
    block_on(async {
        let orders = a.queries.store::<String, i64>("orders-store").unwrap();
        let mut all = orders.watch(Watched::all(), Read::new()).await.unwrap();
        let mut folded = Folded::default();
        folded.listen(&mut all, |it| it.is_live).await.unwrap();
        for round in 0..10 {
            let token = place(&mut writer, "orders", round * 10..(round + 1) * 10);
            let read = Read::new().after(token).within(WAIT);
            let kept = orders.all(Scan::new(), read).await.unwrap().entries;
            let kept: BTreeMap<String, i64> = kept.into_iter().collect();
            assert!(kept.len() <= 12, "three of each partition: {kept:?}");
            let is_told = |it: &Folded| it.keys() == kept;
            folded.listen(&mut all, is_told).await.unwrap();
        }
    });
    a.stop(&shop);
}

//! The record cache against a list of entries that does what `NamedCache` and `ThreadCache` say, line by line.

use super::{Entry, RecordCache};
use crate::{Direction, KEYS_AHEAD_MAX, KeyRange, KeysAhead, PlainKey, ShortBytes};
use headwater_world::{Random, SeededRandom};

fn entry(value: Option<&[u8]>) -> Entry {
    Entry {
        value: value.map(ShortBytes::from),
        context_len: 5,
        value_overhead: 0,
        ..Entry::default()
    }
}

fn keys(entries: &[(Vec<u8>, Entry)]) -> Vec<&str> {
    entries
        .iter()
        .map(|(key, _)| std::str::from_utf8(key).unwrap())
        .collect()
}

fn cached(cache: &RecordCache, store: usize) -> Vec<String> {
    let entries = cache.range(store, KeyRange::ALL, Direction::Forward);
    entries
        .map(|(key, _)| String::from_utf8(key.to_vec()).unwrap())
        .collect()
}

/// Copies what the cache shows to the end of `out`.
fn keep(out: &mut Vec<(Vec<u8>, Entry)>) -> impl FnMut(&[u8], &Entry) {
    |key, entry| out.push((key.to_vec(), entry.clone()))
}

#[test]
fn an_entry_is_as_large_as_in_kafka_streams() {
    // Key 3, references 24, dirty flag 1, value 4, timestamp 8, offset 8, topic 5, partition 4.
    let mut cache = RecordCache::new(1_000);
    let store = cache.add_store();
    cache.put(store, b"key", entry(Some(b"1234")));
    assert_eq!(cache.bytes(), 3 + 24 + 1 + 4 + 8 + 8 + 5 + 4);
    cache.put(store, b"key", entry(None));
    assert_eq!(cache.bytes(), 3 + 24 + 1 + 8 + 8 + 5 + 4);
    cache.clear(store);
    assert_eq!(cache.bytes(), 0);
}

#[test]
fn a_flush_hands_out_updates_in_the_order_of_the_last_one_and_keeps_deletions_until_told() {
    let mut cache = RecordCache::new(1_000);
    let store = cache.add_store();
    for (key, value) in [
        ("a", Some(&b"1"[..])),
        ("b", Some(b"1")),
        ("c", None),
        ("a", Some(b"2")),
    ] {
        cache.put(store, key.as_bytes(), entry(value));
    }
    cache.put_clean_slice(store, b"d", b"read", 0);
    cache.put_clean_slice(store, b"a", b"stale", 0);
    let mut out = Vec::new();
    cache.take_dirty(store, &mut keep(&mut out));
    assert_eq!(keys(&out), ["b", "c", "a"]);
    assert_eq!(out[2].1.value.as_deref(), Some(&b"2"[..]));
    assert_eq!(cached(&cache, store), ["a", "b", "c", "d"]);
    cache.drop_deleted(store, b"c");
    cache.drop_deleted(store, b"a");
    assert_eq!(cached(&cache, store), ["a", "b", "d"]);
    assert!(!cache.has_dirty(store));
}

#[test]
fn evicting_a_dirty_entry_hands_out_the_whole_store_it_first() {
    let mut cache = RecordCache::new(200);
    let (first, second) = (cache.add_store(), cache.add_store());
    for key in [&b"a"[..], b"b", b"c"] {
        cache.put(first, key, entry(Some(b"v")));
    }
    cache.get(first, b"a");
    cache.put(second, b"x", entry(Some(b"v")));
    // The store that is written to pays, even if another has older entries.
    assert!(cache.over_budget(second));
    let mut out = Vec::new();
    cache.evict(second, &mut keep(&mut out));
    assert_eq!(keys(&out), ["x"]);
    assert!(!cache.over_budget(first) && !cache.over_budget(second));
    cache.put(first, b"d", entry(Some(b"v")));
    assert!(cache.over_budget(first));
    out.clear();
    cache.evict(first, &mut keep(&mut out));
    assert_eq!(keys(&out), ["b", "a", "c", "d"]);
    assert_eq!(cached(&cache, first), ["a", "c", "d"]);
}

#[test]
fn what_is_counted_wrongly_makes_a_store_evict() {
    let mut cache = RecordCache::new(200);
    let store = cache.add_store();
    cache.put(store, b"a", entry(Some(b"v")));
    cache.count_wrongly(200);
    assert!(cache.over_budget(store));
    cache.count_wrongly(-200);
    assert!(!cache.over_budget(store));
}

#[test]
fn a_clean_eldest_goes_quietly() {
    let mut cache = RecordCache::new(60);
    let store = cache.add_store();
    cache.put_clean(store, b"a", entry(Some(b"v")));
    cache.put(store, b"b", entry(Some(b"v")));
    let mut out = Vec::new();
    while cache.over_budget(store) {
        cache.evict(store, &mut keep(&mut out));
    }
    assert!(out.is_empty());
    assert_eq!(cached(&cache, store), ["b"]);
}

/// One store as Java has it: entries by use, the eldest first, and the dirty keys in order.
#[derive(Default)]
struct Naive {
    by_use: Vec<(Vec<u8>, Entry)>,
    dirty: Vec<Vec<u8>>,
}

impl Naive {
    fn bytes(&self) -> usize {
        self.by_use
            .iter()
            .map(|(key, entry)| entry.size_bytes(key.len()))
            .sum()
    }

    fn touch(&mut self, key: &[u8]) -> Option<Entry> {
        let at = self.by_use.iter().position(|(other, _)| other == key)?;
        let found = self.by_use.remove(at);
        self.by_use.push(found.clone());
        Some(found.1)
    }

    fn put(&mut self, key: &[u8], entry: Entry) {
        self.by_use.retain(|(other, _)| other != key);
        if entry.dirty {
            self.dirty.retain(|other| other != key);
            self.dirty.push(key.to_vec());
        }
        self.by_use.push((key.to_vec(), entry));
    }

    fn take_dirty(&mut self, out: &mut Vec<(Vec<u8>, Entry)>) {
        for key in std::mem::take(&mut self.dirty) {
            let place = self
                .by_use
                .iter_mut()
                .find(|(other, _)| *other == key)
                .unwrap();
            out.push(place.clone());
            place.1.dirty = false;
        }
    }

    fn drop_deleted(&mut self, key: &[u8]) {
        let gone = |entry: &Entry| !entry.dirty && entry.value.is_none();
        self.by_use
            .retain(|(other, entry)| other != key || !gone(entry));
    }

    fn evict(&mut self, out: &mut Vec<(Vec<u8>, Entry)>) {
        let eldest = self.by_use.remove(0);
        if eldest.1.dirty {
            self.dirty.retain(|other| *other != eldest.0);
            out.push(eldest);
            self.take_dirty(out);
        }
    }
}

/// Few bytes that lie in their entry, or more, which do not.
fn long_or_short(random: &SeededRandom, byte: u8) -> ShortBytes {
    ShortBytes::from(&vec![byte; random.below(60) as usize][..])
}

#[test]
fn random_operations_agree_with_the_naive_cache() {
    for seed in 0..200 {
        let random = SeededRandom::new(seed);
        let mut cache = RecordCache::new(600);
        let mut naive = [Naive::default(), Naive::default()];
        let _ = (cache.add_store(), cache.add_store());
        for step in 0..400_i64 {
            let context = format!("seed {seed}, step {step}");
            let store = random.below(2) as usize;
            let key = vec![b'a' + random.below(8) as u8; 1 + random.below(2) as usize];
            let value = (random.below(4) > 0).then(|| long_or_short(&random, step as u8));
            let new = Entry {
                value,
                timestamp: step,
                offset: step,
                context_len: 3,
                value_overhead: 0,
                dirty: true,
                ..Entry::default()
            };
            let (mut out, mut expected) = (Vec::new(), Vec::new());
            match random.below(10) {
                0..3 => {
                    cache.put(store, &key, new.clone());
                    naive[store].put(&key, new);
                }
                3..5 => {
                    cache.put_slice(store, &key, new.value.as_deref(), &new);
                    naive[store].put(&key, new);
                }
                5 => {
                    cache.put_clean(store, &key, new.clone());
                    if !naive[store].by_use.iter().any(|(other, _)| *other == key) {
                        naive[store].put(
                            &key,
                            Entry {
                                dirty: false,
                                ..new
                            },
                        );
                    }
                }
                6 if random.below(4) == 0 => {
                    cache.take_dirty(store, &mut keep(&mut out));
                    naive[store].take_dirty(&mut expected);
                }
                _ => assert_eq!(
                    cache.get(store, &key).cloned(),
                    naive[store].touch(&key),
                    "{context}"
                ),
            }
            warm(&cache, store, &random, &context);
            while cache.over_budget(store) {
                cache.evict(store, &mut keep(&mut out));
                naive[store].evict(&mut expected);
            }
            assert_eq!(out, expected, "{context}");
            drop_deleted(&out, &mut cache, &mut naive);
            assert_eq!(
                cache.bytes(),
                naive.iter().map(Naive::bytes).sum::<usize>(),
                "{context}"
            );
            if random.below(8) == 0 {
                check_range(&cache, store, &naive[store], &context);
            }
        }
    }
}

/// Announces keys now and then; those that are not cached are left. What it changes the next steps find.
fn warm(cache: &RecordCache, store: usize, random: &SeededRandom, context: &str) {
    if random.below(3) > 0 {
        return;
    }
    let count = random.below(KEYS_AHEAD_MAX as u64 + 1);
    let keys: Vec<_> = (0..count)
        .map(|_| vec![b'a' + random.below(9) as u8])
        .collect();
    let (mut ahead, mut expected) = (KeysAhead::default(), KeysAhead::default());
    for key in &keys {
        ahead.push(key);
        if cache.peek(store, key).is_none() {
            expected.push(key);
        }
    }
    cache.warm(store, &mut ahead);
    assert_eq!(ahead.hashes(), expected.hashes(), "{context}");
    cache.warm_plain(store, &ahead);
    cache.warm_dropped(store, keys.iter().map(Vec::as_slice));
}

/// Ends the flush of what was handed out.
fn drop_deleted(out: &[(Vec<u8>, Entry)], cache: &mut RecordCache, naive: &mut [Naive; 2]) {
    for (key, _) in out.iter().filter(|(_, entry)| entry.value.is_none()) {
        for (store, naive) in naive.iter_mut().enumerate() {
            cache.drop_deleted(store, key);
            naive.drop_deleted(key);
        }
    }
}

fn check_range(cache: &RecordCache, store: usize, naive: &Naive, context: &str) {
    let mut sorted = naive.by_use.clone();
    sorted.sort_by(|a, b| a.0.cmp(&b.0));
    let range = cache.range(store, KeyRange::ALL, Direction::Forward);
    let range: Vec<_> = range
        .map(|(key, entry)| (key.to_vec(), entry.clone()))
        .collect();
    assert_eq!(range, sorted, "{context}");
    // As if the last byte of a key were a time.
    for plain in [&b""[..], b"a", b"d"] {
        let (key, direction) = (PlainKey::new(plain, 1), Direction::Backward);
        let range = cache.range_of(store, key, KeyRange::ALL, direction);
        let range: Vec<_> = range.map(|(key, _)| key.to_vec()).collect();
        let own = sorted.iter().rev().map(|(key, _)| key);
        let own = own.filter(|key| key[..key.len() - 1] == *plain);
        let own: Vec<_> = own.cloned().collect();
        assert_eq!(range, own, "{context}");
    }
}

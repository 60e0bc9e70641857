//! Windows, sessions, versions and LRU stores, in each layer.

use super::{commit, in_memory, open_in, source};
use crate::{
    Attach, Budget, Direction, Error, KeyRange, Layout, Store, session,
    suite::{all, get},
    versioned, window,
};
use std::ops::ControlFlow;

#[test]
fn windows_of_a_key_are_fetched_by_time_whatever_other_keys_look_like() {
    let mut store = in_memory(Layout::Window {
        retention_ms: 10_000,
        segment_interval_ms: 1_000,
    });
    let mut bytes = Vec::new();
    let mut put = |store: &mut Store, key: &[u8], start_ms: i64| {
        window::key(key, start_ms, 0, &mut bytes);
        store.put(&bytes, &start_ms.to_be_bytes()).unwrap();
    };
    for start_ms in [0, 999, 1_000, 2_500, 9_000] {
        put(&mut store, b"k", start_ms);
    }
    for other in [&b"k\0"[..], b"k\0\0\0\0\0\0\x03\xe8", b"ka", b"", b"j"] {
        put(&mut store, other, 1_000);
    }
    let starts = |store: &Store, from_ms: i64, to_ms: i64, direction: Direction| {
        let mut starts = Vec::new();
        let mut visit = |key: &[u8], start_ms: i64, seq: u32, _: &[u8]| {
            assert_eq!((key, seq), (&b"k"[..], 0));
            starts.push(start_ms);
            ControlFlow::Continue(())
        };
        window::fetch(store, b"k", from_ms, to_ms, direction, &mut visit).unwrap();
        starts
    };
    for _ in 0..3 {
        assert_eq!(
            starts(&store, i64::MIN, i64::MAX, Direction::Forward),
            [0, 999, 1_000, 2_500, 9_000]
        );
        assert_eq!(
            starts(&store, 999, 2_500, Direction::Backward),
            [2_500, 1_000, 999]
        );
        assert_eq!(starts(&store, 1_001, 2_499, Direction::Forward), [0; 0]);
        commit(&mut store, 1);
        store.checkpoint().unwrap();
    }
    let mut count = 0;
    let mut visit = |_: &[u8], _: i64, _: u32, _: &[u8]| {
        count += 1;
        ControlFlow::Continue(())
    };
    window::fetch_all(&store, 1_000, 1_000, Direction::Forward, &mut visit).unwrap();
    assert_eq!(count, 6);
}

/// Two keys that no hash of 32 bits tells apart.
fn keys_of_one_hash() -> [Vec<u8>; 2] {
    let mut seen = std::collections::HashMap::new();
    let mut keys = (0..10_000_000_u64).map(|number| number.to_string().into_bytes());
    keys.find_map(|key| {
        let other = seen.insert(crate::index::hash(&key), key.clone());
        other.map(|other| [other, key])
    })
    .unwrap()
}

#[test]
fn sessions_of_keys_with_one_hash_stay_apart() {
    let mut store = in_memory(Layout::Session {
        retention_ms: 10_000,
        segment_interval_ms: 1_000,
    });
    let (keys, mut bytes) = (keys_of_one_hash(), Vec::new());
    // In turn, so that those of one lie between those of the other; in all layers, the engine's overwritten.
    for layer in 0_i64..4 {
        for end_ms in 0..40 {
            session::key(&keys[end_ms as usize % 2], 0, end_ms, &mut bytes);
            if end_ms >= layer * 10 {
                store.put(&bytes, &layer.to_be_bytes()).unwrap();
            }
        }
        match layer {
            0 => {
                commit(&mut store, 1);
                store.checkpoint().unwrap();
            }
            1 => commit(&mut store, 2),
            2 => store.seal(),
            _ => {}
        }
    }
    for (number, key) in keys.iter().enumerate() {
        let mut found = Vec::new();
        let mut visit = |_: &[u8], _: i64, end_ms: i64, value: &[u8]| {
            found.push((end_ms, value.to_vec()));
            ControlFlow::Continue(())
        };
        session::find(&store, key, 0, i64::MAX, &mut visit).unwrap();
        let ends = (number as i64..40).step_by(2);
        let wanted: Vec<_> = ends
            .map(|end_ms| (end_ms, (end_ms / 10).to_be_bytes().to_vec()))
            .collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn expired_segments_go_as_a_whole_and_writes_to_them_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let budget = Budget::new(1 << 20, 1 << 20);
    let layout = Layout::Window {
        retention_ms: 1_000,
        segment_interval_ms: 500,
    };
    let mut store = open_in(dir.path(), layout.clone(), &budget);
    store.attach(&source(0, 20));
    let key = |start_ms: i64| {
        let mut bytes = Vec::new();
        window::key(b"k", start_ms, 0, &mut bytes);
        bytes
    };
    for start_ms in [0, 499, 500, 999, 1_000, 1_600] {
        store.put(&key(start_ms), b"v").unwrap();
    }
    commit(&mut store, 6);
    store.checkpoint().unwrap();
    assert_eq!(store.stats().segments, 4);
    assert_eq!(store.advance(1_499).unwrap(), 0);
    assert_eq!(store.advance(1_500).unwrap(), 1);
    assert_eq!(all(&store, KeyRange::ALL, Direction::Forward).len(), 4);
    store.put(&key(300), b"late").unwrap();
    assert_eq!((get(&store, &key(300)), store.stats().expired), (None, 1));
    assert_eq!(store.advance(1_400).unwrap(), 0);
    drop(store);
    let mut store = open_in(dir.path(), layout, &budget);
    assert_eq!(store.attach(&source(0, 20)), Attach::Resume { position: 6 });
    assert_eq!(all(&store, KeyRange::ALL, Direction::Backward).len(), 4);
    assert!(matches!(
        store.put(b"short", b""),
        Err(Error::Format { .. })
    ));
}

#[test]
fn sessions_are_found_by_overlap() {
    let mut store = in_memory(Layout::Session {
        retention_ms: 100_000,
        segment_interval_ms: 1_000,
    });
    let mut bytes = Vec::new();
    for (key, start_ms, end_ms) in [
        (&b"k"[..], 0, 100),
        (b"k", 500, 1_500),
        (b"k", 5_000, 5_000),
        (b"k2", 500, 1_500),
    ] {
        session::key(key, start_ms, end_ms, &mut bytes);
        store.put(&bytes, b"v").unwrap();
    }
    let find = |store: &Store, earliest_end_ms: i64, latest_start_ms: i64| {
        let mut found = Vec::new();
        let mut visit = |key: &[u8], start_ms: i64, end_ms: i64, _: &[u8]| {
            assert_eq!(key, b"k");
            found.push((start_ms, end_ms));
            ControlFlow::Continue(())
        };
        session::find(store, b"k", earliest_end_ms, latest_start_ms, &mut visit).unwrap();
        found
    };
    for _ in 0..3 {
        assert_eq!(
            find(&store, -50, i64::MAX),
            [(0, 100), (500, 1_500), (5_000, 5_000)]
        );
        assert_eq!(find(&store, 101, 499), []);
        assert_eq!(find(&store, 101, 500), [(500, 1_500)]);
        assert_eq!(find(&store, 1_501, 9_999), [(5_000, 5_000)]);
        commit(&mut store, 1);
        store.checkpoint().unwrap();
    }
}

#[test]
fn versions_hold_from_their_timestamp_to_the_next() {
    // Every order of these writes ends in the same history.
    let writes: [(i64, Option<&[u8]>); 5] = [
        (10, Some(b"a")),
        (20, None),
        (30, Some(b"c")),
        (40, Some(b"d")),
        (25, Some(b"b")),
    ];
    for seed in 0..120_usize {
        let mut order: Vec<usize> = (0..writes.len()).collect();
        let mut rest = seed;
        for at in (1..order.len()).rev() {
            order.swap(at, rest % (at + 1));
            rest /= at + 1;
        }
        let mut store = in_memory(Layout::Versioned {
            history_retention_ms: 1_000,
        });
        for &at in &order {
            versioned::put(&mut store, b"k", writes[at].1, writes[at].0).unwrap();
            versioned::put(&mut store, b"kk", Some(b"other"), writes[at].0).unwrap();
            if seed % 2 == 0 {
                commit(&mut store, 1);
                store.checkpoint().unwrap();
            }
        }
        let as_of = |ms: i64| versioned::get_as_of(&store, b"k", ms).unwrap();
        let value = |ms: i64| as_of(ms).map(|version| version.value);
        let found = [5, 10, 19, 20, 24, 25, 29, 30, 40, 99].map(value);
        let wanted = [
            None,
            Some("a"),
            Some("a"),
            None,
            None,
            Some("b"),
            Some("b"),
            Some("c"),
            Some("d"),
            Some("d"),
        ];
        assert_eq!(
            found,
            wanted.map(|value| value.map(|value| value.as_bytes().to_vec())),
            "order {order:?}"
        );
        assert_eq!(as_of(12).unwrap().valid_to_ms, Some(20), "order {order:?}");
        assert_eq!(
            versioned::get(&store, b"k").unwrap().unwrap().valid_from_ms,
            40
        );
        let mut between = Vec::new();
        let mut visit = |version: versioned::Version| {
            between.push(version.valid_from_ms);
            ControlFlow::Continue(())
        };
        versioned::get_between(&store, b"k", 15, 35, &mut visit).unwrap();
        assert_eq!(between, [10, 25, 30]);
    }
}

#[test]
fn a_deletion_bounds_what_is_written_late_also_at_the_time_of_the_version_it_deletes() {
    type PutVersion = fn(&mut Store, &[u8], Option<&[u8]>, i64) -> crate::Result<versioned::Put>;
    let check = |put: PutVersion, before: &[(i64, Option<&[u8]>)], wanted: Option<&[u8]>| {
        let mut store = in_memory(Layout::Versioned {
            history_retention_ms: 1_000,
        });
        for (ms, value) in before {
            put(&mut store, b"k", *value, *ms).unwrap();
        }
        let late = put(&mut store, b"k", Some(b"late"), 5).unwrap();
        let latest = versioned::get(&store, b"k").unwrap();
        assert_eq!(latest.map(|version| version.value).as_deref(), wanted);
        let ended = versioned::Put::Until(10);
        assert_eq!(late == ended, wanted.is_none(), "{before:?}: {late:?}");
        let held = versioned::get_as_of(&store, b"k", 9).unwrap().unwrap();
        assert_eq!(held.value, b"late");
    };
    let only: &[(i64, Option<&[u8]>)] = &[(10, Some(b"a")), (10, None)];
    check(versioned::put, only, None);
    check(versioned::put_forgetful, only, Some(b"late"));
    // What Kafka Streams still knows: an earlier version that ended then, or an earlier deletion of the same time.
    let ended: &[(i64, Option<&[u8]>)] = &[(1, Some(b"a")), (10, Some(b"b")), (10, None)];
    let again: &[(i64, Option<&[u8]>)] = &[(10, None), (10, Some(b"a")), (10, None)];
    for put in [versioned::put, versioned::put_forgetful] {
        check(put, ended, None);
        check(put, again, None);
    }
}

#[test]
fn versions_older_than_the_history_are_refused_and_forgotten() {
    let mut store = in_memory(Layout::Versioned {
        history_retention_ms: 6_000,
    });
    let put = |store: &mut Store, value: Option<&[u8]>, ms: i64| {
        versioned::put(store, b"k", value, ms).unwrap()
    };
    assert_eq!(put(&mut store, Some(b"a"), 1_000), versioned::Put::Latest);
    assert_eq!(put(&mut store, Some(b"b"), 5_000), versioned::Put::Latest);
    assert_eq!(
        put(&mut store, Some(b"x"), 2_000),
        versioned::Put::Until(5_000)
    );
    assert_eq!(put(&mut store, Some(b"c"), 20_000), versioned::Put::Latest);
    assert_eq!(
        put(&mut store, Some(b"late"), 13_999),
        versioned::Put::Expired
    );
    assert_eq!(versioned::get_as_of(&store, b"k", 4_000).unwrap(), None);
    assert_eq!(
        versioned::get_as_of(&store, b"k", 14_000)
            .unwrap()
            .unwrap()
            .value,
        b"b"
    );
    assert_eq!(put(&mut store, None, 20_000), versioned::Put::Latest);
    assert_eq!(versioned::get(&store, b"k").unwrap(), None);
    assert_eq!(
        versioned::get_as_of(&store, b"k", 19_999)
            .unwrap()
            .unwrap()
            .value,
        b"b"
    );
}

#[test]
fn an_lru_store_gives_up_the_key_used_longest_ago() {
    let mut store = in_memory(Layout::Lru { entries_max: 3 });
    for key in [b"a", b"b", b"c"] {
        store.put(key, key).unwrap();
    }
    assert!(get(&store, b"a").is_some());
    store.put(b"d", b"d").unwrap();
    assert_eq!(store.take_evicted(), [b"b".to_vec()]);
    assert_eq!(get(&store, b"b"), None);
    commit(&mut store, 1);
    store.put(b"e", b"e").unwrap();
    assert_eq!(store.take_evicted(), [b"c".to_vec()]);
    store.abort();
    assert_eq!(all(&store, KeyRange::ALL, Direction::Forward).len(), 3);
    store.put(b"f", b"f").unwrap();
    assert_eq!(store.take_evicted().len(), 1);
    assert_eq!(all(&store, KeyRange::ALL, Direction::Forward).len(), 3);
}

#[test]
fn an_aborted_version_takes_its_time_back_so_that_replayed_older_ones_are_kept() {
    let mut store = in_memory(Layout::Versioned {
        history_retention_ms: 6_000,
    });
    let put = |store: &mut Store, value: &[u8], ms: i64| {
        versioned::put(store, b"k", Some(value), ms).unwrap()
    };
    put(&mut store, b"a", 1_000);
    commit(&mut store, 1);
    for sealed in [false, true] {
        put(&mut store, b"b", 2_000);
        put(&mut store, b"z", 50_000);
        assert_eq!(put(&mut store, b"late", 3_000), versioned::Put::Expired);
        if sealed {
            store.seal();
        }
        store.abort();
    }
    assert_eq!(put(&mut store, b"b", 2_000), versioned::Put::Latest);
    commit(&mut store, 2);
    let value = |store: &Store, ms: i64| {
        let version = versioned::get_as_of(store, b"k", ms).unwrap();
        version.map(|version| version.value)
    };
    assert_eq!(value(&store, 1_500), Some(b"a".to_vec()));
    assert_eq!(value(&store, 2_500), Some(b"b".to_vec()));

    put(&mut store, b"z", 50_000);
    commit(&mut store, 3);
    store.abort();
    assert_eq!(put(&mut store, b"late", 3_000), versioned::Put::Expired);
    assert_eq!(value(&store, 2_500), None);
}

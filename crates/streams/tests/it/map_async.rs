//! `map_async` under the test driver: results in order per key, tombstones, failures by policy. Not its speed.
//! Invariant: futures run on the simulated executor, in an order that its seed decides.

use headwater_streams::{App, OnError, Record, Result, TestDriver, TestRecord, TopologySettings};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// Ends after it has been polled `polls` times.
struct Later(u32);

impl Future for Later {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 == 0 {
            return Poll::Ready(());
        }
        self.0 -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

#[test]
fn records_of_a_key_leave_in_order_and_at_most_so_many_calls_run() {
    let app = App::new("app");
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let calls = Arc::new(Mutex::new(Vec::new()));
    let (now, peak, seen) = (running.clone(), most.clone(), calls.clone());
    app.stream::<String, u64>("in")
        .flat_map(|_, count| (0..count).map(|number| (format!("k{}", number % 5), number)))
        .map_async(3, move |key: String, number| {
            let (running, most, calls) = (now.clone(), peak.clone(), seen.clone());
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                calls.lock().unwrap().push((key, number));
                Later((number * 7 % 4) as u32).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok::<_, String>(number * 10)
            }
        })
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    driver.pipe("in", "x".to_owned(), 40_u64, 7).unwrap();
    let out = driver.read::<String, u64>("out").unwrap();
    assert_eq!(out.len(), 40);
    for key in 0..5 {
        let name = format!("k{key}");
        let of_key: Vec<_> = out.iter().filter(|(k, _, _)| *k == name).collect();
        let expected: Vec<u64> = (0..8).map(|place| (place * 5 + key) * 10).collect();
        let values: Vec<u64> = of_key.iter().map(|(_, value, _)| value.unwrap()).collect();
        assert_eq!(values, expected, "key {name}");
        assert!(of_key.iter().all(|(_, _, timestamp)| *timestamp == 7));
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(
        calls.lock().unwrap().len(),
        40,
        "each record is called once"
    );
}

#[test]
fn a_tombstone_passes_behind_its_keys_calls_and_needs_none() {
    let app = App::new("app");
    app.stream::<String, String>("in")
        .with_nulls()
        .flat_map(|key, value| {
            let tombstone = value.as_deref() == Some("then none");
            [Some((key.clone(), value)), tombstone.then_some((key, None))]
                .into_iter()
                .flatten()
        })
        .map_async(1, |_, value: String| async move {
            Later(3).await;
            Ok::<_, String>(value.to_uppercase())
        })
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    driver
        .pipe("in", "k".to_owned(), "then none".to_owned(), 1)
        .unwrap();
    let out = driver.read::<String, String>("out").unwrap();
    assert_eq!(
        out,
        [
            ("k".into(), Some("THEN NONE".into()), 1),
            ("k".into(), None, 1)
        ]
    );
}

fn failing(on_error: OnError) -> (TestDriver, Vec<Result<()>>) {
    let app = App::new("app");
    app.configure(TopologySettings {
        on_error,
        ..TopologySettings::default()
    });
    app.stream::<String, u64>("in")
        .map_async(2, |_, number| async move {
            assert!(number != 2, "two is one too many");
            if number == 3 {
                Err("three")
            } else {
                Ok(number)
            }
        })
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    let outcomes = (1..=4)
        .map(|number| driver.pipe("in", "k".to_owned(), number as u64, number))
        .collect();
    (driver, outcomes)
}

#[test]
fn a_call_that_fails_stops_the_application_unless_its_policy_says_otherwise() {
    let (_, outcomes) = failing(OnError::Fail);
    assert!(outcomes[0].is_ok());
    let text = outcomes[1].as_ref().unwrap_err().to_string();
    assert_eq!(
        text,
        "KSTREAM-MAPASYNC-0000000001 failed: two is one too many"
    );

    let (mut driver, outcomes) = failing(OnError::Skip);
    assert!(outcomes.iter().all(Result::is_ok));
    let out = driver.read::<String, u64>("out").unwrap();
    let values: Vec<_> = out.into_iter().map(|(_, value, _)| value).collect();
    assert_eq!(values, [Some(1), Some(4)]);

    let (mut driver, _) = failing(OnError::DeadLetter("letters".into()));
    let letters = driver.read_raw("letters");
    let reasons: Vec<_> = letters
        .iter()
        .map(|letter| {
            let message = letter.headers.last("__streams.errors.message").flatten();
            String::from_utf8(message.unwrap().to_vec()).unwrap()
        })
        .collect();
    assert_eq!(
        reasons,
        [
            "KSTREAM-MAPASYNC-0000000001 failed: two is one too many",
            "KSTREAM-MAPASYNC-0000000001 failed: three"
        ]
    );
    // The records that were called for; their bytes are gone by then.
    let offset = |letter: &TestRecord| {
        let offset = letter.headers.last("__streams.errors.offset").flatten();
        offset.map(<[u8]>::to_vec)
    };
    let offsets: Vec<_> = letters.iter().filter_map(offset).collect();
    assert_eq!(offsets, [b"1", b"2"]);
    assert!(letters.iter().all(|letter| letter.key.is_none()));
}

#[test]
fn a_call_that_never_ends_by_itself_is_told() {
    let app = App::new("app");
    app.stream::<String, String>("in")
        .map_async(1, |_, _| std::future::pending::<Result<String, String>>())
        .peek(|_, _| ())
        .to("out");
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    let record = Record::new("k".to_owned(), Some("v".to_owned()), 0);
    let outcome = driver.pipe("in", record.key, record.value.unwrap(), 0);
    assert!(
        outcome
            .unwrap_err()
            .to_string()
            .contains("waits for something outside")
    );
}

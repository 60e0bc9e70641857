//! `map_async` on a log: calls of real duration, committed exactly once; calls that outlast a commit are repeated.
//! Not the operator's order, which the test driver shows. Invariant: what is in the output is what a plain loop would write.

use crate::fixture::{WAIT, ensure_topic, feed, line, read, stop};
use headwater::prelude::*;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tempfile::TempDir;

/// Ends when a thread of its own says so, as an answer from the network would.
struct Answer(Arc<std::sync::Mutex<(bool, Option<Waker>)>>);

impl Answer {
    fn after(delay: Duration) -> Self {
        let state = Arc::new(std::sync::Mutex::new((false, None::<Waker>)));
        let told = state.clone();
        std::thread::spawn(move || {
            std::thread::park_timeout(delay);
            let mut state = told.lock().unwrap();
            state.0 = true;
            if let Some(waker) = state.1.take() {
                waker.wake();
            }
        });
        Self(state)
    }
}

impl Future for Answer {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.lock().unwrap();
        if state.0 {
            return Poll::Ready(());
        }
        state.1 = Some(context.waker().clone());
        Poll::Pending
    }
}

/// Runs 120 lines through calls of `delay`, the first of which take `first` instead; answers the calls made.
fn check(delay: Duration, first: (u64, Duration), settings: Settings) -> u64 {
    const LINES: u64 = 120;
    let dir = TempDir::new().unwrap();
    let log = EmbeddedLog::open(dir.path()).unwrap();
    feed(&*log.shared(), LINES);
    ensure_topic(&*log.shared(), "out", 1);
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    let app = App::new("caller");
    app.stream::<String, String>("lines")
        .map_async(16, move |_, line: String| {
            let call = counted.fetch_add(1, Ordering::SeqCst);
            let delay = if call < first.0 { first.1 } else { delay };
            async move {
                Answer::after(delay).await;
                Ok::<_, String>(line.len() as u64)
            }
        })
        .to("out");
    let running = headwater::start_with(app.build().unwrap(), &log, settings).unwrap();
    running.caught_up(WAIT).unwrap();
    stop(running);
    let mut lengths: Vec<u64> = read(&*log.shared(), "out")
        .iter()
        .map(|(_, value)| u64::from_be_bytes(value.as_deref().unwrap().try_into().unwrap()))
        .collect();
    let mut expected: Vec<u64> = (0..LINES).map(|number| line(number).len() as u64).collect();
    lengths.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lengths, expected);
    calls.load(Ordering::SeqCst)
}

#[test]
fn every_record_is_called_and_its_answer_committed_once() {
    let calls = check(
        Duration::from_millis(5),
        (0, Duration::ZERO),
        Settings::default(),
    );
    assert_eq!(calls, 120);
}

#[test]
fn calls_that_outlast_the_commit_are_repeated_and_nothing_is_doubled() {
    let settings = Settings {
        async_wait_ms_max: 200,
        ..Settings::default()
    };
    let calls = check(
        Duration::from_millis(2),
        (3, Duration::from_secs(2)),
        settings,
    );
    assert!(calls > 120, "{calls} calls: none was repeated");
}

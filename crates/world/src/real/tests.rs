//! The real clock, seed and thread pool. Not the disk: see the conformance suite beside the trait.
//! Invariant: every wait has a deadline, so that a lost wake fails instead of hanging.

use crate::{SPAWNED_FUTURES_MAX, World};
use std::{
    future::poll_fn,
    io::ErrorKind,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    task::{Poll, Waker},
    thread,
    time::Duration,
};

/// Far longer than any of this takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A future that waits for the wake of the waker it sends, then ends; its end drops the second sender.
fn waiting(wakers: SyncSender<Waker>, end: SyncSender<()>) -> impl Future<Output = ()> + Send {
    let mut polls = 0;
    poll_fn(move |context| {
        let _keep = &end;
        polls += 1;
        if polls == 2 {
            return Poll::Ready(());
        }
        wakers.send(context.waker().clone()).unwrap();
        Poll::Pending
    })
}

#[track_caller]
fn check_ended(end: &Receiver<()>) {
    // Nothing is ever sent: the channel closes when the future is dropped.
    let error = end.recv_timeout(DEADLINE).unwrap_err();
    assert_eq!(error, std::sync::mpsc::RecvTimeoutError::Disconnected);
}

#[test]
fn the_clock_shows_this_century_and_does_not_go_back() {
    let clock = World::real().clock;
    assert!(clock.now_ms() > 1_600_000_000_000);
    let first = clock.elapsed();
    thread::sleep(Duration::from_millis(2));
    assert!(clock.elapsed() > first);
}

#[test]
fn two_real_worlds_draw_different_numbers() {
    let draw = || World::real().random.next_u64();
    assert_ne!(draw(), draw());
}

#[test]
fn a_woken_future_is_polled_to_its_end() {
    let executor = World::real().executor;
    let (wakers, woken) = sync_channel(1);
    let (end, ended) = sync_channel(1);
    executor.spawn(Box::pin(waiting(wakers, end))).unwrap();
    woken.recv_timeout(DEADLINE).unwrap().wake();
    check_ended(&ended);
}

#[test]
fn waiting_futures_do_not_occupy_threads() {
    let executor = World::real().executor;
    let (wakers, woken) = sync_channel(1000);
    let (end, ended) = sync_channel(1);
    for _ in 0..1000 {
        executor
            .spawn(Box::pin(waiting(wakers.clone(), end.clone())))
            .unwrap();
    }
    drop(end);
    let wakers: Vec<Waker> = (0..1000)
        .map(|_| woken.recv_timeout(DEADLINE).unwrap())
        .collect();
    for waker in wakers {
        waker.wake();
    }
    check_ended(&ended);
}

#[test]
fn a_wake_during_the_poll_is_not_lost() {
    let executor = World::real().executor;
    let (done, finished) = sync_channel(1);
    let mut polls = 0;
    let future = poll_fn(move |context| {
        polls += 1;
        if polls == 10_000 {
            done.send(()).unwrap();
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    });
    executor.spawn(Box::pin(future)).unwrap();
    finished.recv_timeout(DEADLINE).unwrap();
}

#[test]
fn a_panic_ends_its_future_and_no_thread() {
    let executor = World::real().executor;
    for _ in 0..20 {
        executor
            .spawn(Box::pin(async {
                std::panic::resume_unwind(Box::new("a test's panic"))
            }))
            .unwrap();
    }
    let (done, finished) = sync_channel(1);
    executor
        .spawn(Box::pin(async move { done.send(()).unwrap() }))
        .unwrap();
    finished.recv_timeout(DEADLINE).unwrap();
}

#[test]
fn a_dropped_executor_drops_futures_that_nobody_wakes() {
    let executor = World::real().executor;
    let (wakers, woken) = sync_channel(1);
    let (end, ended) = sync_channel(1);
    executor.spawn(Box::pin(waiting(wakers, end))).unwrap();
    let waker = woken.recv_timeout(DEADLINE).unwrap();
    drop(executor);
    check_ended(&ended);
    waker.wake();
}

#[test]
fn a_future_may_own_the_last_handle_to_its_executor() {
    let executor = World::real().executor;
    let (end, ended) = sync_channel::<()>(1);
    let slot = Arc::new(Mutex::new(None));
    let own = Arc::clone(&slot);
    let future = async move {
        let _keep = end;
        // Blocks this poll until the test has handed its handle over.
        while own.lock().unwrap().is_none() {
            thread::yield_now();
        }
        drop(own.lock().unwrap().take());
        std::future::pending::<()>().await;
    };
    executor.spawn(Box::pin(future)).unwrap();
    *slot.lock().unwrap() = Some(executor);
    check_ended(&ended);
}

#[test]
fn a_full_executor_would_block_until_a_future_ends() {
    let executor = World::real().executor;
    let (end, ended) = sync_channel::<()>(1);
    for _ in 0..SPAWNED_FUTURES_MAX {
        let end = end.clone();
        executor
            .spawn(Box::pin(async move {
                let _keep = end;
                std::future::pending::<()>().await;
            }))
            .unwrap();
    }
    let error = executor.spawn(Box::pin(async {})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    drop((executor, end));
    check_ended(&ended);
}

/// As a child that was forked and has not become its own program yet, or a process that is ending.
#[test]
fn a_lock_that_is_about_to_be_released_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let disk = World::real().disk;
    let held = disk.lock(&path).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            drop(held);
        });
        disk.lock(&path).unwrap();
    });
}

//! The simulated clock and executor, and how a simulation is put together. Not the disk: it has its own tests.
//! Invariant: no test waits.

use super::SIMULATION_START_MS;
use crate::{Clock, CrashMode, Executor, OpenMode, SPAWNED_FUTURES_MAX, World};
use std::{
    future::poll_fn,
    io::ErrorKind,
    path::Path,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
    time::Duration,
};

#[test]
fn wall_clock_and_elapsed_move_together_and_only_when_told() {
    let simulation = World::simulated(1);
    let clock = &simulation.world.clock;
    assert_eq!(clock.now_ms(), SIMULATION_START_MS);
    simulation.clock.advance(Duration::from_millis(1500));
    assert_eq!(clock.now_ms(), SIMULATION_START_MS + 1500);
    assert_eq!(clock.elapsed(), Duration::from_millis(1500));
}

#[test]
fn short_advances_add_up() {
    let simulation = World::simulated(1);
    for _ in 0..1000 {
        simulation.clock.advance(Duration::from_micros(1));
    }
    assert_eq!(simulation.clock.now_ms(), SIMULATION_START_MS + 1);
}

#[test]
fn a_wall_clock_set_back_does_not_move_elapsed() {
    let clock = World::simulated(1).clock;
    clock.advance(Duration::from_secs(5));
    clock.set_wall_ms(-1);
    assert_eq!(clock.now_ms(), -1);
    assert_eq!(clock.elapsed(), Duration::from_secs(5));
    clock.advance(Duration::MAX);
    clock.advance(Duration::MAX);
    assert_eq!(clock.elapsed(), Duration::MAX);
    assert_eq!(clock.now_ms(), i64::MAX);
}

#[test]
fn a_restarted_process_has_the_clock_and_what_the_crash_left() {
    let first = World::simulated(1);
    let file = first
        .world
        .disk
        .open(Path::new("a"), OpenMode::ReadWrite)
        .unwrap();
    file.write_all_at(b"abc", 0).unwrap();
    first.clock.advance(Duration::from_secs(9));
    let second = first.restart(CrashMode::KeepAll, 2);
    assert_eq!(
        second.world.clock.now_ms(),
        first.clock.now_ms(),
        "no time passes"
    );
    assert_eq!(second.disk.contents(Path::new("a")).unwrap(), b"abc");
    let third = first.restart(CrashMode::LoseUnsynced, 3);
    assert!(!third.world.disk.exists(Path::new("a")).unwrap());
}

#[test]
fn numbers_repeat_for_the_same_seed() {
    let numbers = |seed| {
        let world = World::simulated(seed).world;
        [(); 4].map(|()| world.random.next_u64())
    };
    assert_eq!(numbers(7), numbers(7));
    assert_ne!(numbers(7), numbers(8));
    // The published first number of SplitMix64 for seed 0.
    assert_eq!(numbers(0)[0], 0xe220_a839_7b1d_cdaf);
}

/// Spawns twenty futures that each write their number twice, with a wait between; returns the order.
fn order(seed: u64, some: bool) -> Vec<u32> {
    let simulation = World::simulated(seed);
    let log = Arc::new(Mutex::new(Vec::new()));
    for number in 0..20 {
        let (log, mut polls) = (Arc::clone(&log), 0);
        let future = poll_fn(move |context| {
            log.lock().unwrap().push(number);
            polls += 1;
            if polls == 2 {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        });
        simulation.world.executor.spawn(Box::pin(future)).unwrap();
    }
    assert!(
        log.lock().unwrap().is_empty(),
        "nothing runs before it is told to"
    );
    if some {
        while simulation.executor.run_some() > 0 {}
    } else {
        assert_eq!(simulation.executor.run_until_idle(), 40);
    }
    assert_eq!(simulation.executor.spawned(), 0);
    let order = log.lock().unwrap().clone();
    assert_eq!(order.len(), 40);
    order
}

#[test]
fn futures_run_in_an_order_that_the_seed_decides() {
    for some in [false, true] {
        assert_eq!(order(1, some), order(1, some));
        assert_ne!(order(1, some), order(2, some));
    }
}

#[test]
fn a_waiting_future_is_polled_again_only_after_its_wake() {
    let executor = World::simulated(1).executor;
    let waker = Arc::new(Mutex::new(None::<Waker>));
    let slot = Arc::clone(&waker);
    let mut polls = 0;
    let future = poll_fn(move |context| {
        polls += 1;
        *slot.lock().unwrap() = Some(context.waker().clone());
        if polls == 2 {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    });
    executor.spawn(Box::pin(future)).unwrap();
    assert_eq!(executor.run_until_idle(), 1);
    assert_eq!((executor.run_some(), executor.spawned()), (0, 1));
    let waker = waker.lock().unwrap().take().unwrap();
    waker.wake_by_ref();
    waker.wake_by_ref();
    assert_eq!(executor.run_until_idle(), 1, "two wakes are one poll");
    assert_eq!(executor.spawned(), 0);
    waker.wake();
    executor.run_until_idle();
}

#[test]
fn a_future_may_spawn_another() {
    let simulation = World::simulated(1);
    let inner = Arc::clone(&simulation.world.executor);
    let done = Arc::new(Mutex::new(false));
    let flag = Arc::clone(&done);
    let outer = async move {
        inner
            .spawn(Box::pin(async move { *flag.lock().unwrap() = true }))
            .unwrap();
    };
    simulation.executor.spawn(Box::pin(outer)).unwrap();
    assert_eq!(simulation.executor.run_until_idle(), 2);
    assert!(*done.lock().unwrap());
}

#[test]
fn a_full_executor_would_block() {
    let executor = World::simulated(1).executor;
    for _ in 0..SPAWNED_FUTURES_MAX {
        executor.spawn(Box::pin(std::future::ready(()))).unwrap();
    }
    let error = executor.spawn(Box::pin(async {})).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    executor.run_some();
    executor.spawn(Box::pin(async {})).unwrap();
}

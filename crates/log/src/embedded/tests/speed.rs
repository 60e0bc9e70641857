//! How fast the parts are on this machine: a few records each by default, so that it cannot rot; by `HEADWATER_SPEED=<records>` more.
//! Not a pass or fail on speed. Invariant checked: every record written is read back.

use super::kit::{Session, partition, topic};
use crate::{
    AppendRecord, ChunkCursor, CommitRequest, Request, Response, embedded::EmbeddedOptions,
};
use headwater_world::{OpenMode, World};
use std::{path::PathBuf, time::Duration};

fn records() -> u64 {
    let asked = std::env::var("HEADWATER_SPEED").ok();
    asked.and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

fn timed<T>(world: &World, what: &str, count: u64, bytes: u64, run: impl FnOnce() -> T) -> T {
    let start = world.clock.elapsed();
    let result = run();
    let took = (world.clock.elapsed() - start)
        .max(Duration::from_nanos(1))
        .as_secs_f64();
    eprintln!(
        "{what}: {:.3} s, {:.0} k/s, {:.3} us each, {:.0} MB/s",
        took,
        count as f64 / took / 1e3,
        took * 1e6 / count as f64,
        bytes as f64 / took / 1e6
    );
    result
}

/// Polls until at most `most` commits are under way.
fn wait(session: &mut Session, flying: &mut u32, most: u32) {
    while *flying > most {
        match session.client.poll() {
            Some(done) => {
                assert!(matches!(done.result, Ok(Response::Receipt(_))), "{done:?}");
                *flying -= 1;
            }
            None => std::thread::park_timeout(Duration::from_micros(50)),
        }
    }
}

/// A directory on the disk of the repository: a temporary one may be in memory.
#[allow(
    clippy::disallowed_methods,
    reason = "a test's own directory, outside any world"
)]
fn directory() -> tempfile::TempDir {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target");
    std::fs::create_dir_all(&target).unwrap();
    tempfile::tempdir_in(target).unwrap()
}

fn small_commits(world: &World, session: &mut Session) {
    timed(
        world,
        "small commits one after the other, one record each",
        200,
        200 * 180,
        || {
            for _ in 0..200 {
                session.append(&partition("t", 0), None, Some("value"), 1);
                session.commit(&[]).unwrap();
            }
        },
    );
}

#[test]
fn append_commit_fetch_and_recovery_of_100_byte_records() {
    let (world, dir) = (World::real(), directory());
    let mut session = Session::open(dir.path(), &world, EmbeddedOptions::default()).unwrap();
    session.create(&[topic("t", 8, &[])]).unwrap();
    let slots: Vec<_> = (0..8)
        .map(|number| session.client.slot(&partition("t", number)))
        .collect();
    let (count, per_commit) = (records(), 20_000);
    let bytes = count * 110;
    timed(
        &world,
        "append and commit, 20,000 records each, one sync each, two in flight",
        count,
        bytes,
        || {
            let (mut flying, value) = (0, [7; 92]);
            for number in 0..count {
                let key = number.to_be_bytes();
                let record = AppendRecord {
                    timestamp: number as i64,
                    key: Some(&key),
                    value: Some(&value),
                    ..AppendRecord::default()
                };
                session
                    .client
                    .append(slots[number as usize % 8], &record)
                    .unwrap();
                if number % per_commit == per_commit - 1 || number + 1 == count {
                    session
                        .client
                        .submit(Request::Commit(CommitRequest::default()));
                    flying += 1;
                    wait(&mut session, &mut flying, 1);
                }
            }
            wait(&mut session, &mut flying, 0);
        },
    );
    for slot in &slots {
        session.client.read_from(*slot, 0);
    }
    let read = timed(
        &world,
        "fetch and walk, CRC of every batch checked",
        count,
        bytes,
        || {
            let mut read = 0;
            while let Some(chunk) = session.client.fetch().unwrap() {
                let mut cursor = ChunkCursor::new(chunk);
                while cursor.next_record().unwrap().is_some() {
                    read += 1;
                }
                session.client.recycle(cursor.into_chunk());
            }
            read
        },
    );
    assert_eq!(read, count);
    small_commits(&world, &mut session);
    timed(&world, "close with a checkpoint", 1, bytes, || {
        drop(session)
    });
    timed(&world, "open", 1, bytes, || {
        Session::open(dir.path(), &world, EmbeddedOptions::default()).unwrap()
    });
}

#[test]
fn a_journal_write_with_and_without_room_made_before() {
    let (world, dir) = (World::real(), directory());
    let (count, entry) = (if records() > 20_000 { 300 } else { 20 }, vec![5; 20_000]);
    for made in [false, true] {
        let file = world
            .disk
            .open(&dir.path().join(format!("{made}")), OpenMode::CreateNew)
            .unwrap();
        if made {
            // Zeroes that are on the disk: a length alone would still have blocks to allocate at every sync.
            file.write_all_at(&vec![0; entry.len() * count as usize], 0)
                .unwrap();
            file.sync().unwrap();
        }
        timed(
            &world,
            &format!("write and sync 20 kB, room made before: {made}"),
            count,
            count * entry.len() as u64,
            || {
                for number in 0..count {
                    file.write_all_at(&entry, number * entry.len() as u64)
                        .unwrap();
                    file.sync().unwrap();
                }
            },
        );
    }
    let bytes = vec![3; 64 << 20];
    timed(&world, "CRC32C of 64 MiB", 1, bytes.len() as u64, || {
        crc32c::crc32c(&bytes)
    });
}

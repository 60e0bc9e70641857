//! What must hold of stores at any moment: their committed rows are what the changelog says up to their position, at the task's
//! owner and at its standbys alike. Not the results, which are known from the input.
//! Invariant: a store that cannot be judged now (its position is not readable yet) is counted, and never passes silently.

use crate::application::{Table, topology};
use headwater_log::{
    Chunk, ChunkCursor, Client, ClientOptions, Guarantee, Log, MemoryLog, OffsetSpec, Request,
    Response, TopicPartition, call,
};
use headwater_runtime::{Role, Worker};
use headwater_store::{Direction, KeyRange, ReadBytes};
use headwater_streams::StoreInfo;
use headwater_world::World;
use std::ops::ControlFlow;

/// Polls without an answer, after which time must pass for one.
const IDLE_POLLS_MAX: usize = 100;
const CALL_MS_MAX: u64 = 30_000;

/// What a look at all stores has found.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    /// Stores whose rows are their changelog's.
    pub(crate) equal: usize,
    /// Of these, those of standbys.
    pub(crate) standbys: usize,
    /// Stores that could not be judged now.
    pub(crate) open: usize,
    pub(crate) violations: Vec<String>,
}

/// Compares the stores of `workers` with their changelogs. `world` is one whose clock moves on when it is asked.
pub(crate) fn look<'w>(
    log: &MemoryLog,
    world: &World,
    workers: impl Iterator<Item = &'w mut Worker>,
) -> Looked {
    let mut looked = Looked::default();
    let topology = topology();
    let options = ClientOptions {
        guarantee: Guarantee::ExactlyOnce,
        ..ClientOptions::default()
    };
    let mut client = log.client(options).unwrap();
    for worker in workers {
        for (task, role, number, reader) in worker.readers() {
            let info = topology.store(number).unwrap();
            let (Some(changelog), Some(position)) = (&info.changelog, reader.position()) else {
                continue;
            };
            let at = TopicPartition::new(changelog.as_str(), task.partition);
            let Some(wanted) = replay(&mut *client, world, &info, &at, position) else {
                looked.open += 1;
                continue;
            };
            let mut found = Table::new();
            let scanned = reader.scan(KeyRange::ALL, Direction::Forward, &mut |key, value| {
                found.insert(key.to_vec(), value.to_vec());
                ControlFlow::Continue(())
            });
            if scanned.is_err() {
                looked.open += 1;
            } else if found == wanted {
                looked.equal += 1;
                looked.standbys += usize::from(role == Role::Standby);
            } else {
                let keys: Vec<_> = wanted.keys().chain(found.keys()).collect();
                let key = keys
                    .into_iter()
                    .find(|key| wanted.get(*key) != found.get(*key));
                looked.violations.push(format!(
                    "{} {task}: store '{}' at {position} is not what {at} says: key {key:?}",
                    role.name(),
                    info.name
                ));
            }
        }
    }
    looked
}

/// The rows that a changelog makes up to `position`; `None` while not all of it can be read.
fn replay(
    client: &mut dyn Client,
    world: &World,
    info: &StoreInfo,
    at: &TopicPartition,
    position: i64,
) -> Option<Table> {
    let specs = vec![
        (at.clone(), OffsetSpec::Start),
        (at.clone(), OffsetSpec::Stable),
    ];
    let asked = call(client, &*world.clock, Request::Offsets(specs), CALL_MS_MAX);
    let Ok(Response::Offsets(range)) = asked else {
        return None;
    };
    let (mut next, stable) = (range[0].1, range[1].1);
    if stable < position {
        return None;
    }
    let mut rows = Table::new();
    let slot = client.slot(at);
    client.read_from(slot, next);
    let mut idle = 0_usize;
    while next < position {
        client.poll();
        match client.fetch() {
            Ok(Some(chunk)) => {
                next = chunk.next_offset;
                apply(chunk, info, position, &mut rows);
            }
            _ => {
                idle += 1;
                if idle.is_multiple_of(IDLE_POLLS_MAX) {
                    world.clock.elapsed();
                }
                if idle > 100 * IDLE_POLLS_MAX {
                    return None;
                }
            }
        }
    }
    client.stop_reading(slot);
    Some(rows)
}

fn apply(chunk: Chunk, info: &StoreInfo, position: i64, rows: &mut Table) {
    let mut cursor = ChunkCursor::new(chunk);
    let mut buffer = Vec::new();
    while let Some(record) = cursor.next_record().unwrap() {
        if record.offset >= position {
            return;
        }
        let key = record.key.unwrap_or_default().to_vec();
        match record.value {
            Some(value) => {
                let local = info.local_value(record.timestamp, record.headers, value, &mut buffer);
                rows.insert(key, local.to_vec());
            }
            None => {
                rows.remove(&key);
            }
        }
    }
}

//! Standby replicas: members of several processes on one simulated log, stepped in turn on one thread.
//! Not the coordinator's choice of who follows what, which the log's own tests have. Invariant: a take-over reads no more of a
//! changelog than its standby had left.

use crate::application::{
    Table, differences, expected, impatient, is_done, load, load_until, results, topology,
};
use headwater_log::{MemoryLog, TaskId};
use headwater_runtime::{Listener, RestoreProgress, Role, Settings, SourceWriter, Views, Worker};
use headwater_store::{Direction, KeyRange, ReadBytes};
use headwater_streams::{App, TimeWindows};
use headwater_world::{Clock, Simulation, World};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const STEPS_MAX: usize = 20_000;
const SESSION_MS: i64 = 500;

/// What one member tells of its restores and standbys.
#[derive(Default)]
struct Ear(Mutex<Told>);

#[derive(Clone, Debug, Default)]
struct Told {
    restored: i64,
    followed: usize,
    promoted: Vec<RestoreProgress>,
    dropped: usize,
}

impl Listener for Ear {
    fn restore_ended(&self, progress: &RestoreProgress) {
        self.0.lock().unwrap().restored += progress.position - progress.start;
    }

    fn standby_started(&self, _: &RestoreProgress) {
        self.0.lock().unwrap().followed += 1;
    }

    fn standby_ended(&self, progress: &RestoreProgress, promoted: bool) {
        let mut told = self.0.lock().unwrap();
        match promoted {
            true => told.promoted.push(progress.clone()),
            false => told.dropped += 1,
        }
    }

    fn notice(&self, _: &str) {}
}

struct Member {
    worker: Worker,
    views: Views,
    ear: Arc<Ear>,
}

impl Member {
    fn told(&self) -> Told {
        self.ear.0.lock().unwrap().clone()
    }

    fn tasks(&mut self, role: Role) -> Vec<TaskId> {
        let tasks = self.worker.status().into_iter();
        tasks
            .filter(|it| it.role == role)
            .map(|it| it.task)
            .collect()
    }
}

struct Cluster {
    simulation: Simulation,
    log: Arc<MemoryLog>,
    members: Vec<Member>,
    started: usize,
}

impl Cluster {
    fn new(members: usize) -> Self {
        let simulation = World::simulated(7);
        let log = MemoryLog::kafka_like(&simulation.world);
        let mut cluster = Self {
            simulation,
            log,
            members: Vec::new(),
            started: 0,
        };
        for _ in 0..members {
            cluster.join();
        }
        cluster
    }

    fn settings(&self) -> Settings {
        Settings {
            world: self.simulation.world.clone(),
            commit_interval_ms: 5,
            standby_replicas: Some(1),
            session_timeout_ms: SESSION_MS,
            ..Settings::default()
        }
    }

    fn join(&mut self) {
        self.started += 1;
        let ear = Arc::new(Ear::default());
        let settings = Settings {
            listener: ear.clone(),
            ..self.settings()
        };
        let (worker, views) =
            Worker::join(&topology(), &*self.log, settings, self.started).unwrap();
        self.members.push(Member { worker, views, ear });
    }

    fn loader(&self) -> Settings {
        Settings {
            world: impatient(&self.simulation),
            ..self.settings()
        }
    }

    /// Steps all members in turn until `done`.
    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        for step in 0..STEPS_MAX {
            for member in &mut self.members {
                member.worker.step().unwrap();
            }
            self.simulation.clock.advance(Duration::from_millis(1));
            if step % 20 == 19 && done(self) {
                return;
            }
        }
        let members: Vec<String> = self.members.iter().map(|it| it.worker.describe()).collect();
        panic!("{what}: {members:#?}");
    }

    /// Everything is processed, and no standby is behind.
    fn settle(&mut self) {
        self.until("no rest", |cluster| {
            let world = impatient(&cluster.simulation);
            is_done(&*cluster.log, &world).unwrap() && cluster.lag() == 0
        });
    }

    /// Offsets that standbys are behind by what the log says.
    fn lag(&mut self) -> i64 {
        let tasks = self
            .members
            .iter_mut()
            .flat_map(|member| member.worker.status());
        let standbys = tasks.filter(|it| it.role == Role::Standby);
        standbys
            .map(|it| {
                if it.state == "following" {
                    it.store_lag()
                } else {
                    1
                }
            })
            .sum()
    }

    /// Rows of a store by partition, where each active task is.
    fn rows(&self, store: &str) -> BTreeMap<u32, Table> {
        let mut all = BTreeMap::new();
        for member in &self.members {
            for (partition, reader) in member.views.readers(store) {
                let mut rows = Table::new();
                let visit = &mut |key: &[u8], value: &[u8]| {
                    rows.insert(key.to_vec(), value.to_vec());
                    ControlFlow::Continue(())
                };
                reader
                    .scan(KeyRange::ALL, Direction::Forward, visit)
                    .unwrap();
                all.insert(partition, rows);
            }
        }
        all
    }
}

#[test]
fn every_task_with_state_has_one_standby_in_another_process() {
    let mut cluster = Cluster::new(3);
    load(&*cluster.log, &cluster.loader()).unwrap();
    cluster.settle();
    let mut active = Vec::new();
    let mut standby = Vec::new();
    for member in &mut cluster.members {
        let mine = (member.tasks(Role::Active), member.tasks(Role::Standby));
        assert!(mine.0.iter().all(|task| !mine.1.contains(task)), "{mine:?}");
        active.extend(mine.0);
        standby.extend(mine.1);
    }
    active.sort();
    standby.sort();
    assert_eq!(active.len(), 4);
    assert_eq!(active, standby);
    // All stop cleanly, whoever comes last.
    cluster
        .members
        .iter_mut()
        .for_each(|member| member.worker.stop());
    let mut stopped = 0;
    for _ in 0..STEPS_MAX {
        stopped = 0;
        for member in &mut cluster.members {
            stopped += usize::from(member.worker.step().unwrap().stopped);
        }
        cluster.simulation.clock.advance(Duration::from_millis(1));
        if stopped == cluster.members.len() {
            break;
        }
    }
    assert_eq!(stopped, cluster.members.len());
}

#[test]
fn a_standby_forgets_windows_that_not_even_the_changelog_keeps() {
    const DAY_MS: i64 = 86_400_000;
    let simulation = World::simulated(3);
    let log = MemoryLog::new(&simulation.world);
    let settings = Settings {
        world: impatient(&simulation),
        commit_interval_ms: 5,
        standby_replicas: Some(1),
        ..Settings::default()
    };
    let app = App::new("app");
    let windows = TimeWindows::of(Duration::from_secs(60)).grace(Duration::from_secs(60));
    let input = app.stream::<u64, u64>("in").group_by_key();
    input.windowed_by(windows).count("windows");
    let topology = Arc::new(app.build().unwrap());
    let settings = Settings {
        world: simulation.world.clone(),
        ..settings
    };
    let start_ms = simulation.clock.now_ms();
    let mut workers: Vec<Worker> = (1..=2)
        .map(|number| {
            Worker::join(&topology, &*log, settings.clone(), number)
                .unwrap()
                .0
        })
        .collect();
    let loader = Settings {
        world: impatient(&simulation),
        ..settings
    };
    let mut writer = SourceWriter::open(&*log, "loader", "days", &loader).unwrap();
    writer.ensure_topic("in", 1).unwrap();
    for day in 0..10_i64 {
        let at = start_ms + day * DAY_MS;
        writer.append("in", &0_u64, &0_u64, at).unwrap();
        writer.commit(day as u64 + 1).unwrap();
        for _ in 0..2_000 {
            for worker in &mut workers {
                worker.step().unwrap();
            }
            simulation.clock.advance(Duration::from_millis(1));
        }
        // The day passes, a little at a time: nobody is fenced.
        for _ in 0..DAY_MS / 20_000 {
            simulation.clock.advance(Duration::from_secs(20));
            for worker in &mut workers {
                worker.step().unwrap();
            }
        }
    }
    // The last window and the one of the day before: the owner drops with the commit after, the standby a day later.
    let rows = rows_by_role(&mut workers);
    assert_eq!(rows, [(Role::Active, 2), (Role::Standby, 2)].into());
}

/// How many rows the one store has, at its owner and at its standby.
fn rows_by_role(workers: &mut [Worker]) -> BTreeMap<Role, usize> {
    let mut rows = BTreeMap::new();
    for worker in workers {
        for (_, role, _, reader) in worker.readers() {
            let mut count = 0;
            let visit = &mut |_: &[u8], _: &[u8]| {
                count += 1;
                ControlFlow::Continue(())
            };
            reader
                .scan(KeyRange::ALL, Direction::Forward, visit)
                .unwrap();
            rows.insert(role, count);
        }
    }
    rows
}

#[test]
fn the_survivor_of_a_kill_reads_no_more_than_the_standby_had_left() {
    for killed in 0..2 {
        let mut cluster = Cluster::new(2);
        load_until(&*cluster.log, &cluster.loader(), 36).unwrap();
        cluster.settle();
        let stores = ["sums", "regions", "windows"];
        let before: Vec<_> = stores.iter().map(|store| cluster.rows(store)).collect();
        let survivor = 1 - killed;
        let restored = cluster.members[survivor].told().restored;
        let followed = cluster.members[survivor].tasks(Role::Standby);
        assert_eq!(followed.len(), 2, "{followed:?}");
        drop(cluster.members.remove(killed));
        cluster.until("no take-over", |cluster| {
            cluster.members[0].worker.running().count() == 4
        });
        let told = cluster.members[0].told();
        let lag: i64 = told.promoted.iter().map(|it| it.end - it.position).sum();
        assert!(!told.promoted.is_empty());
        assert_eq!(lag, 0);
        // The changelogs' ends have moved on by the marker of the last transaction at most, one for each store.
        let read = told.restored - restored;
        assert!(
            read <= told.promoted.len() as i64,
            "{read} offsets read at the take-over"
        );
        let after: Vec<_> = stores.iter().map(|store| cluster.rows(store)).collect();
        assert_eq!(before, after);
        load(&*cluster.log, &cluster.loader()).unwrap();
        cluster.settle();
        let found = results(&*cluster.log, &impatient(&cluster.simulation));
        let differences = differences(&found, &expected());
        assert!(differences.is_empty(), "{differences:#?}");
    }
}

#[test]
fn a_task_that_moves_to_a_newcomer_leaves_its_state_behind_as_a_standby() {
    let mut cluster = Cluster::new(1);
    load_until(&*cluster.log, &cluster.loader(), 36).unwrap();
    cluster.settle();
    assert_eq!(cluster.members[0].tasks(Role::Active).len(), 4);
    cluster.join();
    cluster.until("nothing moved", |cluster| {
        let counts: Vec<_> = cluster
            .members
            .iter_mut()
            .map(|it| it.tasks(Role::Active).len())
            .collect();
        counts == [2, 2]
            && cluster.lag() == 0
            && !cluster.members[0].tasks(Role::Standby).is_empty()
    });
    load_until(&*cluster.log, &cluster.loader(), 48).unwrap();
    cluster.settle();
    let restored = cluster.members[0].told().restored;
    // The newcomer goes again: the first owner has kept what it had, and followed since.
    drop(cluster.members.pop());
    cluster.until("no take-over", |cluster| {
        cluster.members[0].worker.running().count() == 4
    });
    let told = cluster.members[0].told();
    let read = told.restored - restored;
    assert!(
        read <= told.promoted.len() as i64,
        "{read} offsets read at the take-over"
    );
    load(&*cluster.log, &cluster.loader()).unwrap();
    cluster.settle();
    let found = results(&*cluster.log, &impatient(&cluster.simulation));
    let differences = differences(&found, &expected());
    assert!(differences.is_empty(), "{differences:#?}");
}

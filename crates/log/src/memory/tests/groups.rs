//! Groups over an unreliable log: heartbeats lost and late, members frozen, commits fenced.
//! Not the quality of the assignment. Invariant: at any time one member at most may commit a task.

use super::*;
use crate::{Error, GroupEvent, MemberEpoch, Membership, Subtopology, TaskId};
use headwater_world::{Random, SeededRandom};
use std::collections::BTreeSet;

const PARTITIONS: u32 = 5;

struct Worker {
    name: String,
    client: Box<dyn Client>,
    epoch: MemberEpoch,
    active: BTreeSet<TaskId>,
    committing: Option<Ticket>,
    settling: Option<Ticket>,
}

fn membership(name: &str) -> Membership {
    Membership {
        group: "g".into(),
        member: name.into(),
        process: name.into(),
        worker: 1,
        subtopologies: vec![Subtopology {
            source_topics: vec!["in".into()],
            ..Subtopology::default()
        }],
        dialect: "".into(),
        standby_replicas: None,
        session_timeout_ms: 200,
        rebalance_timeout_ms: 2_000,
        endpoint: None,
    }
}

impl Worker {
    fn new(scene: &Scene, name: &str) -> Self {
        let mut client = scene.client(name);
        client.join(membership(name)).unwrap();
        Self {
            name: name.into(),
            client,
            epoch: MemberEpoch::default(),
            active: BTreeSet::new(),
            committing: None,
            settling: None,
        }
    }

    fn step(&mut self) {
        while let Some(done) = self.client.poll() {
            self.completed(done);
        }
        while let Some(event) = self.client.group_event() {
            self.hear(event);
            self.report();
        }
        let task = self.active.first().copied();
        if let (Some(task), None, None) = (task, self.committing, self.settling) {
            let partition = TopicPartition::new("in", task.partition);
            let request = CommitRequest {
                group: Some("g".into()),
                member: Some((self.name.as_str().into(), self.epoch)),
                offsets: vec![(partition, CommittedOffset::at(0))],
            };
            self.committing = Some(self.client.submit(Request::Commit(request)));
        }
    }

    fn listen_once(&mut self) {
        if let Some(event) = self.client.group_event() {
            self.hear(event);
        }
    }

    fn hear(&mut self, event: GroupEvent) {
        match event {
            GroupEvent::Assigned(list) => {
                self.epoch = list.epoch;
                self.active = list.active.into_iter().collect();
            }
            GroupEvent::Fenced(_) => self.active.clear(),
            other => panic!("{other:?}"),
        }
    }

    fn report(&mut self) {
        let active: Vec<_> = self.active.iter().copied().collect();
        self.client.own(&active, &[]);
    }

    fn completed(&mut self, done: Completion) {
        if self.committing == Some(done.ticket) {
            self.committing = None;
            match done.result {
                Ok(_) | Err(Error::Aborted(_)) => {}
                Err(Error::Fenced(_)) => {
                    self.active.clear();
                    self.client.own(&[], &[]);
                }
                Err(_) => self.settling = Some(self.client.submit(Request::Settle)),
            }
        } else if self.settling == Some(done.ticket) {
            let again = done.result.is_err();
            self.settling = again.then(|| self.client.submit(Request::Settle));
        }
    }
}

fn check_owners(seed: u64, scene: &Scene, workers: &[Worker]) {
    for partition in 0..PARTITIONS {
        let name = [TopicPartition::new("in", partition)];
        let may_commit = |worker: &&Worker| {
            scene.log.shared.with(|state| {
                let coordinator = &state.coordinator;
                coordinator
                    .validate("g", &worker.name, worker.epoch, &name)
                    .is_ok()
            })
        };
        let owners: Vec<_> = workers
            .iter()
            .filter(may_commit)
            .map(|it| &it.name)
            .collect();
        assert!(
            owners.len() <= 1,
            "seed {seed}: in-{partition} has {owners:?}"
        );
    }
}

fn disorder(seed: u64) {
    let scene = Scene::new(Faults {
        kafka_like: seed.is_multiple_of(2),
        ..Faults::default()
    });
    let mut admin = scene.client("admin");
    let topic = NewTopic {
        name: "in".into(),
        partitions: PARTITIONS,
        config: Default::default(),
    };
    scene
        .ask(&mut *admin, Request::CreateTopics(vec![topic]))
        .unwrap();
    scene.log.set_faults(Faults {
        seed,
        delay_polls_max: 4,
        lose_request_per_mille: 100,
        lose_answer_per_mille: 100,
        request_timeout_ms: 30,
        ..Faults::default()
    });
    let random = SeededRandom::new(seed);
    let mut workers: Vec<_> = (0..4)
        .map(|index| Worker::new(&scene, &format!("w{index}")))
        .collect();
    for _ in 0..600 {
        let index = random.below(4) as usize;
        let name = workers[index].name.clone();
        match random.below(60) {
            0 => scene.log.freeze(&name),
            1 | 2 => scene.log.thaw(&name),
            3 => {
                // A crash: nobody is told. The same id comes back later, as a new member.
                workers[index] = Worker::new(&scene, &name);
            }
            _ => workers[index].step(),
        }
        scene.advance(random.below(5));
        check_owners(seed, &scene, &workers);
    }
    scene.log.set_faults(Faults::default());
    workers
        .iter()
        .for_each(|worker| scene.log.thaw(&worker.name));
    for _ in 0..200 {
        workers.iter_mut().for_each(Worker::step);
        scene.advance(10);
        check_owners(seed, &scene, &workers);
    }
    let loads: Vec<_> = workers.iter().map(|worker| worker.active.len()).collect();
    assert_eq!(
        loads.iter().sum::<usize>(),
        PARTITIONS as usize,
        "seed {seed}: {loads:?}"
    );
    assert!(
        loads.iter().all(|load| (1..=2).contains(load)),
        "seed {seed}: {loads:?}"
    );
}

#[test]
fn over_an_unreliable_log_no_task_has_two_owners_and_after_the_faults_all_are_shared() {
    (0..100).for_each(disorder);
}

/// Members that are slow to listen and slow to report, over a slow log, but alive: here no two may even believe to hold a task.
fn slow_and_alive(seed: u64) {
    let scene = Scene::new(Faults::default());
    let mut admin = scene.client("admin");
    let topic = NewTopic {
        name: "in".into(),
        partitions: PARTITIONS,
        config: Default::default(),
    };
    scene
        .ask(&mut *admin, Request::CreateTopics(vec![topic]))
        .unwrap();
    scene.log.set_faults(Faults {
        seed,
        delay_polls_max: 4,
        lose_request_per_mille: 50,
        lose_answer_per_mille: 50,
        request_timeout_ms: 30,
        ..Faults::default()
    });
    let random = SeededRandom::new(seed);
    let mut workers: Vec<_> = (0..3)
        .map(|index| Worker::new(&scene, &format!("w{index}")))
        .collect();
    for _ in 0..1_000 {
        let worker = &mut workers[random.below(3) as usize];
        match random.below(40) {
            0 => {
                // Leaving is lost at times; a client of the same id joins in any case.
                worker.client.leave();
                worker.active.clear();
                worker.client.join(membership(&worker.name)).unwrap();
            }
            1..=10 => worker.listen_once(),
            11..=20 => worker.report(),
            _ => drop(worker.client.poll()),
        }
        let held: Vec<_> = workers.iter().flat_map(|worker| &worker.active).collect();
        let distinct: BTreeSet<_> = held.iter().collect();
        assert_eq!(held.len(), distinct.len(), "seed {seed}: {held:?}");
    }
}

#[test]
fn members_that_are_slow_but_alive_never_hold_a_task_twice() {
    (0..200).for_each(slow_and_alive);
}

#[test]
fn a_frozen_member_is_fenced_and_its_commit_refused() {
    let scene = Scene::with_topic(Faults::default());
    let mut admin = scene.client("admin");
    scene.ask(&mut *admin, create("in")).unwrap();
    let (mut cold, mut warm) = (Worker::new(&scene, "cold"), Worker::new(&scene, "warm"));
    cold.step();
    cold.step();
    assert_eq!(cold.active.len(), 1);
    let (epoch, held) = (cold.epoch, TopicPartition::new("in", 0));
    scene.log.freeze("cold");
    while warm.active.is_empty() {
        scene.advance(10);
        warm.step();
        cold.client.poll();
        assert_eq!(cold.client.group_event(), None);
    }
    scene.log.thaw("cold");
    let request = CommitRequest {
        group: Some("g".into()),
        member: Some(("cold".into(), epoch)),
        offsets: vec![(held, CommittedOffset::at(0))],
    };
    let answer = scene.ask(&mut *cold.client, Request::Commit(request));
    assert!(matches!(answer, Err(Error::Fenced(_))), "{answer:?}");
}

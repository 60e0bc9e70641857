//! Members against a coordinator of the classic protocol in memory, which loses answers, evicts members and sees some die.
//! Not a broker: the log suite runs on one of 3.9. Invariant checked throughout: no task has two workers that could commit it.

mod coordinator;
mod instance;
mod news;

use super::{Answer, Ask, ClassicMember};
use crate::protocol::{ErrorCode, join_group::JoinGroupResponse, tests::Dice};
use coordinator::{Coordinator, SESSION_MS};
use headwater_log::{
    Assignment, GroupEvent, Host, InternalTopic, MemberEpoch, Membership, Subtopology, TaskId,
    TopicPartition,
};
use std::collections::{BTreeMap, BTreeSet};

/// A member with its worker.
struct Worker {
    member: ClassicMember,
    epoch: MemberEpoch,
    active: BTreeSet<TaskId>,
    standby: BTreeSet<TaskId>,
    /// The request in flight, and whether the coordinator has seen it.
    asked: Option<(Ask, bool)>,
    /// An assignment that the worker has not obeyed yet.
    list: Option<Assignment>,
    not_ready: Vec<String>,
    refused: Vec<String>,
    hosts: Vec<Host>,
}

impl Worker {
    fn new(name: &str, process: &str, standby_replicas: u32) -> Self {
        let membership = Membership {
            group: "g".into(),
            member: name.into(),
            process: process.into(),
            worker: 1,
            subtopologies: counting("in"),
            dialect: "".into(),
            standby_replicas: Some(standby_replicas),
            session_timeout_ms: 45_000,
            rebalance_timeout_ms: 60_000,
            endpoint: None,
        };
        Self::of(membership)
    }

    fn of(membership: Membership) -> Self {
        Self::as_instance(membership, None)
    }

    /// A static member where it has an instance id.
    fn as_instance(membership: Membership, instance: Option<&str>) -> Self {
        Self {
            member: ClassicMember::new(membership, instance.map(Into::into)),
            epoch: MemberEpoch::default(),
            active: BTreeSet::new(),
            standby: BTreeSet::new(),
            asked: None,
            list: None,
            not_ready: Vec::new(),
            refused: Vec::new(),
            hosts: Vec::new(),
        }
    }

    fn hear(&mut self) {
        while let Some(event) = self.member.event() {
            match event {
                GroupEvent::Assigned(list) => {
                    // A static member may be told its place twice.
                    let is_told_again =
                        self.member.instance.is_static() && list.epoch == self.epoch;
                    assert!(list.epoch > self.epoch || is_told_again, "epochs grow");
                    self.epoch = list.epoch;
                    self.list = Some(list);
                }
                GroupEvent::Fenced(_) => {
                    self.active.clear();
                    self.standby.clear();
                    self.list = None;
                }
                GroupEvent::Mixed(_) | GroupEvent::Notice(_) => {}
                GroupEvent::NotReady(reason) => self.not_ready.push(reason),
                GroupEvent::Refused(reason) => self.refused.push(reason),
            }
        }
        if let Some(hosts) = self.member.hosts() {
            self.hosts = hosts;
        }
    }

    fn obey(&mut self, now_ms: u64) {
        if let Some(list) = self.list.take() {
            self.active = list.active.iter().copied().collect();
            self.standby = list.standby.iter().copied().collect();
            self.member.own(now_ms, &list.active, &list.standby);
        }
    }
}

fn counting(source: &str) -> Vec<Subtopology> {
    let internal = |name: &str| InternalTopic {
        name: name.into(),
        partitions: 0,
        config: BTreeMap::new(),
    };
    vec![
        Subtopology {
            id: 0,
            source_topics: vec![source.into()],
            repartition_sinks: vec!["repartition".into()],
            ..Subtopology::default()
        },
        Subtopology {
            id: 1,
            repartition_sources: vec![internal("repartition")],
            changelogs: vec![internal("changelog")],
            ..Subtopology::default()
        },
    ]
}

struct Cluster {
    now_ms: u64,
    coordinator: Coordinator,
    topics: BTreeMap<String, u32>,
    workers: Vec<Worker>,
    dice: Dice,
    /// Members of another protocol are in the group.
    is_foreign: bool,
    /// One answer in so many is lost; 0 for none.
    lost_of: usize,
    /// A worker obeys in one of so many steps.
    obeys_of: usize,
}

impl Cluster {
    fn new(seed: u64, partitions: u32, workers: Vec<Worker>) -> Self {
        Self {
            now_ms: 0,
            coordinator: Coordinator::default(),
            topics: BTreeMap::from([("in".to_owned(), partitions)]),
            workers,
            dice: Dice::new(seed),
            is_foreign: false,
            lost_of: 0,
            obeys_of: 1,
        }
    }

    fn step(&mut self) {
        self.now_ms += 1 + self.dice.below(10) as u64;
        self.coordinator.tick(self.now_ms);
        for number in 0..self.workers.len() {
            self.turn(number);
        }
        self.check();
    }

    fn turn(&mut self, number: usize) {
        let worker = &mut self.workers[number];
        if worker.asked.is_none() {
            worker.asked = worker
                .member
                .next_request(self.now_ms)
                .map(|ask| (ask, false));
        }
        if let Some((ask, waited)) = &mut worker.asked {
            let answer = match ask {
                Ask::Count(names) => {
                    let known = names
                        .iter()
                        .filter_map(|name| Some((name.clone(), *self.topics.get(name)?)));
                    Some(Answer::Count(known.collect()))
                }
                Ask::Create(topics) => {
                    self.topics.extend(
                        topics
                            .iter()
                            .map(|topic| (topic.name.clone(), topic.partitions)),
                    );
                    Some(Answer::Create(Ok(())))
                }
                Ask::Join(_) if self.is_foreign => Some(Answer::Join(JoinGroupResponse {
                    error_code: ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
                    ..JoinGroupResponse::default()
                })),
                ask => self.coordinator.ask(self.now_ms, ask, *waited),
            };
            *waited = true;
            if let Some(answer) = answer {
                worker.asked = None;
                match self.lost_of > 0 && self.dice.below(self.lost_of) == 0 {
                    true => worker.member.on_lost(self.now_ms),
                    false => drop(worker.member.on_answer(self.now_ms, answer)),
                }
            }
        }
        worker.hear();
        if self.dice.below(self.obeys_of) == 0 {
            worker.obey(self.now_ms);
        }
    }

    /// No task has two workers whose commit of it would be taken.
    fn check(&self) {
        let mut owners: BTreeMap<TaskId, usize> = BTreeMap::new();
        for (number, worker) in self.workers.iter().enumerate() {
            for task in &worker.active {
                let topic = if task.subtopology == 0 {
                    "in"
                } else {
                    "repartition"
                };
                let partition = TopicPartition::new(topic, task.partition);
                let Ok((id, generation)) = worker.member.credentials(worker.epoch, [&partition])
                else {
                    continue;
                };
                if self.coordinator.would_take(&id, generation)
                    && let Some(other) = owners.insert(*task, number)
                {
                    panic!(
                        "at {} ms workers {other} and {number} may both commit {task}",
                        self.now_ms
                    );
                }
            }
        }
    }

    #[track_caller]
    fn until(&mut self, what: &str, wanted: impl Fn(&[Worker]) -> bool) {
        for _ in 0..60_000 {
            self.step();
            if wanted(&self.workers) {
                return;
            }
        }
        for worker in &self.workers {
            let (member, asked) = (&worker.member, worker.asked.as_ref());
            eprintln!(
                "{} {:?} generation {} owned {:?} listed {:?} asked {asked:?}",
                member.id,
                member.state,
                member.generation,
                member.owned.active,
                member.listed.active
            );
        }
        panic!("waited for {what} until {} ms", self.now_ms);
    }
}

/// All tasks are held, each once, none by more than one more than another.
fn is_shared(workers: &[Worker], tasks: usize) -> bool {
    let held: BTreeSet<_> = workers.iter().flat_map(|worker| &worker.active).collect();
    let present = workers.iter().filter(|worker| !worker.member.is_out());
    let loads: Vec<_> = present.map(|worker| worker.active.len()).collect();
    held.len() == tasks
        && loads.iter().sum::<usize>() == tasks
        && loads
            .iter()
            .max()
            .zip(loads.iter().min())
            .is_some_and(|(most, least)| most - least <= 1)
}

#[test]
fn the_first_member_creates_internal_topics_and_gets_every_task() {
    let mut cluster = Cluster::new(0, 3, vec![Worker::new("a", "p", 0)]);
    cluster.until("all tasks", |workers| is_shared(workers, 6));
    assert_eq!(
        (cluster.topics["repartition"], cluster.topics["changelog"]),
        (3, 3)
    );
    assert!(cluster.now_ms < 500, "{} ms", cluster.now_ms);
}

#[test]
fn a_task_moves_only_after_its_worker_has_closed_it() {
    let mut cluster = Cluster::new(1, 2, vec![Worker::new("a", "p", 0)]);
    cluster.until("all tasks", |workers| is_shared(workers, 4));
    cluster.workers.push(Worker::new("b", "q", 0));
    // Nobody obeys.
    cluster.obeys_of = 1 << 30;
    cluster.until("the wish that a gives up", |workers| {
        workers[0]
            .list
            .as_ref()
            .is_some_and(|list| list.active.len() == 2)
    });
    for _ in 0..1_000 {
        cluster.step();
        assert_eq!(
            cluster.workers[1]
                .list
                .as_ref()
                .map_or(0, |list| list.active.len()),
            0
        );
    }
    cluster.obeys_of = 1;
    cluster.until("a fair share", |workers| is_shared(workers, 4));
}

#[test]
fn a_commit_under_way_survives_a_round_and_one_of_what_was_given_up_does_not() {
    let mut cluster = Cluster::new(2, 2, vec![Worker::new("a", "p", 0)]);
    cluster.until("all tasks", |workers| is_shared(workers, 4));
    let old = cluster.workers[0].epoch;
    cluster.workers.push(Worker::new("b", "q", 0));
    cluster.until("a fair share", |workers| is_shared(workers, 4));
    let member = &cluster.workers[0].member;
    for partition in [0, 1] {
        let task = TaskId {
            subtopology: 0,
            partition,
        };
        let may = member.credentials(old, [&TopicPartition::new("in", partition)]);
        assert_eq!(
            may.is_ok(),
            cluster.workers[0].active.contains(&task),
            "{may:?}"
        );
    }
    let beyond = MemberEpoch(cluster.workers[0].epoch.0 + 1);
    assert!(member.credentials(beyond, []).is_err());
}

#[test]
fn what_is_missing_is_told_with_its_partitions_once_the_sources_are_there() {
    let missing = |topics: &[(&str, u32)]| {
        let counts = topics.iter().map(|&(name, count)| (name.to_owned(), count));
        let missing = super::missing(&counting("in"), &counts.collect());
        let told = missing
            .into_iter()
            .map(|topic| (topic.name, topic.partitions));
        told.collect::<BTreeMap<_, _>>()
    };
    let told = |topics: &[(&str, u32)]| {
        let told = topics.iter().map(|&(name, count)| (name.to_owned(), count));
        told.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(missing(&[]), told(&[]));
    assert_eq!(
        missing(&[("in", 3)]),
        told(&[("repartition", 3), ("changelog", 3)])
    );
    assert_eq!(
        missing(&[("in", 3), ("repartition", 3)]),
        told(&[("changelog", 3)])
    );
    let all = [("in", 3), ("repartition", 3), ("changelog", 3)];
    assert_eq!(missing(&all), told(&[]));
    let unfit = [("in", 3), ("repartition", 5)];
    assert_eq!(missing(&unfit), told(&[]), "to be refused, not completed");
}

#[test]
fn missing_topics_are_named_until_they_exist() {
    let mut cluster = Cluster::new(
        3,
        2,
        vec![Worker::new("a", "p", 0), Worker::new("b", "q", 0)],
    );
    cluster.topics.clear();
    cluster.until("reasons", |workers| {
        workers.iter().all(|worker| !worker.not_ready.is_empty())
    });
    assert!(
        cluster.workers[1].not_ready[0].contains("in"),
        "{:?}",
        cluster.workers[1].not_ready
    );
    cluster.topics.insert("in".into(), 2);
    cluster.until("all tasks", |workers| is_shared(workers, 4));
}

#[test]
fn a_topic_that_grows_gets_more_tasks() {
    let mut cluster = Cluster::new(4, 1, vec![Worker::new("a", "p", 0)]);
    cluster.until("all tasks", |workers| is_shared(workers, 2));
    cluster.topics.extend([
        ("in".into(), 3),
        ("repartition".into(), 3),
        ("changelog".into(), 3),
    ]);
    cluster.until("more tasks", |workers| is_shared(workers, 6));
}

#[test]
fn another_topology_is_refused() {
    let mut cluster = Cluster::new(5, 1, vec![Worker::new("a", "p", 0)]);
    cluster.until("all tasks", |workers| is_shared(workers, 2));
    let mut other = cluster.workers[0].member.membership.clone();
    other.member = "b".into();
    other.subtopologies = counting("other");
    cluster.workers.push(Worker::of(other));
    cluster.until("a refusal", |workers| !workers[1].refused.is_empty());
    cluster.until("its end", |workers| workers[1].member.is_out());
    assert_eq!(cluster.workers[0].active.len(), 2);
}

#[test]
fn standbys_live_on_another_process() {
    let workers = vec![Worker::new("a", "p", 1), Worker::new("b", "q", 1)];
    let mut cluster = Cluster::new(6, 2, workers);
    cluster.until("standbys", |workers| {
        let standbys = workers.iter().map(|worker| worker.standby.len());
        is_shared(workers, 4)
            && standbys.sum::<usize>() == 2
            && workers
                .iter()
                .all(|worker| worker.standby.is_disjoint(&worker.active))
    });
}

#[test]
fn members_come_go_die_and_lose_answers_and_no_task_has_two_owners() {
    for seed in 0..60 {
        let mut cluster = Cluster::new(seed, 4, vec![Worker::new("m0", "m0", 0)]);
        cluster.lost_of = [0, 50, 8][seed as usize % 3];
        cluster.obeys_of = [1, 30][seed as usize % 2];
        for round in 1..12 {
            let picked = cluster.dice.below(cluster.workers.len());
            let now_ms = cluster.now_ms;
            match cluster.dice.below(5) {
                0 if cluster.workers.len() > 1 => cluster.workers[picked].member.leave(now_ms),
                // Dead: its coordinator has to find out.
                1 if cluster.workers.len() > 1 => drop(cluster.workers.remove(picked)),
                // Evicted without knowing.
                2 => {
                    let id = cluster.workers[picked].member.id.clone();
                    cluster.coordinator.remove(now_ms, &id);
                }
                3 => cluster.now_ms += SESSION_MS / 2,
                _ => {
                    let name = format!("m{round}");
                    cluster.workers.push(Worker::new(&name, &name, 0));
                }
            }
            for _ in 0..cluster.dice.below(400) {
                cluster.step();
            }
            cluster.workers.retain(|worker| !worker.member.is_out());
            if cluster.workers.is_empty() {
                cluster.workers.push(Worker::new("again", "again", 0));
            }
        }
        cluster.lost_of = 0;
        (0..1_000).for_each(|_| cluster.step());
        cluster.workers.retain(|worker| !worker.member.is_out());
        cluster.workers.push(Worker::new("last", "last", 0));
        cluster.until(&format!("a fair share, seed {seed}"), |workers| {
            is_shared(workers, 8)
        });
    }
}

//! Tests of the coordinator: single hand-overs as sentences, and seeded disorder. Not of a log around it.
//! Invariant checked throughout: no task has two members that the coordinator would let commit it.

use super::{
    Claim, Coordinator, GroupEvent, InternalTopic, MemberEpoch, Membership, Subtopology, TaskId,
    Topics, plan,
};
use crate::{Error, NewTopic, Result, TopicPartition};
use headwater_world::{Random, SeededRandom};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

const SESSION_MS: i64 = 1000;

#[derive(Default)]
struct Fake(BTreeMap<String, u32>);

impl Topics for Fake {
    fn partitions(&self, topic: &str) -> Option<u32> {
        self.0.get(topic).copied()
    }
    fn create(&mut self, topic: NewTopic) -> Result<()> {
        if topic.name.contains("refused") {
            return Err(Error::Invalid("no".into()));
        }
        self.0.insert(topic.name, topic.partitions);
        Ok(())
    }
}

fn internal(name: &str, partitions: u32) -> InternalTopic {
    InternalTopic {
        name: name.into(),
        partitions,
        config: BTreeMap::new(),
    }
}

/// `in` is repartitioned to a counted sub-topology.
fn count() -> Vec<Subtopology> {
    vec![
        Subtopology {
            id: 0,
            source_topics: vec!["in".into()],
            repartition_sinks: vec!["app-counts-repartition".into()],
            ..Subtopology::default()
        },
        Subtopology {
            id: 1,
            repartition_sources: vec![internal("app-counts-repartition", 0)],
            changelogs: vec![internal("app-counts-changelog", 0)],
            ..Subtopology::default()
        },
    ]
}

fn membership(member: &str, process: &str) -> Membership {
    Membership {
        group: "app".into(),
        member: member.into(),
        process: process.into(),
        worker: 1,
        subtopologies: count(),
        dialect: "".into(),
        standby_replicas: None,
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: 5000,
        endpoint: None,
    }
}

fn task(text: &str) -> TaskId {
    let (subtopology, partition) = text.split_once('_').unwrap();
    TaskId {
        subtopology: subtopology.parse().unwrap(),
        partition: partition.parse().unwrap(),
    }
}

#[test]
fn a_member_that_was_restarted_gets_what_it_had_and_nobody_waits_for_it() {
    let claim = |member: &str, active: &[&str], former: &[&str]| Claim {
        member: member.into(),
        process: member.into(),
        active: active.iter().map(|it| task(it)).collect(),
        standby: Vec::new(),
        former: (former.iter().map(|it| task(it)).collect(), Vec::new()),
    };
    let planned = |claims: &[Claim]| {
        let mut topics = Fake(BTreeMap::from([("in".into(), 4)]));
        let parts = [Subtopology {
            source_topics: vec!["in".into()],
            ..Subtopology::default()
        }];
        let lists = plan(&parts, &mut topics, 0, claims).unwrap();
        let lists = lists.into_iter().map(|(member, (active, _))| {
            let names: Vec<_> = active.iter().map(TaskId::to_string).collect();
            format!("{member} {}", names.join(" "))
        });
        lists.collect::<Vec<_>>().join(", ")
    };
    let had = [&["0_2", "0_3"][..], &["0_0", "0_1"]];
    assert_eq!(
        planned(&[claim("a", &[], had[0]), claim("b", &[], had[1])]),
        "a 0_2 0_3, b 0_0 0_1"
    );
    // What somebody holds stays there.
    assert_eq!(
        planned(&[claim("a", &[], had[0]), claim("b", &["0_0", "0_3"], &[])]),
        "a 0_1 0_2, b 0_0 0_3"
    );
    // More than its share nobody gets: it is given away at once.
    let all = ["0_0", "0_1", "0_2", "0_3"];
    assert_eq!(
        planned(&[claim("a", &[], &[]), claim("b", &[], &all)]),
        "a 0_2 0_3, b 0_0 0_1"
    );
}

/// One group, driven by hand.
struct Scene {
    coordinator: Coordinator,
    topics: Fake,
    now: Duration,
}

impl Scene {
    fn new(partitions: u32) -> Self {
        Self {
            coordinator: Coordinator::new(),
            topics: Fake(BTreeMap::from([("in".into(), partitions)])),
            now: Duration::ZERO,
        }
    }

    fn join(&mut self, membership: Membership) {
        self.coordinator.join(self.now, membership).unwrap();
        self.tick();
    }

    fn tick(&mut self) {
        self.coordinator.tick(self.now, &mut self.topics);
    }

    fn advance(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.tick();
    }

    fn beat(&mut self, member: &str) -> Vec<GroupEvent> {
        self.coordinator.heartbeat(self.now, "app", member, None)
    }

    /// The active list told next, and its epoch.
    #[track_caller]
    fn told(&mut self, member: &str) -> (Vec<String>, MemberEpoch) {
        match &self.beat(member)[..] {
            [GroupEvent::Assigned(list)] => (
                list.active.iter().map(TaskId::to_string).collect(),
                list.epoch,
            ),
            other => panic!("{other:?}"),
        }
    }

    fn own(&mut self, member: &str, active: &[&str]) -> Vec<GroupEvent> {
        let active: Vec<_> = active.iter().copied().map(task).collect();
        self.coordinator
            .heartbeat(self.now, "app", member, Some((&active, &[])))
    }

    fn may_commit(&self, member: &str, epoch: MemberEpoch, partition: u32) -> bool {
        let partition = TopicPartition::new("in", partition);
        let result = self
            .coordinator
            .validate("app", member, epoch, &[partition]);
        assert!(matches!(result, Ok(()) | Err(Error::Fenced(_))));
        result.is_ok()
    }
}

#[test]
fn a_first_member_gets_every_task_and_internal_topics_with_derived_counts() {
    let mut scene = Scene::new(3);
    scene.join(membership("a", "p"));
    let (tasks, _) = scene.told("a");
    assert_eq!(tasks, ["0_0", "0_1", "0_2", "1_0", "1_1", "1_2"]);
    assert_eq!(scene.topics.0["app-counts-repartition"], 3);
    assert_eq!(scene.topics.0["app-counts-changelog"], 3);
    assert_eq!(scene.beat("a"), []);
}

#[test]
fn a_task_is_given_on_only_after_its_holder_gave_it_up() {
    let mut scene = Scene::new(2);
    scene.join(membership("a", "p"));
    let (_, first) = scene.told("a");
    scene.own("a", &["0_0", "0_1", "1_0", "1_1"]);
    scene.join(membership("b", "q"));
    assert_eq!(scene.told("b").0, [""; 0]);
    let (kept, second) = scene.told("a");
    assert_eq!(kept, ["0_0", "1_0"]);
    assert!(second > first);
    assert!(scene.may_commit("a", first, 1), "until it is given up");
    assert!(scene.may_commit("a", second, 1), "until it is given up");
    assert_eq!(scene.beat("b"), []);
    assert_eq!(scene.own("a", &["0_0", "1_0"]), []);
    assert!(!scene.may_commit("a", second, 1));
    assert!(scene.may_commit("a", first, 0), "held since that epoch");
    let (taken, epoch) = scene.told("b");
    assert_eq!(taken, ["0_1", "1_1"]);
    assert!(scene.may_commit("b", epoch, 1));
    assert!(!scene.may_commit("b", MemberEpoch(epoch.0 + 1), 1));
    assert!(!scene.may_commit("b", first, 1));
}

#[test]
fn a_silent_member_is_fenced_and_joins_again_under_its_id() {
    let mut scene = Scene::new(2);
    scene.join(membership("a", "p"));
    let (_, old) = scene.told("a");
    scene.advance(600);
    scene.join(membership("b", "q"));
    scene.told("b");
    scene.advance(600);
    let (taken, _) = scene.told("b");
    assert_eq!(taken.len(), 4);
    assert!(!scene.may_commit("a", old, 0));
    let events = scene.beat("a");
    let [GroupEvent::Fenced(reason)] = &events[..] else {
        panic!("{events:?}")
    };
    assert!(reason.contains("silent for 1200 ms"), "{reason}");
    scene.join(membership("a", "p"));
    let (_, new) = scene.told("a");
    assert!(new > old);
    assert!(!scene.may_commit("a", old, 0));
}

#[test]
fn a_member_that_keeps_what_it_should_give_up_is_fenced() {
    let mut scene = Scene::new(2);
    scene.join(membership("a", "p"));
    scene.told("a");
    scene.join(membership("b", "q"));
    scene.told("a");
    for _ in 0..9 {
        scene.advance(600);
        scene.beat("a");
        scene.beat("b");
    }
    let events = scene.beat("a");
    assert!(
        matches!(&events[..], [GroupEvent::Fenced(reason)] if reason.contains("did not give up")),
        "{events:?}"
    );
}

#[test]
fn a_report_that_crosses_a_new_list_does_not_release_what_the_list_gives() {
    let mut scene = Scene::new(2);
    scene.join(membership("a", "p"));
    scene.join(membership("b", "q"));
    let (tasks, epoch) = scene.told("a");
    assert_eq!(tasks, ["0_0", "1_0"]);
    scene.own("a", &[]);
    assert!(scene.may_commit("a", epoch, 0));
}

#[test]
fn another_topology_is_refused_while_the_group_has_members() {
    let mut scene = Scene::new(2);
    scene.join(membership("a", "p"));
    scene.told("a");
    let mut other = membership("b", "q");
    other.subtopologies.pop();
    scene.join(other.clone());
    let events = scene.beat("b");
    assert!(
        matches!(&events[..], [GroupEvent::Refused(_)]),
        "{events:?}"
    );
    assert_eq!(scene.beat("b"), []);
    assert_eq!(scene.coordinator.groups()[0].members.len(), 1);
    scene.coordinator.leave("app", "a");
    scene.join(other);
    assert_eq!(scene.told("b").0, ["0_0", "0_1"]);
}

#[test]
fn missing_and_unequal_topics_are_named_until_they_fit() {
    let mut scene = Scene::new(2);
    let mut join = membership("a", "p");
    join.subtopologies = vec![Subtopology {
        source_topics: vec!["in".into(), "other".into()],
        copartition_groups: vec![vec!["in".into(), "other".into()]],
        ..Subtopology::default()
    }];
    scene.join(join);
    let not_ready = |events: Vec<GroupEvent>, words: &[&str]| {
        let [GroupEvent::NotReady(reason)] = &events[..] else {
            panic!("{events:?}")
        };
        assert!(words.iter().all(|word| reason.contains(word)), "{reason}");
    };
    not_ready(scene.beat("a"), &["missing", "other"]);
    assert_eq!(scene.beat("a"), []);
    scene.topics.0.insert("other".into(), 3);
    scene.tick();
    not_ready(scene.beat("a"), &["in has 2", "other has 3"]);
    scene.topics.0.insert("in".into(), 3);
    scene.tick();
    assert_eq!(scene.told("a").0.len(), 3);
    scene.topics.0.remove("other");
    scene.tick();
    let events = scene.beat("a");
    assert!(
        matches!(&events[..], [GroupEvent::Assigned(list), GroupEvent::NotReady(_)] if list.active.is_empty()),
        "{events:?}"
    );
}

#[test]
fn counts_of_joined_repartition_topics_are_levelled_and_existing_ones_checked() {
    let mut scene = Scene::new(4);
    scene.topics.0.insert("table".into(), 6);
    let mut join = membership("a", "p");
    join.subtopologies[1].source_topics = vec!["table".into()];
    join.subtopologies[1].copartition_groups =
        vec![vec!["app-counts-repartition".into(), "table".into()]];
    scene.join(join.clone());
    assert_eq!(scene.told("a").0.len(), 4 + 6);
    assert_eq!(scene.topics.0["app-counts-repartition"], 6);
    scene.topics.0.insert("app-counts-changelog".into(), 5);
    scene.tick();
    let events = scene.beat("a");
    assert!(
        matches!(&events[..], [_, GroupEvent::NotReady(why)] if why.contains("has 5 partitions where 6")),
        "{events:?}"
    );
}

#[test]
fn repartition_topics_in_a_circle_go_by_the_sources_beside_them() {
    let mut scene = Scene::new(4);
    scene.topics.0.insert("right".into(), 4);
    let mut join = membership("a", "p");
    // A foreign-key join: each side reads the topic that the other writes.
    let (ask, answer) = ("app-ask-topic", "app-answer-topic");
    let [left, right] = &mut join.subtopologies[..] else {
        panic!("two sub-topologies")
    };
    left.repartition_sources = vec![internal(answer, 0)];
    left.repartition_sinks = vec![ask.into()];
    right.source_topics = vec!["right".into()];
    right.repartition_sources = vec![internal(ask, 0)];
    right.repartition_sinks = vec![answer.into()];
    scene.join(join);
    assert_eq!(scene.told("a").0.len(), 4 + 4);
    assert_eq!((scene.topics.0[ask], scene.topics.0[answer]), (4, 4));
}

#[test]
fn a_topic_that_cannot_be_created_is_named() {
    let mut scene = Scene::new(1);
    let mut join = membership("a", "p");
    join.subtopologies[1].changelogs = vec![internal("refused", 0)];
    scene.join(join);
    let events = scene.beat("a");
    assert!(
        matches!(&events[..], [GroupEvent::NotReady(why)] if why.contains("'refused'")),
        "{events:?}"
    );
}

#[test]
fn standbys_live_on_other_processes_and_take_over() {
    let mut scene = Scene::new(4);
    for (member, process) in [("a1", "p"), ("a2", "p"), ("b1", "q")] {
        let mut join = membership(member, process);
        join.standby_replicas = Some(1);
        scene.join(join);
    }
    let mut lists = BTreeMap::new();
    for _ in 0..3 {
        for member in ["a1", "a2", "b1"] {
            for event in scene.beat(member) {
                if let GroupEvent::Assigned(list) = event {
                    lists.insert(member, list);
                }
            }
        }
    }
    let near: BTreeSet<_> = ["a1", "a2"]
        .iter()
        .flat_map(|it| &lists[it].active)
        .collect();
    let far: BTreeSet<_> = lists["b1"].active.iter().collect();
    let near_standby: Vec<_> = ["a1", "a2"]
        .iter()
        .flat_map(|it| &lists[it].standby)
        .collect();
    assert_eq!(near.len() + far.len(), 8);
    assert!(
        near_standby
            .iter()
            .all(|task| task.subtopology == 1 && far.contains(*task))
    );
    assert!(lists["b1"].standby.iter().all(|task| near.contains(task)));
    assert_eq!(near_standby.len() + lists["b1"].standby.len(), 4);
    let followed = near_standby[0];
    let follower = if lists["a1"].standby.contains(followed) {
        "a1"
    } else {
        "a2"
    };
    scene.coordinator.leave("app", "b1");
    scene.tick();
    assert!(scene.told(follower).0.contains(&followed.to_string()));
}

/// A member of the disorder: it handles events late, reports late, goes silent.
#[derive(Default)]
struct Actor {
    joined: bool,
    events: Vec<GroupEvent>,
    epoch: MemberEpoch,
    active: BTreeSet<TaskId>,
    report: Option<Vec<TaskId>>,
    silent: bool,
}

impl Actor {
    fn handle(&mut self) {
        for event in std::mem::take(&mut self.events) {
            match event {
                GroupEvent::Assigned(list) => {
                    self.epoch = list.epoch;
                    self.active = list.active.into_iter().collect();
                    self.report = Some(self.active.iter().copied().collect());
                }
                GroupEvent::Fenced(_) => {
                    let silent = self.silent;
                    *self = Self::default();
                    self.silent = silent;
                }
                GroupEvent::NotReady(_)
                | GroupEvent::Mixed(_)
                | GroupEvent::Notice(_)
                | GroupEvent::Refused(_) => {}
            }
        }
    }

    fn step(&mut self, scene: &mut Scene, name: &str, process: &str) {
        if self.silent {
            return;
        }
        if !self.joined {
            scene
                .coordinator
                .join(scene.now, membership_of(name, process))
                .unwrap();
            self.joined = true;
        }
        // Events first: a heartbeat is sent only by a member that has handled what it was told.
        if !self.events.is_empty() {
            return;
        }
        let report = self.report.take();
        let owned = report.as_deref().map(|active| (active, &[][..]));
        self.events = scene.coordinator.heartbeat(scene.now, "app", name, owned);
    }
}

fn membership_of(name: &str, process: &str) -> Membership {
    Membership {
        dialect: "".into(),
        standby_replicas: Some(1),
        ..membership(name, process)
    }
}

/// Every active task any actor believes to hold, at an epoch it knows of, has at most one that may commit.
fn check_owners(seed: u64, scene: &Scene, actors: &BTreeMap<String, Actor>) {
    for partition in 0..scene.topics.0["in"] {
        let owners: Vec<_> = actors
            .iter()
            .filter(|(name, actor)| scene.may_commit(name, actor.epoch, partition))
            .map(|(name, _)| name)
            .collect();
        assert!(
            owners.len() <= 1,
            "seed {seed}: 0_{partition} has {owners:?}"
        );
    }
}

fn disorder(seed: u64) {
    let random = SeededRandom::new(seed);
    let mut scene = Scene::new(1 + random.below(6) as u32);
    let mut actors: BTreeMap<String, Actor> = (0..2 + random.below(5))
        .map(|index| (format!("m{index}"), Actor::default()))
        .collect();
    let names: Vec<String> = actors.keys().cloned().collect();
    let process = |name: &str| format!("p{}", name[1..].parse::<u32>().unwrap() / 2);
    for _ in 0..400 {
        let name = &names[random.below(names.len() as u64) as usize];
        let actor = actors.get_mut(name).unwrap();
        match random.below(12) {
            0 => actor.silent = !actor.silent,
            1 if actor.joined && !actor.silent => {
                scene.coordinator.leave("app", name);
                *actor = Actor::default();
            }
            2 | 3 => scene.advance(random.below(400)),
            4 if random.below(20) == 0 => *scene.topics.0.get_mut("in").unwrap() += 1,
            5..=7 => actor.handle(),
            _ => actor.step(&mut scene, name, &process(name)),
        }
        scene.tick();
        check_owners(seed, &scene, &actors);
    }
    // Quiet: everyone speaks and listens.
    scene.topics.0.retain(|name, _| name == "in");
    for _ in 0..20 {
        for name in &names {
            let actor = actors.get_mut(name).unwrap();
            actor.silent = false;
            actor.step(&mut scene, name, &process(name));
            actor.handle();
        }
        scene.tick();
        check_owners(seed, &scene, &actors);
    }
    let loads: Vec<_> = actors.values().map(|actor| actor.active.len()).collect();
    let held: BTreeSet<_> = actors.values().flat_map(|actor| &actor.active).collect();
    let tasks = 2 * scene.topics.0["in"] as usize;
    assert_eq!(held.len(), tasks, "seed {seed}: {loads:?}");
    assert_eq!(loads.iter().sum::<usize>(), tasks, "seed {seed}");
    assert!(
        loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1,
        "seed {seed}: {loads:?}"
    );
}

#[test]
fn in_disorder_no_task_has_two_owners_and_in_quiet_all_are_balanced() {
    for seed in 0..300 {
        disorder(seed);
    }
}

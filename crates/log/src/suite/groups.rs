//! Behaviours of group membership: assignment, hand-over, fencing. Not of the assignment's quality: that is the coordinator's own
//! tests. Invariant: no task has two members that the log lets commit it.

use super::{
    Harness,
    kit::{Kit, Tested, position},
};
use crate::{
    Assignment, CommitRequest, CommittedOffset, Endpoint, Error, GroupEvent, Host, InternalTopic,
    MemberEpoch, Membership, Receipt, Request, Response, Result, Subtopology, TaskId,
    TopicPartition,
};
use std::{collections::BTreeSet, sync::Arc};

/// A member of the group `app`, as a worker of the runtime would behave.
pub(super) struct Worker<'a> {
    pub(super) client: Tested<'a>,
    membership: Membership,
    epoch: MemberEpoch,
    /// What it holds.
    pub(super) active: BTreeSet<TaskId>,
    standby: BTreeSet<TaskId>,
    /// It keeps what it should give up, and its list is not yet obeyed.
    stubborn: bool,
    list: Option<Assignment>,
    fenced: Vec<String>,
    not_ready: Vec<String>,
    refused: Vec<String>,
    hosts: Vec<Host>,
}

/// `in`, repartitioned to a sub-topology with a store.
fn count(kit: &Kit<'_>) -> Vec<Subtopology> {
    let internal = |name: &str, policy: &str| InternalTopic {
        name: kit.name(name),
        partitions: 0,
        config: [("cleanup.policy".to_owned(), policy.to_owned())].into(),
    };
    vec![
        Subtopology {
            id: 0,
            source_topics: vec![kit.name("in")],
            repartition_sinks: vec![kit.name("app-counts-repartition")],
            ..Subtopology::default()
        },
        Subtopology {
            id: 1,
            repartition_sources: vec![internal("app-counts-repartition", "delete")],
            changelogs: vec![internal("app-counts-changelog", "compact")],
            ..Subtopology::default()
        },
    ]
}

impl<'a> Worker<'a> {
    pub(super) fn new(kit: &Kit<'a>, member: &str, process: &str) -> Self {
        Self::with(kit, member, process, |_| {})
    }

    fn with(
        kit: &Kit<'a>,
        member: &str,
        process: &str,
        change: impl FnOnce(&mut Membership),
    ) -> Self {
        let mut membership = Membership {
            group: kit.name("app").into(),
            member: kit.name(member).into(),
            process: kit.name(process).into(),
            worker: 1,
            subtopologies: count(kit),
            dialect: "".into(),
            standby_replicas: None,
            session_timeout_ms: kit.harness.session_timeout_ms(),
            rebalance_timeout_ms: 60_000,
            endpoint: None,
        };
        change(&mut membership);
        let mut client = kit.client(&format!("app-{member}"));
        client.join(membership.clone()).unwrap();
        Self {
            client,
            membership,
            epoch: MemberEpoch::default(),
            active: BTreeSet::new(),
            standby: BTreeSet::new(),
            stubborn: false,
            list: None,
            fenced: Vec::new(),
            not_ready: Vec::new(),
            refused: Vec::new(),
            hosts: Vec::new(),
        }
    }

    fn step(&mut self) {
        self.client.pump();
        while let Some(event) = self.client.group_event() {
            match event {
                GroupEvent::Assigned(list) => {
                    // A distributed log keeps the epoch when tasks are only to be given up.
                    let grows = list.epoch > self.epoch;
                    let stays = self.client.is_distributed() && list.epoch == self.epoch;
                    assert!(grows || stays, "epochs grow");
                    self.epoch = list.epoch;
                    self.list = Some(list);
                }
                GroupEvent::Fenced(reason) => {
                    self.fenced.push(reason);
                    self.drop_all();
                }
                GroupEvent::NotReady(reason) => self.not_ready.push(reason),
                GroupEvent::Mixed(_) | GroupEvent::Notice(_) => {}
                GroupEvent::Refused(reason) => self.refused.push(reason),
            }
        }
        if let Some(hosts) = self.client.hosts() {
            self.hosts = hosts;
        }
        if !self.stubborn {
            self.obey();
        }
    }

    fn obey(&mut self) {
        let Some(list) = self.list.take() else {
            return;
        };
        self.active = list.active.iter().copied().collect();
        self.standby = list.standby.iter().copied().collect();
        self.client.own(&list.active, &list.standby);
    }

    fn drop_all(&mut self) {
        self.active.clear();
        self.standby.clear();
        self.list = None;
    }

    #[track_caller]
    pub(super) fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        until(&mut [self], what, |workers| wanted(workers[0]));
    }

    /// Commits a position of this partition as a member at `epoch`.
    fn commit(&mut self, partition: &TopicPartition, epoch: MemberEpoch) -> Result<Receipt> {
        self.client.commit_with(CommitRequest {
            group: Some(Arc::clone(&self.membership.group)),
            member: Some((Arc::clone(&self.membership.member), epoch)),
            offsets: vec![(partition.clone(), CommittedOffset::at(0))],
        })
    }
}

/// Steps all workers in turn until `wanted` holds.
#[track_caller]
fn until<'a>(
    workers: &mut [&mut Worker<'a>],
    what: &str,
    wanted: impl Fn(&[&mut Worker<'a>]) -> bool,
) {
    for _ in 0..60_000 {
        workers.iter_mut().for_each(|worker| worker.step());
        if wanted(workers) {
            return;
        }
        workers[0].client.pause();
    }
    panic!("waited for {what}");
}

/// Every task of `in` with `partitions` partitions is held once, and shared fairly.
fn is_shared(workers: &[&mut Worker<'_>], partitions: usize) -> bool {
    let held: BTreeSet<_> = workers.iter().flat_map(|worker| &worker.active).collect();
    let loads: Vec<_> = workers.iter().map(|worker| worker.active.len()).collect();
    let (most, least) = (loads.iter().max(), loads.iter().min());
    held.len() == 2 * partitions
        && loads.iter().sum::<usize>() == held.len()
        && most
            .zip(least)
            .is_some_and(|(most, least)| most - least <= 1)
}

fn task(subtopology: u32, partition: u32) -> TaskId {
    TaskId {
        subtopology,
        partition,
    }
}

/// As active, each once.
pub fn a_first_member_gets_every_task(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("in", 3);
    let mut worker = Worker::new(&kit, "a", "p");
    worker.until("all tasks", |worker| worker.active.len() == 6);
    assert_eq!(worker.standby.len(), 0);
    let epoch = worker.epoch;
    worker.commit(&kit.at("in", 2), epoch).unwrap();
    assert_eq!(client.positions(&kit.name("app")).len(), 1);
}

/// As many partitions as the sub-topology has tasks.
pub fn internal_topics_are_created_with_derived_counts(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("in", 3);
    let mut worker = Worker::new(&kit, "a", "p");
    worker.until("all tasks", |worker| worker.active.len() == 6);
    for (name, policy) in [
        ("app-counts-repartition", "delete"),
        ("app-counts-changelog", "compact"),
    ] {
        let topic = kit.describe(&mut client, name).unwrap();
        assert_eq!(topic.partitions, 3);
        // A value that is the default may be left out.
        assert_eq!(
            topic
                .config
                .get("cleanup.policy")
                .map_or("delete", String::as_str),
            policy
        );
    }
}

/// First it is given up, then it is given.
pub fn a_task_moves_only_after_it_was_given_up(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let _admin = kit.client_and_topic("in", 2);
    let mut a = Worker::new(&kit, "a", "p");
    a.until("all tasks", |worker| worker.active.len() == 4);
    a.stubborn = true;
    let mut b = Worker::new(&kit, "b", "q");
    until(
        &mut [&mut a, &mut b],
        "the wish that a gives up",
        |workers| workers[0].list.is_some(),
    );
    for _ in 0..20 {
        a.step();
        b.step();
        harness.advance(1);
    }
    assert_eq!(b.active.len(), 0);
    let epoch = a.epoch;
    for partition in [0, 1] {
        a.commit(&kit.at("in", partition), epoch).unwrap();
    }
    a.stubborn = false;
    until(&mut [&mut a, &mut b], "a fair share", |workers| {
        is_shared(workers, 2)
    });
}

/// At once, without waiting for a timeout.
pub fn a_member_that_leaves_hands_its_tasks_on(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let _admin = kit.client_and_topic("in", 2);
    let mut a = Worker::new(&kit, "a", "p");
    let mut b = Worker::new(&kit, "b", "q");
    until(&mut [&mut a, &mut b], "a fair share", |workers| {
        is_shared(workers, 2)
    });
    let from = harness.clock().elapsed();
    a.client.leave();
    b.until("all tasks", |worker| worker.active.len() == 4);
    let took_ms = (harness.clock().elapsed() - from).as_millis();
    assert!(
        took_ms < kit.harness.session_timeout_ms() as u128,
        "{took_ms} ms"
    );
}

/// Its tasks go on elsewhere; it learns of it, and gets its share again.
pub fn a_silent_member_is_fenced_and_comes_back(harness: &dyn Harness) {
    if !harness.is_silent_unless_polled() {
        return;
    }
    let kit = Kit::new(harness);
    let _admin = kit.client_and_topic("in", 2);
    let mut a = Worker::new(&kit, "a", "p");
    let mut b = Worker::new(&kit, "b", "q");
    until(&mut [&mut a, &mut b], "a fair share", |workers| {
        is_shared(workers, 2)
    });
    let (old, held) = (a.epoch, *a.active.first().unwrap());
    b.until("the tasks of the silent one", |worker| {
        worker.active.len() == 4
    });
    let lost = kit.at("in", held.partition);
    let error = a.commit(&lost, old).unwrap_err();
    assert!(matches!(error, Error::Fenced(_)), "{error:?}");
    a.drop_all();
    until(&mut [&mut a, &mut b], "a fair share again", |workers| {
        is_shared(workers, 2)
    });
    assert!(a.epoch > old);
    assert!(matches!(a.commit(&lost, old), Err(Error::Fenced(_))));
}

/// Neither with the old epoch nor with the new one.
pub fn a_task_that_was_given_up_cannot_be_committed(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut admin = kit.client_and_topic("in", 2);
    let mut a = Worker::new(&kit, "a", "p");
    a.until("all tasks", |worker| worker.active.len() == 4);
    let old = a.epoch;
    let mut b = Worker::new(&kit, "b", "q");
    until(&mut [&mut a, &mut b], "a fair share", |workers| {
        is_shared(workers, 2)
    });
    let held = b.active.iter().find(|task| task.subtopology == 0).unwrap();
    let moved = kit.at("in", held.partition);
    let error = a.commit(&moved, old).unwrap_err();
    assert!(matches!(error, Error::Fenced(_)), "{error:?}");
    let epoch = b.epoch;
    b.commit(&moved, epoch).unwrap();
    assert_eq!(admin.positions(&kit.name("app")).len(), 1);
}

/// Else every change of the group would undo the work of all.
pub fn a_commit_under_way_survives_a_change_elsewhere(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let _admin = kit.client_and_topic("in", 2);
    let mut a = Worker::new(&kit, "a", "p");
    a.until("all tasks", |worker| worker.active.len() == 4);
    let old = a.epoch;
    let mut b = Worker::new(&kit, "b", "q");
    until(&mut [&mut a, &mut b], "a fair share", |workers| {
        is_shared(workers, 2)
    });
    let kept = a.active.iter().find(|task| task.subtopology == 0).unwrap();
    let kept = kit.at("in", kept.partition);
    a.commit(&kept, old).unwrap();
}

/// Whatever epoch it makes up.
pub fn a_stranger_cannot_commit_for_a_group(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut client = kit.client_and_topic("in", 1);
    kit.create(&mut client, "out", 1);
    let mut a = Worker::new(&kit, "a", "p");
    a.until("all tasks", |worker| worker.active.len() == 2);
    let group = kit.name("app");
    for epoch in [MemberEpoch(0), a.epoch, MemberEpoch(a.epoch.0 + 1)] {
        client.add(&kit.at("out", 0), "never");
        let mut request = position(&group, &kit.at("in", 0), 3);
        request.member = Some((kit.name("stranger").into(), epoch));
        let error = client.commit_with(request).unwrap_err();
        assert!(matches!(error, Error::Fenced(_)), "{error:?}");
    }
    let beyond = MemberEpoch(a.epoch.0 + 1);
    assert!(matches!(
        a.commit(&kit.at("in", 0), beyond),
        Err(Error::Fenced(_))
    ));
    assert_eq!(client.positions(&group).len(), 0);
    assert_eq!(kit.texts(&kit.at("out", 0)), [""; 0]);
}

/// It dropped all it had, and so must hear of its tasks once more.
pub fn a_member_whose_commit_was_fenced_gets_tasks_anew(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let _admin = kit.client_and_topic("in", 1);
    let mut a = Worker::new(&kit, "a", "p");
    a.until("all tasks", |worker| worker.active.len() == 2);
    let wrong = MemberEpoch(a.epoch.0 + 1);
    assert!(matches!(
        a.commit(&kit.at("in", 0), wrong),
        Err(Error::Fenced(_))
    ));
    a.drop_all();
    a.client.own(&[], &[]);
    a.until("all tasks again", |worker| worker.active.len() == 2);
    let epoch = a.epoch;
    a.commit(&kit.at("in", 0), epoch).unwrap();
}

/// And then the tasks come without another call.
pub fn missing_topics_are_named_until_they_exist(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut admin = kit.client("admin");
    let mut a = Worker::new(&kit, "a", "p");
    a.until("a reason", |worker| !worker.not_ready.is_empty());
    assert!(
        a.not_ready[0].contains(&kit.name("in")),
        "{:?}",
        a.not_ready
    );
    assert_eq!(a.active.len(), 0);
    kit.create(&mut admin, "in", 1);
    a.until("all tasks", |worker| worker.active.len() == 2);
}

/// With topics and counts.
pub fn unequal_partition_counts_are_named(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut admin = kit.client_and_topic("left", 2);
    kit.create(&mut admin, "right", 3);
    let mut a = Worker::with(&kit, "a", "p", |membership| {
        membership.subtopologies = vec![Subtopology {
            source_topics: vec![kit.name("left"), kit.name("right")],
            copartition_groups: vec![vec![kit.name("left"), kit.name("right")]],
            ..Subtopology::default()
        }];
    });
    let words = [&kit.name("left"), &kit.name("right"), "2", "3"];
    // On a distributed log another reason may come first.
    let reasons_max = if harness.is_distributed() {
        usize::MAX
    } else {
        1
    };
    a.until("a reason that names them", |worker| {
        let mut reasons = worker.not_ready.iter().take(reasons_max);
        reasons.any(|reason| words.iter().all(|word| reason.contains(*word)))
    });
    admin.done(Request::CreatePartitions {
        topic: kit.name("left"),
        partitions: 3,
    });
    a.until("all tasks", |worker| worker.active.len() == 3);
}

/// A group runs one program.
pub fn another_topology_is_refused_while_the_group_has_members(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut admin = kit.client_and_topic("in", 1);
    kit.create(&mut admin, "other", 1);
    let mut a = Worker::new(&kit, "a", "p");
    a.until("all tasks", |worker| worker.active.len() == 2);
    let mut b = Worker::with(&kit, "b", "q", |membership| {
        membership.subtopologies[0].source_topics = vec![kit.name("other")];
    });
    until(&mut [&mut a, &mut b], "a refusal", |workers| {
        !workers[1].refused.is_empty()
    });
    assert_eq!((a.active.len(), b.active.len()), (2, 0));
}

/// With the tasks they hold.
pub fn groups_and_members_are_listed(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let mut admin = kit.client_and_topic("in", 2);
    let only_positions = kit.name("only-positions");
    admin
        .commit_with(position(&only_positions, &kit.at("in", 0), 0))
        .unwrap();
    let mut a = Worker::new(&kit, "a", "p");
    a.until("all tasks", |worker| worker.active.len() == 4);
    let Ok(Response::Groups(groups)) = admin.ask(Request::ListGroups) else {
        panic!("no groups")
    };
    let find = |name: &str| groups.iter().find(|group| *group.group == *name).unwrap();
    let app = find(&kit.name("app"));
    assert_eq!(app.members.len(), 1);
    assert_eq!(*app.members[0].member, *kit.name("a"));
    assert_eq!(app.members[0].epoch, a.epoch);
    let tasks: BTreeSet<_> = app.members[0].tasks.iter().copied().collect();
    assert_eq!(tasks, a.active);
    assert_eq!(find(&only_positions).members.len(), 0);
}

/// Those with an endpoint, told to all; and when tasks move, they are told again.
pub fn members_hear_which_host_holds_what(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let _admin = kit.client_and_topic("in", 2);
    let at = |host: &str| Endpoint {
        host: host.into(),
        port: 7_000,
    };
    let named = |member: &str, process: &str, host: &str| {
        Worker::with(&kit, member, process, |membership| {
            membership.endpoint = Some(at(host));
        })
    };
    let mut a = named("a", "p", "a.example");
    let mut b = named("b", "q", "b.example");
    let mut nameless = Worker::new(&kit, "c", "r");
    let holds = |hosts: &[Host], worker: &Worker<'_>, host: &str| {
        let active: Vec<_> = worker.active.iter().copied().collect();
        let found = hosts.iter().find(|it| it.endpoint == at(host));
        found.map_or(active.is_empty(), |it| it.active == active)
    };
    let all = &mut [&mut a, &mut b, &mut nameless];
    until(all, "hosts", |workers| {
        let (a, b) = (&workers[0], &workers[1]);
        let is_known = |it: &&mut Worker<'_>| {
            it.hosts.len() == 2
                && holds(&it.hosts, a, "a.example")
                && holds(&it.hosts, b, "b.example")
        };
        is_shared(workers, 2) && workers.iter().all(is_known)
    });
    // Their tasks go to members with an endpoint: a coordinator may tell of a host that left no sooner than another one holds more.
    nameless.client.leave();
    until(&mut [&mut a, &mut b], "two hosts", |workers| {
        let (a, b) = (&workers[0], &workers[1]);
        let is_known = |it: &&mut Worker<'_>| {
            holds(&it.hosts, a, "a.example") && holds(&it.hosts, b, "b.example")
        };
        is_shared(workers, 2) && workers.iter().all(is_known)
    });
    a.client.leave();
    b.until("the host that is left", |b| {
        b.active.len() == 4 && b.hosts.len() == 1 && holds(&b.hosts, b, "b.example")
    });
}

/// The others hear why.
pub fn a_member_may_stop_the_whole_group(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let _admin = kit.client_and_topic("in", 3);
    let mut a = Worker::new(&kit, "a", "p");
    let mut b = Worker::new(&kit, "b", "q");
    let mut c = Worker::new(&kit, "c", "r");
    until(&mut [&mut a, &mut b, &mut c], "a fair share", |workers| {
        is_shared(workers, 3)
    });
    a.client.stop_group();
    until(&mut [&mut b, &mut c], "the end of all", |workers| {
        workers.iter().all(|worker| !worker.refused.is_empty())
    });
    for worker in [&b, &c] {
        let [why] = &worker.refused[..] else {
            panic!("{:?}", worker.refused);
        };
        assert!(why.contains("whole application"), "{why}");
    }
}

/// Of tasks with state only, and never beside the active one.
pub fn standbys_live_on_another_process(harness: &dyn Harness) {
    if !harness.has_standbys() {
        return;
    }
    let kit = Kit::new(harness);
    let _admin = kit.client_and_topic("in", 2);
    let with_standbys = |member: &str, process: &str| {
        Worker::with(&kit, member, process, |membership| {
            membership.standby_replicas = Some(1)
        })
    };
    let mut a = with_standbys("a", "p");
    let mut b = with_standbys("b", "q");
    until(&mut [&mut a, &mut b], "standbys", |workers| {
        let standbys: BTreeSet<_> = workers.iter().flat_map(|worker| &worker.standby).collect();
        is_shared(workers, 2)
            && standbys == BTreeSet::from([&task(1, 0), &task(1, 1)])
            && workers
                .iter()
                .all(|worker| worker.standby.is_disjoint(&worker.active))
    });
}

/// Members come and go; each time two hold a task, one of them may not commit it.
pub fn no_task_ever_has_two_members(harness: &dyn Harness) {
    let kit = Kit::new(harness);
    let _admin = kit.client_and_topic("in", 3);
    let mut workers: Vec<Worker<'_>> = Vec::new();
    for round in 0..6 {
        match round {
            3 | 5 => workers.remove(0).client.leave(),
            _ => {
                let name = format!("m{round}");
                workers.push(Worker::new(&kit, &name, &name));
            }
        }
        for _ in 0..30 {
            workers.iter_mut().for_each(Worker::step);
            let held: Vec<_> = workers.iter().flat_map(|worker| &worker.active).collect();
            let distinct: BTreeSet<_> = held.iter().collect();
            assert_eq!(held.len(), distinct.len(), "round {round}: {held:?}");
            harness.advance(1);
        }
    }
    let mut workers: Vec<_> = workers.iter_mut().collect();
    until(&mut workers, "a fair share", |workers| {
        is_shared(workers, 3)
    });
}

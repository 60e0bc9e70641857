//! Static members that are restarted, evicted and held up while others come and go. Not what a broker makes of it: the binary of this
//! crate's tests asks one. Invariant: a place is taken up where it was left, or a round is begun.

use super::{Cluster, Worker, coordinator::Phase, counting, is_shared};
use headwater_log::{Endpoint, TaskId};
use std::collections::BTreeSet;

/// A worker of the process `name`, whose member id is another with each start.
fn start(name: &str, times: u32) -> Worker {
    started(name, times, |_| {})
}

fn started(name: &str, times: u32, change: impl FnOnce(&mut headwater_log::Membership)) -> Worker {
    let mut membership = Worker::new(name, name, 0).member.membership.clone();
    membership.member = format!("{name}/{times}").into();
    change(&mut membership);
    Worker::as_instance(membership, Some(&format!("{name}-1")))
}

fn cluster(seed: u64, partitions: u32) -> Cluster {
    let workers = ["a", "b", "c"].map(|name| start(name, 0));
    let mut cluster = Cluster::new(seed, partitions, workers.into());
    cluster.until("all tasks", |workers| {
        is_shared(workers, 2 * partitions as usize)
    });
    rest(&mut cluster);
    cluster
}

/// Until nothing moves any more.
fn rest(cluster: &mut Cluster) {
    for _ in 0..200 {
        cluster.step();
    }
    assert_eq!(cluster.coordinator.phase, Phase::Stable);
}

fn leader(cluster: &Cluster) -> usize {
    let leads = |worker: &Worker| worker.member.id == cluster.coordinator.leader;
    cluster.workers.iter().position(leads).unwrap()
}

fn name(number: usize) -> &'static str {
    ["a", "b", "c"][number]
}

#[test]
fn a_restart_leader_or_not_takes_the_tasks_up_in_the_same_generation() {
    for (seed, who) in [(20, 0), (21, 1), (22, 2)] {
        let mut cluster = cluster(seed, 3);
        let held = |cluster: &Cluster| -> Vec<BTreeSet<TaskId>> {
            let workers = cluster.workers.iter();
            workers.map(|worker| worker.active.clone()).collect()
        };
        let (before, generation) = (held(&cluster), cluster.coordinator.generation);
        for times in 1..4 {
            let now_ms = cluster.now_ms;
            // In turn it is closed, and killed.
            if times % 2 == 1 {
                cluster.workers[who].member.end(now_ms);
                cluster.step();
                assert!(cluster.workers[who].member.is_out());
            }
            cluster.workers[who] = start(name(who), times);
            cluster.until("the same tasks", |workers| {
                workers[who].active == before[who]
            });
            rest(&mut cluster);
            assert_eq!(held(&cluster), before);
            assert_eq!(cluster.coordinator.generation, generation);
        }
        let now_ms = cluster.now_ms;
        cluster.workers[who].member.leave(now_ms);
        cluster.until("the tasks of one that has left for good", |workers| {
            is_shared(workers, 6)
        });
        assert!(cluster.now_ms - now_ms < 5_000, "not after a session");
    }
}

#[test]
fn a_member_whose_place_was_taken_gives_up_and_says_why() {
    let mut cluster = cluster(23, 3);
    let generation = cluster.coordinator.generation;
    let twin = start("b", 9);
    cluster.workers.push(twin);
    cluster.until("the end of the older", |workers| workers[1].member.is_out());
    let told = &cluster.workers[1].refused[0];
    for word in [
        "group 'g'",
        "'b-1'",
        "member 'b/0'",
        "group.instance.id=b.",
        "Stop one of them",
        "FENCED_INSTANCE_ID (82)",
    ] {
        assert!(told.contains(word), "no {word} in: {told}");
    }
    cluster.workers.remove(1);
    cluster.until("all tasks", |workers| is_shared(workers, 6));
    assert_eq!(cluster.coordinator.generation, generation);
}

#[test]
fn what_was_to_be_given_up_before_a_restart_goes_to_others_after_it() {
    let mut cluster = Cluster::new(24, 2, vec![start("a", 0)]);
    cluster.until("all tasks", |workers| is_shared(workers, 4));
    cluster.workers.push(start("b", 0));
    cluster.obeys_of = 1 << 30;
    cluster.until("the wish that a gives up", |workers| {
        let list = workers[0].list.as_ref();
        list.is_some_and(|list| list.active.len() == 2)
    });
    cluster.workers[0] = start("a", 1);
    cluster.obeys_of = 1;
    cluster.until("a fair share", |workers| is_shared(workers, 4));
}

#[test]
fn a_leader_that_returns_looks_at_topics_as_before() {
    for while_away in [false, true] {
        let mut cluster = cluster(25, 2);
        let who = leader(&cluster);
        let grow = |cluster: &mut Cluster| {
            let topics = ["in", "repartition", "changelog"];
            let grown = topics.map(|topic| (topic.to_owned(), 4));
            cluster.topics.extend(grown);
        };
        if while_away {
            grow(&mut cluster);
        }
        cluster.workers[who] = start(name(who), 1);
        if !while_away {
            let generation = cluster.coordinator.generation;
            cluster.until("all tasks", |workers| is_shared(workers, 4));
            // Long enough for a look at rest.
            cluster.now_ms += 20_000;
            rest(&mut cluster);
            assert_eq!(cluster.coordinator.generation, generation);
            grow(&mut cluster);
        }
        cluster.until("more tasks", |workers| is_shared(workers, 8));
    }
}

#[test]
fn a_leader_that_returns_while_topics_are_awaited_goes_on_to_wait() {
    let mut cluster = Cluster::new(26, 2, ["a", "b", "c"].map(|name| start(name, 0)).into());
    cluster.topics.clear();
    cluster.until("reasons", |workers| {
        workers.iter().all(|worker| !worker.not_ready.is_empty())
    });
    let who = leader(&cluster);
    cluster.workers[who] = start(name(who), 1);
    cluster.until("a reason", |workers| !workers[who].not_ready.is_empty());
    cluster.topics.insert("in".into(), 2);
    cluster.until("all tasks", |workers| is_shared(workers, 4));
}

#[test]
fn a_restart_with_another_topology_or_host_is_not_taken_for_the_same() {
    let mut cluster = cluster(27, 3);
    let who = (leader(&cluster) + 1) % 3;
    cluster.workers[who] = started(name(who), 1, |membership| {
        membership.subtopologies = counting("other");
    });
    cluster.until("a refusal", |workers| !workers[who].refused.is_empty());
    assert!(cluster.workers[who].active.is_empty());
    cluster.until("its end", |workers| workers[who].member.is_out());
    // Nothing of the refusal is left for the next start.
    let at = |host: &str| Endpoint {
        host: host.into(),
        port: 7_000,
    };
    for (times, host) in [(2, "old.example"), (3, "new.example")] {
        cluster.workers[who] = started(name(who), times, |membership| {
            membership.endpoint = Some(at(host));
        });
        cluster.until("all tasks", |workers| is_shared(workers, 6));
        cluster.until("its host", |workers| {
            workers.iter().all(|worker| {
                let hosts: Vec<_> = worker.hosts.iter().map(|it| &it.endpoint).collect();
                hosts == [&at(host)]
            })
        });
    }
}

#[test]
fn members_that_are_restarted_while_a_round_is_under_way_get_back_what_they_had() {
    for seed in 0..10 {
        let mut cluster = cluster(seed, 6);
        let who = leader(&cluster);
        let guest = cluster.workers.len();
        cluster.workers.push(Worker::new("d", "d", 0));
        cluster.until("all tasks", |workers| is_shared(workers, 12));
        rest(&mut cluster);
        let before: Vec<_> = cluster.workers.iter().map(|it| it.active.clone()).collect();
        let now_ms = cluster.now_ms;
        let id = cluster.workers[guest].member.id.clone();
        cluster.workers.remove(guest);
        cluster.coordinator.remove(now_ms, &id);
        for other in (0..guest).filter(|other| *other != who) {
            cluster.workers[other] = start(name(other), 1);
        }
        cluster.until("all tasks", |workers| is_shared(workers, 12));
        for (worker, before) in cluster.workers.iter().zip(&before) {
            assert!(before.is_subset(&worker.active), "seed {seed}");
        }
    }
}

#[test]
fn static_members_restart_stall_and_are_evicted_and_no_task_has_two_owners() {
    for seed in 0..60 {
        let mut cluster = cluster(seed, 4);
        // Shorter than a session: places are kept whose members were not there.
        cluster.coordinator.rebalance_ms = 10_000;
        cluster.lost_of = [0, 50, 8][seed as usize % 3];
        cluster.obeys_of = [1, 30][seed as usize % 2];
        for times in 1..15 {
            let picked = cluster.dice.below(3);
            let now_ms = cluster.now_ms;
            match cluster.dice.below(6) {
                0 => cluster.workers[picked].member.end(now_ms),
                1 => cluster.workers[picked] = start(name(picked), times),
                2 => {
                    let id = cluster.workers[picked].member.id.clone();
                    cluster.coordinator.remove(now_ms, &id);
                }
                3 => cluster.now_ms += 20_000,
                4 => stall(&mut cluster, picked),
                _ => cluster
                    .workers
                    .push(Worker::new(&format!("m{times}"), "m", 0)),
            }
            for _ in 0..cluster.dice.below(400) {
                cluster.step();
            }
            if cluster.workers.len() > 4 {
                drop(cluster.workers.pop());
            }
            for (number, worker) in cluster.workers.iter_mut().enumerate().take(3) {
                assert_eq!(worker.refused, [""; 0], "seed {seed}");
                if worker.member.is_out() {
                    *worker = start(name(number), 100 + times);
                }
            }
        }
        cluster.lost_of = 0;
        cluster.until(&format!("a fair share, seed {seed}"), |workers| {
            is_shared(workers, 8)
        });
    }
}

/// A worker does nothing, its member neither, while the group goes on for longer than a round may take.
fn stall(cluster: &mut Cluster, number: usize) {
    let stalled = cluster.workers.remove(number);
    let id = cluster.workers[0].member.id.clone();
    let now_ms = cluster.now_ms;
    cluster.coordinator.remove(now_ms, &id);
    for _ in 0..12 {
        cluster.now_ms += 1_000;
        for _ in 0..20 {
            cluster.step();
        }
    }
    cluster.workers.insert(number, stalled);
}

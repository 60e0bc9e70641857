//! What members of a classic group are told beyond their tasks: who holds what, whom they wait for, and that all are to stop.
//! Not the sharing of tasks. Invariant: every member is told the same.

use super::{Cluster, Worker, is_shared};
use headwater_log::{Endpoint, Host};

#[test]
fn members_of_another_protocol_are_waited_for_and_refused_after_a_session() {
    let mut cluster = Cluster::new(7, 1, vec![Worker::new("a", "p", 0)]);
    cluster.is_foreign = true;
    cluster.until("a reason", |workers| !workers[0].not_ready.is_empty());
    (0..1_000).for_each(|_| cluster.step());
    let worker = &cluster.workers[0];
    assert_eq!((worker.not_ready.len(), worker.refused.len()), (1, 0));
    let why = &worker.not_ready[0];
    assert!(
        why.contains("group 'g'") && why.contains("50000 ms"),
        "{why}"
    );
    cluster.is_foreign = false;
    cluster.until("all tasks", |workers| is_shared(workers, 2));

    let mut cluster = Cluster::new(8, 1, vec![Worker::new("a", "p", 0)]);
    cluster.is_foreign = true;
    cluster.until("a refusal", |workers| !workers[0].refused.is_empty());
    // The way out is said: theirs may be dead and have a longer session than ours.
    let why = &cluster.workers[0].refused[0];
    for said in [
        "group 'g'",
        "after 50000 ms",
        "session.timeout.ms (45000)",
        "stop them first",
        "set session.timeout.ms here to theirs",
    ] {
        assert!(why.contains(said), "{said}: {why}");
    }
    assert!(
        (50_000..53_000).contains(&cluster.now_ms),
        "{} ms",
        cluster.now_ms
    );
}

#[test]
fn members_hear_which_host_holds_what() {
    let at = |host: &str| Endpoint {
        host: host.into(),
        port: 7_000,
    };
    let named = |name: &str, process: &str, host: Option<&str>| {
        let mut membership = Worker::new(name, process, 1).member.membership.clone();
        membership.endpoint = host.map(at);
        Worker::of(membership)
    };
    let workers = vec![
        named("a", "p", Some("p.example")),
        named("b", "p", Some("p.example")),
        named("c", "q", Some("q.example")),
        named("d", "r", None),
    ];
    let mut cluster = Cluster::new(9, 4, workers);
    let of = |workers: &[&Worker], host: &str| Host {
        endpoint: at(host),
        active: workers.iter().flat_map(|it| &it.active).copied().collect(),
        standby: workers.iter().flat_map(|it| &it.standby).copied().collect(),
    };
    cluster.until("hosts", |workers| {
        let [a, b, c, _] = workers else {
            unreachable!("there are four");
        };
        let hosts = Host::merged([of(&[a, b], "p.example"), of(&[c], "q.example")]);
        is_shared(workers, 8) && workers.iter().all(|worker| worker.hosts == hosts)
    });
    drop(cluster.workers.remove(2));
    cluster.until("the host that is left", |workers| {
        let [a, b, _] = workers else {
            unreachable!("there are three");
        };
        let hosts = [of(&[a, b], "p.example")].map(|host| Host::merged([host]));
        is_shared(workers, 8) && workers.iter().all(|worker| worker.hosts == hosts.concat())
    });
}

#[test]
fn a_member_stops_the_whole_group_leader_or_not() {
    for (seed, who) in [(10, 0), (11, 1), (12, 2)] {
        let workers = ["a", "b", "c"].map(|name| Worker::new(name, name, 0));
        let mut cluster = Cluster::new(seed, 3, workers.into());
        cluster.lost_of = 20;
        cluster.until("all tasks", |workers| is_shared(workers, 6));
        let now_ms = cluster.now_ms;
        cluster.workers[who].member.stop_group(now_ms);
        cluster.until("the end of all", |workers| {
            workers.iter().all(|worker| worker.member.is_out())
        });
        for (number, worker) in cluster.workers.iter().enumerate() {
            let told = worker.refused.join("; ");
            let is_told = told.contains("whole application");
            assert_eq!(is_told, number != who, "{number}: {told}");
        }
        assert!(
            cluster.now_ms - now_ms < 5_000,
            "{} ms",
            cluster.now_ms - now_ms
        );
    }
}

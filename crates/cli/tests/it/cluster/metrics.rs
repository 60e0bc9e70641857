//! `headwater state` beside an application that serves `/metrics` at its `application.server`, with the real server. Not odd answers:
//! those are tested beside the asking. Invariant: what is shown is what the running instance says, and no longer than it does.

use super::{WAIT, cluster, json, kafka, out, wait_until, write};
use headwater::query::Queries;
use headwater::query::http::{Limits, Metrics, Remote, Server, Stores, operation_routes};
use headwater::{App, Running, Settings, Topology};
use headwater_broker::Cluster;
use serde_json::Value;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, runtime::Runtime};

/// Two sub-topologies of two partitions: two tasks without a store, two with one.
const TASKS: usize = 4;

fn counting(application: &str) -> Topology {
    let app = App::new(application);
    app.stream::<String, String>(format!("{application}-lines"))
        .group_by(|_, line| line.clone())
        .count("counts")
        .to_stream()
        .to(format!("{application}-counts"));
    app.build().unwrap()
}

/// An application that has counted two lines, and a port for its server, where nobody answers yet.
struct Counting {
    running: Arc<Running>,
    runtime: Runtime,
    port: std::net::TcpListener,
    address: String,
    _dir: tempfile::TempDir,
}

impl Counting {
    fn start(cluster: &Cluster, application: &str, is_named: bool) -> Self {
        let lines = [("a", "the quick fox"), ("b", "end")];
        write(cluster, &format!("{application}-lines"), &lines);
        let counts = format!("{application}-counts");
        let create = ["--create", "--topic", &counts, "--partitions", "1"];
        cluster.tool("topics", &create).unwrap();
        // Taken but not listened at: nobody else gets it, and whoever connects waits.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        port.set_nonblocking(true).unwrap();
        let address = port.local_addr().unwrap().to_string();
        let dir = tempfile::TempDir::new().unwrap();
        let settings = Settings {
            commit_interval_ms: 50,
            application_server: is_named.then(|| address.parse().unwrap()),
            ..Settings::in_dir(dir.path())
        };
        let running = headwater::start_with(counting(application), kafka(cluster), settings);
        let running = Arc::new(running.unwrap());
        wait_until("both lines are counted", || {
            running.records() >= 4 && running.tasks().len() == TASKS
        });
        // Else it follows from an empty changelog that all of it is restored.
        wait_until("both partitions' changelogs are committed", || {
            let state = json(cluster, &["state", application]);
            let changelog = |task: usize| &state["tasks"][task]["changelogs"][0]["end"];
            (2..TASKS).all(|task| changelog(task).as_i64().is_some_and(|end| end > 0))
        });
        let runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = { runtime }.worker_threads(1).enable_all().build().unwrap();
        Self {
            running,
            runtime,
            port,
            address,
            _dir: dir,
        }
    }

    fn serve(&self) -> Server {
        let remote = Arc::new(Remote::new(None, None));
        let stores = Stores::new(&Queries::new(&self.running, remote));
        let routes = operation_routes(&self.running, &stores, &Metrics::new(&self.running));
        self.runtime.block_on(async {
            let port = TcpListener::from_std(self.port.try_clone().unwrap()).unwrap();
            Server::start(port, routes, &Limits::default(), None).unwrap()
        })
    }

    fn stop(self, server: Server) {
        self.runtime.block_on(server.stop(Duration::from_secs(1)));
        self.running.shut_down(WAIT).unwrap();
    }
}

fn told_by_holder(state: &Value, task: usize) -> [&Value; 3] {
    let holder = &state["tasks"][task]["holders"][0];
    ["running", "store_lag", "restored_percent"].map(|name| &holder[name])
}

fn is_told(state: &Value) -> bool {
    let expected: [Value; 3] = [true.into(), 0.into(), 100.into()];
    (0..TASKS).all(|task| told_by_holder(state, task) == expected.each_ref())
}

/// A row for each task, all with stores at their end; `?` nowhere.
#[track_caller]
fn must_show_all(shown: &str) {
    let restored = |task: &str| {
        let row = shown.lines().find(|line| line.starts_with(task));
        row.and_then(|row| row.split_whitespace().last())
    };
    for (task, expected) in [("0_0", "-"), ("0_1", "-"), ("1_0", "100%"), ("1_1", "100%")] {
        assert_eq!(restored(task), Some(expected), "{shown}");
    }
    assert!(!shown.contains('?'), "{shown}");
}

#[test]
fn an_instance_tells_of_its_own_stores_what_no_broker_does() {
    let Some(cluster) = cluster() else { return };
    let counting = Counting::start(cluster, "told", true);
    // Nobody answers: the figures are lacking, the reason is said, and the rest is there.
    let shown = out(cluster, &["state", "told"]);
    assert!(shown.contains("RESTORED is ?"), "{shown}");
    let silent = format!("{} does not tell: no answer within ", counting.address);
    assert!(shown.contains(&silent), "{shown}");
    let state = json(cluster, &["state", "told"]);
    assert_eq!(told_by_holder(&state, 2), [&Value::Null; 3], "{state}");
    assert_eq!(state["silent"][0]["endpoint"], *counting.address, "{state}");

    let server = counting.serve();
    wait_until("what the instance tells is shown", || {
        let state = json(cluster, &["state", "told"]);
        is_told(&state) && state["silent"] == Value::Array(Vec::new())
    });
    must_show_all(&out(cluster, &["state", "told"]));
    counting.stop(server);
}

#[test]
fn an_instance_that_the_group_does_not_name_is_asked_where_the_caller_says() {
    let Some(cluster) = cluster() else { return };
    let counting = Counting::start(cluster, "asked", false);
    let server = counting.serve();
    let shown = out(cluster, &["state", "asked"]);
    assert!(shown.contains("RESTORED is ?"), "{shown}");
    assert!(!shown.contains("does not tell"), "{shown}");
    let nobody = "127.0.0.1:1";
    let both = format!("{},{nobody}", counting.address);
    wait_until("what the instance tells is shown", || {
        is_told(&json(cluster, &["state", "asked", "--ask", &both]))
    });
    let ask = ["state", "asked", "--ask", &counting.address];
    must_show_all(&out(cluster, &ask));
    let shown = out(cluster, &["state", "asked", "--ask", &both]);
    let silent = format!("{nobody} does not tell: ");
    assert!(shown.contains(&silent), "{shown}");
    counting.stop(server);
}

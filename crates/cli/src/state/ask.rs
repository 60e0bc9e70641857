//! What instances tell of their own tasks: `/metrics` at the `application.server` of each, over plain HTTP. Not what brokers tell.
//! Invariant: an instance that does not answer in time, or not like ours, costs its figures and nothing else, and the reason is kept.

use anyhow::{Context, Result, anyhow, bail, ensure};
use headwater::TaskId;
use headwater::world::World;
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind::{TimedOut, WouldBlock};
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::mpsc::sync_channel;
use std::time::Duration;

/// Instances that are asked, all at once.
const INSTANCES_MAX: usize = 64;
/// From the connection to the last byte of an answer.
const ANSWER_MS_MAX: u64 = 3_000;
/// Beyond it, so that each can say itself that it waited too long.
const SLACK_MS: u64 = 500;
/// Some hundred bytes a task.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

const RUNNING: &str = "headwater_task_running";
const STORE_LAG: &str = "headwater_task_store_lag";
const RESTORED: &str = "headwater_task_restored_percent";

/// What an instance says of one of its tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// It processes records.
    pub(crate) is_running: bool,
    /// Offsets that its stores are behind their changelogs.
    pub(crate) store_lag: i64,
    /// How far its stores have come; `None` where the answer lacks it.
    pub(crate) restored_percent: Option<u32>,
}

/// Of an instance, by task and role.
type Tasks = BTreeMap<(TaskId, String), Told>;

/// The answers of all who were asked.
#[derive(Default)]
pub(crate) struct Answers {
    /// Of those whom the group names.
    named: BTreeMap<String, Tasks>,
    /// Of those whom the caller names and the group does not.
    others: BTreeMap<String, Tasks>,
    /// Who gave none, and why.
    pub(crate) silent: BTreeMap<String, String>,
}

impl Answers {
    /// Asks all of them at the same time, and returns when all have answered or the time for it is over.
    pub(crate) fn of(named: &BTreeSet<String>, others: &[String]) -> Self {
        let mut answers = Self::default();
        let mut waiting: BTreeSet<&String> = named.iter().chain(others).collect();
        if waiting.len() > INSTANCES_MAX {
            // Those whom the caller names come first: whoever names some wants these.
            let first: Vec<&String> = others.iter().chain(named).collect();
            let first: BTreeSet<&String> = first.into_iter().take(INSTANCES_MAX).collect();
            let limit = format!("not asked: only {INSTANCES_MAX} are");
            let left_out = waiting.difference(&first);
            answers.silent = left_out.map(|it| ((*it).clone(), limit.clone())).collect();
            waiting = first;
        }
        let clock = World::real().clock;
        let end = clock.elapsed() + Duration::from_millis(ANSWER_MS_MAX + SLACK_MS);
        let (sender, receiver) = sync_channel(INSTANCES_MAX);
        for endpoint in &waiting {
            let (endpoint, sender) = ((*endpoint).clone(), sender.clone());
            // Nobody waits for the thread's end: a name server that is silent holds it longer than an answer may take. One that cannot
            // be started leaves its endpoint among those that wait.
            let asking = move || {
                let result = ask(&endpoint);
                _ = sender.send((endpoint, result));
            };
            _ = std::thread::Builder::new().spawn(asking);
        }
        drop(sender);
        while !waiting.is_empty() {
            let left = end.saturating_sub(clock.elapsed());
            let Ok((endpoint, result)) = receiver.recv_timeout(left) else {
                break;
            };
            waiting.remove(&endpoint);
            answers.add(named, endpoint, result);
        }
        for endpoint in waiting {
            answers.silent.insert(endpoint.clone(), late());
        }
        answers
    }

    fn add(&mut self, named: &BTreeSet<String>, endpoint: String, result: Result<Tasks>) {
        let place = match named.contains(&endpoint) {
            true => &mut self.named,
            false => &mut self.others,
        };
        match result {
            Ok(tasks) => _ = place.insert(endpoint, tasks),
            Err(error) => _ = self.silent.insert(endpoint, format!("{error:#}")),
        }
    }

    /// What the instance at `endpoint` says of a task it has in this role. Where it says nothing or there is none, what is said by the
    /// only one of those the group does not name who has it so: an instance may be reached elsewhere than it says.
    pub(crate) fn told(
        &self,
        endpoint: Option<&str>,
        task: TaskId,
        role: &str,
        is_only: bool,
    ) -> Option<&Told> {
        // A warm-up is a standby to the instance that has it.
        let role = if role == "warmup" { "standby" } else { role };
        let key = (task, role.to_owned());
        if let Some(tasks) = endpoint.and_then(|it| self.named.get(it)) {
            return tasks.get(&key);
        }
        // Nobody says which of several it is that speaks.
        let mut told = self.others.values().filter_map(|it| it.get(&key));
        told.next().filter(|_| is_only && told.next().is_none())
    }
}

fn late() -> String {
    format!("no answer within {ANSWER_MS_MAX} ms")
}

fn ask(endpoint: &str) -> Result<Tasks> {
    let text = metrics(endpoint)?;
    let tasks = parse(&text);
    ensure!(
        !tasks.is_empty() || text.contains(RUNNING),
        "its /metrics tells nothing of tasks: it is no instance of Headwater"
    );
    Ok(tasks)
}

/// A GET of HTTP/1.0, so that the answer ends with the connection.
fn metrics(endpoint: &str) -> Result<String> {
    let clock = World::real().clock;
    let end = clock.elapsed() + Duration::from_millis(ANSWER_MS_MAX);
    let left = || -> Result<Duration> {
        let left = end.saturating_sub(clock.elapsed());
        ensure!(!left.is_zero(), "{}", late());
        Ok(left)
    };
    let mut stream = connect(endpoint, left)?;
    stream.set_write_timeout(Some(left()?))?;
    write!(
        stream,
        "GET /metrics HTTP/1.0\r\nHost: {endpoint}\r\nConnection: close\r\n\r\n"
    )?;
    let (mut answer, mut piece) = (Vec::new(), [0; 16 << 10]);
    loop {
        stream.set_read_timeout(Some(left()?))?;
        let read = match stream.read(&mut piece) {
            Err(error) if matches!(error.kind(), WouldBlock | TimedOut) => bail!("{}", late()),
            read => read.context("while it answers")?,
        };
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..read]);
        ensure!(
            answer.len() as u64 <= ANSWER_BYTES_MAX,
            "it answers with more than {ANSWER_BYTES_MAX} bytes"
        );
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context("it does not speak plain HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    let code = status.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with("HTTP/") || code != "200" {
        bail!("GET /metrics: {status}");
    }
    Ok(body.to_owned())
}

/// At the first of its addresses that takes it.
fn connect(endpoint: &str, left: impl Fn() -> Result<Duration>) -> Result<TcpStream> {
    let mut refused = anyhow!("its name has no address");
    for address in endpoint.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left()?) {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error.into(),
        }
    }
    Err(refused)
}

/// Lines such as `headwater_task_running{task="0_1",role="active"} 1`; all others are passed over.
fn parse(text: &str) -> Tasks {
    let mut tasks = Tasks::new();
    for line in text.lines() {
        let Some((name, task, role, value)) = sample(line) else {
            continue;
        };
        if ![RUNNING, STORE_LAG, RESTORED].contains(&name) {
            continue;
        }
        let told = tasks.entry((task, role.to_owned())).or_default();
        match name {
            RUNNING => told.is_running = value == 1,
            STORE_LAG => told.store_lag = value,
            _ => told.restored_percent = u32::try_from(value).ok(),
        }
    }
    tasks
}

fn sample(line: &str) -> Option<(&str, TaskId, &str, i64)> {
    let (name, rest) = line.split_once('{')?;
    let (labels, value) = rest.split_once("} ")?;
    let label = |name: &str| {
        let mut labels = labels.split(',').filter_map(|it| it.split_once('='));
        let (_, value) = labels.find(|(known, _)| *known == name)?;
        value.strip_prefix('"')?.strip_suffix('"')
    };
    let (subtopology, partition) = label("task")?.split_once('_')?;
    let task = TaskId {
        subtopology: subtopology.parse().ok()?,
        partition: partition.parse().ok()?,
    };
    Some((name, task, label("role")?, value.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn lines_about_tasks_are_taken_and_others_passed_over() {
        let text = "# TYPE headwater_task_running gauge\n\
                    headwater_records_total 4\n\
                    headwater_task_running{task=\"0_1\",role=\"active\"} 1\n\
                    headwater_task_store_lag{task=\"0_1\",role=\"active\"} 0\n\
                    headwater_task_restored_percent{task=\"0_1\",role=\"active\"} 100\n\
                    headwater_task_running{task=\"1_0\",role=\"standby\"} 0\n\
                    headwater_task_store_lag{task=\"1_0\",role=\"standby\"} 7\n\
                    headwater_task_restored_percent{task=\"1_0\",role=\"standby\"} 93\n\
                    # EOF\n";
        let told = |is_running, store_lag, percent| Told {
            is_running,
            store_lag,
            restored_percent: Some(percent),
        };
        let task = |subtopology, partition| TaskId {
            subtopology,
            partition,
        };
        let expected = Tasks::from([
            ((task(0, 1), "active".into()), told(true, 0, 100)),
            ((task(1, 0), "standby".into()), told(false, 7, 93)),
        ]);
        assert_eq!(parse(text), expected);
    }

    /// Answers one request with these bytes, or with nothing until the asker goes.
    fn serve(answer: Option<&'static [u8]>) -> (String, std::thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            // All of the request: an end with unread bytes would reset the connection.
            let (mut request, mut byte) = (Vec::new(), [0]);
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
                request.push(byte[0]);
            }
            match answer {
                Some(answer) => stream.write_all(answer).unwrap(),
                None => _ = stream.read(&mut byte),
            }
        });
        (address, served)
    }

    #[test]
    fn who_does_not_answer_like_ours_is_named_with_the_reason() {
        let odd: [(Option<&'static [u8]>, &str); 6] = [
            (
                Some(b"HTTP/1.0 404 Not Found\r\n\r\nno"),
                "GET /metrics: HTTP/1.0 404 Not Found",
            ),
            (
                Some(b"HTTP/1.0 200 OK\r\n\r\nup 1\n"),
                "no instance of Headwater",
            ),
            (
                Some(b"SSH-2.0-OpenSSH_9.2\r\n"),
                "does not speak plain HTTP",
            ),
            (Some(b"\xff\xfe\r\n\r\n\x00"), "GET /metrics: "),
            (Some(b""), "does not speak plain HTTP"),
            (None, "no answer within 3000 ms"),
        ];
        let served: Vec<_> = odd.iter().map(|(answer, _)| serve(*answer)).collect();
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = nobody.local_addr().unwrap().to_string();
        drop(nobody);
        let asked: Vec<String> = served.iter().map(|(at, _)| at.clone()).collect();
        let named = BTreeSet::from([gone.clone(), "no port".to_owned()]);
        let clock = World::real().clock;
        let begun = clock.elapsed();
        let answers = Answers::of(&named, &asked);
        let took = clock.elapsed() - begun;
        assert_eq!(answers.silent.len(), odd.len() + 2, "{:?}", answers.silent);
        for ((at, _), (_, reason)) in served.iter().zip(odd) {
            assert!(answers.silent[at].contains(reason), "{:?}", answers.silent);
        }
        assert!(
            answers.silent[&gone].contains("refused"),
            "{:?}",
            answers.silent
        );
        assert!(
            answers.silent.contains_key("no port"),
            "{:?}",
            answers.silent
        );
        // In turn, two that are silent would take twice as long; a busy machine takes its time, too.
        assert!(took < Duration::from_secs(60), "{took:?}");
        for (_, served) in served {
            served.join().unwrap();
        }
    }

    #[test]
    fn whom_the_group_does_not_name_speaks_for_the_only_one_it_can_be() {
        let text =
            b"HTTP/1.0 200 OK\r\n\r\nheadwater_task_running{task=\"0_0\",role=\"active\"} 1\n";
        let (elsewhere, served) = serve(Some(text));
        let answers = Answers::of(&BTreeSet::new(), std::slice::from_ref(&elsewhere));
        served.join().unwrap();
        let task = TaskId {
            subtopology: 0,
            partition: 0,
        };
        let told = |role, is_only| answers.told(Some("inside:80"), task, role, is_only);
        assert!(told("active", true).is_some_and(|it| it.is_running));
        assert_eq!(told("active", false), None);
        assert_eq!(told("standby", true), None);
    }
}

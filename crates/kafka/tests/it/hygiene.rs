//! A count, exactly once, through a proxy that delays, splits and cuts. Not the runtime: its rules are followed here in the smallest
//! form, so that what fails is the client. Invariant: kcat reads every count once and in order, and nothing takes longer than its time.

use crate::broker::cluster;
use headwater_broker::{Cluster, Fault, Listener, Proxy, Weather, read_committed};
use headwater_kafka::Kafka;
use headwater_log::{
    AppendRecord, ChunkCursor, Client, ClientOptions, CommitRequest, CommittedOffset, Error, Fate,
    Guarantee, Log, NewTopic, Offset, Request, Response, TopicPartition, call,
};
use headwater_world::{Clock, World};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

const PARTITIONS: u32 = 2;
const RECORDS: usize = 3_000;
const KEYS: usize = 40;
/// Records in one commit.
const COMMIT_RECORDS: usize = 50;
/// Smaller than a batch of the input, so that each comes by itself.
const FETCH_BYTES_MAX: usize = 500;
/// ms that one request may take, lost answers and new connections included.
const CALL_MS_MAX: u64 = 60_000;
/// The whole count, on a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(240);

/// The proxies stand at the ports that the broker advertises, so one test at a time has them.
static PROXIES: Mutex<()> = Mutex::new(());

const PRODUCE: i16 = 0;
const INIT_PRODUCER_ID: i16 = 22;
const END_TXN: i16 = 26;
const TXN_OFFSET_COMMIT: i16 = 28;

#[test]
fn a_count_through_a_bad_network_is_exact() {
    let weather = Weather {
        delay_ms_max: 3,
        piece_bytes_max: 200,
        cuts_per_mille: 100,
    };
    for seed in [1, 2] {
        check(&format!("weather{seed}"), seed, |proxy| {
            proxy.weather(weather)
        });
    }
}

#[test]
fn a_count_that_loses_the_answers_of_a_commit_is_exact() {
    check("answers", 3, |proxy| {
        for _ in 0..3 {
            for api_key in [END_TXN, PRODUCE, TXN_OFFSET_COMMIT, INIT_PRODUCER_ID] {
                proxy.plan(api_key, Fault::LoseAnswer);
                proxy.plan(api_key, Fault::LoseRequest);
            }
        }
    });
}

#[test]
fn an_end_of_a_transaction_that_arrives_late_does_not_end_the_next() {
    check("late", 4, |proxy| {
        for ms in [50, 200, 500] {
            proxy.plan(END_TXN, Fault::DeliverLate { ms });
        }
    });
}

#[test]
fn a_broker_that_is_away_is_waited_for_without_work() {
    const AWAY: Duration = Duration::from_secs(4);
    /// Of the network thread while the broker is away, for its tries to connect.
    const CPU_MAX: Duration = Duration::from_millis(1_000);
    let Some(cluster) = cluster() else {
        return;
    };
    let _one_at_a_time = PROXIES
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let (name, topic) = ("hyg-away", "hygiene-away");
    let past = Kafka::at(&cluster.bootstrap()).unwrap();
    let mut admin = past.client(ClientOptions::default()).unwrap();
    let create = Request::CreateTopics(vec![NewTopic {
        name: topic.into(),
        partitions: PARTITIONS,
        config: BTreeMap::new(),
    }]);
    call(&mut *admin, &*clock(), create, CALL_MS_MAX).unwrap();
    let proxies = cluster.proxies(1).unwrap();
    let kafka = Kafka::at(&cluster.bootstrap_of(Listener::Proxied)).unwrap();
    let options = ClientOptions {
        client_id: name.to_owned(),
        ..ClientOptions::default()
    };
    let mut client = kafka.client(options).unwrap();
    let mut write = |is_away: bool| {
        for partition in 0..PARTITIONS {
            let slot = client.slot(&TopicPartition::new(topic.to_owned(), partition));
            let record = AppendRecord {
                timestamp: 1_000,
                key: Some(b"k"),
                value: Some(b"1"),
                ..AppendRecord::default()
            };
            client.append(slot, &record).unwrap();
        }
        if is_away {
            client.send_appended();
            let before = cpu_of(name);
            std::thread::sleep(AWAY);
            let used = cpu_of(name) - before;
            proxies.iter().for_each(|proxy| proxy.refuse(false));
            println!("{used:?} of CPU in {AWAY:?}");
            assert!(used < CPU_MAX, "{used:?} of CPU in {AWAY:?}");
        }
        let commit = Request::Commit(CommitRequest::default());
        call(&mut *client, &*clock(), commit, CALL_MS_MAX).unwrap();
    };
    write(false);
    for proxy in &proxies {
        proxy.refuse(true);
        proxy.cut_all();
    }
    write(true);
    assert_eq!(read_committed(cluster, topic).unwrap().len(), 4);
}

/// CPU of the network thread of the client with this id, in ticks of the kernel of 10 ms.
fn cpu_of(client_id: &str) -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let mut stats =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    let stat = stats
        .find(|stat| stat.contains(&format!("(kafka {client_id}")))
        .unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
    // Fields 14 and 15: in its own code and in the kernel's.
    let ticks: u64 = fields
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u64>().unwrap())
        .sum();
    Duration::from_millis(ticks * 10)
}

fn check(name: &str, seed: u64, spoil: impl Fn(&Proxy)) {
    let Some(cluster) = cluster() else {
        return;
    };
    let _one_at_a_time = PROXIES
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    println!("seed {seed}");
    let prefix = format!("hygiene-{name}");
    let input = format!("{prefix}-in");
    let output = format!("{prefix}-out");
    let expected = fill(cluster, &input, &output, seed);
    let proxies = cluster.proxies(seed).unwrap();
    let spoilt = Kafka::at(&cluster.bootstrap_of(Listener::Proxied)).unwrap();
    spoil(&proxies[0]);
    let begin = Instant::now();
    Count::new(spoilt, prefix, input, output.clone()).run(begin + DEADLINE);
    let (requests, cuts) = proxies[0].figures();
    println!(
        "{requests} requests, {cuts} cut, {} planned faults, {:?}",
        proxies[0].happened().len(),
        begin.elapsed()
    );
    assert!(cuts > 0 || !proxies[0].happened().is_empty());
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for record in read_committed(cluster, &output).unwrap() {
        let count = found.entry(record.key.clone()).or_default();
        *count += 1;
        assert_eq!(record.value, Some(count.to_string()), "{record:?}");
    }
    assert_eq!(found, expected);
}

fn clock() -> Arc<dyn Clock> {
    World::real().clock
}

/// Makes the topics and writes the input, past the proxy; what of it each key has.
fn fill(cluster: &Cluster, input: &str, output: &str, seed: u64) -> BTreeMap<String, usize> {
    let kafka = Kafka::at(&cluster.bootstrap()).unwrap();
    let mut client = kafka.client(ClientOptions::default()).unwrap();
    let topic = |name: &str| NewTopic {
        name: name.into(),
        partitions: PARTITIONS,
        config: BTreeMap::new(),
    };
    let create = Request::CreateTopics(vec![topic(input), topic(output)]);
    call(&mut *client, &*clock(), create, CALL_MS_MAX).unwrap();
    let mut expected: BTreeMap<String, usize> = BTreeMap::new();
    for number in 0..RECORDS {
        let key = (number * 7 + number * number * seed as usize) % KEYS;
        let partition = TopicPartition::new(input.to_owned(), key as u32 % PARTITIONS);
        let slot = client.slot(&partition);
        let key = format!("k{key}");
        let record = AppendRecord {
            timestamp: 1_000,
            key: Some(key.as_bytes()),
            value: Some(b"x"),
            ..AppendRecord::default()
        };
        client.append(slot, &record).unwrap();
        *expected.entry(key).or_default() += 1;
        // Small batches, so that there are many commits.
        if (number + 1) % COMMIT_RECORDS == 0 {
            let commit = Request::Commit(CommitRequest::default());
            call(&mut *client, &*clock(), commit, CALL_MS_MAX).unwrap();
        }
    }
    expected
}

/// Counts by key, with what is committed and what is not yet.
struct Count {
    kafka: Kafka,
    group: String,
    input: String,
    output: String,
    committed: BTreeMap<String, usize>,
}

/// Why a conversation starts over.
enum Again {
    /// With the same client, from the committed offsets.
    Replay,
    /// With another client.
    Anew,
}

impl Count {
    fn new(kafka: Kafka, group: String, input: String, output: String) -> Self {
        let committed = BTreeMap::new();
        Self {
            kafka,
            group,
            input,
            output,
            committed,
        }
    }

    fn run(mut self, until: Instant) {
        loop {
            let options = ClientOptions {
                client_id: self.group.clone(),
                guarantee: Guarantee::ExactlyOnce,
                transactional_id: Some(self.group.clone()),
                fetch_bytes_max: FETCH_BYTES_MAX,
                ..ClientOptions::default()
            };
            let mut client = self.kafka.client(options).unwrap();
            loop {
                match self.work(&mut *client, until) {
                    Ok(()) => return,
                    Err(Again::Replay) => {}
                    Err(Again::Anew) => break,
                }
                assert!(Instant::now() < until, "not done in time");
            }
        }
    }

    /// From the committed offsets to the end of the input.
    fn work(&mut self, client: &mut dyn Client, until: Instant) -> Result<(), Again> {
        let mut positions = self.positions(client)?;
        let ends = self.ends(client)?;
        for (partition, position) in &positions {
            let slot = client.slot(partition);
            client.read_from(slot, *position);
        }
        while positions
            .iter()
            .any(|(name, position)| *position < ends[name])
        {
            let mut counts = self.committed.clone();
            let mut records = 0;
            while records < COMMIT_RECORDS
                && positions
                    .iter()
                    .any(|(name, position)| *position < ends[name])
            {
                assert!(Instant::now() < until, "not done in time");
                client.poll();
                let chunk = match client.fetch() {
                    Ok(Some(chunk)) => chunk,
                    Ok(None) => {
                        std::thread::sleep(Duration::from_millis(1));
                        continue;
                    }
                    Err(error) => return Err(again(&error)),
                };
                let partition = chunk.partition.clone();
                let next = chunk.next_offset;
                let number = partition.partition;
                let slot = client.slot(&TopicPartition::new(self.output.clone(), number));
                let mut cursor = ChunkCursor::new(chunk);
                while let Some(record) = cursor.next_record().unwrap() {
                    let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                    let count = counts.entry(key.clone()).or_default();
                    *count += 1;
                    let value = count.to_string();
                    let record = AppendRecord {
                        timestamp: record.timestamp,
                        key: Some(key.as_bytes()),
                        value: Some(value.as_bytes()),
                        ..AppendRecord::default()
                    };
                    client
                        .append(slot, &record)
                        .map_err(|error| again(&error))?;
                    records += 1;
                }
                positions.insert(partition, next);
            }
            self.commit(client, &positions)?;
            self.committed = counts;
        }
        Ok(())
    }

    fn commit(
        &self,
        client: &mut dyn Client,
        positions: &BTreeMap<TopicPartition, Offset>,
    ) -> Result<(), Again> {
        let offsets = positions.iter();
        let request = CommitRequest {
            group: Some(self.group.as_str().into()),
            member: None,
            offsets: offsets
                .map(|(name, position)| (name.clone(), CommittedOffset::at(*position)))
                .collect(),
        };
        let mut outcome = call(client, &*clock(), Request::Commit(request), CALL_MS_MAX);
        loop {
            match outcome {
                Ok(Response::Receipt(_)) => return Ok(()),
                Ok(Response::Aborted) => return Err(Again::Replay),
                Ok(other) => panic!("{other:?}"),
                Err(Error::UnknownOutcome | Error::TimedOut(_)) => {
                    outcome = call(client, &*clock(), Request::Settle, CALL_MS_MAX);
                }
                Err(error) => return Err(again(&error)),
            }
        }
    }

    fn positions(
        &self,
        client: &mut dyn Client,
    ) -> Result<BTreeMap<TopicPartition, Offset>, Again> {
        let request = Request::CommittedOffsets {
            group: self.group.as_str().into(),
            partitions: None,
        };
        let mut positions: BTreeMap<_, _> = self.partitions().map(|name| (name, 0)).collect();
        match call(client, &*clock(), request, CALL_MS_MAX) {
            Ok(Response::Committed(found)) => {
                positions.extend(found.into_iter().map(|(name, found)| (name, found.offset)));
                Ok(positions)
            }
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(again(&error)),
        }
    }

    fn ends(&self, client: &mut dyn Client) -> Result<BTreeMap<TopicPartition, Offset>, Again> {
        let wanted = self.partitions();
        let wanted = wanted.map(|name| (name, headwater_log::OffsetSpec::Stable));
        match call(
            client,
            &*clock(),
            Request::Offsets(wanted.collect()),
            CALL_MS_MAX,
        ) {
            Ok(Response::Offsets(found)) => Ok(found.into_iter().collect()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(again(&error)),
        }
    }

    fn partitions(&self) -> impl Iterator<Item = TopicPartition> {
        let input = self.input.clone();
        (0..PARTITIONS).map(move |number| TopicPartition::new(input.clone(), number))
    }
}

#[track_caller]
fn again(error: &Error) -> Again {
    match error.fate() {
        Fate::Retry => Again::Replay,
        Fate::Fence => Again::Anew,
        Fate::Fatal => panic!("{error}"),
    }
}

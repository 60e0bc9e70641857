//! Packed batches between us and librdkafka (kcat), through a broker and in both directions. Not the codecs' own tests, which know
//! Java's bytes. Invariant: Kafka's own tool says that the batches on the broker's disk are packed, and with which codec.

use crate::broker::cluster;
use headwater_broker::{Cluster, read_committed, tool};
use headwater_kafka::Kafka;
use headwater_log::{
    AppendRecord, ChunkCursor, Client, ClientOptions, CommitRequest, Guarantee, HeadersRef, Log,
    NewTopic, Request, TopicPartition, call,
};
use headwater_world::World;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const CODECS: [&str; 4] = ["gzip", "snappy", "lz4", "zstd"];
const RECORDS: usize = 300;
const CALL_MS_MAX: u64 = 60_000;
const READ_DEADLINE: Duration = Duration::from_secs(120);

fn topic(codec: &str) -> String {
    format!("packed-{codec}")
}

/// Text that every codec makes smaller.
fn values(who: &str) -> Vec<String> {
    let value = |number| format!("{who} {number} {}", "the same again and ".repeat(20));
    (0..RECORDS).map(value).collect()
}

fn client(cluster: &Cluster, codec: &str) -> Box<dyn Client> {
    let kafka = Kafka::at(&cluster.bootstrap()).unwrap();
    let kafka = kafka.with("compression.type", codec).unwrap();
    let options = ClientOptions {
        guarantee: Guarantee::ExactlyOnce,
        transactional_id: Some(topic(codec)),
        ..ClientOptions::default()
    };
    kafka.client(options).unwrap()
}

/// In two transactions, so that a batch is not all there is.
fn write(client: &mut dyn Client, topic: &str, values: &[String]) {
    let clock = World::real().clock;
    let new = NewTopic {
        name: topic.into(),
        partitions: 1,
        config: BTreeMap::new(),
    };
    call(
        client,
        &*clock,
        Request::CreateTopics(vec![new]),
        CALL_MS_MAX,
    )
    .unwrap();
    let slot = client.slot(&TopicPartition::new(topic, 0));
    for half in values.chunks(RECORDS / 2) {
        for value in half {
            let record = AppendRecord {
                // Of the day: an older one would make the broker begin a segment with each marker.
                timestamp: clock.now_ms(),
                key: Some(b"key"),
                value: Some(value.as_bytes()),
                headers: HeadersRef::NONE,
            };
            client.append(slot, &record).unwrap();
        }
        let commit = Request::Commit(CommitRequest::default());
        call(client, &*clock, commit, CALL_MS_MAX).unwrap();
    }
}

fn read(client: &mut dyn Client, topic: &str, records: usize) -> Vec<String> {
    let slot = client.slot(&TopicPartition::new(topic, 0));
    client.read_from(slot, 0);
    let (begin, mut found) = (Instant::now(), Vec::new());
    while found.len() < records {
        assert!(begin.elapsed() < READ_DEADLINE, "{topic}: {}", found.len());
        client.poll();
        let Some(chunk) = client.fetch().unwrap() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let mut cursor = ChunkCursor::new(chunk);
        while let Some(record) = cursor.next_record().unwrap() {
            let value = record.value.unwrap().to_vec();
            found.push(String::from_utf8(value).unwrap());
        }
    }
    client.stop_reading(slot);
    found
}

/// False where there is no kcat.
fn write_by_kcat(cluster: &Cluster, topic: &str, codec: &str, values: &[String]) -> bool {
    let mut kcat = Command::new("kcat");
    kcat.args(["-P", "-b", &cluster.bootstrap(), "-t", topic, "-z", codec]);
    kcat.args(["-X", "linger.ms=500"]).stdin(Stdio::piped());
    let Ok(mut kcat) = kcat.spawn() else {
        return false;
    };
    let mut input = kcat.stdin.take().unwrap();
    input.write_all(values.join("\n").as_bytes()).unwrap();
    drop(input);
    assert!(kcat.wait().unwrap().success(), "{topic}");
    true
}

/// The codecs of a topic's batches on the broker's disk, without markers.
fn codecs_on_disk(folder: &Path, topic: &str) -> Vec<String> {
    let class_path = headwater_broker::class_path(headwater_broker::VERSIONS[0]).unwrap();
    let segment = format!("{topic}-0/00000000000000000000.log");
    let mut dump = tool(&class_path, "dump-log").unwrap();
    let output = dump.arg("--files").arg(folder.join(segment)).output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    let batches = text
        .lines()
        .filter(|line| line.contains("isControl: false"));
    let codec = batches.map(|line| line.split("compresscodec: ").nth(1).unwrap());
    codec
        .map(|rest| rest.split_whitespace().next().unwrap().to_owned())
        .collect()
}

/// Where a broker keeps its partitions, by its own word.
fn data_folder(cluster: &Cluster) -> String {
    let told = cluster
        .tool("org.apache.kafka.tools.LogDirsCommand", &["--describe"])
        .unwrap();
    let rest = told.split("\"logDir\":\"").nth(1).unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[test]
fn batches_of_every_codec_pass_between_us_and_librdkafka_in_both_directions() {
    let Some(cluster) = cluster() else { return };
    let folder = data_folder(cluster);
    for codec in CODECS {
        let topic = topic(codec);
        let mut client = client(cluster, codec);
        let ours = values("ours");
        write(&mut *client, &topic, &ours);
        let found = read_committed(cluster, &topic).unwrap();
        let found: Vec<_> = found.into_iter().filter_map(|it| it.value).collect();
        assert_eq!(found, ours, "{codec}");
        let theirs = values("theirs");
        let mut all = ours;
        if write_by_kcat(cluster, &topic, codec, &theirs) {
            all.extend(theirs);
        }
        assert_eq!(read(&mut *client, &topic, all.len()), all, "{codec}");
        let on_disk = codecs_on_disk(Path::new(&folder), &topic);
        assert!(on_disk.len() >= 2, "{codec}: {on_disk:?}");
        assert!(on_disk.iter().all(|it| it == codec), "{codec}: {on_disk:?}");
        println!("{codec}: {} batches", on_disk.len());
    }
}

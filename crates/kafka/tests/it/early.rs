//! What a client sends before it commits. Not how often the runtime asks for it.
//! Invariant: only at least once does a reader see what no commit has covered.

use crate::broker::kafka;
use headwater_log::{
    AppendRecord, ChunkCursor, Client, ClientOptions, CommitRequest, Guarantee, HeadersRef, Log,
    NewTopic, Request, Response, Slot, TopicConfig, TopicPartition, call,
};
use headwater_world::World;
use std::time::{Duration, Instant};

/// On a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(60);

#[test]
fn at_least_once_a_reader_sees_what_was_sent_ahead_of_the_commit() {
    let Some(kafka) = kafka() else {
        return;
    };
    let topic = format!("early-{}", std::process::id());
    let clock = World::real().clock;
    let mut writer = kafka.client(options()).unwrap();
    let new = NewTopic {
        name: topic.clone(),
        partitions: 1,
        config: TopicConfig::default(),
    };
    let created = call(
        &mut *writer,
        &*clock,
        Request::CreateTopics(vec![new]),
        DEADLINE.as_millis() as u64,
    );
    created.unwrap();
    let partition = TopicPartition::new(topic.as_str(), 0);
    let slot = writer.slot(&partition);
    append(&mut *writer, slot, b"ahead");
    assert!(writer.holds_back());
    writer.send_appended();
    assert!(!writer.holds_back());
    assert_eq!(first_value(&kafka, &partition), b"ahead");
    // The commit covers both what was sent and what was not.
    append(&mut *writer, slot, b"with it");
    let commit = Request::Commit(CommitRequest::default());
    let done = call(&mut *writer, &*clock, commit, DEADLINE.as_millis() as u64);
    let Response::Receipt(receipt) = done.unwrap() else {
        panic!("a commit answers with a receipt");
    };
    assert_eq!(receipt.ends, [(partition, 2)]);
}

fn options() -> ClientOptions {
    ClientOptions {
        guarantee: Guarantee::AtLeastOnce,
        ..ClientOptions::default()
    }
}

fn append(writer: &mut dyn Client, slot: Slot, value: &[u8]) {
    let record = AppendRecord {
        timestamp: 1,
        key: None,
        value: Some(value),
        headers: HeadersRef::NONE,
    };
    writer.append(slot, &record).unwrap();
}

fn first_value(kafka: &dyn Log, partition: &TopicPartition) -> Vec<u8> {
    let mut reader = kafka.client(options()).unwrap();
    let slot = reader.slot(partition);
    reader.read_from(slot, 0);
    let begin = Instant::now();
    loop {
        assert!(begin.elapsed() < DEADLINE, "nothing came");
        reader.poll();
        let Some(chunk) = reader.fetch().unwrap() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        let mut cursor = ChunkCursor::new(chunk);
        if let Some(record) = cursor.next_record().unwrap() {
            return record.value.unwrap().to_vec();
        }
    }
}

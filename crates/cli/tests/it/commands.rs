//! Every command that reads, on a sound directory that nobody holds. Not damage, not resets.
//! Invariant: what a command prints is written here as it is.

use crate::fixture::{check, check_error, counts, directory, json, loaded, open, run, spawn};
use serde_json::json;
use std::{io::Read, path::Path};

#[test]
fn topics_lists_topics_with_their_sizes() {
    let dir = loaded();
    let expected = "\
TOPIC                    PARTITIONS  RECORDS  BYTES  CLEANUP.POLICY  ID
counts                            1        0      0  delete          ID
lines                             2        4    182  delete          ID
loader-source-positions           1        1     80  compact         ID
mixed                             1        4    155  compact         ID
";
    check(dir.path(), &["topics"], expected);
    let topics = json(dir.path(), &["topics"]);
    let lines = json!({
        "topic": "lines", "partitions": 2, "records": 4, "records_exact": true,
        "bytes": 182, "cleanup_policy": "delete", "id": "ID",
    });
    assert_eq!(topics[1], lines);
}

#[test]
fn describe_shows_partitions_files_and_settings() {
    let dir = loaded();
    let expected = "\
topic           lines
id              ID
cleanup.policy  delete

PARTITION  START  END  RECORDS  SEGMENTS  BYTES  FIRST                     LAST
        0      0    3        3         1    110  2023-11-14T22:13:20.000Z  2023-11-14T22:13:22.000Z
        1      0    1        1         1     72  2023-11-14T22:13:23.000Z  2023-11-14T22:13:23.000Z
";
    check(dir.path(), &["describe", "lines"], expected);
    let expected = "\
topic           counts
id              ID
cleanup.policy  delete
retention.ms    86400000

PARTITION  START  END  RECORDS  SEGMENTS  BYTES  FIRST  LAST
        0      0    0        0         0      0  -      -
";
    check(dir.path(), &["describe", "counts"], expected);
    let mixed = json(dir.path(), &["describe", "mixed"]);
    assert_eq!(mixed["config"], json!({ "cleanup.policy": "compact" }));
    let partition = &mixed["partitions"][0];
    assert_eq!(partition["end"], 4);
    assert_eq!(partition["last_timestamp"], 1_700_000_000_003_i64);
    let file = "DIR/topics/mixed-0/00000000000000000000.log";
    assert_eq!(partition["segments"][0]["path"], file);
    assert_eq!(partition["segments"][0]["bytes"], 155);
}

#[test]
fn tail_merges_partitions_by_timestamp() {
    let dir = loaded();
    let expected = "\
0:0  2023-11-14T22:13:20.000Z  a  the quick fox
0:1  2023-11-14T22:13:21.000Z  b  the end
0:2  2023-11-14T22:13:22.000Z  c  fox
1:0  2023-11-14T22:13:23.000Z  d  end
";
    check(dir.path(), &["tail", "lines"], expected);
    let all: Vec<&str> = expected.split_inclusive('\n').collect();
    for (arguments, expected) in [
        (&["--from", "start", "--count", "2"][..], all[..2].concat()),
        (&["--from", "time:1700000002000"], all[2..].concat()),
        (&["--partition", "1"], all[3].to_owned()),
        (&["--partition", "0", "--from", "2"], all[2].to_owned()),
        (&["--from", "-1"], all[2..].concat()),
        (&["--from", "end"], String::new()),
        (
            &["--follow", "--from", "start", "--count", "4"],
            all.concat(),
        ),
    ] {
        check(
            dir.path(),
            &[&["tail", "lines"], arguments].concat(),
            &expected,
        );
    }
}

#[test]
fn tail_shows_bytes_as_what_they_are_or_as_asked() {
    let dir = loaded();
    let expected = r"0:0  2023-11-14T22:13:20.000Z  7  {'a':[1]}
0:1  2023-11-14T22:13:20.001Z  text  two\nlines  {source=test, empty=(null)}
0:2  2023-11-14T22:13:20.002Z  0xff00  7
0:3  2023-11-14T22:13:20.003Z  text  (null)
"
    .replace('\'', "\"");
    check(dir.path(), &["tail", "mixed"], &expected);
    let expected = "\
0:2  2023-11-14T22:13:20.002Z  0xff00  7
0:3  2023-11-14T22:13:20.003Z  0x74657874  (null)
";
    let arguments = [
        "tail", "mixed", "--keys", "hex", "--values", "u64", "--from", "2",
    ];
    check(dir.path(), &arguments, expected);
    let arguments = [
        "tail", "mixed", "--keys", "i64", "--count", "1", "--values", "json",
    ];
    let record = json(dir.path(), &arguments);
    let expected = json!({
        "partition": 0, "offset": 0, "timestamp": 1_700_000_000_000_i64,
        "key": 7, "value": { "a": [1] }, "headers": [],
    });
    assert_eq!(record, expected);
    let record = json(
        dir.path(),
        &["tail", "mixed", "--from", "1", "--count", "1"],
    );
    assert_eq!(
        record["headers"],
        json!([{ "key": "source", "value": "test" }, { "key": "empty", "value": null }])
    );
}

#[test]
fn groups_and_lag_show_what_an_application_committed() {
    let dir = directory();
    let expected = "\
GROUP       MEMBERS  PARTITIONS COMMITTED  LAG
word-count        0                     4    0
";
    check(dir.path(), &["groups"], expected);
    let expected = "\
GROUP       TOPIC                               PARTITION  COMMITTED  END  LAG
word-count  lines                                       0          3    3    0
word-count  lines                                       1          1    1    0
word-count  word-count-word-counts-repartition          0          4    4    0
word-count  word-count-word-counts-repartition          1          3    3    0
word-count  total                                       -          -    -    0
";
    check(dir.path(), &["lag"], expected);
    check(dir.path(), &["lag", "word-count"], expected);
    let groups = json(dir.path(), &["groups"]);
    let group = json!({ "group": "word-count", "members": 0, "partitions_committed": 4, "lag": 0 });
    assert_eq!(groups, json!([group]));
    let lag = json(dir.path(), &["lag", "word-count"]);
    let first = json!({ "topic": "lines", "partition": 0, "committed": 3, "end": 3, "lag": 0 });
    assert_eq!(lag[0]["partitions"][0], first);
    assert_eq!(counts(dir.path()), ["end 2", "fox 2", "quick 1", "the 2"]);
}

#[test]
fn verify_counts_what_it_walked() {
    let dir = loaded();
    let expected = "\
partitions    5
segments      4
batches       4
records       9
bytes       417
sound
";
    check(dir.path(), &["verify"], expected);
    let report = json(dir.path(), &["verify"]);
    assert_eq!(report["sound"], true);
    assert_eq!(report["records"], 9);
    assert_eq!(report["findings"], json!([]));
}

#[test]
fn an_error_is_one_line_that_names_the_way_out() {
    let dir = loaded();
    let data = dir.path();
    let there = "counts, lines, loader-source-positions, mixed";
    let no_topic = format!("headwater: topic 'line' does not exist in DIR; there is {there}");
    check_error(data, &["describe", "line"], 1, &no_topic);
    check_error(data, &["tail", "line"], 1, &no_topic);
    let no_partition = "headwater: topic 'lines' has no partition 2; it has 0 to 1";
    check_error(
        data,
        &["tail", "lines", "--partition", "2"],
        1,
        no_partition,
    );
    let no_offset = "headwater: counts-0 has no offset 7; it holds 0 to 0";
    check_error(data, &["tail", "counts", "--from", "7"], 1, no_offset);
    let no_group = "headwater: group 'x' does not exist in DIR; there is none";
    check_error(data, &["lag", "x"], 1, no_group);
    let no_log = "headwater: DIR holds no log; name its directory with --data DIR";
    for command in [&["topics"][..], &["verify"], &["reset", "x", "--yes"]] {
        check_error(&data.join("topics"), command, 1, no_log);
        check_error(Path::new("/nowhere/at/all"), command, 1, no_log);
    }
    for usage in [&["tail"][..], &["tail", "lines", "--from", "x"], &["fly"]] {
        assert_eq!(run(data, usage).code, Some(2), "{usage:?}");
    }
}

#[test]
fn a_reader_that_leaves_is_no_failure() {
    let dir = loaded();
    let mut child = spawn(
        dir.path(),
        &["tail", "lines", "--from", "start", "--follow"],
    );
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 3]).unwrap();
    drop(out);
    let log = open(dir.path());
    let mut writer = log.source_writer("loader", "later").unwrap();
    let (key, line) = ("e".to_owned(), "more".to_owned());
    writer.append("lines", &key, &line, 0).unwrap();
    writer.commit(1).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
    assert_eq!(ended.status.code(), Some(0));
}

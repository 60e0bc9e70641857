//! What a topic holds according to somebody else: kcat (librdkafka) where it is installed, else Kafka's console consumer.
//! Not a client of ours: it is the judge. Invariant: only committed records, from the first offset to the end as of the start.

use crate::{Cluster, process};
use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};

/// A record whose key and value are text without tabs and line ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The partition.
    pub partition: u32,
    /// The offset.
    pub offset: i64,
    /// The key; a null key is empty.
    pub key: String,
    /// The value; `None` is null.
    pub value: Option<String>,
}

/// What stands for a null value.
const NULL: &str = "NULL";

/// ms without a record after which the console consumer takes the topic to be at its end.
const SILENCE_MS: &str = "5000";

/// Every committed record of a topic, by partition and offset.
pub fn read_committed(cluster: &Cluster, topic: &str) -> Result<Vec<Record>> {
    let text = match has_kcat() {
        true => kcat(cluster, topic)?,
        false => console_consumer(cluster, topic)?,
    };
    let mut records = text.lines().map(parse).collect::<Result<Vec<_>>>()?;
    records.sort_by_key(|record| (record.partition, record.offset));
    Ok(records)
}

fn has_kcat() -> bool {
    let mut kcat = Command::new("kcat");
    let kcat = kcat.arg("-V").stdout(Stdio::null()).stderr(Stdio::null());
    kcat.status().is_ok_and(|status| status.success())
}

fn kcat(cluster: &Cluster, topic: &str) -> Result<String> {
    let mut kcat = Command::new("kcat");
    kcat.args(["-b", &cluster.bootstrap(), "-C", "-t", topic, "-e", "-q"]);
    kcat.args(["-o", "beginning", "-X", "isolation.level=read_committed"]);
    // Every CRC is checked: the batches are ours.
    kcat.args(["-X", "check.crcs=true", "-Z"]);
    kcat.args(["-f", "%p\\t%o\\t%k\\t%s\\n"]);
    Ok(String::from_utf8(process::output(&mut kcat)?)?)
}

fn console_consumer(cluster: &Cluster, topic: &str) -> Result<String> {
    let property = |name: &str| format!("print.{name}=true");
    let printed = ["partition", "offset", "key"].map(property);
    let mut arguments = vec!["--topic", topic, "--from-beginning"];
    arguments.extend(["--isolation-level", "read_committed"]);
    arguments.extend(["--timeout-ms", SILENCE_MS]);
    for property in &printed {
        arguments.extend(["--property", property]);
    }
    arguments.extend(["--property", "null.literal=NULL"]);
    let text = cluster.tool("console-consumer", &arguments)?;
    Ok(text.replace("Partition:", "").replace("Offset:", ""))
}

fn parse(line: &str) -> Result<Record> {
    let fields: Vec<_> = line.split('\t').collect();
    let [partition, offset, key, value] = fields[..] else {
        bail!("`{line}` is not a partition, an offset, a key and a value");
    };
    let shown = || format!("`{line}`");
    Ok(Record {
        partition: partition.parse().with_context(shown)?,
        offset: offset.parse().with_context(shown)?,
        key: if key == NULL {
            String::new()
        } else {
            key.to_owned()
        },
        value: (value != NULL).then(|| value.to_owned()),
    })
}

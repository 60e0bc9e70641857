//! `headwater lag`: how many offsets lie between what a group has committed and the ends. Not a rate, and not a time.
//! Invariant: the total is the sum of the rows shown.

use crate::{data::Data, place::Place, table::Table};
use anyhow::Result;
use headwater::log::{CommittedOffset, Offset, TopicPartition};
use serde_json::{Value, json};
use std::io::Write;

/// Where a group stands in one partition.
pub(crate) struct Position {
    partition: TopicPartition,
    committed: Offset,
    /// `None` when the partition is no more.
    end: Option<Offset>,
}

impl Position {
    /// Offsets to go; 0 where the end lies before the position, as after a topic was created anew.
    fn lag(&self) -> i64 {
        self.end.map_or(0, |end| (end - self.committed).max(0))
    }
}

/// Where a group stands, by partition.
pub(crate) fn positions(data: &mut Data, group: &str) -> Result<Vec<Position>> {
    let committed = data.committed(group)?;
    let ends = data.ends(committed.iter().map(|(partition, _)| partition))?;
    let position = |(partition, committed): (TopicPartition, CommittedOffset)| Position {
        end: ends.get(&partition).copied(),
        committed: committed.offset,
        partition,
    };
    Ok(committed.into_iter().map(position).collect())
}

/// Offsets to go in all partitions.
pub(crate) fn total(positions: &[Position]) -> i64 {
    positions.iter().map(Position::lag).sum()
}

pub(crate) fn run(
    place: &Place,
    group: Option<&str>,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let mut data = Data::open(place)?;
    let mut groups = Vec::new();
    for group in data.groups_named(group)? {
        let positions = positions(&mut data, &group.group)?;
        groups.push((group.group, positions));
    }
    if as_json {
        let groups: Vec<Value> = groups.iter().map(|(group, it)| json(group, it)).collect();
        writeln!(out, "{:#}", Value::from(groups))?;
        return Ok(());
    }
    let mut table = Table::new(&["GROUP", "TOPIC", ">PARTITION", ">COMMITTED", ">END", ">LAG"]);
    for (group, positions) in &groups {
        for position in positions {
            table.row(vec![
                group.to_string(),
                position.partition.topic.to_string(),
                position.partition.partition.to_string(),
                position.committed.to_string(),
                position.end.map_or("gone".into(), |end| end.to_string()),
                position.lag().to_string(),
            ]);
        }
        let dash = || "-".to_owned();
        table.row(vec![
            group.to_string(),
            "total".into(),
            dash(),
            dash(),
            dash(),
            total(positions).to_string(),
        ]);
    }
    Ok(table.print(out)?)
}

fn json(group: &str, positions: &[Position]) -> Value {
    let rows = positions.iter().map(|position| {
        json!({
            "topic": &*position.partition.topic,
            "partition": position.partition.partition,
            "committed": position.committed,
            "end": position.end,
            "lag": position.lag(),
        })
    });
    json!({ "group": group, "partitions": rows.collect::<Vec<_>>(), "lag": total(positions) })
}

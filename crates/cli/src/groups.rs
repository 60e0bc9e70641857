//! `headwater groups`: who reads what. Not the positions: see `lag`.
//! Invariant: members of an embedded log live in the process that holds it, so that beside it their number is unknown, never 0.

use crate::{data::Data, holder::Holder, lag, place::Place, table::Table};
use anyhow::Result;
use headwater::Kafka;
use serde_json::{Value, json};
use std::{io::Write, path::Path};

pub(crate) fn run(place: &Place, as_json: bool, out: &mut dyn Write) -> Result<()> {
    match place {
        Place::Dir(dir) => of_directory(place, dir, as_json, out),
        Place::Kafka(kafka) => of_cluster(place, kafka, as_json, out),
    }
}

fn of_directory(place: &Place, dir: &Path, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let mut data = Data::open(place)?;
    let holder = Holder::of(dir);
    let members = (holder == Holder::Nobody).then_some(0);
    let mut table = Table::new(&["GROUP", ">MEMBERS", ">PARTITIONS COMMITTED", ">LAG"]);
    let mut groups = Vec::new();
    for group in data.groups()? {
        let positions = lag::positions(&mut data, &group.group)?;
        let lag = lag::total(&positions);
        table.row(vec![
            group.group.to_string(),
            members.map_or("?".into(), |members: usize| members.to_string()),
            positions.len().to_string(),
            lag.to_string(),
        ]);
        groups.push(json!({
            "group": &*group.group,
            "members": members,
            "partitions_committed": positions.len(),
            "lag": lag,
        }));
    }
    if as_json {
        writeln!(out, "{:#}", Value::from(groups))?;
        return Ok(());
    }
    table.print(out)?;
    if members.is_none() {
        writeln!(
            out,
            "\nMembers are known to {holder} only, which has the log open."
        )?;
    }
    Ok(())
}

fn of_cluster(place: &Place, kafka: &Kafka, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let mut data = Data::open(place)?;
    let mut table = Table::new(&[
        "GROUP",
        "KIND",
        "STATE",
        "ASSIGNOR",
        ">MEMBERS",
        ">PARTITIONS COMMITTED",
        ">LAG",
    ]);
    let mut groups = Vec::new();
    for group in kafka.describe_groups(None)? {
        let positions = lag::positions(&mut data, &group.group)?;
        let lag = lag::total(&positions);
        let (members, committed) = (group.members.len(), positions.len());
        groups.push(json!({
            "group": group.group,
            "kind": group.kind,
            "state": group.state,
            "assignor": group.assignor,
            "members": members,
            "partitions_committed": committed,
            "lag": lag,
        }));
        table.row(vec![
            group.group,
            group.kind,
            group.state,
            group.assignor.unwrap_or_else(|| "-".into()),
            members.to_string(),
            committed.to_string(),
            lag.to_string(),
        ]);
    }
    match as_json {
        true => writeln!(out, "{:#}", Value::from(groups))?,
        false => table.print(out)?,
    }
    Ok(())
}

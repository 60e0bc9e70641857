//! `headwater groups`: who reads what. Not the positions: see `lag`.
//! Invariant: members live in the process that holds the log, so that beside it their number is unknown, never 0.

use crate::{data::Data, holder::Holder, lag, table::Table};
use anyhow::Result;
use serde_json::{Value, json};
use std::{io::Write, path::Path};

pub(crate) fn run(dir: &Path, as_json: bool, out: &mut dyn Write) -> Result<()> {
    let mut data = Data::open(dir)?;
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

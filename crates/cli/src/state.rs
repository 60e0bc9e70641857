//! `headwater state`: the tasks of a group, who has them in which role, how far they are committed and what their changelogs hold.
//! Not the stores, which are in the processes. Invariant: what no broker tells is shown as `?`, with the reason below.

mod ask;
mod task;

use crate::{data::Data, place::Place, table::Table, topology::described};
use anyhow::{Result, bail};
use ask::Answers;
use headwater::GroupDescription;
use serde_json::{Value, json};
use std::io::Write;
use task::{Holding, Task};

/// Said below the rows.
const NOT_TOLD: &str = "RESTORED is ? where nobody tells it. How far a member's stores have come is not told by brokers (4.3 refuses the \
                        task offsets of KIP-1071), but by instances themselves, at /metrics of their application.server, which members of \
                        a streams group name, or of --ask HOST:PORT. CHANGELOG is what a store restored anew reads.";
const NO_INPUTS: &str = "POSITION and LAG are ?: this group's broker does not tell which partitions a task reads; see `lag`.";

pub(crate) fn run(
    place: &Place,
    group: &str,
    ask: &[String],
    as_json: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let group = described(place.kafka()?, group)?;
    if group.topology.is_none() && !group.members.iter().any(|it| it.tasks.is_some()) {
        bail!("{}", without_tasks(&group));
    }
    let mut data = Data::open(place)?;
    let mut tasks = task::tasks(&mut data, &group)?;
    let named = group.members.iter().filter_map(|it| it.endpoint.clone());
    let answers = Answers::of(&named.collect(), ask);
    task::fill_in(&mut tasks, &answers);
    if as_json {
        let json = json!({
            "group": group.group,
            "kind": group.kind,
            "state": group.state,
            "epoch": group.epoch,
            "tasks": tasks.iter().map(json).collect::<Vec<_>>(),
            "silent": answers.silent.iter().map(|(endpoint, reason)| json!({ "endpoint": endpoint, "reason": reason })).collect::<Vec<_>>(),
        });
        return Ok(writeln!(out, "{json:#}")?);
    }
    let mut table = Table::new(&[
        "TASK",
        "ROLE",
        "CHANGE",
        "MEMBER",
        "CLIENT",
        "POSITION",
        ">LAG",
        ">CHANGELOG",
        ">RESTORED",
    ]);
    for task in &tasks {
        for row in rows(task) {
            table.row(row);
        }
    }
    table.print(out)?;
    if tasks.iter().any(Task::is_open) {
        writeln!(out, "\n{NOT_TOLD}")?;
    }
    for (endpoint, reason) in &answers.silent {
        writeln!(out, "{endpoint} does not tell: {reason}")?;
    }
    if tasks.iter().any(|task| task.inputs.is_none()) {
        writeln!(out, "\n{NO_INPUTS}")?;
    }
    Ok(())
}

fn without_tasks(group: &GroupDescription) -> String {
    let GroupDescription {
        group: name,
        kind,
        state,
        ..
    } = group;
    match (group.members.is_empty(), kind.as_str()) {
        (true, _) => {
            format!("{kind} group '{name}' has no members, so nobody holds a task; see `lag`")
        }
        (false, "classic") if state != "Stable" => {
            format!(
                "group '{name}' is rebalancing ({state}): its tasks are told when that has ended"
            )
        }
        (false, _) => format!("{kind} group '{name}' has partitions, not tasks; see `lag`"),
    }
}

/// One row for each who holds the task, and one for a task that nobody processes.
fn rows(task: &Task) -> Vec<Vec<String>> {
    let unknown = || "?".to_owned();
    let position = |input: &task::Input| {
        let committed = input.committed.map_or("-".into(), |it| it.to_string());
        format!("{}:{committed}/{}", input.partition.topic, input.end)
    };
    let positions = task.inputs.as_ref().map(|inputs| {
        let inputs: Vec<_> = inputs.iter().map(position).collect();
        inputs.join(" ")
    });
    let lag = task.lag().map_or_else(unknown, |lag| lag.to_string());
    let changelog = match task.has_stores {
        Some(true) => task.changelog_offsets().to_string(),
        Some(false) => "-".into(),
        None => unknown(),
    };
    let restored = |restored: Option<u32>| match task.has_stores {
        Some(false) => "-".into(),
        _ => restored.map_or_else(unknown, |it| format!("{it}%")),
    };
    let row = |who: [&str; 4], position: &str, lag: &str, restored: String| {
        let mut row = vec![task.id.to_string()];
        row.extend(who.map(str::to_owned));
        row.extend([position.into(), lag.into(), changelog.clone(), restored]);
        row
    };
    let position = positions.as_deref().unwrap_or("?");
    let mut rows = Vec::new();
    if !task.holdings.iter().any(|it| it.role == "active") {
        let who = ["nobody", "-", "-", "-"];
        rows.push(row(who, position, &lag, restored(task.restored())));
    }
    for holding in &task.holdings {
        let who: [&str; 4] = [
            holding.role,
            holding.change,
            &holding.member,
            &holding.client,
        ];
        let restored = restored(task.restored_at(holding));
        rows.push(match (holding.role, &holding.told) {
            ("active", _) => row(who, position, &lag, restored),
            // One that only follows is behind by what its stores are behind.
            (_, Some(told)) => row(who, "-", &told.store_lag.to_string(), restored),
            (_, None) => row(who, "-", "-", restored),
        });
    }
    rows
}

fn json(task: &Task) -> Value {
    let holding = |it: &Holding| {
        let told = it.told.as_ref();
        json!({
            "endpoint": it.endpoint,
            "running": told.map(|it| it.is_running),
            "store_lag": told.map(|it| it.store_lag),
            "restored_percent": task.restored_at(it),
            "role": it.role,
            "change": it.change,
            "member": it.member,
            "client": it.client,
            "host": it.host,
            "process": it.process,
        })
    };
    let input = |it: &task::Input| {
        json!({
            "topic": &*it.partition.topic,
            "partition": it.partition.partition,
            "committed": it.committed,
            "end": it.end,
        })
    };
    let changelog = |(at, start, end): &task::Changelog| json!({ "topic": &*at.topic, "partition": at.partition, "start": start, "end": end });
    let inputs = task.inputs.as_ref();
    json!({
        "task": task.id.to_string(),
        "holders": task.holdings.iter().map(holding).collect::<Vec<_>>(),
        "inputs": inputs.map(|it| it.iter().map(input).collect::<Vec<_>>()),
        "lag": task.lag(),
        "changelogs": task.changelogs.iter().map(changelog).collect::<Vec<_>>(),
        "restored_percent": task.restored(),
    })
}

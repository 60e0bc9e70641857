//! `headwater reset`: lets an application begin anew. Not for a running one. The work is `headwater::reset`'s.
//! Invariant: the log is held from the plan to its end, so that what was shown is what is done.

use crate::{args::Reset, data::Data, data::names, holder::Holder};
use anyhow::{Result, bail};
use headwater::log::{Client, ClientOptions};
use headwater::{EmbeddedLog, ResetPlan, world::World};
use serde_json::json;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
};

pub(crate) fn run(dir: &Path, args: &Reset, as_json: bool, out: &mut dyn Write) -> Result<()> {
    // First for reading: opening for writing would found a log in a wrong directory.
    let mut data = Data::open(dir)?;
    let world = World::real();
    let what = headwater::Reset {
        application: args.application.clone(),
        to: args.to,
        state_dir: Some(args.state_dir.clone().unwrap_or_else(|| dir.join("state"))),
    };
    if args.dry_run {
        let plan = headwater::reset(data.client(), &world, &what, true)?;
        check_known(&mut data, dir, args, &plan)?;
        show(&plan, as_json, false, out)?;
        let holder = Holder::of(dir);
        if holder != Holder::Nobody {
            writeln!(
                io::stderr(),
                "headwater: {holder} has the log open; stop it before the reset"
            )?;
        }
        return Ok(());
    }
    let log = open(dir)?;
    let mut client = log.client(ClientOptions::default())?;
    let client: &mut dyn Client = &mut *client;
    let plan = headwater::reset(client, &world, &what, true)?;
    check_known(&mut data, dir, args, &plan)?;
    if !args.yes {
        confirm(&plan)?;
    }
    let plan = headwater::reset(client, &world, &what, false)?;
    show(&plan, as_json, true, out)
}

fn open(dir: &Path) -> Result<EmbeddedLog> {
    let holder = Holder::of(dir);
    match EmbeddedLog::open(dir) {
        Err(error) if holder != Holder::Nobody => bail!(
            "{} is open in {holder}; stop it before the reset ({error})",
            dir.display()
        ),
        opened => Ok(opened?),
    }
}

/// An empty plan is a misspelt name more often than not.
fn check_known(data: &mut Data, dir: &Path, args: &Reset, plan: &ResetPlan) -> Result<()> {
    if !plan.is_empty() {
        return Ok(());
    }
    let groups = data.groups()?;
    bail!(
        "nothing is known of application '{}' in {}; there is {}",
        args.application,
        dir.display(),
        names(groups.iter().map(|group| &*group.group))
    )
}

fn confirm(plan: &ResetPlan) -> Result<()> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        bail!("not confirmed, and no terminal to ask at; see --dry-run, then give --yes");
    }
    write!(io::stderr(), "{plan}Do this? [y/N] ")?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => bail!("not confirmed; nothing was changed"),
    }
}

fn show(plan: &ResetPlan, as_json: bool, done: bool, out: &mut dyn Write) -> Result<()> {
    if !as_json {
        write!(out, "{plan}")?;
        let end = if done { "done" } else { "nothing was changed" };
        return Ok(writeln!(out, "{end}")?);
    }
    let position = |(at, offset): &(headwater::TopicPartition, i64)| json!({ "topic": &*at.topic, "partition": at.partition, "offset": offset });
    let json = json!({
        "done": done,
        "positions": plan.positions.iter().map(position).collect::<Vec<_>>(),
        "topics": plan.topics,
        "state": plan.state.as_ref().map(|state| state.display().to_string()),
    });
    Ok(writeln!(out, "{json:#}")?)
}

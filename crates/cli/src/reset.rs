//! `headwater reset`: lets an application begin anew. Not for a running one. The work is `headwater::reset`'s.
//! Invariant: the log is held from the plan to its end, so that what was shown is what is done.

use crate::args::{Reset, To};
use crate::{data::Data, data::names, holder::Holder, place, place::Place};
use anyhow::{Context, Result, bail};
use headwater::log::{Client, ClientOptions};
use headwater::{EmbeddedLog, ResetPlan, ResetTo, TopicPartition, world::World};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::{self, BufRead, IsTerminal, Write},
    path::Path,
};

pub(crate) fn run(place: &Place, args: &Reset, as_json: bool, out: &mut dyn Write) -> Result<()> {
    // First for reading: opening for writing would found a log in a wrong directory.
    let mut data = Data::open(place)?;
    let world = World::real();
    let default_state_dir = match place {
        Place::Dir(dir) => Some(dir.join("state")),
        Place::Kafka(_) => None,
    };
    let what = headwater::Reset {
        to: to(&args.to, &world)?,
        inputs: args.input_topics.clone(),
        intermediate: args.intermediate_topics.clone(),
        internal: args.internal_topics.clone(),
        state_dir: args.state_dir.clone().or(default_state_dir),
        ..headwater::Reset::of(&args.application)
    };
    if args.dry_run {
        let plan = headwater::reset(data.client(), &world, &what, true)?;
        check_known(&mut data, place, args, &plan)?;
        show(&plan, as_json, false, out)?;
        if let Place::Dir(dir) = place
            && let holder = Holder::of(dir)
            && holder != Holder::Nobody
        {
            writeln!(
                io::stderr(),
                "headwater: {holder} has the log open; stop it before the reset"
            )?;
        }
        return Ok(());
    }
    if args.force {
        if !args.yes {
            confirm(&format!("put out  the members of {}\n", args.application))?;
        }
        place.kafka()?.remove_members(&args.application)?;
    }
    let mut held;
    let client: &mut dyn Client = match place {
        Place::Dir(dir) => {
            held = open(dir)?.client(ClientOptions::default())?;
            &mut *held
        }
        Place::Kafka(kafka) => {
            held = headwater::log::Log::client(&**kafka, ClientOptions::default())?;
            &mut *held
        }
    };
    let plan = headwater::reset(client, &world, &what, true)?;
    check_known(&mut data, place, args, &plan)?;
    if !args.yes {
        confirm(&plan.to_string())?;
    }
    let plan = headwater::reset(client, &world, &what, false)?;
    show(&plan, as_json, true, out)
}

fn to(to: &To, world: &World) -> Result<ResetTo> {
    Ok(match to {
        To::Earliest => ResetTo::Earliest,
        To::Latest => ResetTo::Latest,
        To::Offset(offset) => ResetTo::Offset(*offset),
        To::Time(time_ms) => ResetTo::Time(*time_ms),
        To::Ago(ms) => ResetTo::Time(world.clock.now_ms().saturating_sub(*ms)),
        To::Shift(count) => ResetTo::Shift(*count),
        To::File(path) => {
            let text = place::text(path)?;
            let offsets = offsets(&text).with_context(|| path.display().to_string())?;
            ResetTo::Plan(offsets)
        }
    })
}

/// Lines `TOPIC,PARTITION,OFFSET`, as Kafka's own tool takes them.
fn offsets(text: &str) -> Result<BTreeMap<TopicPartition, i64>> {
    let mut offsets = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let fields: Vec<&str> = line.trim_end().split(',').collect();
        let parsed = match fields[..] {
            [topic, partition, offset] => partition
                .parse()
                .ok()
                .zip(offset.parse().ok())
                .map(|(partition, offset)| (TopicPartition::new(topic, partition), offset)),
            _ => None,
        };
        let Some((partition, offset)) = parsed else {
            bail!(
                "line {}: '{line}' is not TOPIC,PARTITION,OFFSET",
                number + 1
            );
        };
        offsets.insert(partition, offset);
    }
    Ok(offsets)
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
fn check_known(data: &mut Data, place: &Place, args: &Reset, plan: &ResetPlan) -> Result<()> {
    if !plan.is_empty() {
        return Ok(());
    }
    let groups = data.groups()?;
    bail!(
        "nothing is known of application '{}' in {}; there is {}",
        args.application,
        place,
        names(groups.iter().map(|group| &*group.group))
    )
}

fn confirm(plan: &str) -> Result<()> {
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
        "kept": plan.kept.iter().map(|(at, it)| position(&(at.clone(), it.offset))).collect::<Vec<_>>(),
        "topics": plan.topics,
        "state": plan.state.as_ref().map(|state| state.display().to_string()),
    });
    Ok(writeln!(out, "{json:#}")?)
}

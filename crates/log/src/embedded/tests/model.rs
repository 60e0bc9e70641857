//! What a log should hold after some steps, kept in plain vectors. Not a log: no files, no offsets to assign.
//! Invariant: a step changes the model as a whole, as a commit changes the log.

use super::kit::{Line, Session, partition, topic};
use crate::{
    CommittedOffset, NewTopic, Offset, OffsetSpec, Request, Result, TopicPartition,
    embedded::EmbeddedOptions,
};
use headwater_world::Simulation;
use std::{collections::BTreeMap, time::Duration};

/// One thing a client does.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Records by topic, partition, key; each value is the step's number. Then positions.
    Commit(Vec<(&'static str, u32, &'static str)>, Offset),
    Create(NewTopic),
    Delete(&'static str),
    DeleteRecords(&'static str, Offset),
    SetOffset(Offset),
    /// Time passes and the log does its upkeep.
    Idle,
}

/// What is in one partition, and what may be missing of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Held {
    lines: Vec<(String, String)>,
    start: Offset,
    compact: bool,
    retention: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Model {
    held: BTreeMap<TopicPartition, Held>,
    position: Option<Offset>,
}

/// Small enough that each run rolls segments, cuts the journal, compacts and expires.
pub(super) fn options() -> EmbeddedOptions {
    EmbeddedOptions {
        journal_file_bytes_max: 1500,
        segment_bytes: 400,
        maintenance_interval_ms: 1000,
        open_files_max: 8,
        ..EmbeddedOptions::default()
    }
}

pub(super) fn steps() -> Vec<Step> {
    let compact: &[_] = &[
        ("cleanup.policy", "compact"),
        ("delete.retention.ms", "0"),
        ("min.cleanable.dirty.ratio", "0.3"),
    ];
    let mut steps = vec![
        Step::Create(topic("plain", 2, &[])),
        Step::Create(topic(
            "short",
            1,
            &[("retention.bytes", "500"), ("segment.bytes", "300")],
        )),
        Step::Create(topic("table", 1, compact)),
    ];
    for round in 0..16 {
        let key = ["a", "b", "c"][round % 3];
        let records = vec![
            ("plain", 0, key),
            ("plain", 0, key),
            ("table", 0, key),
            ("short", 0, key),
            ("plain", 1, key),
        ];
        steps.push(Step::Commit(records, round as Offset));
        match round {
            3 => steps.push(Step::Create(topic("brief", 1, &[]))),
            4 | 5 => steps.push(Step::Commit(
                vec![("brief", 0, "x"), ("table", 0, "d")],
                100,
            )),
            6 => steps.push(Step::Delete("brief")),
            8 => steps.push(Step::Create(topic("brief", 1, &[]))),
            9 => steps.push(Step::Commit(vec![("brief", 0, "y")], 101)),
            10 => steps.push(Step::DeleteRecords("plain", 9)),
            12 => steps.push(Step::SetOffset(55)),
            7 | 11 | 13 => steps.push(Step::Idle),
            _ => {}
        }
    }
    steps.push(Step::Idle);
    steps.push(Step::Commit(
        vec![("table", 0, "a"), ("plain", 1, "end")],
        200,
    ));
    steps
}

impl Step {
    /// Does it on a log.
    pub(super) fn run(
        &self,
        number: usize,
        session: &mut Session,
        simulation: &Simulation,
    ) -> Result<()> {
        match self {
            Step::Commit(records, position) => {
                for (topic, number_of, key) in records {
                    let value = value(number, key);
                    session.append(
                        &partition(topic, *number_of),
                        Some(key),
                        Some(&value),
                        number as i64,
                    );
                }
                session
                    .commit(&[(partition("plain", 0), *position)])
                    .map(|_| ())
            }
            Step::Create(topic) => session.create(std::slice::from_ref(topic)),
            Step::Delete(topic) => session
                .ask(Request::DeleteTopics(vec![(*topic).into()]))
                .map(|_| ()),
            Step::DeleteRecords(topic, offset) => session
                .ask(Request::DeleteRecords(vec![(partition(topic, 0), *offset)]))
                .map(|_| ()),
            Step::SetOffset(offset) => session
                .ask(Request::SetOffsets {
                    group: "app".into(),
                    offsets: vec![(partition("plain", 0), Some(CommittedOffset::at(*offset)))],
                })
                .map(|_| ()),
            Step::Idle => {
                simulation.clock.advance(Duration::from_secs(5));
                while session.log.turn() {}
                // An idle log tells nobody that it failed.
                session.committed().map(|_| ())
            }
        }
    }
}

fn value(number: usize, key: &str) -> String {
    format!("{key} of step {number}, with some length to fill segments")
}

impl Model {
    /// The model after the first `count` of `steps`.
    pub(super) fn after(steps: &[Step], count: usize) -> Model {
        let mut model = Model::default();
        for (number, step) in steps.iter().take(count).enumerate() {
            model.apply(number, step);
        }
        model
    }

    pub(super) fn apply(&mut self, number: usize, step: &Step) {
        match step {
            Step::Commit(records, position) => {
                for (topic, number_of, key) in records {
                    let held = self.held.entry(partition(topic, *number_of)).or_default();
                    held.lines.push(((*key).into(), value(number, key)));
                }
                self.position = Some(*position);
            }
            Step::Create(topic) => {
                for number in 0..topic.partitions {
                    let held = Held {
                        compact: topic
                            .config
                            .get("cleanup.policy")
                            .is_some_and(|it| it == "compact"),
                        retention: topic.config.contains_key("retention.bytes"),
                        ..Held::default()
                    };
                    self.held.insert(partition(&topic.name, number), held);
                }
            }
            Step::Delete(topic) => self.held.retain(|name, _| &*name.topic != *topic),
            Step::DeleteRecords(topic, offset) => {
                self.held.get_mut(&partition(topic, 0)).unwrap().start = *offset;
            }
            Step::SetOffset(offset) => self.position = Some(*offset),
            Step::Idle => {}
        }
    }

    /// What is wrong with a log that should hold this.
    pub(super) fn differs(&self, session: &mut Session) -> Result<Option<String>> {
        let position = session.committed()?.first().map(|(_, offset)| *offset);
        if position != self.position {
            return Ok(Some(format!(
                "position {position:?} instead of {:?}",
                self.position
            )));
        }
        let mut topics: Vec<_> = self
            .held
            .keys()
            .map(|name| name.topic.to_string())
            .collect();
        topics.dedup();
        let found = session.topics()?;
        if found != topics {
            return Ok(Some(format!("topics {found:?} instead of {topics:?}")));
        }
        for (name, held) in &self.held {
            let end = session.offset(name, OffsetSpec::End)?;
            if end != held.lines.len() as Offset {
                return Ok(Some(format!(
                    "{name} ends at {end} instead of {}",
                    held.lines.len()
                )));
            }
            let start = session.offset(name, OffsetSpec::Start)?;
            if start != held.start && !held.retention {
                return Ok(Some(format!(
                    "{name} begins at {start} instead of {}",
                    held.start
                )));
            }
            let lines = session.read(name, start)?;
            if let Some(wrong) = held.differs(&lines, start) {
                return Ok(Some(format!("{name}: {wrong}: {lines:?}")));
            }
        }
        Ok(None)
    }
}

impl Held {
    fn differs(&self, lines: &[Line], start: Offset) -> Option<String> {
        let mut expected = Vec::new();
        for (offset, (key, value)) in self.lines.iter().enumerate().skip(start as usize) {
            expected.push((offset as Offset, Some(key.clone()), Some(value.clone())));
        }
        if !self.compact {
            return (lines != expected).then(|| format!("expected {expected:?}"));
        }
        if let Some(stray) = lines.iter().find(|line| !expected.contains(line)) {
            return Some(format!("{stray:?} was never written"));
        }
        for line in &expected {
            let last = expected.iter().rfind(|other| other.1 == line.1);
            if last == Some(line) && !lines.contains(line) {
                return Some(format!("{line:?} is missing"));
            }
        }
        None
    }
}

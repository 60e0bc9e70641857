//! What the log knows: topics with their partitions, and the committed positions of groups. Not the files: see [`super::partition`].
//! Invariant: it changes only by [`State::apply`], with operations that are durable in the journal; live or replayed, alike.

use super::{
    core::{lock, read, write},
    entry::Op,
    files::Files,
    index::Index,
    options::EmbeddedOptions,
    partition::{Partition, PartitionRecord},
    policy::Policy,
    segment::{Segment, SegmentRecord},
};
use crate::{CommittedOffset, Error, Offset, Result, TopicConfig, TopicId, TopicPartition};
use rustc_hash::{FxHashMap, FxHashSet};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

/// One topic; a change of its settings or partitions makes another object.
#[derive(Clone)]
pub(super) struct Topic {
    pub(super) id: TopicId,
    pub(super) name: Arc<str>,
    pub(super) config: TopicConfig,
    pub(super) policy: Policy,
    pub(super) partitions: Vec<Arc<Partition>>,
}

/// Committed positions of one group.
pub(super) type Positions = BTreeMap<TopicPartition, CommittedOffset>;

#[derive(Default)]
struct Topics {
    by_name: BTreeMap<Arc<str>, Arc<Topic>>,
    by_id: FxHashMap<TopicId, Arc<str>>,
}

/// A compacted segment, and the sequence number of the entry that named it.
type Cleaned = (u64, Arc<Partition>, Arc<Segment>);

/// Everything but the bytes of the batches.
pub(super) struct State {
    pub(super) files: Files,
    pub(super) options: EmbeddedOptions,
    topics_dir: PathBuf,
    topics: RwLock<Topics>,
    pub(super) groups: Mutex<BTreeMap<Arc<str>, Positions>>,
    /// Grows with each change of the topics, so that clients may keep what they looked up.
    version: AtomicU64,
    /// Files and directories that are no longer part of the log, removed after the checkpoint of the sequence number.
    pub(super) doomed: Mutex<Vec<(u64, PathBuf)>>,
    /// Compacted files that get their final names after the checkpoint of the sequence number.
    pub(super) cleaned: Mutex<Vec<Cleaned>>,
    /// Partitions whose compacted file has its final name, which the meta file does not say yet. Until it does, no other file
    /// may take the name that it says.
    pub(super) settled: Mutex<Vec<Arc<Partition>>>,
    /// Partition directories were created or renamed since `topics/` was last synced.
    pub(super) names_dirty: AtomicBool,
    /// Topics whose deletion follows in the journal being replayed: their batches are not written again.
    pub(super) dying: FxHashSet<TopicId>,
    /// The journal is being replayed.
    pub(super) replaying: bool,
}

/// What an entry changed that is to be published once all of it is written.
#[derive(Default)]
pub(super) struct Changes {
    /// Partitions with their new ends.
    pub(super) ends: Vec<(Arc<Partition>, Offset)>,
}

impl State {
    pub(super) fn new(files: Files, options: EmbeddedOptions, topics_dir: PathBuf) -> Self {
        Self {
            files,
            options,
            topics_dir,
            topics: RwLock::default(),
            groups: Mutex::default(),
            version: AtomicU64::new(1),
            doomed: Mutex::default(),
            cleaned: Mutex::default(),
            settled: Mutex::default(),
            names_dirty: AtomicBool::new(false),
            dying: FxHashSet::default(),
            replaying: false,
        }
    }

    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn topics_dir(&self) -> &PathBuf {
        &self.topics_dir
    }

    pub(super) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        read(&self.topics).by_name.get(name).cloned()
    }

    pub(super) fn topics(&self) -> Vec<Arc<Topic>> {
        read(&self.topics).by_name.values().cloned().collect()
    }

    fn topic_by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        let topics = read(&self.topics);
        topics.by_name.get(topics.by_id.get(&id)?).cloned()
    }

    pub(super) fn partition(&self, name: &TopicPartition) -> Result<Arc<Partition>> {
        let topic = self
            .topic(&name.topic)
            .ok_or_else(|| Error::UnknownTopic(name.topic.to_string()))?;
        topic
            .partitions
            .get(name.partition as usize)
            .cloned()
            .ok_or_else(|| Error::UnknownPartition(name.clone()))
    }

    /// Puts a topic in its place, or a changed one in the place of the old.
    pub(super) fn put_topic(&self, topic: Topic) {
        let mut topics = write(&self.topics);
        topics.by_id.insert(topic.id, Arc::clone(&topic.name));
        topics
            .by_name
            .insert(Arc::clone(&topic.name), Arc::new(topic));
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// Applies the operations of one durable entry, in order; `changes` collects what [`State::publish`] shows afterwards.
    pub(super) fn apply(&self, sequence: u64, op: &Op<'_>, changes: &mut Changes) -> Result<()> {
        match op {
            Op::Batches {
                topic,
                partition,
                roll,
                now_ms,
                bytes,
            } => {
                if self.dying.contains(topic) {
                    return Ok(());
                }
                let (topic, partition) = self.find(*topic, *partition)?;
                let end = partition.append(&self.files, &topic.policy, *roll, *now_ms, bytes)?;
                if *roll {
                    self.names_dirty.store(true, Ordering::Release);
                }
                match changes.ends.last_mut() {
                    Some((last, last_end)) if Arc::ptr_eq(last, &partition) => *last_end = end,
                    _ => changes.ends.push((partition, end)),
                }
            }
            // Shown by `publish`: positions never run ahead of the outputs they came with.
            Op::Offsets { .. } | Op::DeleteGroup { .. } | Op::Rotate => {}
            Op::CreateTopic {
                topic,
                name,
                partitions,
                config,
            } => self.create_topic(*topic, name, *partitions, config)?,
            Op::DeleteTopic { topic } => self.delete_topic(sequence, *topic)?,
            Op::AlterTopic { topic, config } => {
                let mut changed = (*self.find_topic(*topic)?).clone();
                changed.policy = Policy::parse(&changed.name, config, &self.options)?;
                changed.config = config.clone();
                self.put_topic(changed);
            }
            Op::Partitions { topic, partitions } => {
                let mut changed = (*self.find_topic(*topic)?).clone();
                let name = Arc::clone(&changed.name);
                let known = changed.partitions.len() as u32;
                let added = (known..*partitions).map(|number| self.empty(*topic, &name, number));
                changed.partitions.extend(added);
                self.put_topic(changed);
            }
            Op::MoveStart {
                topic,
                partition,
                start,
            } => {
                if !self.dying.contains(topic) {
                    let (_, partition) = self.find(*topic, *partition)?;
                    self.doom(sequence, partition.move_start(*start));
                }
            }
            Op::Compacted { topic, .. } if self.dying.contains(topic) => {}
            Op::Compacted { .. } => self.compacted(sequence, op)?,
        }
        Ok(())
    }

    /// Shows what an entry changed: ends first, then positions.
    pub(super) fn publish<'a>(&self, changes: &Changes, ops: impl Iterator<Item = Op<'a>>) {
        for (partition, end) in &changes.ends {
            partition.publish(*end);
        }
        for op in ops {
            match op {
                Op::Offsets { group, offsets } => {
                    let mut groups = lock(&self.groups);
                    if !groups.contains_key(group) {
                        groups.insert(group.into(), Positions::new());
                    }
                    let Some(positions) = groups.get_mut(group) else {
                        continue;
                    };
                    for (partition, committed) in offsets {
                        match committed {
                            Some(committed) => positions.insert(partition, committed),
                            None => positions.remove(&partition),
                        };
                    }
                }
                Op::DeleteGroup { group } => {
                    lock(&self.groups).remove(group);
                }
                _ => {}
            }
        }
    }

    fn find_topic(&self, id: TopicId) -> Result<Arc<Topic>> {
        self.topic_by_id(id)
            .ok_or_else(|| unexplained(format!("topic id {:032x} that no entry created", id.0)))
    }

    fn find(&self, id: TopicId, number: u32) -> Result<(Arc<Topic>, Arc<Partition>)> {
        let topic = self.find_topic(id)?;
        match topic.partitions.get(number as usize).cloned() {
            Some(partition) => Ok((topic, partition)),
            None => Err(unexplained(format!("partition {}-{number}", topic.name))),
        }
    }

    fn empty(&self, id: TopicId, name: &Arc<str>, number: u32) -> Arc<Partition> {
        let name = TopicPartition::new(Arc::clone(name), number);
        let record = PartitionRecord::default();
        Arc::new(Partition::new(
            id,
            name,
            &self.topics_dir,
            &record,
            Vec::new(),
        ))
    }

    fn create_topic(
        &self,
        id: TopicId,
        name: &str,
        partitions: u32,
        config: &TopicConfig,
    ) -> Result<()> {
        let name: Arc<str> = name.into();
        let topic = Topic {
            id,
            policy: Policy::parse(&name, config, &self.options)?,
            config: config.clone(),
            partitions: (0..partitions)
                .map(|number| self.empty(id, &name, number))
                .collect(),
            name,
        };
        if self.replaying {
            // What an earlier topic of this name left: its removal may not have become durable.
            for partition in &topic.partitions {
                self.files
                    .disk
                    .remove_dir_all(&partition.dir)
                    .map_err(|error| {
                        Error::io(&partition.dir, "remove a left-over partition", &error)
                    })?;
            }
        }
        self.put_topic(topic);
        Ok(())
    }

    /// Directories are renamed, as Kafka does it, and removed after the checkpoint: a topic of the same name may follow at once.
    fn delete_topic(&self, sequence: u64, id: TopicId) -> Result<()> {
        let topic = self.find_topic(id)?;
        {
            let mut topics = write(&self.topics);
            topics.by_id.remove(&id);
            topics.by_name.remove(&topic.name);
            self.version.fetch_add(1, Ordering::AcqRel);
        }
        for positions in lock(&self.groups).values_mut() {
            positions.retain(|partition, _| partition.topic != topic.name);
        }
        let disk = &self.files.disk;
        for partition in &topic.partitions {
            partition.deleted.store(true, Ordering::Release);
            for segment in partition.segments() {
                segment.retired.store(true, Ordering::Release);
                self.files.close(segment.id);
            }
            let dir = &partition.dir;
            if disk
                .exists(dir)
                .map_err(|error| Error::io(dir, "look for a partition", &error))?
            {
                let name = format!("{}.{:032x}-delete", partition.name, id.0);
                let doomed = self.topics_dir.join(name);
                disk.rename(dir, &doomed)
                    .map_err(|error| Error::io(dir, "rename a deleted partition", &error))?;
                lock(&self.doomed).push((sequence, doomed));
                self.names_dirty.store(true, Ordering::Release);
            }
        }
        Ok(())
    }

    /// Lists the files of segments that left the log.
    fn doom(&self, sequence: u64, segments: Vec<Arc<Segment>>) {
        let mut doomed = lock(&self.doomed);
        for segment in segments {
            self.files.close(segment.id);
            doomed.push((sequence, segment.settled_path()));
            doomed.push((sequence, segment.cleaned_path()));
            doomed.push((sequence, segment.index_path()));
        }
    }

    fn compacted(&self, sequence: u64, op: &Op<'_>) -> Result<()> {
        let Op::Compacted {
            topic,
            partition,
            bases,
            bytes,
            max_timestamp,
            cleaned_to,
        } = op
        else {
            return Ok(());
        };
        let (_, partition) = self.find(*topic, *partition)?;
        let old: Vec<_> = partition
            .segments()
            .into_iter()
            .filter(|segment| bases.contains(&segment.base))
            .collect();
        let (Some(first), Some(last)) = (old.first(), old.last()) else {
            return Err(unexplained(format!(
                "compacted segments of {}",
                partition.name
            )));
        };
        let record = SegmentRecord {
            base: first.base,
            end: last.end(),
            bytes: *bytes,
            max_timestamp: *max_timestamp,
            opened_ms: last.opened_ms,
            compacted: true,
            cleaned: true,
        };
        let new = Arc::new(Segment::new(
            &self.files,
            &partition.dir,
            &record,
            None::<Index>,
        ));
        let Some(gone) = partition.replace(bases, Arc::clone(&new)) else {
            return Err(unexplained(format!(
                "compacted segments of {}",
                partition.name
            )));
        };
        partition
            .cleaned_to
            .fetch_max(*cleaned_to, Ordering::AcqRel);
        for segment in &gone {
            self.files.close(segment.id);
        }
        let exists = self.files.disk.exists(&new.path());
        if self.replaying && !exists.is_ok_and(|exists| exists) {
            return Err(Error::Corrupt {
                path: new.path(),
                position: 0,
                message: "the file is missing, though a journal entry names it".into(),
            });
        }
        // The first old file is replaced by the rename of the new one; the others are removed.
        self.doom(sequence, gone.into_iter().skip(1).collect());
        if self.replaying {
            partition.compacting.fetch_add(1, Ordering::AcqRel);
        }
        lock(&self.cleaned).push((sequence, partition, new));
        Ok(())
    }
}

/// An entry that does not fit what came before it. Recovery adds the file and the position.
fn unexplained(what: String) -> Error {
    Error::Corrupt {
        path: PathBuf::new(),
        position: 0,
        message: format!("a sound journal entry names {what}"),
    }
}

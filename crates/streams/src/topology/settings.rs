//! What an application sets for its whole topology before it builds it; by Kafka Streams' names where it has them.
//! Not the runtime's configuration. Invariant: settings change names, topics and policies, never the order of records.

use crate::{Error, Result};

/// What happens when a closure or processor of the application fails or panics (`processing.exception.handler`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The application stops with an error that names operator and record; what it did since its last commit is undone.
    #[default]
    Fail,
    /// The operator passes the record over; failures are counted.
    Skip,
    /// As `Skip`, and the raw source record goes to this topic with `__streams.errors.*` headers (KIP-1034), those of the record
    /// that failed in front of them. What fails on its way out of a record cache has the source record of its update, which the
    /// cache then holds too and counts. Behind suppressions, delayed joins and async calls a letter says where the source record
    /// was read and has no bytes of it; that of a punctuation or timer has neither.
    DeadLetter(String),
    /// The record is set aside in a store with all later ones of its key, and other keys go on. What it did is undone. It is tried
    /// again when the application starts anew or is asked to; the record cache is off, so that a failure belongs to its record.
    Quarantine,
}

impl OnError {
    /// A failure undoes what was done since the last commit.
    pub(crate) fn aborts(&self) -> bool {
        matches!(self, Self::Fail | Self::Quarantine)
    }
}

/// Whose semantics hold where Kafka Streams 4.3 is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Semantics {
    /// Ours; see `docs/better-than-kafka-streams.md`.
    #[default]
    Headwater,
    /// Kafka Streams' own, faults included: for comparing with it in tests, never for use.
    Java,
}

/// Settings of a topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TopologySettings {
    /// Closures and processors that fail.
    pub on_error: OnError,
    /// Records that cannot be written to a topic: their format fails or they are too large (`production.exception.handler`).
    /// `Quarantine` is none of its choices: with it as [`TopologySettings::on_error`] it covers them.
    pub on_unwritable: OnError,
    /// Where policies that say `Skip` send the records they pass over (`errors.dead.letter.queue.topic.name`, KIP-1034).
    pub dead_letters: Option<String>,
    /// Repartition topics below one change of key become one (`merge.repartition.topics`).
    pub merge_repartition_topics: bool,
    /// Tables read from a topic use it as their changelog (`reuse.ktable.source.topics`).
    pub reuse_source_topics: bool,
    /// An inner join of a stream with itself keeps one window store (`single.store.self.join`).
    pub single_store_self_join: bool,
    /// Stores of the DSL are in memory unless they say otherwise (`dsl.store.suppliers.class`).
    pub stores_in_memory: bool,
    /// Stores of the DSL keep record headers (`dsl.store.format=HEADERS`, KIP-1285).
    pub stores_with_headers: bool,
    /// `build` refuses generated names of stores and internal topics (`ensure.explicit.internal.resource.naming`, KIP-1111).
    pub explicit_names: bool,
    /// In place of the application's name in the names of internal topics (`__internal.override.topic.prefix__`).
    pub topic_prefix: Option<String>,
    /// Undecodable records of sources that say nothing themselves (`deserialization.exception.handler`).
    pub bad_data: crate::BadData,
    /// For how many ms of wall clock a task must have been at the end of its inputs before it holds no window open that lies
    /// behind a repartition topic; 1000 unless said otherwise, never when negative.
    pub partition_idle_ms: Option<i64>,
    /// ms that the changelogs of window and session stores keep records longer than the stores do
    /// (`windowstore.changelog.additional.retention.ms`); one day unless said otherwise.
    pub window_changelog_additional_ms: Option<i64>,
    /// Whose semantics hold.
    pub semantics: Semantics,
}

impl TopologySettings {
    /// Sets one by Kafka's name. `Ok(false)` when the name is none of a topology's.
    pub fn set(&mut self, name: &str, value: &str) -> Result<bool> {
        match name {
            "topology.optimization" => self.optimize(value)?,
            "dsl.store.suppliers.class" | "default.dsl.store" => {
                self.stores_in_memory = value.ends_with("InMemoryDslStoreSuppliers")
                    || value.eq_ignore_ascii_case("in_memory");
            }
            "dsl.store.format" => {
                self.stores_with_headers = value.eq_ignore_ascii_case("headers");
            }
            "ensure.explicit.internal.resource.naming" => {
                self.explicit_names = value.eq_ignore_ascii_case("true");
            }
            "windowstore.changelog.additional.retention.ms" => {
                let ms = value.trim().parse().ok().filter(|ms| *ms >= 0);
                self.window_changelog_additional_ms = Some(ms.ok_or_else(|| {
                    Error::Topology(format!("{name} is '{value}'; expected a number of ms"))
                })?);
            }
            "__internal.override.topic.prefix__" => self.topic_prefix = Some(value.to_owned()),
            "errors.dead.letter.queue.topic.name" => self.dead_letters = Some(value.to_owned()),
            "deserialization.exception.handler" => {
                let classes = (
                    "LogAndFailExceptionHandler",
                    "LogAndContinueExceptionHandler",
                );
                self.bad_data = match continues(name, value, classes)? {
                    true => crate::BadData::Skip,
                    false => crate::BadData::Fail,
                };
            }
            "processing.exception.handler" => {
                let classes = (
                    "LogAndFailProcessingExceptionHandler",
                    "LogAndContinueProcessingExceptionHandler",
                );
                self.on_error = match continues(name, value, classes)? {
                    true => OnError::Skip,
                    false => OnError::Fail,
                };
            }
            "production.exception.handler" => {
                // Kafka Streams has no handler of its own that goes on.
                let classes = ("DefaultProductionExceptionHandler", "none");
                continues(name, value, classes)?;
                self.on_unwritable = OnError::Fail;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Policies that pass records over send them to the topic set aside for all of them, if there is one.
    pub(crate) fn address_letters(&mut self) {
        let Some(topic) = &self.dead_letters else {
            return;
        };
        if self.bad_data == crate::BadData::Skip {
            self.bad_data = crate::BadData::DeadLetter(topic.clone());
        }
        for policy in [&mut self.on_error, &mut self.on_unwritable] {
            if *policy == OnError::Skip {
                *policy = OnError::DeadLetter(topic.clone());
            }
        }
    }

    /// Records that operators fail on are sent to a topic.
    pub(crate) fn sends_letters(&self) -> bool {
        let policies = [&self.on_error, &self.on_unwritable];
        let sends = |policy: &&OnError| matches!(policy, OnError::DeadLetter(_));
        policies.iter().any(sends)
    }

    fn optimize(&mut self, value: &str) -> Result<()> {
        for rule in value
            .split(',')
            .map(str::trim)
            .filter(|rule| !rule.is_empty())
        {
            let all = rule == "all";
            let known = all
                || matches!(
                    rule,
                    "none"
                        | "merge.repartition.topics"
                        | "reuse.ktable.source.topics"
                        | "single.store.self.join"
                );
            if !known {
                return Err(Error::Topology(format!(
                    "topology.optimization: no rule '{rule}'; there are all, none, merge.repartition.topics, \
                     reuse.ktable.source.topics and single.store.self.join"
                )));
            }
            self.merge_repartition_topics |= all || rule == "merge.repartition.topics";
            self.reuse_source_topics |= all || rule == "reuse.ktable.source.topics";
            self.single_store_self_join |= all || rule == "single.store.self.join";
        }
        Ok(())
    }
}

/// True when the handler class named goes on after an error; `classes` are Kafka Streams' that fails and that goes on.
fn continues(name: &str, value: &str, classes: (&str, &str)) -> Result<bool> {
    match value.rsplit('.').next() {
        Some(class) if class == classes.0 => Ok(false),
        Some(class) if class == classes.1 => Ok(true),
        _ => Err(Error::Topology(format!(
            "{name}: '{value}' is a class of Java's that is not known here; there are {} and {}, and TopologySettings has the policies",
            classes.0, classes.1
        ))),
    }
}

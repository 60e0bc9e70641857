//! Repartition topics: where records go when their key changed, so that equal keys meet in one partition.
//! Not a topic of the application. Invariant: names and numbers are those of Kafka Streams' `OptimizableRepartitionNode`.

use super::app::{add_source_to, processor};
use super::{App, BadData, KStream, Topic};
use crate::format::{Data, Formats};
use crate::operator::{NullKeyFilter, Source};
use crate::task::{Wire, boxed};
use crate::topology::{Repartition, TopicName};
use std::marker::PhantomData;

/// How to repartition.
#[derive(Clone, Debug, Default)]
pub struct Repartitioned {
    name: Option<String>,
    partitions: u32,
}

impl Repartitioned {
    /// Through `<application>-<name>-repartition`.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            partitions: 0,
        }
    }

    /// With so many partitions; otherwise as many as the topics upstream have.
    pub fn partitions(mut self, partitions: u32) -> Self {
        self.partitions = partitions;
        self
    }
}

impl From<&str> for Repartitioned {
    fn from(name: &str) -> Self {
        Self::named(name)
    }
}

/// A generated name.
impl From<()> for Repartitioned {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl<'a, K: Data, V: Data> KStream<'a, K, V> {
    /// Sends the stream through a repartition topic and reads it back.
    pub fn repartition(self, how: impl Into<Repartitioned>) -> KStream<'a, K, V> {
        let how = how.into();
        let base = how
            .name
            .unwrap_or_else(|| self.app.graph.borrow_mut().number("KSTREAM-REPARTITION-"));
        let mut formats = self.formats();
        formats.key.get_or_insert_with(K::format);
        formats.value.get_or_insert_with(V::format);
        through_repartition(self, &base, formats, how.partitions, NullKeys::Drop)
    }
}

/// What happens to records with a null key in front of a repartition topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NullKeys {
    /// They end there: no operator behind the topic would take them.
    Drop,
    /// They go to any partition: a left join passes them on without a row (KIP-962).
    Keep,
}

/// Adds filter, sink and source around the topic `<base>-repartition`.
pub(crate) fn through_repartition<'a, K: Clone + 'static, V: Clone + 'static>(
    stream: KStream<'a, K, V>,
    base: &str,
    formats: Formats<K, V>,
    partitions: u32,
    null_keys: NullKeys,
) -> KStream<'a, K, V> {
    let app = stream.app;
    let topic = format!("{base}-repartition");
    let (sink, filter, source) = node_names(app, base, &topic);
    let (Some(key), Some(value)) = (formats.key.clone(), formats.value.clone()) else {
        let problem = unknown_format(&filter, &topic, &formats);
        app.graph.borrow_mut().problem(problem);
        return stream;
    };
    let filter_key = key.clone();
    let wire: Wire = Box::new(move |wiring, node| {
        boxed::<K, V>(NullKeyFilter {
            key: filter_key.clone(),
            keeps_null_keys: null_keys == NullKeys::Keep,
            outputs: wiring.outputs(node),
        })
    });
    let filter =
        app.graph
            .borrow_mut()
            .add(processor(filter, vec![stream.node], wire, formats.clone()));
    let filtered = KStream {
        app,
        node: filter,
        rekeyed: true,
        types: PhantomData,
    };
    let name = TopicName::Internal(topic.clone());
    filtered.add_sink(
        sink,
        name.clone(),
        Topic::named(topic).keys(key.clone()).values(value.clone()),
    );
    let mut graph = app.graph.borrow_mut();
    graph.repartitions.push(Repartition {
        topic: name.clone(),
        partitions,
    });
    let node = add_source_to(
        &mut graph,
        source,
        name,
        move |wiring, node, topic| {
            let (key, value, outputs) = (key.clone(), value.clone(), wiring.outputs::<K, V>(node));
            Box::new(Source {
                topic,
                key,
                value,
                timestamp: None,
                bad_data: BadData::Fail,
                drops_null_keys: false,
                outputs,
            })
        },
        formats,
    );
    KStream {
        app,
        node,
        rekeyed: false,
        types: PhantomData,
    }
}

/// The names of sink, filter and source. Numbers are spent on them even where the base gives them their names.
fn node_names(app: &App, base: &str, topic: &str) -> (String, String, String) {
    let mut graph = app.graph.borrow_mut();
    let numbered = (
        graph.number("KSTREAM-SINK-"),
        graph.number("KSTREAM-FILTER-"),
        graph.number("KSTREAM-SOURCE-"),
    );
    if is_generated(base) {
        numbered
    } else {
        (
            format!("{topic}-sink"),
            format!("{topic}-filter"),
            format!("{topic}-source"),
        )
    }
}

fn unknown_format<K, V>(filter: &str, topic: &str, formats: &Formats<K, V>) -> String {
    let (which, of) = match formats.key {
        None => ("keys", std::any::type_name::<K>()),
        Some(_) => ("values", std::any::type_name::<V>()),
    };
    format!(
        "{filter}: the stream must go through repartition topic '{topic}', and the format of its {which} ({of}) is not known; \
         use KStream::repartition or group_by, or implement Data for the type"
    )
}

/// True for names that the counter made: `KSTREAM.*-[0-9]{10}`.
fn is_generated(name: &str) -> bool {
    let digits = name.rsplit('-').next().unwrap_or_default();
    name.starts_with("KSTREAM")
        && digits.len() == 10
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

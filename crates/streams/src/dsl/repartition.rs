//! Repartition topics: where records go when their key changed, so that equal keys meet in one partition.
//! Not a topic of the application. Invariant: names and numbers are those of Kafka Streams' `OptimizableRepartitionNode`.

use super::app::processor;
use super::stream::add_sink;
use super::{App, KStream, Topic};
use crate::format::{Data, Formats};
use crate::operator::{NullKeyFilter, Source};
use crate::task::{Feed, Wire, Wiring, boxed};
use crate::topology::{Node, NodeKind, Repartition, Role, TopicName};
use std::rc::Rc;

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
        let given = how.name.or_else(|| {
            let graph = self.app.graph.borrow();
            self.name.map(|name| graph.given(name).to_owned())
        });
        let explicit = given.is_some();
        let base =
            given.unwrap_or_else(|| self.app.graph.borrow_mut().number("KSTREAM-REPARTITION-"));
        let mut formats = self.formats();
        formats.key.get_or_insert_with(K::format);
        formats.value.get_or_insert_with(V::format);
        let merges = Role {
            repartition: Some(false),
            ..Role::default()
        };
        repartition_as(merges, self, &base, formats, how.partitions, explicit)
    }
}

/// Adds filter, sink and source around the topic `<base>-repartition`, which optimisation may merge with others. `explicit`
/// says that the application gave the name.
pub(crate) fn through_repartition<'a, K: Clone + 'static, V: Clone + 'static>(
    stream: KStream<'a, K, V>,
    base: &str,
    formats: Formats<K, V>,
    partitions: u32,
    explicit: bool,
) -> KStream<'a, K, V> {
    let merges = Role {
        repartition: Some(true),
        ..Role::default()
    };
    repartition_as(merges, stream, base, formats, partitions, explicit)
}

fn repartition_as<'a, K: Clone + 'static, V: Clone + 'static>(
    role: Role,
    stream: KStream<'a, K, V>,
    base: &str,
    formats: Formats<K, V>,
    partitions: u32,
    explicit: bool,
) -> KStream<'a, K, V> {
    let app = stream.app;
    let topic = if base.ends_with("-repartition") {
        base.to_owned()
    } else {
        format!("{base}-repartition")
    };
    let (sink, filter, source) = node_names(app, base, &topic);
    let (Some(key), Some(value)) = (formats.key.clone(), formats.value.clone()) else {
        let problem = unknown_format(&filter, &topic, &formats);
        app.graph.borrow_mut().problem(problem);
        return stream;
    };
    let filter_key = key.clone();
    let wire: Wire = Box::new(move |wiring, node| {
        let filter = NullKeyFilter {
            key: filter_key.clone(),
            keeps_null_keys: wiring.topology.nodes[node].keeps_null_keys,
            outputs: wiring.outputs(node),
        };
        boxed::<K, V>(wiring, node, filter)
    });
    let mut graph = app.graph.borrow_mut();
    if !explicit {
        graph.generated.push(topic.clone());
    }
    let group = graph.add_group(role, &[stream.node]);
    let filter = processor(filter, vec![stream.node], wire, formats.clone());
    let filter = graph.add_to(group, filter);
    let name = TopicName::Internal(topic.clone());
    let sink_topic = Topic::named(topic).keys(key.clone()).values(value.clone());
    add_sink(
        &mut graph,
        group,
        &[filter],
        sink,
        Some(name.clone()),
        sink_topic,
    );
    graph.repartitions.push(Repartition {
        topic: name.clone(),
        partitions,
    });
    let node = internal_source(source, name, formats);
    let node = graph.add_to(group, node);
    drop(graph);
    KStream::at(app, node, false)
}

/// The source of a topic that the topology writes itself; its formats are known.
pub(crate) fn internal_source<K: Clone + 'static, V: Clone + 'static>(
    name: String,
    topic: TopicName,
    formats: Formats<K, V>,
) -> Node {
    let known = "who adds an internal topic knows its formats";
    let (key, value) = (
        formats.key.clone().expect(known),
        formats.value.clone().expect(known),
    );
    let make = move |wiring: &mut Wiring<'_>, node: usize| -> Rc<dyn Feed> {
        Rc::new(Source {
            key: key.clone().into(),
            value: value.clone().into(),
            timestamp: None,
            bad_data: wiring.topology.settings.bad_data.clone(),
            drops_null_keys: false,
            outputs: wiring.outputs::<K, V>(node),
        })
    };
    let mut node = processor(name, vec![], Box::new(|_, _| Box::new(())), formats);
    node.kind = NodeKind::Source {
        topics: vec![topic],
        feed: Box::new(make),
    };
    node
}

/// Spends the numbers of a repartition that is not made.
pub(crate) fn burn(app: &App) {
    let mut graph = app.graph.borrow_mut();
    for prefix in ["KSTREAM-SINK-", "KSTREAM-FILTER-", "KSTREAM-SOURCE-"] {
        let _unused = graph.number(prefix);
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
pub(super) fn is_generated(name: &str) -> bool {
    let digits = name.rsplit('-').next().unwrap_or_default();
    name.starts_with("KSTREAM")
        && digits.len() == 10
        && digits.bytes().all(|byte| byte.is_ascii_digit())
}

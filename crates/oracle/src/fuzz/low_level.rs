//! Random low-level topologies: sources, processors, sinks and connected stores by name. No DSL node occurs in them.
//! Invariant: a sink is never a source's topic, so that no record goes round in a circle.

use super::{
    draft::{Draft, Fields, Node, Shared, Topic},
    kind::Kind,
};
use serde_json::{Value, json};

/// A source or processor that others can have as parent.
struct Parent {
    name: String,
    key: Kind,
    value: Kind,
    used: bool,
}

impl Draft {
    /// A whole low-level topology.
    pub(crate) fn low_level(&mut self) {
        let mut parents = Vec::new();
        for at in 0..self.random.between(1, 3) {
            self.low_level_source(at, &mut parents);
        }
        let mut stores: Vec<(Value, Shared)> = Vec::new();
        let mut users: Vec<Vec<String>> = Vec::new();
        for _ in 0..self.random.between(1, 5) {
            self.low_level_processor(&mut parents, &mut stores, &mut users);
        }
        for (at, (store, shared)) in stores.iter().enumerate() {
            let mut users = users[at].clone();
            let later = if self.random.chance(30) {
                users.pop()
            } else {
                None
            };
            self.add(json!({"op": "add_store", "store": store, "processors": users}));
            if let Some(name) = later {
                self.add(json!({"op": "connect", "processor_name": name, "stores": [shared.name]}));
            }
        }
        for at in 0..parents.len() {
            if !parents[at].used || self.random.chance(20) {
                self.low_level_sink(&mut parents, at);
            }
        }
    }

    fn low_level_source(&mut self, at: i64, parents: &mut Vec<Parent>) {
        let (key, value) = (self.key_kind(), self.value_kind());
        let name = self.name("src");
        let mut topics = vec![format!("in{at}")];
        if self.random.chance(15) {
            topics.push(format!("more{at}"));
        }
        let mut node = Node::new();
        node.set("op", "source");
        node.set("name", name.as_str());
        node.set("topics", topics.clone());
        node.set("key", key.json());
        node.set("value", value.json());
        self.add_node(node);
        for name in topics {
            self.topics.push(Topic { name, key, value });
        }
        parents.push(Parent {
            name,
            key,
            value,
            used: false,
        });
    }

    fn low_level_processor(
        &mut self,
        parents: &mut Vec<Parent>,
        stores: &mut Vec<(Value, Shared)>,
        users: &mut Vec<Vec<String>>,
    ) {
        let first = self.random.below(parents.len());
        let (key, value) = (parents[first].key, parents[first].value);
        let mut of = vec![parents[first].name.clone()];
        parents[first].used = true;
        for other in parents.iter_mut() {
            let alike = other.key == key && other.value == value && !of.contains(&other.name);
            if alike && self.random.chance(25) {
                of.push(other.name.clone());
                other.used = true;
            }
        }
        let name = self.name("p");
        let mut node = Node::new();
        node.set("op", "processor");
        node.set("name", name.as_str());
        node.set("parents", of);
        if self.random.chance(10) {
            self.low_level_route(node, parents, &name, key, value);
            return;
        }
        let chosen = self.processor(key, value, false, Some(stores));
        node.extend(chosen.fields);
        users.resize(stores.len(), Vec::new());
        if let Some((store, _)) = chosen.store {
            node.set("store", store.name.as_str());
            let at = stores
                .iter()
                .position(|(_, shared)| shared.name == store.name)
                .expect("the processor took one of these stores");
            users[at].push(name.clone());
        }
        self.add_node(node);
        parents.push(Parent {
            name,
            key: chosen.key,
            value: chosen.value,
            used: false,
        });
    }

    /// A processor that chooses its child: two sinks or processors by name.
    fn low_level_route(
        &mut self,
        mut node: Node,
        parents: &mut Vec<Parent>,
        name: &str,
        key: Kind,
        value: Kind,
    ) {
        let child = self.name("to");
        node.set("processor", "route");
        // A child that is not there is an error, so only two names can come out.
        let functions = [
            format!("length|mod:2|prepend:{child}-"),
            format!("key|length|mod:2|prepend:{child}-"),
        ];
        let function = format!("{}|if_null:{child}-0", self.random.pick(&functions));
        node.set("child_fn", function);
        self.add_node(node);
        for at in 0..2 {
            let child = format!("{child}-{at}");
            if self.random.chance(50) {
                self.add(json!({"op": "sink", "name": child, "topic": format!("routed-{child}"), "parents": [name]}));
            } else {
                self.add(json!({"op": "processor", "name": child, "parents": [name], "processor": "identity"}));
                parents.push(Parent {
                    name: child,
                    key,
                    value,
                    used: false,
                });
            }
        }
    }

    fn low_level_sink(&mut self, parents: &mut [Parent], at: usize) {
        let name = self.name("snk");
        let mut of = vec![parents[at].name.clone()];
        parents[at].used = true;
        let (key, value) = (parents[at].key, parents[at].value);
        for other in parents.iter().skip(at + 1) {
            if other.key == key && other.value == value && self.random.chance(15) {
                of.push(other.name.clone());
            }
        }
        let mut node = Node::new();
        node.set("op", "sink");
        node.set("name", name.as_str());
        node.set("parents", of);
        if self.random.chance(15) {
            node.set("topic_fn", "key|to_string|prefix:1|prepend:dyn-");
        } else {
            node.set("topic", format!("out{at}"));
        }
        self.add_node(node);
    }
}

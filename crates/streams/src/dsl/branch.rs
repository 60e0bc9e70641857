//! Splitting a stream: each record goes to the first branch whose predicate it satisfies.
//! Not a copy to all branches; using the handle twice is that. Invariant: a record goes to one branch at most.

use super::KStream;
use super::app::{pass_wire, processor};
use crate::task::{Context, Meta, Outputs, Receive, Step, Wire, boxed};
use std::sync::Arc;

type Predicate<K, V> = Arc<dyn Fn(&K, Option<&V>) -> bool + Send + Sync>;

struct Split<K, V> {
    predicates: Vec<Option<Predicate<K, V>>>,
    outputs: Outputs<K, V>,
}

impl<K: Clone, V: Clone> Receive<K, V> for Split<K, V> {
    fn receive(&self, ctx: &mut Context<'_>, key: K, value: Option<V>, meta: &mut Meta) -> Step {
        let takes = |predicate: &Option<Predicate<K, V>>| {
            let predicate = predicate.as_ref();
            predicate.is_none_or(|predicate| predicate(&key, value.as_ref()))
        };
        let chosen = self.predicates.iter().position(takes);
        match chosen {
            Some(branch) => self.outputs.pass_to(branch, ctx, (key, value), meta),
            None => Ok(()),
        }
    }
}

type SharedPredicates<K, V> = Arc<std::sync::Mutex<Vec<Option<Predicate<K, V>>>>>;

impl<'a, K: Clone + 'static, V: Clone + 'static> KStream<'a, K, V> {
    /// Splits the stream; `branches` adds them in order and returns what it wants to go on with.
    pub fn split<T>(self, branches: impl FnOnce(&mut Branches<'a, K, V>) -> T) -> T {
        let predicates: SharedPredicates<K, V> = Arc::default();
        let wired = predicates.clone();
        let wire: Wire = Box::new(move |wiring, node| {
            let predicates = wired
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .clone();
            let split = Split {
                predicates,
                outputs: wiring.outputs(node),
            };
            boxed::<K, V>(wiring, node, split)
        });
        let mut graph = self.app.graph.borrow_mut();
        let name = graph.name("KSTREAM-BRANCH-", self.name);
        let formats = self.formats_in(&graph);
        let split = graph.add(processor(name.clone(), vec![self.node], wire, formats));
        drop(graph);
        branches(&mut Branches {
            stream: self,
            split,
            name,
            next: None,
            predicates,
        })
    }
}

/// Adds the branches of a split stream, in order.
pub struct Branches<'a, K, V> {
    stream: KStream<'a, K, V>,
    split: usize,
    name: String,
    /// What the next branch is called behind the split's name.
    next: Option<String>,
    predicates: SharedPredicates<K, V>,
}

impl<'a, K: Clone + 'static, V: Clone + 'static> Branches<'a, K, V> {
    /// Names the next branch: the split's name, then this (`Branched.as`).
    pub fn named(&mut self, name: impl Into<String>) -> &mut Self {
        self.next = Some(name.into());
        self
    }

    /// The records that satisfy `predicate` and no earlier branch's. Tombstones go to the default branch.
    pub fn branch(
        &mut self,
        predicate: impl Fn(&K, &V) -> bool + Send + Sync + 'static,
    ) -> KStream<'a, K, V> {
        // A tombstone satisfies no predicate.
        let predicate =
            move |key: &K, value: Option<&V>| value.is_some_and(|value| predicate(key, value));
        self.add(Some(Arc::new(predicate)))
    }

    /// As [`Branches::branch`], with tombstones in view.
    pub fn branch_with_nulls(
        &mut self,
        predicate: impl Fn(&K, Option<&V>) -> bool + Send + Sync + 'static,
    ) -> KStream<'a, K, V> {
        self.add(Some(Arc::new(predicate)))
    }

    /// The records that no earlier branch took.
    pub fn default_branch(&mut self) -> KStream<'a, K, V> {
        self.add(None)
    }

    fn add(&mut self, predicate: Option<Predicate<K, V>>) -> KStream<'a, K, V> {
        let number = {
            let mut predicates = self
                .predicates
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner());
            predicates.push(predicate.clone());
            // Kafka Streams calls the default branch 0 and counts the others from 1.
            if predicate.is_none() {
                0
            } else {
                predicates.len()
            }
        };
        let stream = self.stream;
        let mut graph = stream.app.graph.borrow_mut();
        // Kafka Streams spends a number on each branch and names it after the split all the same.
        let _unused = graph.number("");
        let wire = pass_wire::<K, V>();
        let formats = stream.formats_in(&graph);
        let suffix = self.next.take().unwrap_or_else(|| number.to_string());
        let name = format!("{}{suffix}", self.name);
        let node = graph.add(processor(name, vec![self.split], wire, formats));
        drop(graph);
        KStream::at(stream.app, node, stream.rekeyed)
    }
}

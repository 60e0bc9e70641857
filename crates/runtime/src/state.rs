//! What can be asked of a running application from any thread, without holding the application itself: what `headwater-query`
//! builds on. Not typed. Invariant: nothing here waits, and nothing reaches the log.

use crate::globals::SharedGlobals;
use crate::hosts::Hosts;
use crate::positions::Positions;
use crate::views::Views;
use crate::watches::Watches;
use headwater_log::{Endpoint, Offset, TopicPartition};
use headwater_streams::{SubtopologyInfo, Topology};
use headwater_world::World;
use std::sync::Arc;

/// A running application's state, its positions and its place among the other instances. Cloned freely; after the application has
/// stopped it shows no store.
#[derive(Clone)]
pub struct State {
    pub(crate) topology: Arc<Topology>,
    pub(crate) views: Views,
    pub(crate) positions: Positions,
    pub(crate) written: Positions,
    pub(crate) globals: Arc<SharedGlobals>,
    pub(crate) hosts: Hosts,
    pub(crate) counts: crate::counts::Counts,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) world: World,
}

/// Where a store belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePlace {
    /// Its number in the topology.
    pub number: usize,
    /// The sub-topology whose tasks have it.
    pub subtopology: u32,
    /// Every instance has all of it: [`headwater_streams::App::global_table`].
    pub is_global: bool,
    /// The topics whose records fill it, directly or through others of the sub-topology.
    pub sources: Vec<Arc<str>>,
}

impl State {
    /// The topology that runs.
    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// The readers of what runs here.
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Those who wait for something here.
    pub fn watches(&self) -> &Watches {
        self.views.watches()
    }

    /// Which instance holds what.
    pub fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Where this instance answers, if it says so.
    pub fn endpoint(&self) -> Option<&Endpoint> {
        self.endpoint.as_ref()
    }

    /// Clock and randomness.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The next record of an input that views do not show yet, of a task or of a global store; `None` before the first is known.
    pub fn position(&self, at: &TopicPartition) -> Option<Offset> {
        let of_globals = || self.globals.positions.of(at);
        self.positions.of(at).or_else(of_globals)
    }

    /// As [`State::position`], of a global store's input.
    pub fn global_position(&self, at: &TopicPartition) -> Option<Offset> {
        self.globals.positions.of(at)
    }

    /// One past what tasks of this process are known to have written into a partition of a repartition topic: at least what their
    /// commits wrote, and what was there when they were opened.
    pub fn written(&self, at: &TopicPartition) -> Option<Offset> {
        self.written.of(at)
    }

    /// Where a store belongs; `None` when the topology has no such store.
    pub fn place(&self, store: &str) -> Option<StorePlace> {
        let number = self.topology.stores().position(|info| info.name == store)?;
        let owns = |part: &&SubtopologyInfo| part.stores.contains(&number);
        let global = self.topology.globals().iter().find(owns);
        let part = global.or_else(|| self.topology.subtopologies().iter().find(owns))?;
        let names = self.topology.source_topics();
        let sources = part.source_topics.iter();
        Some(StorePlace {
            number,
            subtopology: part.id,
            is_global: global.is_some(),
            sources: sources.map(|it| names[*it as usize].clone()).collect(),
        })
    }

    /// How many tasks a sub-topology has, which is how many partitions its stores have; `None` until the log has told. It is the
    /// greatest number of partitions of its source topics.
    pub fn tasks(&self, subtopology: u32) -> Option<u32> {
        self.counts.of(subtopology)
    }
}

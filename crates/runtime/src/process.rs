//! What the workers of one process share: its identity, budget, directory, views, positions and global stores.
//! Not the group: members of other processes share nothing but the log. Invariant: a process has one of each.

use crate::counts::Counts;
use crate::global_task::GlobalTask;
use crate::globals::SharedGlobals;
use crate::hosts::Hosts;
use crate::positions::Positions;
use crate::state_dir::StateDir;
use crate::views::Views;
use crate::{Result, Settings};
use headwater_log::{ClientOptions, Guarantee, Log};
use headwater_store::Budget;
use headwater_streams::Topology;
use std::sync::Arc;

/// What workers of one process share.
pub(crate) struct Process {
    pub(crate) id: Arc<str>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) state_dir: Arc<StateDir>,
    pub(crate) views: Views,
    pub(crate) positions: Positions,
    /// One past what its tasks wrote into repartition topics.
    pub(crate) written: Positions,
    pub(crate) hosts: Hosts,
    pub(crate) counts: Counts,
    pub(crate) globals: Arc<SharedGlobals>,
}

impl Process {
    pub(crate) fn new(topology: &Topology, settings: &Settings) -> Result<Self> {
        let random = &settings.world.random;
        let bytes =
            (u128::from(random.next_u64()) << 64 | u128::from(random.next_u64())).to_be_bytes();
        Ok(Self {
            id: uuid::Builder::from_random_bytes(bytes)
                .into_uuid()
                .to_string()
                .into(),
            budget: Budget::new(settings.write_back_bytes_max, settings.block_cache_bytes),
            state_dir: StateDir::open(
                settings.state_dir.as_deref(),
                topology.application(),
                &settings.world,
            )?,
            views: Views::default(),
            positions: Positions::default(),
            written: Positions::default(),
            hosts: Hosts::default(),
            counts: Counts::default(),
            globals: Arc::new(SharedGlobals::new(topology)),
        })
    }

    /// What follows the topics of the global stores; `None` when the topology has none.
    pub(crate) fn global_task(
        &self,
        topology: &Arc<Topology>,
        log: &dyn Log,
        settings: &Settings,
        waker: Option<std::task::Waker>,
    ) -> Result<Option<GlobalTask>> {
        if !self.globals.is_wanted() {
            return Ok(None);
        }
        let client = log.client(ClientOptions {
            client_id: format!("{}-{}-global", topology.application(), self.id),
            guarantee: settings.guarantee,
            waker,
            ..ClientOptions::default()
        })?;
        Ok(GlobalTask::new(topology, settings, client, self))
    }

    /// How worker `number` of this process opens its client; names as in Kafka Streams, which has no transactional id at least
    /// once either: an application that is not granted one can run so.
    pub(crate) fn client_options(
        &self,
        topology: &Topology,
        settings: &Settings,
        number: usize,
        waker: Option<std::task::Waker>,
    ) -> ClientOptions {
        let name = format!("{}-{}-{number}", topology.application(), self.id);
        let exactly_once = settings.guarantee == Guarantee::ExactlyOnce;
        ClientOptions {
            client_id: name.clone(),
            guarantee: settings.guarantee,
            transactional_id: exactly_once.then_some(name),
            waker,
            ..ClientOptions::default()
        }
    }
}

//! Which processes the group has and which of them this one watches. Not what their members do.
//! Invariant: each process is watched by the few before it in the order of their ids, so that a group of many stays cheap.

use super::{
    DIALECT_TAG, Line, Post, TAG,
    eviction::Eviction,
    peer::{Fate, watch},
};
use crate::{
    cluster::{Cluster, CoordinatorKind},
    coordinator::{Asking, Refusal},
    protocol::{
        ErrorCode,
        streams_group_describe::{
            Member, StreamsGroupDescribeRequest, StreamsGroupDescribeResponse,
        },
    },
    settings::{EndpointChoice, Settings, address::Address},
};
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    task::{JoinHandle, spawn_local},
    time::{Instant, sleep, timeout},
};

/// Processes that one process watches.
const WATCHED_MAX: usize = 8;
/// How often the group is described when nothing shows that it has changed.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Descriptions follow each other at this distance at least.
const LOOK_MS_MIN: u64 = 100;
/// How long one description is tried.
const LOOK_MS_MAX: u64 = 3_000;

/// Another process, as its members' entries in the group show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) process: String,
    pub(super) address: Address,
    /// The ids of its members.
    pub(super) members: Vec<String>,
}

pub(super) struct Roster {
    cluster: Rc<Cluster>,
    settings: Rc<Settings>,
    post: Post,
    line: Arc<Line>,
    /// As last described.
    peers: RefCell<BTreeMap<String, Peer>>,
    watched: RefCell<BTreeMap<String, (Address, JoinHandle<()>)>>,
    has_complained: Cell<bool>,
}

impl Roster {
    pub(super) fn new(
        cluster: Rc<Cluster>,
        settings: Rc<Settings>,
        post: Post,
        line: Arc<Line>,
    ) -> Rc<Self> {
        Rc::new(Self {
            cluster,
            settings,
            post,
            line,
            peers: RefCell::default(),
            watched: RefCell::default(),
            has_complained: Cell::new(false),
        })
    }

    /// Never returns; the thread's end drops it.
    pub(super) async fn run(self: Rc<Self>) {
        loop {
            // The first look waits for the first member to have joined.
            drop(timeout(LOOK_EVERY, self.line.look.notified()).await);
            match self.describe().await {
                Ok(members) => {
                    self.hear_dialects(&members);
                    *self.peers.borrow_mut() = peers(&members, &self.post.process);
                    if self.settings.endpoint != EndpointChoice::Off {
                        self.arrange();
                    }
                }
                Err(refusal) => self.complain(&refusal),
            }
            sleep(Duration::from_millis(LOOK_MS_MIN)).await;
        }
    }

    /// Has the members of this process told when those of another dialect have come or gone.
    fn hear_dialects(&self, members: &[Member]) {
        let own = &*self.post.dialect;
        if own.is_empty() {
            return;
        }
        let is_other = |member: &Member| {
            let mut tags = member.client_tags.iter();
            let tag = tags.find(|tag| tag.key == DIALECT_TAG);
            tag.map_or("", |tag| &tag.value) != own
        };
        let is_mixed = members.iter().any(is_other);
        if self.line.is_mixed.swap(is_mixed, Ordering::AcqRel) != is_mixed {
            self.line.ring();
        }
    }

    /// The members of the group as the coordinator knows them.
    pub(super) async fn describe(&self) -> Result<Vec<Member>, Refusal> {
        let request = StreamsGroupDescribeRequest {
            group_ids: vec![self.post.group.to_string()],
            include_authorized_operations: false,
        };
        let asking = self.asking(
            CoordinatorKind::Group,
            &self.post.group,
            Instant::now() + Duration::from_millis(LOOK_MS_MAX),
        );
        let code = |answer: &StreamsGroupDescribeResponse| {
            let group = answer.groups.first();
            match group.map_or(ErrorCode::NONE, |group| group.error_code) {
                ErrorCode::GROUP_ID_NOT_FOUND => ErrorCode::NONE,
                code => code,
            }
        };
        let mut answer = asking.ask(&request, code).await?;
        Ok(answer
            .groups
            .pop()
            .map_or_else(Vec::new, |group| group.members))
    }

    pub(super) fn asking<'a>(
        &'a self,
        kind: CoordinatorKind,
        key: &'a str,
        deadline: Instant,
    ) -> Asking<'a> {
        Asking {
            cluster: &self.cluster,
            kind,
            key,
            deadline,
            lost: Cell::new(false),
        }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn post(&self) -> &Post {
        &self.post
    }

    /// Has the members of this process beat at once.
    pub(super) fn ring(&self) {
        self.line.ring();
    }

    /// Something for a person.
    pub(super) fn notice(&self, notice: String) {
        self.line.notice(notice);
    }

    /// Watches those it should, and no others.
    fn arrange(self: &Rc<Self>) {
        let peers = self.peers.borrow();
        let chosen = chosen(&peers, &self.post.process);
        let mut watched = self.watched.borrow_mut();
        watched.retain(|process, (address, task)| {
            let stays = chosen
                .iter()
                .any(|peer| peer.process == *process && peer.address == *address);
            if !stays {
                task.abort();
            }
            stays && !task.is_finished()
        });
        for peer in chosen {
            watched.entry(peer.process.clone()).or_insert_with(|| {
                let task = spawn_local(Rc::clone(self).follow(peer.clone()));
                (peer.address.clone(), task)
            });
        }
    }

    async fn follow(self: Rc<Self>, peer: Peer) {
        let fate = watch(&peer.process, &peer.address, &self.line).await;
        if fate == Fate::Dead && self.post.evicts {
            // A task of its own: looking at the group anew must not end it half way.
            let known = self.peers.borrow().get(&peer.process).cloned();
            let eviction = Eviction::new(&self, known.unwrap_or(peer));
            spawn_local(eviction.run());
        }
        self.line.look.notify_one();
    }

    fn complain(&self, refusal: &Refusal) {
        // What passes by itself is not worth a word: the member's heartbeats tell about brokers that are away.
        if matches!(refusal, Refusal::Late(_)) || self.has_complained.replace(true) {
            return;
        }
        let group = &self.post.group;
        self.notice(format!(
            "nobody is watched, since group '{group}' cannot be described: {refusal} (the principal needs DESCRIBE on the group)"
        ));
    }
}

/// The other processes that can be watched.
fn peers(members: &[Member], own: &str) -> BTreeMap<String, Peer> {
    let mut peers: BTreeMap<String, Peer> = BTreeMap::new();
    for member in members.iter().filter(|member| member.process_id != own) {
        let tag = member.client_tags.iter().find(|tag| tag.key == TAG);
        let Some(Ok(address)) = tag.map(|tag| Address::parse(&tag.value)) else {
            continue;
        };
        let peer = peers
            .entry(member.process_id.clone())
            .or_insert_with(|| Peer {
                process: member.process_id.clone(),
                address: address.clone(),
                members: Vec::new(),
            });
        peer.members.push(member.member_id.clone());
    }
    peers
}

/// Those that come next after `own` in the order of ids, round about.
fn chosen<'a>(peers: &'a BTreeMap<String, Peer>, own: &str) -> Vec<&'a Peer> {
    let after = peers.values().filter(|peer| *peer.process > *own);
    let before = peers.values().filter(|peer| *peer.process < *own);
    after.chain(before).take(WATCHED_MAX).collect()
}

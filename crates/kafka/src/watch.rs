//! One process's watch over the others of its group: an endpoint that they look at, and a look at theirs. Not membership: that is
//! the coordinator's, and what is done here goes through it. Invariant: a process whose endpoint was never reached is never evicted.
//!
//! ```text
//! process a                                         process b
//! listens, tells where in its member's tags  <----  connects, is greeted with a's id, waits
//!   a member left, or joined                 ---->  beats at once
//!   all ended well: bye                      ---->  beats at once, forgets a
//!   (killed: the system closes what it held) ---->  connects again: refused. Evicts a, beats at once
//! ```
//!
//! A closed endpoint is no proof that a process is gone. So eviction takes nothing but what the protocol itself fences: the member
//! leaves, its transactional id is taken. If it lives, its next heartbeat or commit is refused, it drops what is uncommitted and
//! starts over. A frozen process keeps its connections; the session timeout decides about it.

mod endpoint;
mod eviction;
mod peer;
mod roster;

use crate::{
    cluster::Cluster,
    protocol::streams_group_heartbeat::KeyValue,
    settings::{EndpointChoice, Settings, address::Address},
};
use endpoint::Endpoint;
use roster::Roster;
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    rc::Rc,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::{LocalSet, spawn_local},
    time::{sleep, timeout},
};

/// The tag of a member that says where its process listens: `host:port`.
pub(crate) const TAG: &str = "headwater.endpoint";
/// The tag of a member whose records tell more than those of Kafka Streams.
const DIALECT_TAG: &str = "headwater.dialect";
/// How long a member's first request waits for the endpoint to be opened.
const OPEN_MS_MAX: u64 = 1_000;
/// How long the end of a process waits for the others to be told.
const BYE_MS_MAX: u64 = 200;
/// How long the news that one member of several has left waits for the others: members of a process that stops leave together, and
/// who beats in between has the coordinator assign once for nothing, and again only a second later.
const LEFT_MS: u64 = 25;

/// News that wait for a client to tell them; of more the oldest are dropped.
const NOTICES_MAX: usize = 64;

/// Rung to have a client's member beat at once, or tell a notice.
#[derive(Default)]
pub(crate) struct Bell {
    pub(crate) rung: Notify,
    group_changed: AtomicBool,
    notices: Mutex<VecDeque<String>>,
}

impl Bell {
    fn ring(&self) {
        self.group_changed.store(true, Ordering::Release);
        self.rung.notify_one();
    }

    /// Whether the group may have changed since the last call.
    pub(crate) fn take(&self) -> bool {
        self.group_changed.swap(false, Ordering::AcqRel)
    }

    /// Something for a person, which the client tells with its member's events.
    fn notice(&self, notice: String) {
        let mut notices = lock(&self.notices);
        if notices.len() == NOTICES_MAX {
            notices.pop_front();
        }
        notices.push_back(notice);
        drop(notices);
        self.rung.notify_one();
    }

    /// What was told by [`Bell::notice`] since the last call.
    pub(crate) fn take_notices(&self) -> VecDeque<String> {
        std::mem::take(&mut lock(&self.notices))
    }
}

/// Who watches, and in which group.
#[derive(Clone, Debug)]
pub(crate) struct Post {
    pub(crate) group: Arc<str>,
    pub(crate) process: Arc<str>,
    /// Of its members ([`headwater_log::Membership::dialect`]).
    pub(crate) dialect: Arc<str>,
    /// The processes that are found dead are evicted.
    pub(crate) evicts: bool,
}

/// What those who look at the endpoint hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// How often the group was changed by this process.
    Changed(u64),
    Bye,
}

/// What the clients of a process and its watch share.
struct Line {
    bells: Mutex<Vec<Weak<Bell>>>,
    /// The group is to be looked at anew.
    look: Notify,
    news: watch::Sender<News>,
    /// Where the process listens, once that is decided.
    address: watch::Sender<Option<Option<Address>>>,
    closing: Notify,
    /// Clients whose members have not left.
    seats: AtomicUsize,
    /// The group was seen to have members of another dialect.
    is_mixed: AtomicBool,
    /// A client ended without leaving: nobody is told goodbye.
    is_abrupt: AtomicBool,
    ended: watch::Sender<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked moved whole values only.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    /// Has a client told from here on.
    fn join(&self, bell: &Arc<Bell>) {
        let mut bells = lock(&self.bells);
        let bell = Arc::downgrade(bell);
        if !bells.iter().any(|it| it.ptr_eq(&bell)) {
            bells.push(bell);
        }
    }

    fn ring(&self) {
        let mut bells = lock(&self.bells);
        bells.retain(|bell| bell.upgrade().inspect(|bell| bell.ring()).is_some());
    }

    /// Something for a person: one client of the process tells it.
    fn notice(&self, notice: String) {
        let living = lock(&self.bells).iter().find_map(Weak::upgrade);
        if let Some(bell) = living {
            bell.notice(notice);
        }
    }
}

/// The watches of this program, by process id: clients of one process share one.
#[derive(Clone, Default)]
pub(crate) struct Watches(Arc<Mutex<BTreeMap<Arc<str>, Weak<Watch>>>>);

impl Watches {
    /// The watch of a process, started where there is none; `None` where settings want none and nothing else is to be looked for, or a
    /// thread cannot be started.
    pub(crate) fn of(
        &self,
        post: &Post,
        settings: &Settings,
        bell: &Arc<Bell>,
    ) -> Option<Arc<Watch>> {
        if settings.endpoint == EndpointChoice::Off && post.dialect.is_empty() {
            return None;
        }
        let mut watches = lock(&self.0);
        watches.retain(|_, watch| watch.strong_count() > 0);
        let known = watches.get(&post.process).and_then(Weak::upgrade);
        let watch = match known {
            Some(watch) => watch,
            None => match Watch::start(post.clone(), settings.clone(), bell) {
                Ok(watch) => Arc::new(watch),
                Err(error) => {
                    let process = &post.process;
                    bell.notice(format!("process {process} watches nobody: {error}"));
                    return None;
                }
            },
        };
        watches.insert(Arc::clone(&post.process), Arc::downgrade(&watch));
        watch.line.join(bell);
        watch.line.seats.fetch_add(1, Ordering::AcqRel);
        Some(watch)
    }
}

/// One process's watch; it ends with the last client that holds it.
pub(crate) struct Watch {
    line: Arc<Line>,
    dialect: Arc<str>,
}

impl Watch {
    /// `bell`: of the first client, so that somebody tells what goes wrong at once.
    fn start(post: Post, settings: Settings, bell: &Arc<Bell>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let line = Arc::new(Line {
            bells: Mutex::new(vec![Arc::downgrade(bell)]),
            look: Notify::new(),
            news: watch::Sender::new(News::Changed(0)),
            address: watch::Sender::new(None),
            closing: Notify::new(),
            seats: AtomicUsize::new(0),
            is_mixed: AtomicBool::new(false),
            is_abrupt: AtomicBool::new(false),
            ended: watch::Sender::new(false),
        });
        let shared = Arc::clone(&line);
        let dialect = Arc::clone(&post.dialect);
        let run = move || {
            LocalSet::new().block_on(&runtime, serve(post, settings, Arc::clone(&shared)));
            // Whatever listened is closed before anybody hears of the end.
            drop(runtime);
            shared.ended.send_replace(true);
        };
        std::thread::Builder::new()
            .name("kafka watch".into())
            .spawn(run)?;
        Ok(Self { line, dialect })
    }

    /// What members of this process join with.
    pub(crate) async fn tags(&self) -> Vec<KeyValue> {
        let mut address = self.line.address.subscribe();
        let known = address.wait_for(Option::is_some);
        let opened = timeout(Duration::from_millis(OPEN_MS_MAX), known).await;
        let address = opened.ok().and_then(Result::ok).and_then(|it| it.clone());
        let tag = |key: &str, value: String| KeyValue {
            key: key.into(),
            value,
        };
        let endpoint = address.flatten();
        let endpoint = endpoint.map(|address| tag(TAG, address.to_string()));
        let speaks = (!self.dialect.is_empty()).then(|| tag(DIALECT_TAG, self.dialect.to_string()));
        endpoint.into_iter().chain(speaks).collect()
    }

    /// The group has members of another dialect, as last seen.
    pub(crate) fn is_mixed(&self) -> bool {
        self.line.is_mixed.load(Ordering::Acquire)
    }

    /// The group has changed, as far as a member of this process can tell.
    pub(crate) fn look(&self) {
        self.line.look.notify_one();
    }

    /// A client's member has left: the others are told, while the client is still there.
    pub(crate) fn left(&self) -> impl Future<Output = ()> + use<> {
        let line = Arc::clone(&self.line);
        let is_last = line.seats.fetch_sub(1, Ordering::AcqRel) <= 1;
        async move {
            if !is_last {
                sleep(Duration::from_millis(LEFT_MS)).await;
            }
            tell(&line);
        }
    }

    /// Ends a client's part in it. The others are told that a member has left.
    pub(crate) async fn close(self: Arc<Self>, has_left: bool) {
        let line = Arc::clone(&self.line);
        if !has_left {
            line.is_abrupt.store(true, Ordering::Release);
        }
        let mut ended = line.ended.subscribe();
        let is_last = Arc::into_inner(self).is_some();
        if is_last && has_left {
            let gone = ended.wait_for(|ended| *ended);
            drop(timeout(Duration::from_millis(BYE_MS_MAX), gone).await);
        } else {
            tell(&line);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.line.closing.notify_one();
    }
}

fn tell(line: &Line) {
    line.news.send_modify(|news| {
        if let News::Changed(times) = news {
            *times += 1;
        }
    });
}

async fn serve(post: Post, settings: Settings, line: Arc<Line>) {
    let settings = Rc::new(settings);
    let name = format!("{}-{}-watch", post.group, post.process);
    let cluster = Cluster::new(Rc::clone(&settings), &name);
    let endpoint = match settings.endpoint {
        EndpointChoice::Off => None,
        _ => Endpoint::open(&settings, &post, &line).await,
    };
    let address = endpoint.as_ref().map(|endpoint| endpoint.address().clone());
    line.address.send_replace(Some(address));
    let endpoint = endpoint.map(Rc::new);
    if let Some(endpoint) = &endpoint {
        spawn_local(Rc::clone(endpoint).run());
    }
    let roster = Roster::new(cluster, settings, post, Arc::clone(&line));
    spawn_local(roster.run());
    line.closing.notified().await;
    if let Some(endpoint) = endpoint.filter(|_| !line.is_abrupt.load(Ordering::Acquire)) {
        line.news.send_replace(News::Bye);
        drop(timeout(Duration::from_millis(BYE_MS_MAX), endpoint.drained()).await);
    }
}

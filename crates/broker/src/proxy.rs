//! A TCP proxy that knows where a Kafka request begins and spoils connections on purpose: late, in pieces, cut, without an answer.
//! Not for TLS: it reads the first bytes of each request. Invariant: what it decides comes from its seed and the order of connections
//! and requests; it never changes a byte that it passes on.

mod connection;

use crate::random::Random;
use anyhow::{Context, Result};
use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// What every request and answer meets. The default is a clear day.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// Each message waits from 0 to so many ms.
    pub delay_ms_max: u64,
    /// Messages go out in pieces of 1 to so many bytes; 0 leaves them whole.
    pub piece_bytes_max: u64,
    /// So many of 1,000 requests cut their connection: before, within or after the request, or within the answer.
    pub cuts_per_mille: u64,
}

/// What one request meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is cut; the broker never hears of the request.
    LoseRequest,
    /// The broker gets the request, the client a cut connection in place of the answer.
    LoseAnswer,
    /// The broker gets the request after so many ms, when the client's connection is cut already.
    DeliverLate {
        /// How late.
        ms: u64,
    },
    /// The answer comes after so many ms.
    DelayAnswer {
        /// How late.
        ms: u64,
    },
}

/// A running proxy; dropping it cuts every connection.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    to: SocketAddr,
    seed: u64,
    is_over: AtomicBool,
    plan: Mutex<Plan>,
    cuts: AtomicU64,
    requests: AtomicU64,
}

#[derive(Debug, Default)]
struct Plan {
    weather: Weather,
    /// Faults to come, each with the API key it waits for.
    faults: Vec<(i16, Fault)>,
    /// Faults that have come.
    done: Vec<(i16, Fault)>,
    open: Vec<TcpStream>,
    connections: u64,
    refuses: bool,
}

impl Proxy {
    /// Listens at one address and passes on to another.
    pub fn start(listen: SocketAddr, to: SocketAddr, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind(listen)
            .with_context(|| format!("the proxy cannot listen at {listen}"))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            to,
            seed,
            is_over: AtomicBool::new(false),
            plan: Mutex::default(),
            cuts: AtomicU64::new(0),
            requests: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        let accepting = thread::spawn(move || accept(&listener, &theirs));
        Ok(Self {
            address,
            shared,
            accepting: Some(accepting),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, for connections that are open, too.
    pub fn weather(&self, weather: Weather) {
        self.shared.plan().weather = weather;
    }

    /// The next request of an API key meets this; several wait in order.
    pub fn plan(&self, api_key: i16, fault: Fault) {
        self.shared.plan().faults.push((api_key, fault));
    }

    /// Planned faults that have happened, in order.
    #[must_use]
    pub fn happened(&self) -> Vec<(i16, Fault)> {
        self.shared.plan().done.clone()
    }

    /// Cuts every open connection; new ones are welcome.
    pub fn cut_all(&self) {
        let open = std::mem::take(&mut self.shared.plan().open);
        for stream in open {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Whether new connections are cut at once.
    pub fn refuse(&self, refuses: bool) {
        self.shared.plan().refuses = refuses;
    }

    /// Requests that passed, and connections that were cut in the middle of one.
    #[must_use]
    pub fn figures(&self) -> (u64, u64) {
        let requests = self.shared.requests.load(Ordering::Relaxed);
        (requests, self.shared.cuts.load(Ordering::Relaxed))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
        self.cut_all();
        // Wakes the accepting thread, which then looks at the flag.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

impl Shared {
    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The planned fault of this request, if one waits for it.
    fn fault_of(&self, api_key: i16) -> Option<Fault> {
        let mut plan = self.plan();
        let at = plan.faults.iter().position(|(key, _)| *key == api_key)?;
        let (key, fault) = plan.faults.remove(at);
        plan.done.push((key, fault));
        Some(fault)
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.is_over.load(Ordering::Relaxed) {
            return;
        }
        let Ok(client) = stream else {
            continue;
        };
        if shared.plan().refuses {
            continue;
        }
        // A broker that is down looks to the client as it would without us: a connection that closes.
        let Ok(broker) = TcpStream::connect_timeout(&shared.to, Duration::from_secs(5)) else {
            continue;
        };
        if let Err(error) = connection::open(client, broker, shared) {
            eprintln!("proxy: {error:#}");
        }
    }
}

/// The random sequences of a new connection's two directions.
fn sequences(shared: &Shared) -> (Random, Random) {
    let mut plan = shared.plan();
    plan.connections += 1;
    let number = plan.connections;
    (
        Random::of(shared.seed, 2 * number),
        Random::of(shared.seed, 2 * number + 1),
    )
}

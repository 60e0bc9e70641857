//! Takes connections and serves routes on them. Not routes. Invariant: connections are limited in number, in the time a request's head
//! may take, and in the time they may take to end.

use super::ServerTls;
use super::connection::{Service, Stopped, talk};
use axum::Router;
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_AGAIN_MS: u64 = 50;

/// ms for the last answers to be sent, of those who wait when a server's time to stop is over.
const LAST_ANSWERS_MS: u64 = 2_000;

/// What a server takes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the system's queue, which holds as many again where the system lets it (Linux:
    /// `net.core.somaxconn`, 4,096).
    pub connections_max: usize,
    /// Requests that work at a time, for each [`super::Gate`]; more are answered 503. Those that wait for an event do not count.
    pub requests_max: usize,
    /// Pages that are made at a time, for each gate: they cost as much as hundreds of gets, which come between them. As many as
    /// `requests_max` wait for that; more are answered 503.
    pub pages_max: usize,
    /// Bytes of a request's body; more are answered 413.
    pub body_bytes_max: usize,
    /// ms until a body must be there; else 408.
    pub body_ms_max: u64,
    /// ms until the head of a request must be there, and a connection secured; else it is closed.
    pub head_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            requests_max: 512,
            pages_max: 16,
            body_bytes_max: 1 << 20,
            body_ms_max: 10_000,
            head_ms_max: 10_000,
        }
    }
}

/// A running server; dropped, it stops without waiting.
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    over: watch::Sender<bool>,
    ended: JoinHandle<()>,
}

impl Server {
    /// Serves `routes` on `listener`, in the tokio runtime this is called in. The queue of `listener` is made as long as
    /// [`Limits::connections_max`] says.
    pub fn start(
        listener: TcpListener,
        routes: Router,
        limits: &Limits,
        tls: Option<ServerTls>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        lengthen_queue(&listener, limits.connections_max)?;
        let (stop, stopped) = watch::channel(false);
        let (over, is_over) = watch::channel(false);
        let door = Door {
            service: Arc::new(Service {
                routes,
                head_wait: Duration::from_millis(limits.head_ms_max),
                is_over,
            }),
            tls: tls.map(|tls| TlsAcceptor::from(tls.0)),
            connections: Arc::new(Semaphore::new(limits.connections_max)),
        };
        let ended = tokio::spawn(door.open(listener, stopped));
        Ok(Self {
            address,
            stop,
            over,
            ended,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, and lets those at work end within `deadline`. GETs of HTTP/1 that wait then are answered 503, in two
    /// seconds at most; what is still under way is cut off.
    pub async fn stop(self, deadline: Duration) {
        self.stop.send_replace(true);
        let mut ended = self.ended;
        if timeout(deadline, &mut ended).await.is_ok() {
            return;
        }
        self.over.send_replace(true);
        let last = Duration::from_millis(LAST_ANSWERS_MS);
        if timeout(last, &mut ended).await.is_err() {
            ended.abort();
        }
    }
}

/// Lets connections wait for [`Door::open`]. A client whose connection finds no place believes to have one, and what it says is lost: it
/// says it again after pauses that double, and is cut off when one of them is longer than `head_ms_max`. tokio and the standard
/// library ask for 1,024 places or fewer, and thousands come back at once where another instance has stopped.
fn lengthen_queue(listener: &TcpListener, connections: usize) -> io::Result<()> {
    let places = i32::try_from(connections).unwrap_or(i32::MAX);
    SockRef::from(listener).listen(places)
}

/// What connections come through.
struct Door {
    service: Arc<Service>,
    tls: Option<TlsAcceptor>,
    connections: Arc<Semaphore>,
}

impl Door {
    async fn open(self, listener: TcpListener, mut stopped: Stopped) {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let Ok(permit) = self.connections.clone().acquire_owned().await else {
                break;
            };
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopped.changed() => break,
            };
            while connections.try_join_next().is_some() {}
            let Ok((stream, _)) = accepted else {
                // Too many open files, mostly: those that end make room.
                tokio::time::sleep(Duration::from_millis(ACCEPT_AGAIN_MS)).await;
                continue;
            };
            let connection = self.serve(stream, stopped.clone());
            connections.spawn(async move {
                connection.await;
                drop(permit);
            });
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    fn serve(
        &self,
        stream: TcpStream,
        mut stopped: Stopped,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        // Answers are small: they leave at once.
        drop(stream.set_nodelay(true));
        let service = self.service.clone();
        let Some(tls) = self.tls.clone() else {
            return Box::pin(talk(stream, service, stopped));
        };
        Box::pin(async move {
            let secured = tokio::select! {
                secured = timeout(service.head_wait, tls.accept(stream)) => secured,
                _ = stopped.wait_for(|it| *it) => return,
            };
            if let Ok(Ok(stream)) = secured {
                talk(stream, service, stopped).await;
            }
        })
    }
}

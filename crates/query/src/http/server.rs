//! Takes connections and serves routes on them. Not routes. Invariant: connections are limited in number, in the time a request's head
//! may take, and in the time they may take to end.

use super::ServerTls;
use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// After a failed accept, mostly for want of file descriptors.
const ACCEPT_AGAIN_MS: u64 = 50;
/// Requests of one HTTP/2 connection at a time: instances send all they have to say over one.
const STREAMS_MAX: u32 = 20_000;
/// The buffer of an HTTP/1 connection: the longest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;

/// What a server takes.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time; more wait in the system's queue.
    pub connections_max: usize,
    /// Requests that work at a time, for each [`super::Gate`]; more are answered 503. Those that wait for an event do not count.
    pub requests_max: usize,
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
    ended: JoinHandle<()>,
}

impl Server {
    /// Serves `routes` on `listener`, in the tokio runtime this is called in.
    pub fn start(
        listener: TcpListener,
        routes: Router,
        limits: &Limits,
        tls: Option<ServerTls>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let door = Door {
            routes,
            tls: tls.map(|tls| TlsAcceptor::from(tls.0)),
            connections: Arc::new(Semaphore::new(limits.connections_max)),
            head_wait: Duration::from_millis(limits.head_ms_max),
        };
        let ended = tokio::spawn(door.open(listener, stopped));
        Ok(Self {
            address,
            stop,
            ended,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more requests, lets those at work end within `deadline`, then cuts them off. Those that wait for events are cut off
    /// too: end what they wait for first.
    pub async fn stop(self, deadline: Duration) {
        self.stop.send_replace(true);
        let mut ended = self.ended;
        if tokio::time::timeout(deadline, &mut ended).await.is_err() {
            ended.abort();
        }
    }
}

/// What connections come through.
struct Door {
    routes: Router,
    tls: Option<TlsAcceptor>,
    connections: Arc<Semaphore>,
    head_wait: Duration,
}

impl Door {
    async fn open(self, listener: TcpListener, mut stopped: watch::Receiver<bool>) {
        let graceful = GracefulShutdown::new();
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
            let connection = self.serve(stream, graceful.watcher());
            connections.spawn(async move {
                connection.await;
                drop(permit);
            });
        }
        drop(listener);
        graceful.shutdown().await;
        // Those that were not watched yet: still in their handshakes.
        connections.shutdown().await;
    }

    fn serve(
        &self,
        stream: TcpStream,
        watcher: hyper_util::server::graceful::Watcher,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (routes, tls, head_wait) = (self.routes.clone(), self.tls.clone(), self.head_wait);
        async move {
            // Answers are small: they leave at once.
            drop(stream.set_nodelay(true));
            match tls {
                None => talk(stream, routes, head_wait, watcher).await,
                Some(tls) => {
                    let secured = tokio::time::timeout(head_wait, tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = secured {
                        talk(stream, routes, head_wait, watcher).await;
                    }
                }
            }
        }
    }
}

async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    routes: Router,
    head_wait: Duration,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(head_wait)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(head_wait))
        .max_concurrent_streams(STREAMS_MAX);
    let (asked, mut was_asked) = watch::channel(false);
    let service = routes.map_request(move |request: Request<Incoming>| {
        asked.send_if_modified(|asked| !std::mem::replace(asked, true));
        request.map(Body::new)
    });
    let service = TowerToHyperService::new(service);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    let connection = watcher.watch(connection.into_owned());
    tokio::pin!(connection);
    // The builder has no patience of its own before it knows the protocol. What goes wrong is the client's affair.
    let first = tokio::time::timeout(head_wait, was_asked.wait_for(|asked| *asked));
    tokio::select! {
        _ = &mut connection => return,
        asked = first => match asked {
            Ok(_) => {}
            Err(_) => return,
        },
    }
    drop(connection.await);
}

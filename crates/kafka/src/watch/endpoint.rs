//! Where a process listens so that others can see that it is there. Not a place of requests: what comes is read and forgotten.
//! Invariant: who connects learns the process id and that something changed, nothing else.

use super::{Line, News, Post};
use crate::settings::{EndpointChoice, Settings, address::Address};
use std::{
    cell::Cell,
    io,
    net::{IpAddr, SocketAddr},
    rc::Rc,
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream, UdpSocket, lookup_host,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
    task::spawn_local,
    time::{sleep, timeout},
};

/// Connections at once; more are closed at once, and who made them goes without.
const WATCHERS_MAX: usize = 64;
/// How long a watcher may take to accept a few bytes.
const WRITE_MS_MAX: u64 = 1_000;
/// After a connection could not be taken, for instance because there are too many open files.
const ACCEPT_PAUSE_MS: u64 = 100;

pub(super) const CHANGED: u8 = b'!';
pub(super) const BYE: u8 = b'.';

/// The first line of every connection.
pub(super) fn greeting(process: &str) -> String {
    format!("headwater-watch 1 {process}\n")
}

pub(super) struct Endpoint {
    listener: TcpListener,
    address: Address,
    process: Arc<str>,
    line: Arc<Line>,
    watchers: Cell<usize>,
    /// Rung when a watcher is gone.
    gone: Notify,
}

impl Endpoint {
    /// Opens it as settings say; `None`, and a word about it, when that cannot be done.
    pub(super) async fn open(settings: &Settings, post: &Post, line: &Arc<Line>) -> Option<Self> {
        match bind(settings).await {
            Ok((listener, address)) => Some(Self {
                listener,
                address: settings.endpoint_advertised.clone().unwrap_or(address),
                process: Arc::clone(&post.process),
                line: Arc::clone(line),
                watchers: Cell::new(0),
                gone: Notify::new(),
            }),
            Err(error) => {
                line.notice(format!(
                    "process {} opens no endpoint, so that others hear of its death by the session timeout: {error} (headwater.endpoint)",
                    post.process
                ));
                None
            }
        }
    }

    /// Where others find it.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Never returns; the thread's end drops it.
    pub(super) async fn run(self: Rc<Self>) {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) if self.watchers.get() < WATCHERS_MAX => {
                    self.watchers.set(self.watchers.get() + 1);
                    spawn_local(Rc::clone(&self).serve(stream));
                }
                Ok(_) => {}
                Err(_) => sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await,
            }
        }
    }

    /// Waits until nobody is connected.
    pub(super) async fn drained(&self) {
        while self.watchers.get() > 0 {
            self.gone.notified().await;
        }
    }

    async fn serve(self: Rc<Self>, stream: TcpStream) {
        let (read, write) = stream.into_split();
        let reading = spawn_local(drain(read));
        let told = self.tell(write, &reading).await;
        reading.abort();
        drop(told);
        self.watchers.set(self.watchers.get() - 1);
        self.gone.notify_one();
    }

    /// Greets, then tells news until either side ends.
    async fn tell(
        &self,
        mut write: OwnedWriteHalf,
        reading: &tokio::task::JoinHandle<()>,
    ) -> io::Result<()> {
        let mut news = self.line.news.subscribe();
        say(&mut write, greeting(&self.process).as_bytes()).await?;
        // Somebody who comes to watch has mostly just joined.
        self.line.ring();
        loop {
            // A watcher that is gone is noticed here at the latest.
            let changed = timeout(Duration::from_secs(1), news.changed()).await;
            if reading.is_finished() {
                return Ok(());
            }
            let told = *news.borrow_and_update();
            match (changed, told) {
                (_, News::Bye) => {
                    say(&mut write, &[BYE]).await?;
                    return write.shutdown().await;
                }
                (Ok(_), News::Changed(_)) => say(&mut write, &[CHANGED]).await?,
                (Err(_), News::Changed(_)) => {}
            }
        }
    }
}

/// Reads until the other side closes.
async fn drain(mut read: OwnedReadHalf) {
    let mut bytes = [0; 64];
    while matches!(read.read(&mut bytes).await, Ok(1..)) {}
}

async fn say(write: &mut OwnedWriteHalf, bytes: &[u8]) -> io::Result<()> {
    let written = timeout(Duration::from_millis(WRITE_MS_MAX), write.write_all(bytes));
    written
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// A listener, and the address by which it is reached from where the brokers are.
async fn bind(settings: &Settings) -> io::Result<(TcpListener, Address)> {
    if let EndpointChoice::At(address) = &settings.endpoint {
        let listener = TcpListener::bind((address.host.as_str(), address.port)).await?;
        let local = listener.local_addr()?;
        let host = match local.ip().is_unspecified() {
            true => towards_brokers(settings).await?,
            false => local.ip(),
        };
        return Ok((listener, Address::new(host.to_string(), local.port())));
    }
    let host = towards_brokers(settings).await?;
    let listener = TcpListener::bind(SocketAddr::new(host, 0)).await?;
    let port = listener.local_addr()?.port();
    Ok((listener, Address::new(host.to_string(), port)))
}

/// This machine's address on the way to a broker. Nothing is sent.
async fn towards_brokers(settings: &Settings) -> io::Result<IpAddr> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for server in &settings.bootstrap {
        let found = match lookup_host((server.host.as_str(), server.port)).await {
            Ok(found) => found,
            Err(error) => {
                last = error;
                continue;
            }
        };
        for address in found {
            match local_towards(address).await {
                Ok(local) => return Ok(local),
                Err(error) => last = error,
            }
        }
    }
    Err(last)
}

async fn local_towards(address: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = match address.is_ipv4() {
        true => ([0, 0, 0, 0], 0).into(),
        false => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    Ok(socket.local_addr()?.ip())
}

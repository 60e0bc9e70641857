//! One connection: which protocol it speaks, and its requests one after another. Not the routes.
//! Invariant: while a request waits for an event, an HTTP/1 connection is a socket and a wait: hyper's buffers are there for a moment
//! only.
//!
//! ```text
//! silent --- preface of HTTP/2 ---------------------------> hyper, to the end
//!    |
//!    +------ anything else --> hyper --- answered at once: the next request
//!                               ^  |
//!                the answer, to |  | a GET waits: taken apart, what it has
//!                the same kind  |  v read stays ahead in the socket
//!                of request     wait --- the client goes: the end
//! ```
//!
//! hyper keeps 8 KiB to read and 8 KiB to write for each connection, and ten thousand may wait. So it only speaks. A GET
//! that is not answered within [`STAY`] leaves its connection, and when its answer is there a fresh one of hyper's, told of a request
//! that is answered in the same way, sends it. What another instance answers is there before: those stay.

use super::Problem;
use super::desk::{Again, Answer, Desk};
use super::socket::Socket;
use super::stopping::Stopping;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep, timeout};
use tower::ServiceExt;

/// Requests of one HTTP/2 connection at a time: instances send all they have to say over one.
const STREAMS_MAX: u32 = 20_000;
/// The buffer of an HTTP/1 connection: the longest head of a request.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How long a request may be under way before its connection is taken apart.
const STAY: Duration = Duration::from_millis(10);
/// How a client that speaks HTTP/2 begins.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What all connections share.
pub(super) struct Service {
    pub(super) routes: Router,
    /// Until the first bytes, the head of a request, and the first request must be there.
    pub(super) head_wait: Duration,
    /// True once nothing is waited for any more.
    pub(super) is_over: watch::Receiver<bool>,
}

/// True once the server is to stop.
pub(super) type Stopped = watch::Receiver<bool>;

/// Serves a client until it goes, says nothing for too long, or is told to go. What goes wrong is the client's affair.
pub(super) async fn talk<S>(stream: S, service: Arc<Service>, mut stopped: Stopped)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut socket = Socket::new(stream);
    let heard = tokio::select! {
        heard = timeout(service.head_wait, listen(&mut socket)) => heard,
        _ = stopped.wait_for(|it| *it) => return,
    };
    match heard {
        Ok(Some(Protocol::Http1)) => talk_http1(socket, &service, stopped).await,
        // Boxed: few speak it, and all would have room for it.
        Ok(Some(Protocol::Http2)) => Box::pin(talk_http2(socket, &service, stopped)).await,
        Ok(None) | Err(_) => {}
    }
}

enum Protocol {
    Http1,
    Http2,
}

/// The protocol, by what has come; all of that is still ahead. `None` when the client goes first.
async fn listen<S>(socket: &mut Socket<S>) -> Option<Protocol>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match poll_fn(|cx| socket.poll_more(cx)).await {
            Ok(0) | Err(_) => return None,
            Ok(_) => {}
        }
        let ahead = socket.ahead();
        if ahead.starts_with(PREFACE) {
            return Some(Protocol::Http2);
        }
        if !PREFACE.starts_with(ahead) {
            return Some(Protocol::Http1);
        }
    }
}

type Http1<S> = http1::UpgradeableConnection<TokioIo<Socket<S>>, Desk>;

async fn talk_http1<S>(mut socket: Socket<S>, service: &Service, mut stopped: Stopped)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let desk = Desk::new(service.routes.clone(), Stopping::new(stopped.clone()));
    let is_blocked = socket.blocked();
    loop {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(service.head_wait)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(socket), desk.clone())
            .with_upgrades();
        let Some((left, answer, again)) =
            converse(Box::new(connection), &is_blocked, &desk, &mut stopped).await
        else {
            return;
        };
        socket = left;
        let Some(made) = outwait(&mut socket, answer, service.is_over.clone()).await else {
            return;
        };
        socket.unread(&again.head(*stopped.borrow()));
        desk.lay(made);
    }
}

/// Lets hyper speak until the connection ends, or a request waits that can be taken from it.
async fn converse<S>(
    mut connection: Box<Http1<S>>,
    is_blocked: &AtomicBool,
    desk: &Desk,
    stopped: &mut Stopped,
) -> Option<(Socket<S>, Answer, Again)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut stop, mut is_told) = (pin!(stopped.wait_for(|it| *it)), false);
    let mut stay: Option<Pin<Box<Sleep>>> = None;
    let (answer, again) = poll_fn(|cx| {
        let mut spoken = Pin::new(&mut *connection).poll(cx);
        // After it has read what lies ahead: told before, it would close and answer nothing.
        if spoken.is_pending() && !is_told && stop.as_mut().poll(cx).is_ready() {
            is_told = true;
            Pin::new(&mut *connection).graceful_shutdown();
            spoken = Pin::new(&mut *connection).poll(cx);
        }
        match spoken {
            Poll::Ready(_) => Poll::Ready(None),
            // The end of the answer before is still with hyper.
            Poll::Pending if is_blocked.load(Ordering::Relaxed) => Poll::Pending,
            Poll::Pending if !desk.has_waiting() => {
                stay = None;
                Poll::Pending
            }
            Poll::Pending => {
                let stay = stay.get_or_insert_with(|| Box::pin(sleep(STAY)));
                match stay.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(desk.take_waiting()),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    })
    .await?;
    let parts = connection.into_parts()?;
    let mut socket = parts.io.into_inner();
    // What came behind the request's head.
    socket.unread(&parts.read_buf);
    Some((socket, answer, again))
}

/// Waits for the answer, which is that there is none once the server's time is over; `None` when the client goes first.
async fn outwait<S>(
    socket: &mut Socket<S>,
    mut answer: Answer,
    mut is_over: watch::Receiver<bool>,
) -> Option<Response<Body>>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut over = pin!(is_over.wait_for(|it| *it));
    poll_fn(|cx| {
        if let Poll::Ready(Ok(made)) = answer.as_mut().poll(cx) {
            return Poll::Ready(Some(made));
        }
        if over.as_mut().poll(cx).is_ready() {
            let why = "this instance stops; ask another";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, why);
            return Poll::Ready(Some(problem.into_response()));
        }
        // Whoever has sent the next request already is believed to wait for both answers.
        if socket.ahead().is_empty()
            && let Poll::Ready(Ok(0) | Err(_)) = socket.poll_more(cx)
        {
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

async fn talk_http2<S>(socket: Socket<S>, service: &Service, mut stopped: Stopped)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (asked, mut was_asked) = watch::channel(false);
    let routes = service.routes.clone();
    let stopping = Stopping::new(stopped.clone());
    let routes = routes.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(stopping.clone());
        asked.send_if_modified(|asked| !std::mem::replace(asked, true));
        request.map(Body::new)
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(service.head_wait))
        .max_concurrent_streams(STREAMS_MAX)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(routes));
    let mut connection = pin!(connection);
    let first = timeout(service.head_wait, was_asked.wait_for(|asked| *asked));
    tokio::select! {
        _ = &mut connection => return,
        _ = stopped.wait_for(|it| *it) => {}
        asked = first => match asked {
            Ok(_) => {}
            Err(_) => return,
        },
    }
    tokio::select! {
        _ = &mut connection => return,
        _ = stopped.wait_for(|it| *it) => connection.as_mut().graceful_shutdown(),
    }
    let mut is_over = service.is_over.clone();
    tokio::select! {
        _ = connection => {}
        _ = is_over.wait_for(|it| *it) => {}
    }
}

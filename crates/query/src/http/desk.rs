//! Where hyper's connection hands a request over, and where its answer lies while it is made: outside of the connection, so that
//! this can be taken apart meanwhile. Not the wait. Invariant: one request at a time, as in HTTP/1.

use super::stopping::Stopping;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Method, Request, Response, Uri, Version, header, request};
use hyper::body::{Body as _, Incoming};
use hyper::service::Service;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// An answer that is being made.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

/// A request that is not answered yet.
struct Asked {
    answer: Answer,
    /// `None` when only the connection that brought it can answer it.
    again: Option<Again>,
    is_waiting: bool,
}

#[derive(Default)]
struct Lying {
    asked: Option<Asked>,
    /// Boxed: it is not there while a request waits.
    made: Option<Box<Response<Body>>>,
}

/// The routes as a connection sees them.
#[derive(Clone)]
pub(super) struct Desk {
    routes: Router,
    stopping: Stopping,
    lying: Arc<Mutex<Lying>>,
}

impl Desk {
    pub(super) fn new(routes: Router, stopping: Stopping) -> Self {
        Self {
            routes,
            stopping,
            lying: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Lying> {
        self.lying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True while a request waits that can be taken.
    pub(super) fn has_waiting(&self) -> bool {
        let lying = self.lock();
        let asked = lying.asked.as_ref();
        asked.is_some_and(|asked| asked.is_waiting && asked.again.is_some())
    }

    /// The request that waits, if it can be answered on another connection of hyper's: the one that brought it never hears of it.
    pub(super) fn take_waiting(&self) -> Option<(Answer, Again)> {
        let mut lying = self.lock();
        let asked = lying.asked.as_mut().filter(|asked| asked.is_waiting)?;
        let again = asked.again.take()?;
        let asked = lying.asked.take()?;
        Some((asked.answer, again))
    }

    /// The next request is answered so.
    pub(super) fn lay(&self, made: Response<Body>) {
        self.lock().made = Some(Box::new(made));
    }
}

impl Service<Request<Incoming>> for Desk {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let mut lying = self.lock();
        if lying.made.is_none() {
            let (mut head, body) = request.into_parts();
            let again = Again::of(&head).filter(|_| body.is_end_stream());
            if again.is_some() {
                detach(&mut head);
            }
            head.extensions.insert(self.stopping.clone());
            let request = Request::from_parts(head, Body::new(body));
            // Routes are always ready.
            let mut routes = self.routes.clone();
            lying.asked = Some(Asked {
                answer: Box::pin(tower::Service::call(&mut routes, request)),
                again,
                is_waiting: false,
            });
        }
        Answering {
            lying: self.lying.clone(),
            stopping: self.stopping.clone(),
        }
    }
}

/// Waits for an answer on behalf of hyper.
pub(super) struct Answering {
    lying: Arc<Mutex<Lying>>,
    stopping: Stopping,
}

impl Future for Answering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut lying = self.lying.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = lying.made.take() {
            return Poll::Ready(Ok(*made));
        }
        // Nothing lies there: it was taken, and this connection is to be taken apart.
        let Some(asked) = &mut lying.asked else {
            return Poll::Pending;
        };
        match asked.answer.as_mut().poll(cx) {
            Poll::Pending => {
                asked.is_waiting = true;
                Poll::Pending
            }
            Poll::Ready(Ok(mut made)) => {
                lying.asked = None;
                // hyper hears of the stop behind this answer, which may be sent by then.
                if self.stopping.is_told() && !made.headers().contains_key(header::CONNECTION) {
                    let close = HeaderValue::from_static("close");
                    made.headers_mut().insert(header::CONNECTION, close);
                }
                Poll::Ready(Ok(made))
            }
        }
    }
}

/// What of a request decides how its answer is framed, and whether the connection stays open behind it.
pub(super) struct Again {
    method: &'static str,
    version: &'static str,
    /// Of its headers, those that do so; most requests have none.
    headers: Vec<u8>,
}

impl Again {
    /// `None` for requests that may have a body, and for those that end HTTP on their connection.
    fn of(head: &request::Parts) -> Option<Self> {
        let method = match head.method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            _ => return None,
        };
        let version = match head.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_11 => "HTTP/1.1",
            _ => return None,
        };
        if head.headers.contains_key(header::UPGRADE) {
            return None;
        }
        let mut headers = Vec::new();
        for name in [header::CONNECTION, header::TE] {
            for value in head.headers.get_all(&name) {
                headers.extend_from_slice(name.as_str().as_bytes());
                headers.extend_from_slice(b": ");
                headers.extend_from_slice(value.as_bytes());
                headers.extend_from_slice(b"\r\n");
            }
        }
        Some(Self {
            method,
            version,
            headers,
        })
    }

    /// The head of a request that is answered in the same way; with `is_last`, the connection's last.
    pub(super) fn head(&self, is_last: bool) -> Vec<u8> {
        let mut head = format!("{} / {}\r\n", self.method, self.version).into_bytes();
        head.extend_from_slice(&self.headers);
        if is_last {
            head.extend_from_slice(b"connection: close\r\n");
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

/// Takes a head out of hyper's buffer: as long as one value of it lives, so does all of the buffer.
fn detach(head: &mut request::Parts) {
    // Nearly always a path alone, which is copied as it is.
    let whole = (head.uri.authority().is_some() || head.uri.path_and_query().is_none())
        .then(|| head.uri.to_string());
    let path = head.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let uri = whole.as_deref().unwrap_or(path);
    let mut at = uri.len();
    let values = head.headers.values().map(HeaderValue::len);
    // As long as it is to be: what is longer is copied once more.
    let mut bytes = Vec::with_capacity(at + values.sum::<usize>());
    bytes.extend_from_slice(uri.as_bytes());
    for value in head.headers.values() {
        bytes.extend_from_slice(value.as_bytes());
    }
    let bytes = Bytes::from(bytes);
    if let Ok(uri) = Uri::from_maybe_shared(bytes.slice(..at)) {
        head.uri = uri;
    }
    for value in head.headers.values_mut() {
        let end = at + value.len();
        if let Ok(detached) = HeaderValue::from_maybe_shared(bytes.slice(at..end)) {
            *value = detached;
        }
        at = end;
    }
}

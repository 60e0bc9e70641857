//! What every request passes before its handler: the secret, its turn, its body within limits. Not the connection's limits.
//! Invariant: more requests than there are turns are told so at once; those that wait for an event hold no turn, and pages, which are
//! long work, have turns of their own, so that what is short finds one.

use super::around::{Before, around};
use super::{Bearer, Limits, Problem};
use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::Route;
use axum::routing::future::RouteFuture;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::convert::Infallible;
use std::future::Ready;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tower::Service;

/// The longest that a page waits for those before it.
const PAGE_WAIT_MS_MAX: u64 = 5_000;

/// What requests must pass; put around routes by [`Gate::around`].
#[derive(Clone)]
pub struct Gate {
    turns: Arc<Semaphore>,
    pages: Pages,
    bearer: Option<Bearer>,
    body_bytes_max: usize,
    body_wait: Duration,
}

/// A request's permission to work: an extension of each request that passed a gate.
#[derive(Clone)]
pub struct Turn(Arc<Taken>);

struct Taken {
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    pages: Pages,
}

/// The turns of pages: of those that wait or are made, and of those that are made.
#[derive(Clone)]
struct Pages {
    here: Arc<Semaphore>,
    made: Arc<Semaphore>,
}

/// Held while a page is made.
pub(super) struct PageTurn {
    _here: OwnedSemaphorePermit,
    _made: OwnedSemaphorePermit,
}

impl Turn {
    /// Gives it up: what follows waits for an event and costs no work. Waiters have a limit of their own.
    pub fn give_up(&self) {
        let permit = &self.0.permit;
        drop(permit.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Changes it for that of a page, which waits for the pages before it.
    pub(super) async fn page(&self) -> Result<PageTurn, Problem> {
        self.give_up();
        let Pages { here, made } = &self.0.pages;
        let here = here.clone().try_acquire_owned();
        let here = here.map_err(|_| busy("too many pages are asked for"))?;
        let wait = Duration::from_millis(PAGE_WAIT_MS_MAX);
        match timeout(wait, made.clone().acquire_owned()).await {
            Ok(Ok(made)) => Ok(PageTurn {
                _here: here,
                _made: made,
            }),
            _ => Err(busy("the pages asked for before take too long")),
        }
    }
}

impl Gate {
    /// With the limits of `limits`, and a secret where one is wanted.
    pub fn new(limits: &Limits, bearer: Option<Bearer>) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(limits.requests_max)),
            pages: Pages {
                here: Arc::new(Semaphore::new(limits.requests_max)),
                made: Arc::new(Semaphore::new(limits.pages_max)),
            },
            bearer,
            body_bytes_max: limits.body_bytes_max,
            body_wait: Duration::from_millis(limits.body_ms_max),
        }
    }

    /// `routes`, with this gate before each.
    pub fn around(self, routes: axum::Router) -> axum::Router {
        around(routes, self)
    }
}

fn busy(why: &str) -> Problem {
    let detail = format!("{why}; try again in a moment");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail)
}

type Admitted = Result<(Request, Turn), Problem>;

/// A request at the gate, or behind it.
pub(super) enum Passing {
    Refused(Ready<Result<Response, Infallible>>),
    /// Its body is read. Boxed: what that takes is gone before the request waits.
    Reading(Pin<Box<dyn Future<Output = Admitted> + Send>>, Route),
    /// The turn is held until the answer: a handler that takes no turn drops the request, and its extensions, as it begins.
    Answering(RouteFuture<Infallible>, Option<Turn>),
}

impl Passing {
    fn behind(admitted: Admitted, handler: &mut Route) -> Self {
        match admitted {
            Ok((request, turn)) => Self::Answering(handler.call(request), Some(turn)),
            Err(problem) => Self::Refused(std::future::ready(Ok(problem.into_response()))),
        }
    }
}

impl Future for Passing {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let next = match &mut *self {
                Self::Answering(answer, turn) => {
                    let response = ready!(Pin::new(answer).poll(cx));
                    *turn = None;
                    return Poll::Ready(response);
                }
                Self::Reading(admitted, handler) => {
                    Self::behind(ready!(admitted.as_mut().poll(cx)), handler)
                }
                Self::Refused(answer) => return Pin::new(answer).poll(cx),
            };
            self.set(next);
        }
    }
}

impl Before for Gate {
    type Passing = Passing;

    fn pass(&self, request: Request, mut handler: Route) -> Passing {
        if http_body::Body::is_end_stream(request.body()) {
            let admitted = self.check(&request).and_then(|()| self.admit(request));
            return Passing::behind(admitted, &mut handler);
        }
        let gate = self.clone();
        let admitted = async move {
            gate.check(&request)?;
            let request = gate.read_body(request).await?;
            // After the body: a slow client holds a connection, and no turn.
            gate.admit(request)
        };
        Passing::Reading(Box::pin(admitted), handler)
    }
}

impl Gate {
    fn check(&self, request: &Request) -> Result<(), Problem> {
        match &self.bearer {
            Some(bearer) => bearer.check(request.headers()),
            None => Ok(()),
        }
    }

    fn admit(&self, mut request: Request) -> Result<(Request, Turn), Problem> {
        let Ok(permit) = self.turns.clone().try_acquire_owned() else {
            return Err(busy("all turns are taken"));
        };
        let turn = Turn(Arc::new(Taken {
            permit: Mutex::new(Some(permit)),
            pages: self.pages.clone(),
        }));
        request.extensions_mut().insert(turn.clone());
        Ok((request, turn))
    }

    /// The same request with its body in memory.
    async fn read_body(&self, request: Request) -> Result<Request, Problem> {
        let too_large = || {
            let detail = format!("the body may have {} bytes", self.body_bytes_max);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
        };
        let length = request.headers().get(header::CONTENT_LENGTH);
        let length = length.and_then(|it| it.to_str().ok()?.parse::<usize>().ok());
        if length > Some(self.body_bytes_max) {
            return Err(too_large());
        }
        let (head, body) = request.into_parts();
        let read = Limited::new(body, self.body_bytes_max).collect();
        match tokio::time::timeout(self.body_wait, read).await {
            Ok(Ok(body)) => Ok(Request::from_parts(head, Body::from(body.to_bytes()))),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
            Ok(Err(error)) => Err(Problem::bad_request(format!("the body: {error}"))),
            Err(_) => Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                format!(
                    "the body was not there within {} ms",
                    self.body_wait.as_millis()
                ),
            )),
        }
    }
}

//! Puts a part of ours before the handlers of a router: as middleware of axum, without what that keeps for every request that waits.
//! Not the parts. Invariant: the request reaches the handler once, or not at all.

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::Route;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::Service;
use tower::layer::layer_fn;

/// What comes before handlers.
pub(super) trait Before: Send + Sync + 'static {
    /// An answer that is being made. A type of its own and no `async` block: those have room for all that they ever held, and for the
    /// answer of the handler twice.
    type Passing: Future<Output = Result<Response, Infallible>> + Send + 'static;

    /// Answers a request, by the handler behind it or without.
    fn pass(&self, request: Request, handler: Route) -> Self::Passing;
}

/// `routes`, with `before` before each.
pub(super) fn around(routes: Router, before: impl Before + Clone) -> Router {
    routes.layer(layer_fn(move |handler: Route| {
        let before = before.clone();
        Passed(Arc::new(Inner { before, handler }))
    }))
}

/// Shared: a router copies what it calls for each request, and a route all that is in it.
struct Passed<B>(Arc<Inner<B>>);

struct Inner<B> {
    before: B,
    handler: Route,
}

impl<B> Clone for Passed<B> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<B: Before> Service<Request> for Passed<B> {
    type Response = Response;
    type Error = Infallible;
    type Future = B::Passing;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // A route is always ready.
        self.0.before.pass(request, self.0.handler.clone())
    }
}

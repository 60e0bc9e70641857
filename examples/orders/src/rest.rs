//! The Orders service over HTTP: place an order, ask for it and wait for its verdict, set and show the stock, watch. Not the checks.
//! Invariant: 201 only when the order is the one that its id stands for, which is the first in the log, whoever was asked.
//!
//! ```text
//! POST /v1/orders                  201 + Location | 409 another order has the id | 400 | 413 | 503
//! GET  /v1/orders/{id}             200 once it is there         | 504 after ?timeout= ms (10000)
//! GET  /v1/orders/{id}/validated   200 once there is a verdict  | 504
//! POST /v1/inventory, /v1/payments 201
//! GET  /v1/inventory, /v1/events (server-sent), /
//! ```
//!
//! A POST answers with a token in header `headwater-token`; a GET that carries it in the same header sees at least that write.

use crate::feed::{Event, Feed};
use crate::model::{Order, Payment, Product};
use crate::page;
use crate::producer::{self, Producer, Written};
use crate::store::{self, Stock, Store};
use crate::topics::{ORDER_REQUESTS, PAYMENTS, WAREHOUSE_INVENTORY};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{self, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use headwater::query::Token;
use headwater::query::http::{Stopping, TOKEN_HEADER, Turn};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio_stream::{Stream, StreamExt, wrappers::BroadcastStream};

/// How long a request waits unless it says otherwise.
const TIMEOUT_MS_DEFAULT: u64 = 10_000;
/// The longest a request may wait.
const TIMEOUT_MS_MAX: u64 = 300_000;
/// How long a look at the tables takes at most, and the decision which order an id stands for.
const DECIDE_MAX: Duration = Duration::from_secs(30);
/// Bytes of a request's body.
pub const BODY_BYTES_MAX: usize = 16 << 10;
/// Characters of an id.
const ID_CHARS_MAX: usize = 200;

/// What the routes work on.
pub struct Shop {
    store: Store,
    producer: Producer,
    feed: Feed,
}

/// Why an order was not placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another order has the id.
    Conflict,
    /// The order cannot be one.
    Malformed(String),
    /// Not now.
    Busy,
    /// The log or a store failed.
    Failed(String),
}

impl Shop {
    /// Over the tables of a running Orders service.
    pub fn new(store: Store, producer: Producer, feed: Feed) -> Arc<Self> {
        Arc::new(Self {
            store,
            producer,
            feed,
        })
    }

    /// Places an order; again with the same order it does nothing more. `None` when it was there before.
    pub async fn place(&self, order: &Order) -> Result<Option<Written>, Refusal> {
        check(order).map_err(Refusal::Malformed)?;
        if let Some(known) = self.store.get(&order.id, DECIDE_MAX).await? {
            return agree(order, known).map(|()| None);
        }
        let written = self.producer.send(ORDER_REQUESTS, &order.id, order).await;
        let written = written.map_err(|error| match error {
            producer::Error::Overloaded => Refusal::Busy,
            producer::Error::Log(why) => Refusal::Failed(why),
        })?;
        // Others may have asked for the id meanwhile, here or at another instance.
        let first = self.store.first(&order.id, &written, DECIDE_MAX).await?;
        agree(order, first).map(|()| Some(written))
    }

    /// Requests, of any instance, that wait for a commit of this one.
    pub fn waiting(&self) -> usize {
        self.store.waiting()
    }

    /// Sets how many pieces the warehouse has.
    pub async fn set_stock(
        &self,
        product: Product,
        pieces: i32,
    ) -> Result<Written, producer::Error> {
        let producer = &self.producer;
        producer.send(WAREHOUSE_INVENTORY, &product, &pieces).await
    }
}

/// Whether the order is the one that its id stands for; the state of that one may have moved on.
fn agree(order: &Order, known: Order) -> Result<(), Refusal> {
    match known.with_state(order.state) == *order {
        true => Ok(()),
        false => Err(Refusal::Conflict),
    }
}

fn check(order: &Order) -> Result<(), String> {
    let id = &order.id;
    if id.is_empty() || id.chars().count() > ID_CHARS_MAX {
        return Err(format!("an order's id has 1 to {ID_CHARS_MAX} characters"));
    }
    if order.product.is_none() {
        let names = Product::ALL.map(Product::name).join(", ");
        return Err(format!("an order needs a product: {names}"));
    }
    Ok(())
}

/// The routes.
pub fn routes(shop: Arc<Shop>) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/v1/orders", post(place))
        .route("/v1/orders/", post(place))
        .route("/v1/orders/{id}", get(order))
        .route("/v1/orders/{id}/validated", get(validated))
        .route("/v1/inventory", get(stock).post(set_stock))
        .route("/v1/payments", post(pay))
        .route("/v1/events", get(events))
        .with_state(shop)
}

/// A status and a sentence.
struct Problem(StatusCode, String);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Conflict => Self(StatusCode::CONFLICT, "another order has this id".into()),
            Refusal::Malformed(why) => Self(StatusCode::BAD_REQUEST, why),
            Refusal::Busy => Self(StatusCode::SERVICE_UNAVAILABLE, "busy, ask again".into()),
            Refusal::Failed(why) => Self(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::TimedOut | store::Error::Busy => Self::Busy,
            store::Error::Refused(why) => Self::Malformed(why),
            store::Error::Failed(why) => Self::Failed(why),
        }
    }
}

impl From<producer::Error> for Problem {
    fn from(error: producer::Error) -> Self {
        match error {
            producer::Error::Overloaded => Refusal::Busy.into(),
            producer::Error::Log(why) => Refusal::Failed(why).into(),
        }
    }
}

#[derive(Deserialize)]
struct Wait {
    timeout: Option<u64>,
}

impl Wait {
    fn ms(&self) -> u64 {
        self.timeout
            .unwrap_or(TIMEOUT_MS_DEFAULT)
            .min(TIMEOUT_MS_MAX)
    }
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body)
        .map_err(|error| Problem(StatusCode::BAD_REQUEST, format!("not understood: {error}")))
}

fn parse_token(headers: &HeaderMap) -> Result<Option<Token>, Problem> {
    let Some(text) = headers.get(TOKEN_HEADER) else {
        return Ok(None);
    };
    let damaged = || format!("no token of ours in {TOKEN_HEADER}");
    let token = text.to_str().ok().and_then(|text| text.parse().ok());
    token
        .map(Some)
        .ok_or_else(|| Problem(StatusCode::BAD_REQUEST, damaged()))
}

fn created(location: &str, written: Option<&Written>) -> Response {
    let mut response = StatusCode::CREATED.into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(location) {
        headers.insert(header::LOCATION, location);
    }
    let token = written.map(|written| HeaderValue::from_str(&written.token().to_string()));
    if let Some(Ok(token)) = token {
        headers.insert(TOKEN_HEADER, token);
    }
    response
}

async fn place(
    State(shop): State<Arc<Shop>>,
    Query(wait): Query<Wait>,
    body: Bytes,
) -> Result<Response, Problem> {
    let mut body: serde_json::Value = parse(&body)?;
    if let Some(fields) = body.as_object_mut() {
        fields.entry("id").or_insert_with(|| new_id().into());
    }
    let order: Order = serde_json::from_value(body)
        .map_err(|error| Problem(StatusCode::BAD_REQUEST, format!("no order: {error}")))?;
    let patience = Duration::from_millis(wait.ms());
    let written = match tokio::time::timeout(patience, shop.place(&order)).await {
        Ok(placed) => placed?,
        Err(_) => return Err(timed_out("POST", wait.ms())),
    };
    let id: String = order.id.bytes().map(escaped).collect();
    Ok(created(&format!("/v1/orders/{id}"), written.as_ref()))
}

/// A byte as it stands in a path.
fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).into()
        }
        other => format!("%{other:02X}"),
    }
}

fn new_id() -> String {
    let random = headwater::world::World::real().random;
    let bits = u128::from(random.next_u64()) << 64 | u128::from(random.next_u64());
    let id = uuid::Builder::from_random_bytes(bits.to_be_bytes());
    id.into_uuid().to_string()
}

fn timed_out(verb: &str, ms: u64) -> Problem {
    let text = format!("HTTP {verb} timed out after {ms} ms");
    Problem(StatusCode::GATEWAY_TIMEOUT, text)
}

fn order(
    shop: State<Arc<Shop>>,
    id: Path<String>,
    wait: Query<Wait>,
    headers: HeaderMap,
    turn: Extension<Turn>,
) -> impl Future<Output = Result<Json<Order>, Problem>> + Send {
    wait_for(shop, id, wait, &headers, &turn, |_| true)
}

fn validated(
    shop: State<Arc<Shop>>,
    id: Path<String>,
    wait: Query<Wait>,
    headers: HeaderMap,
    turn: Extension<Turn>,
) -> impl Future<Output = Result<Json<Order>, Problem>> + Send {
    wait_for(shop, id, wait, &headers, &turn, Order::is_decided)
}

/// Not an `async fn`, nor those that call it: the headers are not kept through the wait.
fn wait_for(
    State(shop): State<Arc<Shop>>,
    Path(id): Path<String>,
    Query(wait): Query<Wait>,
    headers: &HeaderMap,
    turn: &Turn,
    is_it: fn(&Order) -> bool,
) -> impl Future<Output = Result<Json<Order>, Problem>> + Send + use<> {
    turn.give_up();
    let after = parse_token(headers);
    async move {
        let patience = Duration::from_millis(wait.ms());
        let found = shop.store.wait_for(&id, after?, is_it, patience);
        match found.await {
            Ok(order) => Ok(Json(order)),
            Err(store::Error::TimedOut) => Err(timed_out("GET", wait.ms())),
            Err(error) => Err(Refusal::from(error).into()),
        }
    }
}

#[derive(Deserialize)]
struct Pieces {
    product: Product,
    quantity: i32,
}

async fn set_stock(State(shop): State<Arc<Shop>>, body: Bytes) -> Result<Response, Problem> {
    let Pieces { product, quantity } = parse(&body)?;
    if quantity < 0 {
        let text = "a warehouse has no less than 0 pieces".into();
        return Err(Problem(StatusCode::BAD_REQUEST, text));
    }
    let written = shop.set_stock(product, quantity).await?;
    Ok(created("/v1/inventory", Some(&written)))
}

async fn stock(
    State(shop): State<Arc<Shop>>,
    headers: HeaderMap,
) -> Result<Json<Vec<Stock>>, Problem> {
    let after = parse_token(&headers)?;
    let patience = Duration::from_millis(TIMEOUT_MS_DEFAULT);
    match shop.store.stock(after, patience).await {
        Ok(stock) => Ok(Json(stock)),
        Err(store::Error::TimedOut) => Err(timed_out("GET", TIMEOUT_MS_DEFAULT)),
        Err(error) => Err(Refusal::from(error).into()),
    }
}

async fn pay(State(shop): State<Arc<Shop>>, body: Bytes) -> Result<Response, Problem> {
    let payment: Payment = parse(&body)?;
    let written = shop.producer.send(PAYMENTS, &payment.id, &payment).await?;
    Ok(created("/v1/payments", Some(&written)))
}

async fn events(
    State(shop): State<Arc<Shop>>,
    Extension(stopping): Extension<Stopping>,
) -> Sse<impl Stream<Item = Result<sse::Event, Infallible>>> {
    shop.feed.begin();
    let (kept, live) = shop.feed.events();
    let live = BroadcastStream::new(live).map(|event| match event {
        Ok(event) => told(&event),
        // Too slow: the page asks anew.
        Err(_) => sse::Event::default().event("behind").data(""),
    });
    let kept: Vec<_> = kept.iter().map(told).collect();
    let all = tokio_stream::iter(kept).chain(live).map(Ok);
    let events = Events {
        all: Box::pin(all),
        stopped: Box::pin(stopping.wait()),
    };
    Sse::new(events).keep_alive(KeepAlive::default())
}

/// Ends when the server stops, so that a page is told of the end and not cut off.
struct Events {
    all: Pin<Box<dyn Stream<Item = Result<sse::Event, Infallible>> + Send>>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Stream for Events {
    type Item = Result<sse::Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.stopped.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(None),
            Poll::Pending => self.all.as_mut().poll_next(cx),
        }
    }
}

fn told(event: &Event) -> sse::Event {
    let (name, data) = match event {
        Event::Order(order) => ("order", serde_json::to_string(order)),
        Event::Answer(answer) => ("answer", serde_json::to_string(answer)),
    };
    sse::Event::default()
        .event(name)
        .data(data.unwrap_or_default())
}

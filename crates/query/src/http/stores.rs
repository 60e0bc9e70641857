//! The routes of shown stores: a key, a key once it is there, a page, and what changes of them. Not writes: those go through the log.
//! Invariant: an answer with a value is 200, one without is 404, and a wait that ends without is 504.

use super::shown::{Followed, Part, Shown, Stores, Told};
use super::{Gate, Problem, Stopping, Turn, events};
use crate::{Read, Scan, Staleness, Token};
use axum::extract::FromRequestParts;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// The header that carries a token, of a request and of an answer to a write.
pub const TOKEN_HEADER: &str = "headwater-token";

/// Where a stream of events goes on, as browsers say it.
const LAST_EVENT_ID: &str = "last-event-id";

/// What a query may say.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    /// Waits so many ms for the key to be there.
    wait: Option<u64>,
    /// ms for the answer.
    timeout: Option<u64>,
    token: Option<String>,
    #[serde(default)]
    stale: bool,
    partition: Option<u32>,
    as_of_ms: Option<i64>,
    from: Option<String>,
    to: Option<String>,
    prefix: Option<String>,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    #[serde(default)]
    reverse: bool,
    limit: Option<usize>,
    page: Option<String>,
    /// Tells what changes, as server-sent events; from this position on, where there is one in it.
    watch: Option<String>,
}

/// What the headers say; not all of them, which would be copied for each request.
struct Said {
    token: Option<HeaderValue>,
    last_event_id: Option<HeaderValue>,
}

impl<S: Sync> FromRequestParts<S> for Said {
    type Rejection = Infallible;

    async fn from_request_parts(head: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let value = |name: HeaderName| head.headers.get(name).cloned();
        Ok(Self {
            token: value(HeaderName::from_static(TOKEN_HEADER)),
            last_event_id: value(HeaderName::from_static(LAST_EVENT_ID)),
        })
    }
}

/// What is no text is refused where it is read.
fn text_of(header: Option<&HeaderValue>) -> Option<&str> {
    header.map(|value| value.to_str().unwrap_or("\u{0}"))
}

/// Reads of the stores that are shown, behind a gate.
pub fn store_routes(stores: Stores, gate: Gate) -> Router {
    let routes = Router::new()
        .route("/stores", get(list))
        .route("/stores/{store}", get(page))
        .route("/stores/{store}/{key}", get(one))
        .with_state(stores);
    gate.around(routes)
}

async fn list(State(stores): State<Stores>) -> Json<Value> {
    let shown = stores.shown.iter();
    let shown = shown.map(|(name, store)| json!({ "name": name, "kind": store.kind() }));
    Json(json!({ "stores": shown.collect::<Vec<Value>>() }))
}

/// Not an `async fn`: what was asked is not kept through the wait, and who waits has no room for who watches.
fn one(
    State(stores): State<Stores>,
    Path((store, key)): Path<(String, String)>,
    asked: Result<Query<Asked>, QueryRejection>,
    said: Said,
    Extension(turn): Extension<Turn>,
    stopping: Option<Extension<Stopping>>,
) -> Pin<Box<dyn Future<Output = Result<Response, Problem>> + Send>> {
    match asked {
        Ok(Query(asked)) if asked.watch.is_some() => {
            let stopping = stopping.map(|it| it.0);
            let followed = asked.follow(&stores, &store, Some(key), &said);
            Box::pin(async move { Ok(events::stream(followed?.await?, &turn, stopping)) })
        }
        asked => {
            let told = ask_one(&stores, &store, key, asked, &said, &turn);
            Box::pin(async move {
                match told?.await? {
                    Value::Null => Err(Problem::not_found(format!(
                        "store '{store}' has no such key"
                    ))),
                    value => Ok(Json(value).into_response()),
                }
            })
        }
    }
}

fn ask_one(
    stores: &Stores,
    store: &str,
    key: String,
    asked: Result<Query<Asked>, QueryRejection>,
    said: &Said,
    turn: &Turn,
) -> Result<Told, Problem> {
    let asked = asked.map_err(refuse)?.0;
    let read = asked.read(said)?;
    let shown = stores.shown(store)?;
    let is_token = asked.token(said).is_some();
    if asked.wait.is_some() || is_token {
        turn.give_up();
    }
    let is_part = asked.from_ms.is_some() || asked.to_ms.is_some() || asked.page.is_some();
    Ok(match is_part {
        true => {
            let (part, scan, turn) = (asked.part(Some(key))?, asked.scan(), turn.clone());
            Box::pin(async move { in_turn(shown.page(part, scan, read), is_token, &turn).await })
        }
        false => shown.get(key, asked.wait.is_some(), asked.as_of_ms, read),
    })
}

/// A page when its turn comes; at once where it is made after a wait for its token.
async fn in_turn(page: Told, is_token: bool, turn: &Turn) -> Result<Value, Problem> {
    let held = match is_token {
        true => None,
        false => Some(turn.page().await?),
    };
    let told = page.await;
    drop(held);
    told
}

async fn page(
    State(stores): State<Stores>,
    Path(store): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    said: Said,
    Extension(turn): Extension<Turn>,
    stopping: Option<Extension<Stopping>>,
) -> Result<Response, Problem> {
    let asked = asked.map_err(refuse)?.0;
    if asked.watch.is_some() {
        let followed = asked.follow(&stores, &store, None, &said)?.await?;
        return Ok(events::stream(followed, &turn, stopping.map(|it| it.0)));
    }
    let read = asked.read(&said)?;
    if asked.wait.is_some() || asked.as_of_ms.is_some() {
        return Err(Problem::bad_request("wait and as_of_ms: of one key"));
    }
    let is_token = asked.token(&said).is_some();
    if is_token {
        turn.give_up();
    }
    let shown = stores.shown(&store)?;
    let page = shown.page(asked.part(None)?, asked.scan(), read);
    Ok(Json(in_turn(page, is_token, &turn).await?).into_response())
}

fn refuse(rejection: QueryRejection) -> Problem {
    Problem::bad_request(rejection.body_text())
}

impl Stores {
    fn shown(&self, store: &str) -> Result<Arc<dyn Shown>, Problem> {
        let shown = self.shown.get(store);
        let shown = shown.ok_or_else(|| Problem::not_found(format!("no store '{store}' is shown")));
        shown.cloned()
    }
}

impl Asked {
    fn token<'a>(&'a self, said: &'a Said) -> Option<&'a str> {
        self.token.as_deref().or(text_of(said.token.as_ref()))
    }

    fn read(&self, said: &Said) -> Result<Read, Problem> {
        let mut read = Read::new();
        if let Some(ms) = self.wait.or(self.timeout) {
            read = read.within(Duration::from_millis(ms));
        }
        if let Some(token) = self.token(said) {
            read = read.after(token.parse::<Token>()?);
        }
        if self.stale {
            read = read.staleness(Staleness::StandbyAllowed);
        }
        Ok(match self.partition {
            Some(partition) => read.partition(partition),
            None => read,
        })
    }

    /// What changes of a key or a part.
    fn follow(
        &self,
        stores: &Stores,
        store: &str,
        key: Option<String>,
        said: &Said,
    ) -> Result<Followed, Problem> {
        let is_other = self.wait.is_some() || self.as_of_ms.is_some() || self.page.is_some();
        if is_other || self.reverse || self.limit.is_some() {
            return Err(Problem::bad_request(
                "watch: alone, or with from, to or prefix, timeout and partition",
            ));
        }
        if self.stale || self.token(said).is_some() {
            return Err(Problem::bad_request(
                "watch: of owners and what they have; stale and token are not for it",
            ));
        }
        let position = self.watch.as_deref().filter(|it| !it.is_empty());
        // What a client has come to since outweighs where its address began.
        let header = text_of(said.last_event_id.as_ref());
        let after = header.or(position).map(str::to_owned);
        let shown = stores.shown(store)?;
        Ok(shown.watch(self.part(key)?, after, self.read(said)?))
    }

    fn scan(&self) -> Scan {
        let mut scan = Scan::new();
        if self.reverse {
            scan = scan.reverse();
        }
        if let Some(limit) = self.limit {
            scan = scan.entries_max(limit);
        }
        match &self.page {
            Some(page) => scan.after(page),
            None => scan,
        }
    }

    fn part(&self, key: Option<String>) -> Result<Part, Problem> {
        if self.prefix.is_some() && (self.from.is_some() || self.to.is_some()) {
            return Err(Problem::bad_request("prefix, or from and to"));
        }
        let times = (self.from_ms.is_some() || self.to_ms.is_some())
            .then(|| self.from_ms.unwrap_or(i64::MIN)..=self.to_ms.unwrap_or(i64::MAX));
        Ok(Part {
            key,
            from: self.from.clone(),
            to: self.to.clone(),
            prefix: self.prefix.clone(),
            times,
        })
    }
}

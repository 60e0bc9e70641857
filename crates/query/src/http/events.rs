//! A live subscription as server-sent events (WHATWG HTML, 9.2). Not the subscription. Invariant: an event's id stands for everything up to
//! that event, so that a client that comes back with it misses nothing; what a slow client has not taken is never more than two chunks.
//!
//! ```text
//! event: state       data: {"partition":0}                        forget what was told of it; its entries follow
//! event: entry       data: {"partition":0,"key":..,"value":..}    the value; null when the key is absent
//! event: gone        data: {"partition":0,"before_ms":60000}       its windows that start before it, and sessions that end, are gone
//! event: live        data: {}                                     the state has been told; what follows are changes
//! event: unreadable  data: {"detail":..}                          an entry that the store's formats cannot read
//! event: problem     data: {"status":..,"detail":..}              the last one
//! : nothing new                                                   after silence, with the id of where it stands
//! ```

use super::shown::to_json;
use super::stopping::Stopping;
use super::{Problem, Turn};
use crate::watch::Watch;
use crate::watched::Change;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use http_body::Frame;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// ms of silence after which a comment is sent, so that who has gone is noticed; below the patience of usual proxies.
const KEEP_ALIVE_MS: u64 = 15_000;
/// ms that a client may take nothing of what there is to tell; then its stream ends.
const STALLED_MS_MAX: u64 = 30_000;
/// Bytes after which events are sent and no more are added.
const CHUNK_BYTES: usize = 32 << 10;

/// The next event of a subscription; `None` behind the last.
pub(super) type Next<'a> = Pin<Box<dyn Future<Output = Option<String>> + Send + 'a>>;

/// A subscription, its types erased.
pub(super) trait Follow: Send {
    /// An event's text. May be dropped before it is ready.
    fn next(&mut self) -> Next<'_>;

    /// Where it stands, as [`Watch::position`].
    fn position(&self) -> Option<String>;
}

/// Makes JSON of a key: the fields of an entry that say which it is.
type Show<K> = fn(&K) -> Result<Map<String, Value>, Problem>;

/// A subscription whose keys `show` makes JSON of.
pub(super) struct Shower<K, V> {
    pub(super) watch: Watch<K, V>,
    pub(super) show: Show<K>,
}

impl<K: Send + Sync + 'static, V: Serialize + Send + Sync + 'static> Shower<K, V> {
    fn event(&self, name: &str, data: &Value) -> String {
        let id = id(self.watch.position());
        format!("event: {name}\n{id}data: {data}\n\n")
    }

    fn tell(&self, change: &Change<K, V>) -> String {
        let (partition, key, value) = match change {
            Change::Restated { partition } => {
                return self.event("state", &json!({ "partition": partition }));
            }
            Change::Live => return self.event("live", &json!({})),
            Change::Gone {
                partition,
                before_ms,
            } => {
                let data = json!({ "partition": partition, "before_ms": before_ms });
                return self.event("gone", &data);
            }
            Change::Entry {
                partition,
                key,
                value,
            } => (partition, key, value),
        };
        let shown = (self.show)(key).and_then(|mut entry| {
            entry.insert("partition".into(), json!(partition));
            entry.insert("value".into(), to_json(value)?);
            Ok(Value::Object(entry))
        });
        match shown {
            Ok(data) => self.event("entry", &data),
            Err(problem) => self.event("unreadable", &json!({ "detail": problem.detail })),
        }
    }
}

impl<K: Send + Sync + 'static, V: Serialize + Send + Sync + 'static> Follow for Shower<K, V> {
    fn next(&mut self) -> Next<'_> {
        Box::pin(async {
            let was_over = self.watch.is_over();
            let problem = match self.watch.next().await {
                _ if was_over => return None,
                Ok(change) => return Some(self.tell(&change)),
                Err(error) => Problem::from(error),
            };
            let detail = &problem.detail;
            Some(match self.watch.is_over() {
                true => {
                    let status = problem.status.as_u16();
                    self.event("problem", &json!({ "status": status, "detail": detail }))
                }
                false => self.event("unreadable", &json!({ "detail": detail })),
            })
        })
    }

    fn position(&self) -> Option<String> {
        self.watch.position()
    }
}

fn id(position: Option<String>) -> String {
    position.map_or(String::new(), |id| format!("id: {id}\n"))
}

/// An answer that goes on until the client has enough or takes too little, or the server stops. It works in no turn.
pub(super) fn stream(follow: Box<dyn Follow>, turn: &Turn, stopping: Option<Stopping>) -> Response {
    turn.give_up();
    let (chunks, taken) = mpsc::channel(1);
    tokio::spawn(tell(follow, chunks, stopping));
    let mut response = Response::new(Body::new(Events(taken)));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn tell(
    mut follow: Box<dyn Follow>,
    chunks: mpsc::Sender<Bytes>,
    stopping: Option<Stopping>,
) {
    let stop = async {
        match stopping {
            Some(stopping) => stopping.wait().await,
            None => std::future::pending().await,
        }
    };
    let mut stop = pin!(stop);
    loop {
        let chunk = tokio::select! {
            () = &mut stop => return,
            () = chunks.closed() => return,
            chunk = chunk(&mut *follow) => chunk,
        };
        let Some(chunk) = chunk else { return };
        let stalled = Duration::from_millis(STALLED_MS_MAX);
        tokio::select! {
            () = &mut stop => return,
            sent = timeout(stalled, chunks.send(chunk.into())) => match sent {
                Ok(Ok(())) => {}
                // Gone, or too slow: it comes back with the last id that it took.
                Ok(Err(_)) | Err(_) => return,
            },
        }
    }
}

/// The next event, and those behind it that are there already; `None` behind the last.
async fn chunk(follow: &mut dyn Follow) -> Option<String> {
    let patience = Duration::from_millis(KEEP_ALIVE_MS);
    let Ok(first) = timeout(patience, follow.next()).await else {
        let id = id(follow.position());
        return Some(format!("{id}: nothing new\n\n"));
    };
    let mut text = first?;
    while text.len() < CHUNK_BYTES {
        let mut next = follow.next();
        let next = std::future::poll_fn(|cx| match next.as_mut().poll(cx) {
            Poll::Ready(event) => Poll::Ready(event),
            Poll::Pending => Poll::Ready(None),
        });
        match next.await {
            Some(event) => text.push_str(&event),
            None => break,
        }
    }
    Some(text)
}

/// A body without an end.
struct Events(mpsc::Receiver<Bytes>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.0.poll_recv(cx);
        chunk.map(|chunk| chunk.map(|chunk| Ok(Frame::data(chunk))))
    }
}

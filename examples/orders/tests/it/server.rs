//! A shop that listens, and a small HTTP client of the test's own. Not a test.
//! Invariant: a request is one connection; its answer is read to the end.

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use headwater::log::Endpoint;
use headwater::log::Log;
use headwater::query::http::Server as HttpServer;
use headwater::{EmbeddedLog, Settings, SourceWriter};
use orders::model::{Order, Product};
use orders::rest::Shop;
use orders::service::{Options, Service, Started, limits, prepare};
use orders::topics::{ORDERS, WAREHOUSE_INVENTORY};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// Longer than a request waits at most.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(310);

/// How long a browser takes the held page for unfinished.
const HOLD: Duration = Duration::from_secs(4);

/// The page with a picture that is slow to come: a browser looks at it only when its scripts have had time.
async fn held() -> Html<String> {
    let page = include_str!("../../src/page.html");
    Html(page.replace("</body>", "<img src=\"/slow\" alt=\"\"></body>"))
}

/// The page as one who counts five pairs of jumpers and orders two uses it, by its fields and buttons; a browser looks at it when the
/// page has told the verdict.
async fn used() -> Html<String> {
    let page = include_str!("../../src/page.html");
    let hands = include_str!("hands.js");
    let hands = format!("<script>{hands}</script><img src=\"/told\" alt=\"\"></body>");
    Html(page.replace("</body>", &hands))
}

/// Beside the shop's own routes: the page for a browser that looks only once.
fn with_pages(routes: Router) -> Router {
    let told = Arc::new(Notify::new());
    let hears = told.clone();
    // A page that never tells is looked at in the end, and found wanting.
    let waits = move || async move {
        let _ = tokio::time::timeout(ANSWER_MAX, told.notified()).await;
    };
    let hear = move || async move { hears.notify_one() };
    routes
        .route("/held", get(held))
        .route("/slow", get(|| tokio::time::sleep(HOLD)))
        .route("/used", get(used))
        .route("/told", get(waits).post(hear))
}

pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) shop: Arc<Shop>,
    log: Arc<dyn Log>,
    runtime: Runtime,
    started: Started,
    /// Dropped with the runtime it is served on.
    http: HttpServer,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    #[track_caller]
    pub(crate) fn order(&self) -> Order {
        assert_eq!(self.status, 200, "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Server {
    /// A shop with these services over the log in `dir`.
    pub(crate) fn start(dir: &TempDir, services: &[Service]) -> Self {
        let log = EmbeddedLog::open(dir.path()).unwrap().shared();
        prepare(&*log).unwrap();
        Self::instance(log, Some(dir.path().join("state")), services)
    }

    /// An instance of these services on a log that others may use too.
    pub(crate) fn instance(
        log: Arc<dyn Log>,
        state_dir: Option<PathBuf>,
        services: &[Service],
    ) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime
            .block_on(TcpListener::bind(("127.0.0.1", 0)))
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let options = Options {
            state_dir,
            commit_interval_ms: 5,
            endpoint: Some(Endpoint {
                host: "127.0.0.1".into(),
                port,
            }),
        };
        let started = Started::start(&log, services, &options).unwrap();
        let shop = started.shop.clone().unwrap();
        let routes = started.routes.clone().unwrap();
        let routes = with_pages(routes);
        let http = runtime
            .block_on(async { HttpServer::start(listener, routes, &limits(), None) })
            .unwrap();
        Self {
            port,
            shop,
            log,
            runtime,
            started,
            http,
        }
    }

    /// Ends the server first, as the program does: answers at work end in time.
    pub(crate) fn stop_gently(self) {
        self.runtime.block_on(self.http.stop(ANSWER_MAX));
        drop(self.shop);
        self.runtime.shutdown_timeout(ANSWER_MAX);
        self.started.stop().unwrap();
    }

    /// Ends the service first: requests are cut off.
    pub(crate) fn stop(self) {
        drop(self.shop);
        self.runtime.shutdown_timeout(ANSWER_MAX);
        self.started.stop().unwrap();
    }

    /// Writes to topics beside the shop.
    pub(crate) fn write(&self, orders: &[Order], stock: &[(Product, i32)]) {
        let settings = Settings::default();
        let mut writer = SourceWriter::open(&*self.log, "test", "beside", &settings).unwrap();
        for order in orders {
            writer.append(ORDERS, &order.id, order, 1).unwrap();
        }
        for (product, pieces) in stock {
            writer
                .append(WAREHOUSE_INVENTORY, product, pieces, 1)
                .unwrap();
        }
        writer.commit(writer.position() + 1).unwrap();
    }

    /// Committed records of a topic.
    pub(crate) fn records(&self, topic: &str) -> u64 {
        let ends = headwater::end_offsets(&*self.log, topic).unwrap();
        let ranges = ends.into_iter().map(|(at, end)| (at, 0..end));
        headwater::count_records(&*self.log, ranges).unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request(&format!("GET {path} HTTP/1.1\r\n"), "")
    }

    pub(crate) fn get_after(&self, path: &str, token: &str) -> Answer {
        self.request(
            &format!("GET {path} HTTP/1.1\r\nheadwater-token: {token}\r\n"),
            "",
        )
    }

    pub(crate) fn post(&self, path: &str, body: &str) -> Answer {
        let length = body.len();
        self.request(
            &format!("POST {path} HTTP/1.1\r\ncontent-length: {length}\r\n"),
            body,
        )
    }

    #[track_caller]
    pub(crate) fn place(&self, order: &Order) -> Answer {
        let answer = self.post("/v1/orders", &serde_json::to_string(order).unwrap());
        assert_eq!(answer.status, 201, "{answer:?}");
        answer
    }

    /// `head` without its empty line.
    pub(crate) fn request(&self, head: &str, body: &str) -> Answer {
        exchange(
            self.port,
            &format!("{head}host: shop\r\nconnection: close\r\n\r\n{body}"),
        )
    }
}

pub(crate) fn exchange(port: u16, request: &str) -> Answer {
    try_exchange(port, request).unwrap()
}

/// An error when nobody listens, or the answer is not whole.
pub(crate) fn try_exchange(port: u16, request: &str) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    // A server that refuses a body answers before it has read it.
    let _ = stream.write_all(request.as_bytes());
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes);
    let broken_off = || std::io::Error::from(ErrorKind::UnexpectedEof);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Err(ended.err().unwrap_or_else(broken_off));
    };
    let answer = Answer {
        status: head.split(' ').nth(1).unwrap().parse().unwrap(),
        head: head.to_owned(),
        body: body.to_owned(),
    };
    let length = answer.header("content-length");
    match length.is_some_and(|length| length != body.len().to_string()) {
        true => Err(broken_off()),
        false => Ok(answer),
    }
}

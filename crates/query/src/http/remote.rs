//! The way to other instances over HTTP/2: one connection each, however many questions are on it. Not a balancer: who is asked is known.
//! Invariant: a question has an answer or an error by its deadline.

use super::{Bearer, ClientTls};
use crate::peer::{Peer, PeerAnswer};
use crate::wire::{Answer, Ask};
use crate::{Error, Result};
use axum::http::{Request, StatusCode, header};
use headwater_log::Endpoint;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::time::Duration;

/// Where instances take questions of each other.
pub(super) const PATH: &str = "/internal/v1/ask";
/// ms until a connection must stand.
const CONNECT_MS_MAX: u64 = 2_000;
/// ms between pings of a connection with questions on it, and until their answer is missed.
const PING_MS: u64 = 2_000;
/// Bytes of an answer: a page, encoded, and more.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// ms that an answer may take longer than the question's deadline: the other side decides first.
const ANSWER_SLACK_MS: u64 = 500;

/// Asks instances at their endpoints, over TLS or in the clear.
pub struct Remote {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    scheme: &'static str,
    bearer: Option<Bearer>,
}

impl Remote {
    /// `bearer` is what the instances' gates want.
    pub fn new(bearer: Option<Bearer>, tls: Option<ClientTls>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_millis(CONNECT_MS_MAX)));
        let config = match tls {
            Some(ClientTls(config)) => config,
            None => no_tls(),
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http2()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .http2_only(true)
            .http2_keep_alive_interval(Some(Duration::from_millis(PING_MS)))
            .http2_keep_alive_timeout(Duration::from_millis(PING_MS))
            .build(connector);
        Self {
            client,
            scheme,
            bearer,
        }
    }

    async fn send(&self, endpoint: &Endpoint, ask: &Ask) -> Result<Answer> {
        let failed = |what: &str, error: &dyn std::fmt::Display| {
            Error::Peer(format!("{endpoint}: {what}: {error}"))
        };
        let body = serde_json::to_vec(ask).map_err(|error| failed("the question", &error))?;
        let uri = format!("{}://{endpoint}{PATH}", self.scheme);
        let mut request = Request::post(uri).header(header::CONTENT_TYPE, "application/json");
        if let Some(bearer) = &self.bearer {
            request = request.header(header::AUTHORIZATION, bearer.value());
        }
        let request = request.body(Full::from(body));
        let request = request.map_err(|error| failed("the address", &error))?;
        let response = self.client.request(request).await;
        let response = response.map_err(|error| failed("no answer", &causes(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect();
        let body = body
            .await
            .map_err(|error| failed("half an answer", &error))?;
        let body = body.to_bytes();
        if status != StatusCode::OK {
            let text = String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned();
            return Err(match status {
                // It is there, and has no turn for one more.
                StatusCode::SERVICE_UNAVAILABLE => Error::NotReady(format!("{endpoint}: {text}")),
                _ => failed(status.as_str(), &text),
            });
        }
        serde_json::from_slice(&body).map_err(|error| failed("an answer that is none", &error))
    }
}

impl Peer for Remote {
    fn ask(&self, endpoint: Endpoint, ask: Ask) -> PeerAnswer<'_> {
        Box::pin(async move {
            let patience = Duration::from_millis(ask.deadline_ms + ANSWER_SLACK_MS);
            match tokio::time::timeout(patience, self.send(&endpoint, &ask)).await {
                Ok(answer) => answer,
                Err(_) => Err(Error::Peer(format!("{endpoint} did not answer in time"))),
            }
        })
    }
}

/// Never used: without TLS every address begins with `http`.
fn no_tls() -> rustls::ClientConfig {
    rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(
        rustls::crypto::ring::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("ring has the default protocol versions")
    .with_root_certificates(rustls::RootCertStore::empty())
    .with_no_client_auth()
}

/// An error with what caused it: alone it only says that there was one.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

//! Numbers for Prometheus: what the server did, and what the application did, counted where it happens and read when asked.
//! Not a store of history. Invariant: labels are names of routes, tasks and states, never keys: their number is bounded.

use super::around::{Before, around};
use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::response::Response;
use axum::routing::future::RouteFuture;
use headwater_runtime::{Role, Running};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};
use tokio::time::Instant;
use tower::Service;

/// The numbers of one instance.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Family<Route, Counter>,
    seconds: Family<Route, Histogram>,
    in_flight: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, EncodeLabelSet)]
struct OfTask {
    task: String,
    role: &'static str,
}

impl Metrics {
    /// Of `running`, which they do not keep alive.
    pub fn new(running: &Arc<Running>) -> Self {
        let mut registry = Registry::with_prefix("headwater");
        let requests = Family::<Route, Counter>::default();
        let seconds = Family::<Route, Histogram>::new_with_constructor(|| {
            // 0.1 ms to 26 s.
            Histogram::new(exponential_buckets(0.000_1, 4.0, 10))
        });
        let in_flight = Gauge::default();
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register(
            "http_seconds",
            "Time to the head of an answer",
            seconds.clone(),
        );
        registry.register(
            "http_in_flight",
            "Requests without an answer yet",
            in_flight.clone(),
        );
        registry.register_collector(Box::new(Application(Arc::downgrade(running))));
        Self(Arc::new(Inner {
            registry,
            requests,
            seconds,
            in_flight,
        }))
    }

    /// `routes`, counted.
    pub fn around(&self, routes: Router) -> Router {
        around(routes, self.clone())
    }

    /// All numbers in the text format of OpenMetrics.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        text::encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

/// In flight from its making to its end, whichever way the request ends.
struct Flight(Gauge);

impl Flight {
    fn begin(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A request without an answer yet.
pub(super) struct Counted {
    answer: RouteFuture<Infallible>,
    route: Option<MatchedPath>,
    begun: Instant,
    metrics: Metrics,
    flight: Option<Flight>,
}

impl Future for Counted {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Ok(response) = ready!(Pin::new(&mut self.answer).poll(cx));
        self.flight = None;
        let route = self.route.as_ref().map_or("none", MatchedPath::as_str);
        let route = Route {
            route: route.to_owned(),
            status: response.status().as_u16(),
        };
        let Inner {
            requests, seconds, ..
        } = &*self.metrics.0;
        requests.get_or_create(&route).inc();
        let took = self.begun.elapsed().as_secs_f64();
        seconds.get_or_create(&route).observe(took);
        Poll::Ready(Ok(response))
    }
}

impl Before for Metrics {
    type Passing = Counted;

    fn pass(&self, request: Request, mut handler: axum::routing::Route) -> Counted {
        let (begun, flight) = (Instant::now(), Flight::begin(&self.0.in_flight));
        Counted {
            route: request.extensions().get::<MatchedPath>().cloned(),
            answer: handler.call(request),
            begun,
            metrics: self.clone(),
            flight: Some(flight),
        }
    }
}

/// What the application has counted itself.
#[derive(Debug)]
struct Application(Weak<Running>);

impl Collector for Application {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(running) = self.0.upgrade() else {
            return Ok(());
        };
        counted(
            &mut encoder,
            "records",
            "Records processed",
            running.records(),
        )?;
        counted(
            &mut encoder,
            "commits",
            "Commits that took effect",
            running.commits(),
        )?;
        let waiters = running.state().watches().waiters();
        gauged(
            &mut encoder,
            "waiters",
            "Reads that wait for an event",
            waiters as i64,
        )?;
        let quarantined = running.quarantined().len();
        gauged(
            &mut encoder,
            "quarantined",
            "Records that are set aside",
            quarantined as i64,
        )?;
        let tasks = running.tasks();
        let mut by_task = |name, help, value: &dyn Fn(&headwater_runtime::TaskStatus) -> i64| {
            let kind = prometheus_client::metrics::MetricType::Gauge;
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            for status in &tasks {
                let labels = OfTask {
                    task: status.task.to_string(),
                    role: match status.role {
                        Role::Active => "active",
                        Role::Standby => "standby",
                    },
                };
                let metric = family.encode_family(&labels)?;
                ConstGauge::new(value(status)).encode(metric)?;
            }
            fmt::Result::Ok(())
        };
        by_task(
            "task_running",
            "1 while the task processes records",
            &|status| i64::from(status.state == "running"),
        )?;
        by_task(
            "task_input_lag",
            "Records that wait in a task's inputs",
            &|status| status.input_lag(),
        )?;
        by_task(
            "task_store_lag",
            "Records that a task's stores are behind",
            &|status| status.store_lag(),
        )?;
        by_task(
            "task_restored_percent",
            "How far a task's stores have come",
            &|status| i64::from(status.restored_percent()),
        )
    }
}

fn counted(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    let counter = ConstCounter::new(value);
    let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
    counter.encode(metric)
}

fn gauged(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: i64) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    gauge.encode(metric)
}

//! The services by name, and how they are started on a log. Not what they do.
//! Invariant: all topics are there before the first service starts.

use crate::feed::Feed;
use crate::producer::Producer;
use crate::rest::Shop;
use crate::store::Store;
use crate::validations::ORDER_TIMEOUT;
use crate::{details, email, fraud, inventory, rest, topics, validations, view};
use axum::Router;
use headwater::log::{Endpoint, Log};
use headwater::query::Queries;
use headwater::query::http::{
    Gate, Limits, Metrics, Remote, Stores, instance_routes, operation_routes, store_routes,
};
use headwater::{Running, Settings, SourceWriter, Topology};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Partitions of every topic.
pub const PARTITIONS: u32 = 4;
/// Customers that are there from the beginning.
const CUSTOMERS: u32 = 6;
/// How long the services may take to be ready, and to end.
const START_MAX: Duration = Duration::from_secs(60);

/// One of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Service {
    /// The REST interface and its tables.
    Orders,
    /// Is it in stock?
    Inventory,
    /// Does the customer order too much?
    Fraud,
    /// Does the order make sense?
    Details,
    /// The verdict.
    Validations,
    /// Mails.
    Email,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Orders,
        Self::Inventory,
        Self::Fraud,
        Self::Details,
        Self::Validations,
        Self::Email,
    ];

    fn topology(self) -> headwater::Result<Topology> {
        match self {
            Self::Orders => view::orders_service(),
            Self::Inventory => inventory::inventory_service(),
            Self::Fraud => fraud::fraud_service(),
            Self::Details => details::order_details_service(),
            Self::Validations => validations::validations_aggregator_service(ORDER_TIMEOUT),
            Self::Email => email::email_service(|mail| {
                let (name, order) = (&mail.customer.first_name, &mail.order.id);
                println!(
                    "mail to {}: thank you, {name}, for order {order}",
                    mail.customer.email
                );
            }),
        }
    }
}

/// How services run.
pub struct Options {
    /// Where their state lives; in memory without.
    pub state_dir: Option<PathBuf>,
    /// How often each commits: an order goes through six commits until its verdict is seen.
    pub commit_interval_ms: u64,
    /// Where the Orders service listens: other instances of it ask there.
    pub endpoint: Option<Endpoint>,
}

/// Services that run, with the REST interface if the Orders service is among them.
pub struct Started {
    running: Vec<(Service, Arc<Running>)>,
    /// What the REST interface works on.
    pub shop: Option<Arc<Shop>>,
    /// What is served for the Orders service.
    pub routes: Option<Router>,
}

/// Creates the topics, and the customers that the shop has from the beginning.
pub fn prepare(log: &dyn Log) -> headwater::Result<()> {
    let mut writer = SourceWriter::open(log, "orders", "customers", &Settings::default())?;
    for topic in topics::all() {
        writer.ensure_topic(topic, PARTITIONS)?;
    }
    let names = ["Franz", "Milena", "Max", "Felice", "Ottla", "Hermann"];
    let timestamp = headwater::world::World::real().clock.now_ms();
    if writer.position() > 0 {
        return Ok(());
    }
    for (id, name) in (0_i64..).zip(names) {
        let customer = crate::model::Customer {
            id,
            first_name: name.into(),
            last_name: "Kafka".into(),
            email: format!("{}@example.org", name.to_lowercase()),
            address: "Prague".into(),
            level: topics::LEVELS[id as usize % topics::LEVELS.len()].into(),
        };
        writer.append(topics::CUSTOMERS, &id, &customer, timestamp)?;
    }
    writer.commit(u64::from(CUSTOMERS))?;
    Ok(())
}

impl Started {
    /// Starts `services` on `log`, which [`prepare`] has seen. Requests may come at once: they wait for their tables.
    pub fn start(
        log: &Arc<dyn Log>,
        services: &[Service],
        options: &Options,
    ) -> headwater::Result<Self> {
        let mut started = Self {
            running: Vec::new(),
            shop: None,
            routes: None,
        };
        for service in services {
            let mut settings = Settings {
                state_dir: options.state_dir.clone(),
                commit_interval_ms: options.commit_interval_ms,
                ..Settings::default()
            };
            if *service == Service::Orders {
                settings.application_server = options.endpoint.clone();
            }
            let running = headwater::start_with(service.topology()?, log, settings)?;
            started.running.push((*service, Arc::new(running)));
        }
        let orders = started
            .running
            .iter()
            .find(|(it, _)| *it == Service::Orders);
        if let Some((_, running)) = orders {
            let queries = Queries::new(running, Arc::new(Remote::new(None, None)));
            let store = Store::new(queries.clone(), &**log)?;
            let feed = Feed::new(queries.clone());
            // From now on, where there is a runtime; else from the first page on.
            if tokio::runtime::Handle::try_current().is_ok() {
                feed.begin();
            }
            let shop = Shop::new(store, Producer::start(log.clone())?, feed);
            started.routes = Some(routes(running, &queries, shop.clone())?);
            started.shop = Some(shop);
        }
        Ok(started)
    }

    /// The first service that failed.
    pub fn failed(&self) -> Option<Service> {
        let mut failed = self.running.iter().filter(|(_, running)| running.failed());
        failed.next().map(|(service, _)| *service)
    }

    /// Ends all services; the first error of one that failed.
    pub fn stop(self) -> headwater::Result<()> {
        let mut result = Ok(());
        for (_, running) in self.running {
            result = result.and(running.shut_down(START_MAX).map_err(Into::into));
        }
        result
    }
}

/// What requests must keep to.
pub fn limits() -> Limits {
    Limits {
        body_bytes_max: rest::BODY_BYTES_MAX,
        ..Limits::default()
    }
}

/// The shop's own routes, reads of its tables, what operators look at, and what the other instances ask.
fn routes(running: &Arc<Running>, queries: &Queries, shop: Arc<Shop>) -> headwater::Result<Router> {
    let stores = Stores::new(queries)
        .show::<String, crate::model::Order>(view::ORDERS_STORE)
        .and_then(|stores| stores.show::<String, i64>(view::SOLD));
    let stores = stores.map_err(|error| headwater::Error::System(error.to_string()))?;
    let (gate, metrics) = (Gate::new(&limits(), None), Metrics::new(running));
    let public = gate.clone().around(rest::routes(shop));
    let routes = operation_routes(running, &stores, &metrics)
        .merge(public)
        .merge(store_routes(stores, gate))
        .merge(instance_routes(
            queries.clone(),
            Gate::new(&Limits::default(), None),
        ));
    Ok(metrics.around(routes))
}

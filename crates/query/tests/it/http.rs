//! The questions over HTTP, asked by a client that can also misbehave. Not the questions themselves: those have their own tests.
//! Invariant: every server of a test listens on a port of its own and is stopped by it.

mod client;
mod events;
mod instances;
mod limits;
mod parked;
mod process;
mod reads;
mod rebalances;
mod secrets;
mod ten_thousand;

use crate::instance::{Shop, WAIT};
use headwater_log::Endpoint;
use headwater_query::http::{
    Bearer, Gate, Limits, Metrics, Remote, Server, ServerTls, Stores, instance_routes,
    operation_routes, store_routes,
};
use headwater_query::{Peer, Queries};
use headwater_runtime::Running;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// An instance and its server.
pub(crate) struct Served {
    pub(crate) running: Arc<Running>,
    pub(crate) queries: Queries,
    pub(crate) server: Server,
}

/// How instances of a test speak.
pub(crate) struct Speech {
    pub(crate) limits: Limits,
    pub(crate) public: Option<Bearer>,
    pub(crate) instances: Option<Bearer>,
    pub(crate) tls: Option<ServerTls>,
    pub(crate) peer: Arc<dyn Peer>,
}

impl Default for Speech {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            public: None,
            instances: None,
            tls: None,
            peer: Arc::new(Remote::new(None, None)),
        }
    }
}

/// Shows the orders alone.
fn orders(stores: Stores) -> Stores {
    stores.show::<String, i64>("orders-store").unwrap()
}

impl Speech {
    /// Without secrets.
    fn limited(limits: Limits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }
}

impl Served {
    /// Starts an instance of `shop` that answers on a free port, with the stores that `show` names.
    pub(crate) async fn start(shop: &Shop, speech: &Speech, show: fn(Stores) -> Stores) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let host = match speech.tls {
            // The name in its certificate.
            Some(_) => "localhost",
            None => "127.0.0.1",
        };
        let endpoint = Endpoint {
            host: host.into(),
            port,
        };
        let running = Arc::new(shop.run(endpoint));
        let queries = Queries::new(&running, speech.peer.clone());
        let stores = show(Stores::new(&queries));
        let metrics = Metrics::new(&running);
        let public = Gate::new(&speech.limits, speech.public.clone());
        let internal = Gate::new(&speech.limits, speech.instances.clone());
        let routes = operation_routes(&running, &stores, &metrics)
            .merge(store_routes(stores, public))
            .merge(instance_routes(queries.clone(), internal));
        let routes = metrics.around(routes);
        let server = Server::start(listener, routes, &speech.limits, speech.tls.clone()).unwrap();
        Self {
            running,
            queries,
            server,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub(crate) async fn stop(self) {
        self.running.shut_down(WAIT).unwrap();
        self.server.stop(Duration::from_secs(1)).await;
    }
}

/// Runs a test on a runtime with a network.
pub(crate) fn on_network<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(test)
}

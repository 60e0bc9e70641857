//! One instance of a service that counts records by key and answers for them over HTTP, with the routes of the query crate.
//! Not the one who asks. Invariant: topology, names and the path asked are those of `bench/java/QueryYardstick.java`.

use super::Place;
use super::streams::with_properties;
use anyhow::{Context, Result};
use clap::Args;
use headwater::query::Queries;
use headwater::query::http::{
    Gate, Limits, Metrics, Remote, Server, Stores, instance_routes, operation_routes, store_routes,
};
use headwater::{App, Running, Settings, log::Endpoint};
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

const HOST: &str = "127.0.0.1";
/// The longest that requests at work may take to end, and then the application.
const STOP_MAX: Duration = Duration::from_secs(10);

/// What to serve.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// `application.id`; the output topic is `<application>-out` and is there.
    #[arg(long)]
    application: String,
    /// The topic counted.
    #[arg(long)]
    input: String,
    /// A setting of the application by Kafka's name, NAME=VALUE.
    #[arg(long = "property")]
    properties: Vec<String>,
    /// `state.dir`.
    #[arg(long)]
    state_dir: PathBuf,
}

/// Serves until standard input ends; the port is what it prints.
pub(super) fn run(options: &Options) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind((HOST, 0)))?;
    let port = listener.local_addr()?.port();
    let mut settings = with_properties(Settings::in_dir(&options.state_dir), &options.properties)?;
    settings.application_server = Some(Endpoint {
        host: HOST.into(),
        port,
    });
    let app = App::new(&options.application);
    app.stream::<String, String>(options.input.as_str())
        .group_by_key()
        .count("counts")
        .to_stream()
        .to(format!("{}-out", options.application));
    let running = headwater::start_with(app.build()?, options.place.kafka()?, settings)?;
    let running = Arc::new(running);
    let server = runtime.block_on(async { serve(&running, listener) })?;
    println!("{port}");
    // Whoever started this holds the other end.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    runtime.block_on(server.stop(STOP_MAX));
    drop(runtime);
    running.shut_down(STOP_MAX)?;
    Ok(())
}

fn serve(running: &Arc<Running>, listener: TcpListener) -> Result<Server> {
    let queries = Queries::new(running, Arc::new(Remote::new(None, None)));
    let stores = Stores::new(&queries).show::<String, u64>("counts")?;
    let (limits, metrics) = (Limits::default(), Metrics::new(running));
    let routes = operation_routes(running, &stores, &metrics)
        .merge(store_routes(stores, Gate::new(&limits, None)))
        .merge(instance_routes(queries, Gate::new(&limits, None)));
    let routes = metrics.around(routes);
    Server::start(listener, routes, &limits, None).context("cannot serve")
}

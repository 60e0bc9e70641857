//! The shop as a program: all services on the embedded log, or each by itself on Apache Kafka. Not the services.
//! Invariant: it ends when it is asked to or when a service fails, and then with an error.
#![allow(
    clippy::disallowed_methods,
    reason = "a program at the rim: it reads files, tells the time and waits"
)]

use anyhow::{Context, bail};
use clap::Parser;
use headwater::log::{Endpoint, Log};
use headwater::prelude::*;
use headwater::query::http::Server;
use orders::load;
use orders::service::{Options, Service, Started, limits, prepare};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Time between two looks at whether the program is to end.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How long requests may take to end.
const STOP_MAX: Duration = Duration::from_secs(2);
/// ms between two commits of a service on the embedded log, where a commit costs one sync of the disk, and on Kafka.
const COMMIT_MS_EMBEDDED: u64 = 10;
const COMMIT_MS_KAFKA: u64 = 30;

/// A shop: place orders over HTTP and watch services check them.
///
/// Without arguments all services run in this process, over a log in a directory. With --kafka and --service each runs by itself,
/// in as many instances as wanted, and only its state is in the directory, of which each instance needs its own. The stock starts
/// empty: orders fail until it is set.
#[derive(Debug, Parser)]
struct Args {
    /// Where log and state live.
    #[arg(long, value_name = "DIR", default_value = "./data/orders")]
    data: PathBuf,
    /// Where the Orders service listens.
    #[arg(long, default_value_t = 5432)]
    port: u16,
    /// The name or address by which other instances of the Orders service reach this one.
    #[arg(long, value_name = "NAME", default_value = "127.0.0.1")]
    host: String,
    /// Apache Kafka to use as the log.
    #[arg(long, value_name = "HOST:PORT,..")]
    kafka: Option<String>,
    /// Runs these services only.
    #[arg(long, value_name = "NAME", requires = "kafka")]
    service: Vec<Service>,
    /// Places the purchases of a file in the columns of CDNOW_master.txt, text or gzip.
    #[arg(long, value_name = "FILE")]
    load: Option<PathBuf>,
    /// Orders a second that --load places.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    rate: u32,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orders: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    let stop = headwater::watch_signals()?;
    let purchases = args.load.as_deref().map(load::read).transpose()?;
    let log = open(args)?;
    prepare(&*log)?;
    let services = match args.service.is_empty() {
        true => Service::ALL.to_vec(),
        false => args.service.clone(),
    };
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        // Bound first: a port that is taken is told at once.
        let listener = match services.contains(&Service::Orders) {
            true => Some(bind(&args.host, args.port).await?),
            false => None,
        };
        let address = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let options = Options {
            state_dir: Some(args.data.join("state")),
            commit_interval_ms: match args.kafka {
                Some(_) => COMMIT_MS_KAFKA,
                None => COMMIT_MS_EMBEDDED,
            },
            endpoint: address.map(|address| Endpoint {
                host: args.host.clone(),
                port: address.port(),
            }),
        };
        let start = move || Started::start(&log, &services, &options);
        let started = tokio::task::spawn_blocking(start).await??;
        let outcome = serve(&started, listener, purchases, args, stop).await;
        tokio::task::spawn_blocking(move || started.stop()).await??;
        outcome
    })
}

fn open(args: &Args) -> anyhow::Result<Arc<dyn Log>> {
    if let Some(servers) = &args.kafka {
        return Ok(Arc::new(Kafka::at(servers)?));
    }
    let log = EmbeddedLog::open(&args.data)
        .with_context(|| format!("cannot open the log in {}", args.data.display()))?;
    Ok(log.shared())
}

async fn bind(host: &str, port: u16) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind((host, port)).await;
    bound.with_context(|| format!("cannot listen on port {port}; choose another with --port"))
}

async fn serve(
    started: &Started,
    listener: Option<TcpListener>,
    purchases: Option<Vec<orders::model::Order>>,
    args: &Args,
    stop: fn() -> bool,
) -> anyhow::Result<()> {
    let mut tasks = tokio::task::JoinSet::<anyhow::Result<()>>::new();
    let mut server = None;
    if let (Some(listener), Some(shop), Some(routes)) = (listener, &started.shop, &started.routes) {
        greet(listener.local_addr()?.port(), &args.data);
        server = Some(Server::start(listener, routes.clone(), &limits(), None)?);
        if let Some(purchases) = purchases {
            let (shop, rate) = (shop.clone(), args.rate);
            tasks.spawn(async move {
                let placed = load::place(shop, purchases, rate, stop).await?;
                eprintln!("orders: {placed} orders placed; still serving");
                Ok(())
            });
        }
    } else if purchases.is_some() {
        bail!("--load places its orders with the Orders service, which does not run here");
    }
    while !stop() {
        if let Some(service) = started.failed() {
            eprintln!("orders: {service:?} failed");
            break;
        }
        if let Some(ended) = tasks.try_join_next() {
            ended??;
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    tasks.shutdown().await;
    if let Some(server) = server {
        server.stop(STOP_MAX).await;
    }
    Ok(())
}

fn greet(port: u16, data: &Path) {
    println!(
        "The shop is open at http://localhost:{port}/ (data in {})

Stock something, order, and wait for the verdict:
  curl -i http://localhost:{port}/v1/inventory -d '{{\"product\":\"JUMPERS\",\"quantity\":10}}'
  curl -i http://localhost:{port}/v1/orders -d '{{\"id\":\"1\",\"customerId\":2,\"product\":\"JUMPERS\",\"quantity\":1,\"price\":1.0}}'
  curl -i http://localhost:{port}/v1/orders/1/validated

Ctrl-c ends it.",
        data.display()
    );
}

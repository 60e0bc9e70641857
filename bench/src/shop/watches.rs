//! Clients that watch the whole table of orders while orders come: what a watch costs of the program's memory, and how many events
//! a second all of them are told. Not a log of every change: a watcher that is behind is told the latest value, once.
//! Invariant: each watcher has seen each order decided, or there is no figure.

use super::Place;
use super::counter::Counter;
use super::events::Told;
use super::program::Program;
use crate::http::{Wire, get};
use crate::process;
use crate::report::Figures;
use anyhow::{Context, Result, ensure};
use clap::Args;
use mio::{Events, Poll};
use serde_json::json;
use std::time::{Duration, Instant};

/// Bytes that are read at once.
const READ_BYTES_MAX: usize = 64 << 10;
/// The longest that nothing may happen, keep-alives included.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// The longest that everything may take.
const ALL_MAX: Duration = Duration::from_secs(600);

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// Who watches, one connection each.
    #[arg(long, default_value_t = 100)]
    watchers: usize,
    /// Orders that are placed while they watch; each is an event, and its verdict another.
    #[arg(long, default_value_t = 2_000)]
    orders: usize,
}

/// Runs the yardstick.
pub(super) fn run(options: &Options) -> Result<()> {
    let title = format!(
        "watches at the example orders on the embedded log: {} watchers of the whole table, {} orders",
        options.watchers, options.orders
    );
    let place = &options.place;
    place.report("watches", title, || one(options))
}

fn one(options: &Options) -> Result<Figures> {
    let program = Program::start(&options.place)?;
    let idle_mb = program.steady_mb()?;
    let mut watching = Watching::open(&program, options)?;
    watching.until(|told| told.iter().all(|it| it.is_live), None)?;
    let watched_mb = program.steady_mb()?;
    let registry = watching.poll.registry();
    let mut counter = Counter::open(program.address, options.orders, registry, options.watchers)?;
    let (cpu, own_cpu) = (program.cpu_seconds(), process::cpu_seconds());
    let begin = Instant::now();
    counter.begin()?;
    let is_over = |told: &[Told]| told.iter().all(|it| it.decided == options.orders);
    watching.until(is_over, Some(&mut counter))?;
    let seconds = begin.elapsed().as_secs_f64();
    let (cpu, own_cpu) = (
        program.cpu_seconds() - cpu,
        process::cpu_seconds() - own_cpu,
    );
    let last = counter.taken.iter().flatten().max().context("no orders")?;
    let events: u64 = watching.told.iter().map(|it| it.entries).sum();
    let figures = json!({
        "watchers": options.watchers,
        "orders": options.orders,
        "idle_mb": idle_mb,
        "watched_mb": watched_mb,
        "kb_per_watch": (watched_mb - idle_mb) * 1_024.0 / options.watchers as f64,
        "events": events,
        "events_per_second": events as f64 / seconds,
        "events_per_watcher": events as f64 / options.watchers as f64,
        "orders_per_second": options.orders as f64 / (*last - begin).as_secs_f64(),
        "all_told_ms_after_last_order": last.elapsed().as_secs_f64() * 1e3,
        "program_cpu_us_per_event": cpu * 1e6 / events as f64,
        "watchers_cpu_us_per_event": own_cpu * 1e6 / events as f64,
    });
    figures.as_object().cloned().context("it is an object")
}

/// All watchers.
struct Watching {
    poll: Poll,
    wires: Vec<Wire>,
    told: Vec<Told>,
}

impl Watching {
    fn open(program: &Program, options: &Options) -> Result<Self> {
        let (poll, mut wires, mut told) = (Poll::new()?, Vec::new(), Vec::new());
        for number in 0..options.watchers {
            let mut wire = Wire::connect(program.address, READ_BYTES_MAX)?;
            wire.register(poll.registry(), number)?;
            wire.ask(&get("/stores/orders-store?watch"))?;
            wires.push(wire);
            told.push(Told::new(options.orders));
        }
        Ok(Self { poll, wires, told })
    }

    /// Hears what is told until `is_over`, while orders are placed where there is a counter for them.
    fn until(
        &mut self,
        is_over: impl Fn(&[Told]) -> bool,
        mut counter: Option<&mut Counter>,
    ) -> Result<()> {
        let (begin, mut events) = (Instant::now(), Events::with_capacity(1_024));
        while !is_over(&self.told) || counter.as_ref().is_some_and(|it| !it.has_all()) {
            self.poll.poll(&mut events, Some(SILENCE_MAX))?;
            let is_late = events.is_empty() || begin.elapsed() > ALL_MAX;
            ensure!(!is_late, "watchers were not told everything");
            for event in &events {
                let number = event.token().0;
                if let Some(counter) = &mut counter
                    && counter.hear(number)?
                {
                    continue;
                }
                let (wire, told) = (&mut self.wires[number], &mut self.told[number]);
                while let Some(bytes) = wire.read()? {
                    told.take(bytes)?;
                }
            }
        }
        Ok(())
    }
}

//! GETs that wait for orders which do not exist yet, one connection each; then all of the orders come. Not a load: nothing else is
//! asked meanwhile. Invariant: each GET is answered with its own order, or there is no figure.

use super::Place;
use super::counter::{Counter, id};
use super::program::Program;
use crate::http::{Wire, get};
use crate::report::Figures;
use anyhow::{Context, Result, ensure};
use clap::Args;
use mio::{Events, Poll};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 1 << 10;
/// ms that a GET waits; the most that the shop allows.
const WAIT_MS: u64 = 300_000;
/// The longest that nothing may happen.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What to run.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// GETs that wait, of as many orders.
    #[arg(long, default_value_t = 10_000)]
    gets: usize,
}

/// Runs the yardstick.
pub(super) fn run(options: &Options) -> Result<()> {
    let title = format!(
        "parked-gets at the example orders on the embedded log: {} GETs of as many orders, one connection each, then all orders",
        options.gets
    );
    let place = &options.place;
    place.report("parked-gets", title, || one(options))
}

fn one(options: &Options) -> Result<Figures> {
    let program = Program::start(&options.place)?;
    let idle_mb = program.steady_mb()?;
    let mut poll = Poll::new()?;
    let mut wires = Vec::new();
    for order in 0..options.gets {
        let mut wire = Wire::connect(program.address, ANSWER_BYTES_MAX)?;
        wire.register(poll.registry(), order)?;
        let path = format!("/v1/orders/{}?timeout={WAIT_MS}", id(order));
        wire.ask(&get(&path))?;
        wires.push(Some(wire));
    }
    program.await_in_flight(options.gets)?;
    let parked_mb = program.steady_mb()?;
    let registry = poll.registry();
    let mut counter = Counter::open(program.address, options.gets, registry, options.gets)?;
    let answered = release(&mut poll, &mut wires, &mut counter)?;
    let figures = json!({
        "gets": options.gets,
        "idle_mb": idle_mb,
        "parked_mb": parked_mb,
        "more_mb": parked_mb - idle_mb,
        "kb_per_get": (parked_mb - idle_mb) * 1_024.0 / options.gets as f64,
        "orders_per_second": options.gets as f64 / took(&counter)?.as_secs_f64(),
        "from_sent": after(&counter.sent, &answered)?,
        "from_taken": after(&counter.taken, &answered)?,
    });
    Ok(flat(figures))
}

/// Places all orders, and hears all answers: when each came.
fn release(
    poll: &mut Poll,
    wires: &mut [Option<Wire>],
    counter: &mut Counter,
) -> Result<Vec<Instant>> {
    let mut answered = vec![None; wires.len()];
    let (mut open, mut events) = (wires.len(), Events::with_capacity(1_024));
    counter.begin()?;
    while open > 0 || !counter.has_all() {
        poll.poll(&mut events, Some(SILENCE_MAX))?;
        let said = "orders are not taken, and GETs not answered";
        ensure!(!events.is_empty(), "{open} {said}");
        for event in &events {
            let number = event.token().0;
            if counter.hear(number)? {
                continue;
            }
            // Closed once it is answered: a connection that asks nothing more is closed from the other side.
            let Some(wire) = &mut wires[number] else {
                continue;
            };
            let told = wire.hear(|answer| {
                let text = std::str::from_utf8(answer.body)?;
                ensure!(answer.status == 200, "{}: {text}", answer.status);
                let order: Value = serde_json::from_str(text)?;
                ensure!(order["id"] == id(number), "{text} of {}", id(number));
                Ok(())
            })?;
            if told.is_some() {
                answered[number] = Some(Instant::now());
                wires[number] = None;
                open -= 1;
            }
        }
    }
    let all: Option<Vec<_>> = answered.into_iter().collect();
    all.context("all are answered")
}

/// From the first order to the last.
fn took(counter: &Counter) -> Result<Duration> {
    let begin = counter.sent.iter().flatten().min();
    let end = counter.taken.iter().flatten().max();
    let (begin, end) = begin.zip(end).context("no orders")?;
    Ok(*end - *begin)
}

/// ms from each order's moment until its GET was answered; none where the answer came first.
fn after(moments: &[Option<Instant>], answered: &[Instant]) -> Result<Value> {
    let pairs = moments.iter().zip(answered);
    let mut ms: Vec<f64> = pairs
        .filter_map(|(moment, answered)| {
            let late = answered.saturating_duration_since((*moment)?);
            Some(late.as_secs_f64() * 1e3)
        })
        .collect();
    ms.sort_by(f64::total_cmp);
    ensure!(ms.len() == answered.len(), "an order without its moment");
    let at = |part: f64| ms[((ms.len() - 1) as f64 * part) as usize];
    Ok(json!({ "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0) }))
}

/// Figures in figures by one name.
fn flat(figures: Value) -> Figures {
    let mut flat = Figures::new();
    for (name, value) in figures.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inner) => flat.extend(
                inner
                    .iter()
                    .map(|(part, value)| (format!("{name}_{part}"), value.clone())),
            ),
            None => drop(flat.insert(name.clone(), value.clone())),
        }
    }
    flat
}

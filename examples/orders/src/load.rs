//! Real purchases as orders: the columns of CDNOW_master.txt, customer, day, CDs and dollars, one order a line. Not a benchmark.
//! Invariant: a line is always the same order, so that a file loaded twice places nothing twice.
#![allow(
    clippy::disallowed_methods,
    reason = "at the rim: it reads the file that the user names"
)]

use crate::model::{Order, OrderState, Product};
use crate::rest::{Refusal, Shop};
use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Orders that wait for the log at the same time.
const ORDERS_IN_FLIGHT_MAX: usize = 500;
/// Before another try of an order that found the shop busy.
const BUSY_WAIT: Duration = Duration::from_millis(50);

/// Reads purchases, as text or gzip.
pub fn read(path: &Path) -> Result<Vec<Order>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut text = String::new();
    if bytes.starts_with(&GZIP) {
        GzDecoder::new(&bytes[..]).read_to_string(&mut text)
    } else {
        bytes.as_slice().read_to_string(&mut text)
    }
    .context("the purchases are no text")?;
    parse(&text)
}

/// Parses purchases; the first line is a heading.
pub fn parse(text: &str) -> Result<Vec<Order>> {
    let mut orders = Vec::new();
    for (number, line) in text.lines().enumerate().skip(1) {
        if !line.trim().is_empty() {
            let order = purchase(number, line).with_context(|| format!("line {}", number + 1))?;
            orders.push(order);
        }
    }
    Ok(orders)
}

fn purchase(number: usize, line: &str) -> Result<Order> {
    let columns: Vec<&str> = line.split_whitespace().collect();
    let [customer, day, pieces, dollars] = columns[..] else {
        bail!("'{line}' is not customer, day, CDs, dollars");
    };
    let quantity: i32 = pieces
        .parse()
        .with_context(|| format!("'{pieces}' is no number of CDs"))?;
    let total: f64 = dollars
        .parse()
        .with_context(|| format!("'{dollars}' is no amount"))?;
    let customer_id = customer
        .parse()
        .with_context(|| format!("'{customer}' is no number"))?;
    Ok(Order {
        id: format!("cdnow-{number}-{customer}-{day}"),
        customer_id,
        state: OrderState::Created,
        product: Some(Product::ALL[number % Product::ALL.len()]),
        quantity,
        price: total / f64::from(quantity.max(1)),
    })
}

/// Places `orders`, `rate` a second, with a bar on a terminal; ends early when asked to. Answers how many were placed.
pub async fn place(
    shop: Arc<Shop>,
    orders: Vec<Order>,
    rate: u32,
    stop: fn() -> bool,
) -> Result<u64> {
    let style =
        ProgressStyle::with_template("{msg:>8} {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    let bar = ProgressBar::new(orders.len() as u64).with_message("placing");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let room = Arc::new(Semaphore::new(ORDERS_IN_FLIGHT_MAX));
    let begin = Instant::now();
    let mut placing = tokio::task::JoinSet::new();
    let mut placed = 0;
    for (number, order) in (0_u32..).zip(orders) {
        sleep_until(begin + Duration::from_secs(1) * number / rate.max(1)).await;
        if stop() {
            break;
        }
        while let Some(done) = placing.try_join_next() {
            placed += done??;
            bar.set_position(placed);
        }
        let turn = room.clone().acquire_owned().await?;
        let shop = shop.clone();
        placing.spawn(async move {
            let placed = place_one(&shop, &order).await;
            drop(turn);
            placed
        });
    }
    while let Some(done) = placing.join_next().await {
        placed += done??;
        bar.set_position(placed);
    }
    bar.finish();
    Ok(placed)
}

async fn place_one(shop: &Shop, order: &Order) -> Result<u64> {
    loop {
        match shop.place(order).await {
            Ok(_) => return Ok(1),
            Err(Refusal::Busy) => sleep(BUSY_WAIT).await,
            Err(refusal) => bail!("order '{}' was not placed: {refusal:?}", order.id),
        }
    }
}

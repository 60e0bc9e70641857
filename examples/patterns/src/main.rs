//! The patterns as a program, each on an embedded log of its own with a little data. Not their tests.
//! Invariant: run again it goes on where it stopped.
#![allow(
    clippy::disallowed_methods,
    reason = "a program at the rim: it tells the time and waits"
)]

use clap::{Parser, Subcommand};
use headwater::{EmbeddedLog, Settings};
use patterns::counters::{counters, metrics};
use patterns::latest::{HISTORY, Image, LATEST, latest};
use patterns::memory_image::MemoryImage;
use patterns::rewards::{Purchase, rewards};
use std::path::PathBuf;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);
const PARTITIONS: u32 = 2;
const DAY_MS: i64 = 86_400_000;

/// Shows a pattern.
#[derive(Parser)]
struct Args {
    /// Where the logs live.
    #[arg(long, value_name = "DIR", default_value = "./data/patterns")]
    data: PathBuf,
    #[command(subcommand)]
    pattern: Pattern,
}

#[derive(Subcommand)]
enum Pattern {
    /// Transform with state: the points that purchases earn.
    Rewards,
    /// A whole topic in memory before the first request.
    MemoryImage,
    /// Counters that survive restarts, as metrics.
    Counters {
        /// Orders in all; those of earlier runs are among them.
        #[arg(long, default_value_t = 1_000)]
        orders: u64,
    },
    /// History and latest: start-up from the short topic, work on the long one.
    Latest,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.pattern {
        Pattern::Rewards => show_rewards(&EmbeddedLog::open(args.data.join("rewards"))?),
        Pattern::MemoryImage => show_image(&EmbeddedLog::open(args.data.join("memory-image"))?),
        Pattern::Counters { orders } => {
            show_counters(&EmbeddedLog::open(args.data.join("counters"))?, orders)
        }
        Pattern::Latest => show_latest(&EmbeddedLog::open(args.data.join("latest"))?),
    }
}

fn show_rewards(log: &EmbeddedLog) -> anyhow::Result<()> {
    let mut writer = log.source_writer("rewards", "purchases")?;
    writer.ensure_topic("purchases", PARTITIONS)?;
    writer.ensure_topic("rewards", PARTITIONS)?;
    for (number, customer) in (1_u32..).zip(["ann", "bob", "ann", "ann"]) {
        let purchase = Purchase {
            customer_id: customer.into(),
            quantity: number,
            price: 9.5,
        };
        writer.append("purchases", &format!("{number}"), &purchase, 1)?;
    }
    writer.commit(writer.position() + 4)?;
    let running = headwater::start(rewards()?, log)?;
    running.caught_up(DEADLINE)?;
    let points = running.view::<String, i32>(patterns::rewards::POINTS)?;
    for (customer, points) in points.all()? {
        println!("{customer}: {points} points");
    }
    Ok(running.stop(DEADLINE)?)
}

fn show_image(log: &EmbeddedLog) -> anyhow::Result<()> {
    let mut writer = log.source_writer("memory-image", "products")?;
    writer.ensure_topic("products", PARTITIONS)?;
    for number in writer.position()..10_000 {
        let product = format!("product {number}");
        writer.append("products", &format!("{number}"), &product, 1)?;
    }
    writer.commit(10_000)?;
    let image = MemoryImage::open(log, DEADLINE)?;
    println!("the first request: {:?}", image.get("9999")?);
    Ok(image.close(DEADLINE)?)
}

fn show_counters(log: &EmbeddedLog, orders: u64) -> anyhow::Result<()> {
    let mut writer = log.source_writer("counters", "orders")?;
    writer.ensure_topic("orders", PARTITIONS)?;
    let running = headwater::start(counters()?, log)?;
    while writer.position() < orders {
        let next = (writer.position() + 100).min(orders);
        for number in writer.position()..next {
            let placed_ms = (number % 3) as i64 * DAY_MS;
            writer.append("orders", &format!("{number}"), &placed_ms, placed_ms)?;
        }
        writer.commit(next)?;
    }
    running.caught_up(DEADLINE)?;
    print!("{}", metrics(&running)?);
    Ok(running.stop(DEADLINE)?)
}

fn show_latest(log: &EmbeddedLog) -> anyhow::Result<()> {
    let mut writer = log.source_writer("latest", "prices")?;
    writer.ensure_topic(HISTORY, PARTITIONS)?;
    writer.ensure_topic(LATEST, PARTITIONS)?;
    let begin = writer.position();
    for number in begin..begin + 1_000 {
        writer.append(HISTORY, &format!("{}", number % 10), &number, 1)?;
    }
    writer.commit(begin + 1_000)?;
    headwater::run_to_end_with(latest()?, log, Settings::default())?;
    writer.append(HISTORY, &"new".to_owned(), &1_u64, 1)?;
    writer.commit(begin + 1_001)?;
    let mut image = Image::load(&*log.shared())?;
    let loaded = image.prices.len();
    let followed = image.follow(&*log.shared())?;
    println!(
        "{loaded} rows loaded, {followed} events of {} followed",
        begin + 1_001
    );
    Ok(())
}

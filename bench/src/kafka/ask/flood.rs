//! Questions that cost much, more of them than can be answered: pages of the whole store, which both instances work on. Not checked
//! for their counts. Invariant: an answer is a page, or a status that says that there is none; a connection that breaks is an error.

use crate::http::{Answer, get};
use anyhow::{Result, ensure};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Entries of a page.
const PAGE_ENTRIES: usize = 500;
/// Bytes of a page.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Whole pages, and what an instance says that has too much to do.
const STATUSES: [u16; 4] = [200, 502, 503, 504];

/// How many answers had which status.
pub(super) type Statuses = BTreeMap<u16, u64>;

/// Asks on so many connections for so long; each of them every so often, or, where no time is given, as soon as it is answered.
pub(super) fn run(
    addresses: &[SocketAddr],
    connections: usize,
    time: Duration,
    every: Option<Duration>,
) -> Result<Statuses> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let begin = Instant::now();
    runtime.block_on(async {
        let (mut asking, mut all) = (JoinSet::new(), Statuses::new());
        for (number, address) in (0..connections).zip(addresses.iter().cycle()) {
            let first = begin + every.unwrap_or_default() * number as u32 / connections as u32;
            asking.spawn(ask(*address, first, every, begin + time));
        }
        while let Some(outcome) = asking.join_next().await {
            for (status, answers) in outcome?? {
                *all.entry(status).or_default() += answers;
            }
        }
        Ok(all)
    })
}

async fn ask(
    address: SocketAddr,
    first: Instant,
    every: Option<Duration>,
    until: Instant,
) -> Result<Statuses> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let request = get(&format!("/stores/counts?limit={PAGE_ENTRIES}"));
    let (mut statuses, mut answer) = (Statuses::new(), vec![0; ANSWER_BYTES_MAX]);
    let mut due = first;
    while due < until && Instant::now() < until {
        tokio::time::sleep_until(due.into()).await;
        stream.write_all(&request).await?;
        let mut length = 0;
        let status = loop {
            let read = stream.read(&mut answer[length..]).await?;
            ensure!(read > 0, "the connection was closed");
            length += read;
            if let Some(answer) = Answer::of(&answer[..length])? {
                break answer.status;
            }
        };
        ensure!(STATUSES.contains(&status), "a page is answered {status}");
        *statuses.entry(status).or_default() += 1;
        due += every.unwrap_or_default();
    }
    Ok(statuses)
}

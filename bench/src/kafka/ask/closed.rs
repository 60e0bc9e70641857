//! Questions as fast as they are answered: each connection asks again as soon as it has its answer. All on one thread, which is
//! cheap. Not for latencies: who asks less while it waits does not see how long others would have.
//! Invariant: a phase ends with no question unanswered.

use super::http::Answer;
use super::phase::{Asked, Line, Phase};
use anyhow::{Result, ensure};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 10;

/// Asks on all lines for so long.
pub(super) fn run(lines: &[Line], time: Duration) -> Result<Phase> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (begin, mut asked) = (Instant::now(), Vec::new());
    runtime.block_on(async {
        let mut asking = JoinSet::new();
        for line in lines {
            asking.spawn(ask(line.clone(), begin + time));
        }
        while let Some(outcome) = asking.join_next().await {
            asked.push(outcome??);
        }
        anyhow::Ok(())
    })?;
    Ok(Phase::of(asked, begin.elapsed().as_secs_f64()))
}

async fn ask(line: Line, until: Instant) -> Result<Asked> {
    let mut stream = TcpStream::connect(line.address).await?;
    stream.set_nodelay(true)?;
    let (mut asked, mut answer) = (Asked::new(line), vec![0; ANSWER_BYTES_MAX]);
    loop {
        let begin = Instant::now();
        if begin >= until {
            return Ok(asked);
        }
        let key = asked.key();
        stream.write_all(asked.request(key)).await?;
        let mut length = 0;
        let count = loop {
            let read = stream.read(&mut answer[length..]).await?;
            ensure!(read > 0, "the connection was closed");
            length += read;
            if let Some(answer) = Answer::of(&answer[..length])? {
                break answer.count()?;
            }
        };
        asked.answered(key, count, begin.elapsed().as_micros())?;
    }
}

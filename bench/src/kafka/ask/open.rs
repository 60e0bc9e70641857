//! Questions at a fixed rate, whatever becomes of those before: a question is due at its time, and what comes late counts from then.
//! A thread for each connection, because threads wake more exactly than timers. Not for throughput.
//! Invariant: as many questions as are due are asked.

use super::phase::{Asked, Line, Phase};
use crate::http::Asker;
use anyhow::{Result, anyhow};
use std::time::{Duration, Instant};

/// What an instance says that has too much to do.
const BUSY: u16 = 503;

/// Asks `rate` questions a second on all lines together, for so long.
pub(super) fn run(lines: &[Line], time: Duration, rate: u64) -> Result<Phase> {
    let begin = Instant::now();
    let every = Duration::from_secs_f64(lines.len() as f64 / rate as f64);
    let each = (time.as_secs_f64() / every.as_secs_f64()) as u32;
    let asked: Result<Vec<Asked>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..)
            .zip(lines)
            .map(|(number, line)| {
                let first = begin + every * number / lines.len() as u32;
                scope.spawn(move || ask(line, first, every, each))
            })
            .collect();
        let ended = threads.into_iter().map(|thread| {
            let outcome = thread.join();
            outcome.map_err(|_| anyhow!("a thread panicked"))?
        });
        ended.collect()
    });
    Ok(Phase::of(asked?, begin.elapsed().as_secs_f64()))
}

fn ask(line: &Line, first: Instant, every: Duration, times: u32) -> Result<Asked> {
    let (mut asker, mut asked) = (Asker::connect(line.address)?, Asked::new(line.clone()));
    for number in 0..times {
        let due = first + every * number;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let key = asked.key();
        let answer = asker.ask(asked.request(key))?;
        if answer.status == BUSY {
            asked.refused += 1;
            continue;
        }
        let count = answer.count()?;
        asked.answered(key, count, due.elapsed().as_micros())?;
    }
    Ok(asked)
}

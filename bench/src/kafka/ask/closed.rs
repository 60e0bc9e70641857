//! Questions as fast as they are answered: each connection asks again as soon as it has its answer. One thread asks on all of them
//! and sleeps in one call until any has an answer: a question costs one write, one read and a share of that call, because whoever
//! asks shares the cores with who is asked. Not for latencies: who asks less while it waits does not see how long others would have.
//! Invariant: a phase ends with no question unanswered.

use super::phase::{Asked, Line, Phase};
use crate::http::Wire;
use anyhow::{Context, Result, ensure};
use mio::{Events, Poll};
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// The longest that all connections together may wait for any answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// Asks on all lines for so long.
pub(super) fn run(lines: &[Line], time: Duration) -> Result<Phase> {
    let mut poll = Poll::new()?;
    let asking = lines.iter().map(|line| Asking::connect(line.clone()));
    let mut asking: Vec<Asking> = asking.collect::<Result<_>>()?;
    for (number, asking) in asking.iter_mut().enumerate() {
        asking.wire.register(poll.registry(), number)?;
    }
    let begin = Instant::now();
    for asking in &mut asking {
        asking.ask(begin)?;
    }
    let (mut open, mut events) = (asking.len(), Events::with_capacity(lines.len()));
    while open > 0 {
        match poll.poll(&mut events, Some(SILENCE_MAX)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        ensure!(!events.is_empty(), "no answer for {SILENCE_MAX:?}");
        for event in &events {
            let asking = asking.get_mut(event.token().0).context("no such line")?;
            // One clock for both: the next question leaves when the answer is there.
            if let Some(now) = asking.hear()? {
                match now - begin < time {
                    true => asking.ask(now)?,
                    false => open -= 1,
                }
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
    let asked = asking.into_iter().map(|asking| asking.asked).collect();
    Ok(Phase::of(asked, seconds))
}

/// A connection that asks.
struct Asking {
    wire: Wire,
    asked: Asked,
    /// The key under way, and since when.
    waits: Option<(u64, Instant)>,
}

impl Asking {
    fn connect(line: Line) -> Result<Self> {
        Ok(Self {
            wire: Wire::connect(line.address, ANSWER_BYTES_MAX)?,
            asked: Asked::new(line),
            waits: None,
        })
    }

    fn ask(&mut self, now: Instant) -> Result<()> {
        let key = self.asked.key();
        self.waits = Some((key, now));
        self.wire.ask(self.asked.request(key))
    }

    /// The time at which the answer was there, once it is.
    fn hear(&mut self) -> Result<Option<Instant>> {
        let Some(count) = self.wire.hear(|answer| answer.count())? else {
            return Ok(None);
        };
        let waits = self.waits.take();
        let (key, since) = waits.context("an answer to no question")?;
        let now = Instant::now();
        self.asked.answered(key, count, (now - since).as_micros())?;
        Ok(Some(now))
    }
}

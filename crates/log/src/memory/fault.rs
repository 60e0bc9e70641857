//! The faults a memory log can be asked for, and the dice that decide on each. Not crashes: a test drops the client for that.
//! Invariant: with all rates at 0 no number is drawn, so a log without faults behaves the same under every seed.

use headwater_world::{Random, SeededRandom};

/// What goes wrong, how often. The default: nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// Decides all draws.
    pub seed: u64,
    /// Transactions leave markers and aborted records behind, as on Kafka, where clients that are not exactly-once see the
    /// records of open and aborted ones; fixed when the log is made.
    pub kafka_like: bool,
    /// Polls by which a request, an answer, a chunk or a group event may be late.
    pub delay_polls_max: u32,
    /// Of 1000 requests (each step of a commit is one), so many are lost before they take effect, and time out.
    pub lose_request_per_mille: u32,
    /// Of 1000 requests, so many take effect and time out: the answer is lost.
    pub lose_answer_per_mille: u32,
    /// Of 1000 answers and assignments, so many come a second time, answers behind others.
    pub repeat_answer_per_mille: u32,
    /// Of 1000 reads, so many find that their partition just went away.
    pub unavailable_per_mille: u32,
    /// For so many ms a partition stays away then.
    pub unavailable_ms: u64,
    /// A request without an answer times out after so many ms.
    pub request_timeout_ms: u64,
    /// A transaction open for longer than so many ms is aborted and its producer fenced.
    pub transaction_timeout_ms: u64,
    /// Each marker and position of a transaction whose end was answered is written by so many ms later; see
    /// [`Faults::kafka_like`].
    pub marker_delay_ms_max: u64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            seed: 0,
            kafka_like: false,
            delay_polls_max: 0,
            lose_request_per_mille: 0,
            lose_answer_per_mille: 0,
            repeat_answer_per_mille: 0,
            unavailable_per_mille: 0,
            unavailable_ms: 1000,
            // Kafka's `default.api.timeout.ms` is 60 s, its `request.timeout.ms` 30 s; the shorter one keeps tests short.
            request_timeout_ms: 30_000,
            // What Kafka Streams sets for its producers (`StreamsConfig.PRODUCER_EOS_OVERRIDES`).
            transaction_timeout_ms: 10_000,
            marker_delay_ms_max: 0,
        }
    }
}

/// Seeded decisions.
pub(super) struct Dice {
    pub(super) faults: Faults,
    random: SeededRandom,
}

impl Dice {
    pub(super) fn new(faults: Faults) -> Self {
        let random = SeededRandom::new(faults.seed);
        Self { faults, random }
    }

    /// By how many polls something is late.
    pub(super) fn delay(&self) -> u32 {
        match self.faults.delay_polls_max {
            0 => 0,
            max => self.random.below(u64::from(max) + 1) as u32,
        }
    }

    pub(super) fn marker_delay_ms(&self) -> i64 {
        match self.faults.marker_delay_ms_max {
            0 => 0,
            max => self.random.below(max.saturating_add(1)) as i64,
        }
    }

    pub(super) fn loses_request(&self) -> bool {
        self.happens(self.faults.lose_request_per_mille)
    }

    pub(super) fn loses_answer(&self) -> bool {
        self.happens(self.faults.lose_answer_per_mille)
    }

    pub(super) fn repeats_answer(&self) -> bool {
        self.happens(self.faults.repeat_answer_per_mille)
    }

    pub(super) fn loses_partition(&self) -> bool {
        self.happens(self.faults.unavailable_per_mille)
    }

    pub(super) fn coin(&self) -> bool {
        self.random.below(2) == 0
    }

    fn happens(&self, per_mille: u32) -> bool {
        per_mille > 0 && self.random.below(1000) < u64::from(per_mille)
    }
}

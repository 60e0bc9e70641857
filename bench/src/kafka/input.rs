//! The records that the jobs read, one by one: skewed keys, printable values or lines of words, from a seed.
//! Not the writing of them. Invariant: record `n` is the same in every run and in every language that fills the topic.

use super::javarandom::JavaRandom;
use clap::Args;

/// Distinct words of lines.
const VOCABULARY: usize = 2_000;
/// Words of a line.
const LINE_WORDS: usize = 10;
/// Of so many records in turn one has a drawn key.
const DRAWN_EACH: u64 = 5;
/// A prime: keys in turn are far from each other. It has to share no factor with the number of keys.
const SPREAD: u64 = 7_368_787;

/// What an input is like.
#[derive(Args, Clone)]
pub(crate) struct Shape {
    /// Keys that are drawn from, low numbers more often.
    #[arg(long, default_value_t = 200_000)]
    pub(crate) keys: u64,
    /// Printable bytes of each value.
    #[arg(long, default_value_t = 100)]
    pub(crate) value_bytes: usize,
    /// Lines of ten words instead of printable bytes.
    #[arg(long)]
    pub(crate) words: bool,
    /// Of five records four have a key that none had before, as long as there are such; the fifth one is drawn.
    #[arg(long)]
    pub(crate) in_turn: bool,
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: i64,
    /// Of record 0.
    #[arg(long, default_value_t = 1_700_000_000_000)]
    pub(crate) first_timestamp_ms: i64,
    #[arg(long, default_value_t = 100)]
    pub(crate) records_per_ms: i64,
}

/// One record.
#[derive(Clone, Default)]
pub(crate) struct Record {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) timestamp_ms: i64,
}

/// The records in order.
pub(crate) struct Input {
    random: JavaRandom,
    shape: Shape,
    vocabulary: Vec<String>,
    number: i64,
    /// Keys that came in their turn.
    turned: u64,
}

impl Input {
    pub(crate) fn new(shape: &Shape) -> Self {
        let word = |number: usize| format!("w{}", base_36(number * 7_919));
        Self {
            random: JavaRandom::new(shape.seed),
            shape: shape.clone(),
            vocabulary: (0..VOCABULARY).map(word).collect(),
            number: 0,
            turned: 0,
        }
    }

    /// Writes the next record over `record`; its key's number. Keys are `k0000000` and up.
    pub(crate) fn next_into(&mut self, record: &mut Record) -> usize {
        let number = self.key();
        record.key.clear();
        record.key.extend(format!("k{number:07}").bytes());
        match self.shape.words {
            true => self.line_into(&mut record.value),
            false => self.printable_into(&mut record.value),
        }
        let per_ms = self.shape.records_per_ms;
        record.timestamp_ms = self.shape.first_timestamp_ms + self.number / per_ms;
        self.number += 1;
        number
    }

    fn key(&mut self) -> usize {
        let is_drawn = self.number as u64 % DRAWN_EACH == DRAWN_EACH - 1;
        if self.shape.in_turn && !is_drawn && self.turned < self.shape.keys {
            self.turned += 1;
            return (self.turned * SPREAD % self.shape.keys) as usize;
        }
        let draw = self.random.next_double();
        (self.shape.keys as f64 * draw * draw) as usize
    }

    /// The number of a word; multiplied in the order of the Java program that fills such a topic.
    fn word(&mut self) -> usize {
        let draw = self.random.next_double();
        (VOCABULARY as f64 * (draw * draw)) as usize
    }

    fn printable_into(&mut self, value: &mut Vec<u8>) {
        value.resize(self.shape.value_bytes, 0);
        self.random.fill(value);
        for byte in value {
            *byte = 32 + *byte % 90;
        }
    }

    fn line_into(&mut self, value: &mut Vec<u8>) {
        value.clear();
        for word in 0..LINE_WORDS {
            if word > 0 {
                value.push(b' ');
            }
            let number = self.word();
            value.extend(self.vocabulary[number].bytes());
        }
    }
}

fn base_36(mut number: usize) -> String {
    let mut digits = Vec::new();
    loop {
        digits.push(b"0123456789abcdefghijklmnopqrstuvwxyz"[number % 36]);
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(*digit))
        .collect()
}

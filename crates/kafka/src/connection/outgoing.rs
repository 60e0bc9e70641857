//! A request on its way out: its length, its fields in buffers of their own, large byte fields where they are.
//! Not its answer. Invariant: the bytes are those of the message written at once, in their order.

use super::RequestError;
use crate::protocol::wire::Sink;
use bytes::{Buf, Bytes};
use std::{collections::VecDeque, io::IoSlice};

/// Byte fields from here on are not copied: below it a copy costs less than a part more.
const KEPT_BYTES_MIN: usize = 16 << 10;

/// What is being written.
pub(crate) struct Outgoing {
    done: VecDeque<Bytes>,
    done_bytes: usize,
    last: Vec<u8>,
}

impl Outgoing {
    pub(crate) fn new() -> Self {
        Self {
            done: VecDeque::new(),
            done_bytes: 0,
            last: vec![0; 4],
        }
    }

    /// Puts the length in front. `name` is the request's, for the error.
    pub(crate) fn finish(mut self, name: &str) -> Result<Parts, RequestError> {
        let bytes = self.done_bytes + self.last.len() - 4;
        let length = i32::try_from(bytes)
            .map_err(|_| RequestError::Unsupported(format!("{name} request of {bytes} bytes")))?;
        let length = length.to_be_bytes();
        match self.done.pop_front() {
            None => self.last[..4].copy_from_slice(&length),
            Some(first) => {
                let mut first = Vec::from(first);
                first[..4].copy_from_slice(&length);
                self.done.push_front(first.into());
            }
        }
        self.close_last();
        Ok(Parts(self.done))
    }

    fn close_last(&mut self) {
        if !self.last.is_empty() {
            self.done_bytes += self.last.len();
            self.done.push_back(std::mem::take(&mut self.last).into());
        }
    }
}

impl Sink for Outgoing {
    fn extend_from_slice(&mut self, bytes: &[u8]) {
        self.last.extend_from_slice(bytes);
    }

    fn keep(&mut self, bytes: &Bytes) {
        if bytes.len() < KEPT_BYTES_MIN {
            return self.extend_from_slice(bytes);
        }
        self.close_last();
        self.done_bytes += bytes.len();
        self.done.push_back(bytes.clone());
    }
}

/// What is left to be sent. A part that was sent is dropped.
pub(crate) struct Parts(VecDeque<Bytes>);

impl Buf for Parts {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pairs = slices.iter_mut().zip(&self.0);
        pairs
            .map(|(slice, part)| *slice = IoSlice::new(part))
            .count()
    }

    fn advance(&mut self, mut bytes: usize) {
        while let Some(part) = self.0.front_mut() {
            if bytes < part.len() {
                return part.advance(bytes);
            }
            bytes -= part.len();
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEPT_BYTES_MIN, Outgoing};
    use crate::protocol::wire::Sink;
    use bytes::{Buf, Bytes};

    #[test]
    fn large_fields_stay_where_they_are_and_the_bytes_are_those_of_one_buffer() {
        let large = Bytes::from(vec![7; KEPT_BYTES_MIN]);
        let small = Bytes::from(vec![8; KEPT_BYTES_MIN - 1]);
        for fields in [vec![], vec![&small], vec![&large, &small, &large, &large]] {
            let (mut outgoing, mut flat) = (Outgoing::new(), vec![0; 4]);
            let sinks: [&mut dyn Sink; 2] = [&mut outgoing, &mut flat];
            for sink in sinks {
                sink.extend_from_slice(b"head");
                for field in &fields {
                    sink.push(1);
                    sink.keep(field);
                }
            }
            let length = (flat.len() - 4) as i32;
            flat[..4].copy_from_slice(&length.to_be_bytes());
            let mut parts = outgoing.finish("Produce").unwrap();
            let kept = parts.0.iter().filter(|it| it.as_ptr() == large.as_ptr());
            let larges = fields.iter().filter(|it| it.len() == large.len());
            assert_eq!(kept.count(), larges.count());
            let mut sent = Vec::new();
            while parts.has_remaining() {
                let some = parts.remaining().min(10_000);
                sent.extend_from_slice(&parts.copy_to_bytes(some));
            }
            assert!(sent == flat);
        }
    }
}

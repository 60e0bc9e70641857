//! Frames on the wire: a length of four bytes, then so many bytes.
//! Not their content. Invariant: a length above the limit is refused before memory is taken.

use super::lent::Lender;
use bytes::{BufMut, Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What one read asks the system for at least.
const READ_BYTES: usize = 64 << 10;

/// Frames from here on lie in memory that is lent: fetches of some megabytes follow each other, and memory of another size each
/// time falls to pieces.
const LENT_BYTES_MIN: usize = 256 << 10;

/// Cuts what a broker sends into frames.
pub(crate) struct FrameReader<S> {
    stream: S,
    buffer: BytesMut,
    /// A large frame of which something is missing.
    large: Option<Vec<u8>>,
    lender: Lender,
    frame_bytes_max: usize,
}

/// Why no frame came.
#[derive(Debug)]
pub(crate) enum FrameError {
    /// The broker closed the connection, between frames.
    Closed,
    /// The system or TLS says so.
    Io(io::Error),
    /// The length is none, with its four bytes.
    Length([u8; 4]),
}

impl<S: AsyncRead + Unpin> FrameReader<S> {
    pub(crate) fn new(stream: S, frame_bytes_max: usize) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            large: None,
            lender: Lender::default(),
            frame_bytes_max,
        }
    }

    /// The next frame without its length. Dropped half way it loses nothing: what was read stays in the buffers.
    pub(crate) async fn next(&mut self) -> Result<Bytes, FrameError> {
        self.fill(4).await?;
        let length: [u8; 4] = [
            self.buffer[0],
            self.buffer[1],
            self.buffer[2],
            self.buffer[3],
        ];
        let bytes = usize::try_from(i32::from_be_bytes(length))
            .ok()
            .filter(|bytes| *bytes >= 4 && *bytes <= self.frame_bytes_max)
            .ok_or(FrameError::Length(length))?;
        if bytes >= LENT_BYTES_MIN {
            return self.next_large(bytes).await;
        }
        self.fill(4 + bytes).await?;
        let mut frame = self.buffer.split_to(4 + bytes).freeze();
        Ok(frame.split_off(4))
    }

    /// A frame of so many bytes, whose length is in front of the buffer until all of it is there.
    async fn next_large(&mut self, bytes: usize) -> Result<Bytes, FrameError> {
        let large = match &mut self.large {
            Some(large) => large,
            none => {
                let large = none.insert(self.lender.take(bytes));
                let begun = (self.buffer.len() - 4).min(bytes);
                large.extend_from_slice(&self.buffer[4..4 + begun]);
                // The length stays: who asks anew after a drop finds it.
                let rest = self.buffer.split_off(4 + begun);
                self.buffer.truncate(4);
                self.buffer.unsplit(rest);
                large
            }
        };
        while large.len() < bytes {
            let missing = bytes - large.len();
            let read = self.stream.read_buf(&mut large.limit(missing)).await;
            if read.map_err(FrameError::Io)? == 0 {
                return Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        drop(self.buffer.split_to(4));
        Ok(self.lender.lend(self.large.take().unwrap_or_default()))
    }

    async fn fill(&mut self, bytes: usize) -> Result<(), FrameError> {
        while self.buffer.len() < bytes {
            let missing = bytes - self.buffer.len();
            self.buffer.reserve(missing.max(READ_BYTES));
            let read = self.stream.read_buf(&mut self.buffer).await;
            match read.map_err(FrameError::Io)? {
                0 if self.buffer.is_empty() => return Err(FrameError::Closed),
                0 => return Err(FrameError::Io(io::ErrorKind::UnexpectedEof.into())),
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FrameReader, LENT_BYTES_MIN};
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;

    #[test]
    fn frames_of_all_sizes_come_whole_and_in_order_also_to_who_gives_up_and_asks_again() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        runtime.block_on(async {
            let sizes = [
                4,
                LENT_BYTES_MIN,
                10,
                3 * LENT_BYTES_MIN + 1,
                LENT_BYTES_MIN - 1,
                5,
            ];
            let frames: Vec<Vec<u8>> = (1..)
                .zip(sizes)
                .map(|(byte, len)| vec![byte; len])
                .collect();
            for piece in [7_001, 1 << 20] {
                let (mut broker, stream) = tokio::io::duplex(30_000);
                let mut sent = Vec::new();
                for frame in &frames {
                    sent.extend_from_slice(&(frame.len() as u32).to_be_bytes());
                    sent.extend_from_slice(frame);
                }
                let writing = tokio::spawn(async move {
                    for piece in sent.chunks(piece) {
                        broker.write_all(piece).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                });
                let mut reader = FrameReader::new(stream, 8 << 20);
                for frame in &frames {
                    let read = loop {
                        // Gives up whenever the next bytes are not there yet.
                        if let Ok(read) = tokio::time::timeout(Duration::ZERO, reader.next()).await
                        {
                            break read.unwrap();
                        }
                    };
                    assert!(read == frame, "{} of {}", read.len(), frame.len());
                }
                writing.await.unwrap();
            }
        });
    }
}

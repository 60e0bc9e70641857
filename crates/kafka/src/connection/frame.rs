//! Frames on the wire: a length of four bytes, then so many bytes.
//! Not their content. Invariant: a length above the limit is refused before memory is taken.

use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

/// What one read asks the system for at least.
const READ_BYTES: usize = 64 << 10;

/// Cuts what a broker sends into frames.
pub(crate) struct FrameReader<S> {
    stream: S,
    buffer: BytesMut,
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
            frame_bytes_max,
        }
    }

    /// The next frame without its length. Dropped half way it loses nothing: what was read stays in the buffer.
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
        self.fill(4 + bytes).await?;
        let mut frame = self.buffer.split_to(4 + bytes).freeze();
        Ok(frame.split_off(4))
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

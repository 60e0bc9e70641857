//! A stream of which some bytes have been read already. Not a buffer: what is ahead is read out before the stream is asked again.
//! Invariant: no byte is lost or read twice, whoever holds the stream in between.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are taken from a stream at a time by who keeps no buffer for it.
const TAKEN_BYTES_MAX: usize = 512;

/// A stream, and the bytes before it.
pub(super) struct Socket<S> {
    stream: S,
    ahead: Vec<u8>,
    is_blocked: Arc<AtomicBool>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            ahead: Vec::new(),
            is_blocked: Arc::default(),
        }
    }

    /// True while the stream has not taken all that was to be written.
    pub(super) fn blocked(&self) -> Arc<AtomicBool> {
        self.is_blocked.clone()
    }

    /// What is read before the stream.
    pub(super) fn ahead(&self) -> &[u8] {
        &self.ahead
    }

    /// Puts `bytes` before all that is still to be read.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        self.ahead.splice(0..0, bytes.iter().copied());
    }

    /// Takes what has come to what is ahead; how many bytes, and none at the stream's end. It holds no buffer while it waits.
    pub(super) fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [0; TAKEN_BYTES_MAX];
        let mut chunk = ReadBuf::new(&mut chunk);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut chunk))?;
        self.ahead.extend_from_slice(chunk.filled());
        Poll::Ready(Ok(chunk.filled().len()))
    }

    fn note<T>(&self, written: Poll<T>) -> Poll<T> {
        self.is_blocked
            .store(written.is_pending(), Ordering::Relaxed);
        written
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.ahead.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, into);
        }
        let taken = self.ahead.len().min(into.remaining());
        into.put_slice(&self.ahead[..taken]);
        match taken == self.ahead.len() {
            true => self.ahead = Vec::new(),
            false => drop(self.ahead.drain(..taken)),
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

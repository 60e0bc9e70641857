//! Requests and answers as bytes, over one blocking socket. Not a protocol: a request's fields are written by who sends it.
//! Invariant: nothing is read beyond what came.

use anyhow::{Result, ensure};
use std::io::{Read, Write};
use std::net::TcpStream;

const ANSWER_BYTES_MAX: usize = 64 << 20;

/// One socket.
pub(super) struct Connection {
    socket: TcpStream,
    correlation: i32,
}

impl Connection {
    pub(super) fn open(address: &str) -> Result<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        Ok(Self {
            socket,
            correlation: 0,
        })
    }

    /// A request that begins with its header.
    pub(super) fn request(&mut self, api: i16, version: i16) -> Request {
        self.correlation += 1;
        let mut request = Request(vec![0; 4]);
        request.i16(api);
        request.i16(version);
        request.i32(self.correlation);
        request.string("limit");
        request
    }

    pub(super) fn send(&mut self, request: Request) -> Result<()> {
        let mut bytes = request.0;
        let length = (bytes.len() - 4) as i32;
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        self.socket.write_all(&bytes)?;
        Ok(())
    }

    /// Waits for the next answer.
    pub(super) fn receive(&mut self, answer: &mut Vec<u8>) -> Result<()> {
        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let length = u32::from_be_bytes(length) as usize;
        ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
        answer.resize(length, 0);
        self.socket.read_exact(answer)?;
        Ok(())
    }
}

/// Bytes being written; the first four are for the length.
pub(super) struct Request(pub(super) Vec<u8>);

impl Request {
    pub(super) fn i8(&mut self, value: i8) {
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn i16(&mut self, value: i16) {
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn i32(&mut self, value: i32) {
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn i64(&mut self, value: i64) {
        self.0.extend(value.to_be_bytes());
    }

    pub(super) fn string(&mut self, text: &str) {
        self.i16(text.len() as i16);
        self.0.extend(text.bytes());
    }
}

/// Bytes being read.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    #[inline]
    pub(super) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    #[inline]
    pub(super) fn skip(&mut self, bytes: usize) -> Option<()> {
        self.take(bytes).map(drop)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn i16(&mut self) -> Option<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Option<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_be_bytes)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Option<i64> {
        let (mut value, mut shift) = (0_u64, 0);
        for (index, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                self.0 = &self.0[index + 1..];
                return Some((value >> 1) as i64 ^ -((value & 1) as i64));
            }
            shift += 7;
        }
        None
    }
}

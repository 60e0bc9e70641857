//! As much of HTTP/1.1 as it takes to ask for a count cheaply. Not a client: an answer has a length, or is refused.
//! Invariant: an answer that is not 200 is an error.

use super::super::pour;
use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer that is looked for its end.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The bytes of a request for the count of a key.
pub(super) fn request(key: u64, query: &str) -> Vec<u8> {
    get(&format!("/stores/counts/{}{query}", pour::key(key)))
}

/// The bytes of a GET.
pub(super) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// A status and where the body ends, at the end of what has been read.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The answer in `bytes`; none while it is not whole.
    pub(super) fn of(bytes: &'a [u8]) -> Result<Option<Self>> {
        let Some(head) = bytes.windows(4).position(|it| it == b"\r\n\r\n") else {
            ensure!(bytes.len() < ANSWER_BYTES_MAX, "an answer without an end");
            return Ok(None);
        };
        let (head, body) = (&bytes[..head], &bytes[head + 4..]);
        let status = head.get(9..12).context("a short answer")?;
        let status = std::str::from_utf8(status)?.parse()?;
        let length = head.split(|byte| *byte == b'\n').find_map(|line| {
            let (name, value) = line.split_at_checked(15)?;
            name.eq_ignore_ascii_case(b"content-length:")
                .then_some(value)
        });
        let length = length.context("an answer without its length")?;
        let length: usize = std::str::from_utf8(length)?.trim().parse()?;
        ensure!(body.len() <= length, "more than an answer");
        Ok((body.len() == length).then_some(Self { status, body }))
    }

    /// The count that it tells.
    pub(super) fn count(&self) -> Result<u64> {
        let text = std::str::from_utf8(self.body)?;
        match self.status {
            200 => Ok(text.parse()?),
            status => bail!("answered {status}: {text}"),
        }
    }
}

/// A connection that asks one question after the other and waits.
pub(super) struct Asker {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Asker {
    pub(super) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self {
            stream,
            answer: vec![0; ANSWER_BYTES_MAX],
        })
    }

    pub(super) fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request)?;
        let mut length = 0;
        loop {
            let read = self.stream.read(&mut self.answer[length..])?;
            ensure!(read > 0, "the connection was closed");
            length += read;
            if Answer::of(&self.answer[..length])?.is_some() {
                break;
            }
        }
        Answer::of(&self.answer[..length])?.context("it was whole")
    }
}

//! As much of HTTP/1.1 as it takes to ask cheaply, of one connection or of thousands by one thread: whoever asks shares the cores
//! with who is asked. Not a client: an answer has a length, or is refused.
//! Invariant: an answer is handed over once, when all of it is there, and with nothing behind it.

use anyhow::{Context, Result, bail, ensure};
use mio::{Interest, Registry, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer that is looked for its end.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// The bytes of a GET.
pub(crate) fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").into_bytes()
}

/// A status and where the body ends, at the end of what has been read.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The answer in `bytes`; none while it is not whole. What has no length, chunks or a line of its own making is refused: nobody who
    /// is asked here sends that.
    pub(crate) fn of(bytes: &'a [u8]) -> Result<Option<Self>> {
        let (mut body, mut status, mut length) = (bytes, None, None);
        loop {
            let Some(end) = body.iter().position(|byte| *byte == b'\n') else {
                ensure!(bytes.len() < ANSWER_BYTES_MAX, "an answer without an end");
                return Ok(None);
            };
            let line = body[..end].strip_suffix(b"\r");
            let line = line.context("a line of a head ends without a carriage return")?;
            body = &body[end + 1..];
            if status.is_none() {
                status = Some(status_of(line)?);
            } else if line.is_empty() {
                break;
            } else if let Some(value) = value_of(line, b"content-length:") {
                ensure!(length.is_none(), "an answer with two lengths");
                length = Some(std::str::from_utf8(value)?.trim().parse()?);
            } else {
                let is_coded = value_of(line, b"transfer-encoding:").is_some();
                ensure!(!is_coded, "an answer in chunks");
            }
        }
        let (status, length) = (status.context("no status")?, length);
        let length: usize = length.context("an answer without its length")?;
        ensure!(body.len() <= length, "more than an answer");
        Ok((body.len() == length).then_some(Self { status, body }))
    }

    /// The count that it tells.
    pub(crate) fn count(&self) -> Result<u64> {
        let text = std::str::from_utf8(self.body)?;
        match self.status {
            200 => Ok(text.parse()?),
            status => bail!("answered {status}: {text}"),
        }
    }
}

/// Of the first line of an answer.
fn status_of(line: &[u8]) -> Result<u16> {
    let status = line.strip_prefix(b"HTTP/1.1 ").and_then(|it| it.get(..3));
    let status = status.context("an answer that is not of HTTP/1.1")?;
    Ok(std::str::from_utf8(status)?.parse()?)
}

/// What follows the name of a header, where a line is of that.
fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (head, value) = line.split_at_checked(name.len())?;
    head.eq_ignore_ascii_case(name).then_some(value)
}

/// A connection that asks one question after the other and waits.
pub(crate) struct Asker {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Asker {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_MAX))?;
        Ok(Self {
            stream,
            answer: vec![0; ANSWER_BYTES_MAX],
        })
    }

    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>> {
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

/// A connection that never waits: [`mio`] tells when there is something to hear.
pub(crate) struct Wire {
    stream: mio::net::TcpStream,
    answer: Vec<u8>,
    length: usize,
}

impl Wire {
    /// Answers have at most so many bytes.
    pub(crate) fn connect(address: SocketAddr, answer_bytes_max: usize) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: mio::net::TcpStream::from_std(stream),
            answer: vec![0; answer_bytes_max],
            length: 0,
        })
    }

    /// From here on events of this number say that there is something to hear.
    pub(crate) fn register(&mut self, registry: &Registry, number: usize) -> Result<()> {
        Ok(registry.register(&mut self.stream, Token(number), Interest::READABLE)?)
    }

    /// Asks; the answer before has been heard.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<()> {
        // All of it at once: the buffer is empty by now.
        let written = self.stream.write(request)?;
        ensure!(written == request.len(), "half a question was taken");
        Ok(())
    }

    /// What has come, of a stream that has no answers.
    pub(crate) fn read(&mut self) -> Result<Option<&[u8]>> {
        loop {
            match self.stream.read(&mut self.answer) {
                Ok(0) => bail!("the connection was closed"),
                Ok(read) => return Ok(Some(&self.answer[..read])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reads what has come; what `heard` makes of the answer, once it is whole.
    pub(crate) fn hear<T>(
        &mut self,
        heard: impl FnOnce(Answer<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        loop {
            let room = &mut self.answer[self.length..];
            let room_bytes = room.len();
            let read = match self.stream.read(room) {
                Ok(0) => bail!("the connection was closed, or an answer is too long"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            self.length += read;
            if let Some(answer) = Answer::of(&self.answer[..self.length])? {
                self.length = 0;
                return heard(answer).map(Some);
            }
            // What comes after a read that left room is a new event.
            if read < room_bytes {
                return Ok(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[track_caller]
    fn check(bytes: &str, expected: Option<(u16, &str)>) {
        let answer = Answer::of(bytes.as_bytes()).unwrap();
        let found = answer.map(|it| (it.status, it.body));
        assert_eq!(
            found,
            expected.map(|(status, body)| (status, body.as_bytes()))
        );
    }

    #[test]
    fn an_answer_is_there_when_all_of_it_is() {
        let whole = "HTTP/1.1 200 OK\r\ncontent-Length: 2\r\nServer: a\r\n\r\n42";
        for end in 0..whole.len() {
            check(&whole[..end], None);
        }
        check(whole, Some((200, "42")));
        check("HTTP/1.1 404\r\nContent-Length:0\r\n\r\n", Some((404, "")));
    }

    #[test]
    fn what_is_framed_otherwise_is_refused() {
        for bytes in [
            "HTTP/1.1 200 OK\r\n\r\n42",
            "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n42",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n421",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n42",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n42\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\ncontent-length: 2\n\n42",
        ] {
            assert!(Answer::of(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_wire_hears_an_answer_that_comes_in_pieces_and_asks_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut wire = Wire::connect(listener.local_addr().unwrap(), 1_024).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(8);
        wire.register(poll.registry(), 7).unwrap();
        for count in ["1", "23"] {
            wire.ask(b"GET").unwrap();
            served.read_exact(&mut [0; 3]).unwrap();
            let length = count.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{count}");
            let (last, pieces) = answer.as_bytes().split_last().unwrap();
            served.write_all(pieces).unwrap();
            let mut heard = None;
            let mut await_event = |wire: &mut Wire| {
                poll.poll(&mut events, Some(ANSWER_MAX)).unwrap();
                assert!(!events.is_empty(), "nothing came");
                wire.hear(|answer| answer.count()).unwrap()
            };
            assert_eq!(await_event(&mut wire), None);
            served.write_all(&[*last]).unwrap();
            while heard.is_none() {
                heard = await_event(&mut wire);
            }
            assert_eq!(heard, Some(count.parse().unwrap()));
        }
    }
}

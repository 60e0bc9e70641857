//! A stream of server-sent events as it comes, in chunks that begin and end anywhere: lines of it. Not a client: nothing is kept of
//! what was told but which orders are decided. Invariant: a line is looked at once, when all of it is there.

use anyhow::{Context, Result, ensure};

/// Bytes of a line.
const LINE_BYTES_MAX: usize = 4 << 10;
const UNDECIDED: &[u8] = br#""state":"CREATED""#;
const KEY: &[u8] = br#""key":"w-"#;

/// Where in the answer the next byte lies.
enum At {
    Head,
    Size,
    /// So many bytes of a chunk are to come.
    Chunk(usize),
    /// The end of a chunk's line.
    Between,
}

/// What one watcher was told.
pub(super) struct Told {
    at: At,
    /// Begun and not ended yet.
    line: Vec<u8>,
    /// The same of the answer's own lines.
    frame: Vec<u8>,
    is_decided: Vec<bool>,
    pub(super) decided: usize,
    pub(super) entries: u64,
    pub(super) is_live: bool,
}

impl Told {
    /// Of so many orders.
    pub(super) fn new(orders: usize) -> Self {
        Self {
            at: At::Head,
            line: Vec::new(),
            frame: Vec::new(),
            is_decided: vec![false; orders],
            decided: 0,
            entries: 0,
            is_live: false,
        }
    }

    /// Takes what has come.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            if let At::Chunk(left) = self.at {
                let (here, behind) = bytes.split_at(left.min(bytes.len()));
                self.take_lines(here)?;
                bytes = behind;
                self.at = match left - here.len() {
                    0 => At::Between,
                    left => At::Chunk(left),
                };
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (here, behind) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
            self.frame.extend_from_slice(here);
            bytes = behind;
            if end.is_some() {
                let frame = std::mem::take(&mut self.frame);
                self.take_frame(frame.trim_ascii())?;
            }
            ensure!(self.frame.len() < LINE_BYTES_MAX, "a line without an end");
        }
        Ok(())
    }

    fn take_frame(&mut self, line: &[u8]) -> Result<()> {
        self.at = match self.at {
            At::Head if line.starts_with(b"HTTP/1.1 ") => {
                let is_ok = line.starts_with(b"HTTP/1.1 200");
                ensure!(is_ok, "{}", String::from_utf8_lossy(line));
                At::Head
            }
            At::Head if !line.is_empty() => At::Head,
            At::Head | At::Between => At::Size,
            At::Size | At::Chunk(_) => {
                let size = usize::from_str_radix(std::str::from_utf8(line)?, 16)?;
                ensure!(size > 0, "the stream has ended");
                At::Chunk(size)
            }
        };
        Ok(())
    }

    fn take_lines(&mut self, bytes: &[u8]) -> Result<()> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            match (line.ends_with(b"\n"), self.line.is_empty()) {
                (true, true) => self.take_line(line)?,
                (true, false) => {
                    let mut whole = std::mem::take(&mut self.line);
                    whole.extend_from_slice(line);
                    self.take_line(&whole)?;
                }
                (false, _) => self.line.extend_from_slice(line),
            }
        }
        ensure!(self.line.len() < LINE_BYTES_MAX, "a line without an end");
        Ok(())
    }

    fn take_line(&mut self, line: &[u8]) -> Result<()> {
        let line = line.trim_ascii_end();
        if let Some(name) = line.strip_prefix(b"event: ") {
            self.is_live |= name == b"live";
            let is_known = [&b"live"[..], b"entry", b"state"].contains(&name);
            ensure!(is_known, "event {}", String::from_utf8_lossy(name));
        }
        let Some(data) = line.strip_prefix(b"data: ") else {
            return Ok(());
        };
        let Some(key) = find(data, KEY) else {
            return Ok(());
        };
        self.entries += 1;
        if find(data, UNDECIDED).is_some() {
            return Ok(());
        }
        let digits = data[key + KEY.len()..].split(|byte| *byte == b'"').next();
        let order: usize = std::str::from_utf8(digits.unwrap_or_default())?.parse()?;
        let was = self.is_decided.get_mut(order).context("no such order")?;
        if !std::mem::replace(was, true) {
            self.decided += 1;
        }
        Ok(())
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_wherever_chunks_and_reads_are_cut() {
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let all = [
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_owned(),
            chunk("event: state\ndata: {\"partition\":0}\n\nevent: entry\nda"),
            chunk("ta: {\"key\":\"w-0\",\"partition\":0,\"value\":{\"state\":\"CREATED\"}}\n\n"),
            chunk(
                "event: entry\ndata: {\"key\":\"w-1\",\"value\":{\"state\":\"FAILED\"}}\n\nevent: live\ndata: {}\n\n",
            ),
        ];
        let all = all.concat();
        for cut in 1..all.len() {
            let mut told = Told::new(2);
            for part in all.as_bytes().chunks(cut) {
                told.take(part).unwrap();
            }
            let found = (told.entries, told.decided, told.is_live);
            assert_eq!(found, (2, 1, true), "cut each {cut} bytes");
        }
    }

    #[test]
    fn an_end_or_another_status_is_an_error() {
        assert!(Told::new(1).take(b"HTTP/1.1 503 Busy\r\n").is_err());
        let ended = b"HTTP/1.1 200 OK\r\n\r\n0\r\n\r\n";
        assert!(Told::new(1).take(ended).is_err());
    }
}

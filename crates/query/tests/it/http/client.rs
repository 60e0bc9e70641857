//! A client that says what it is told to, byte by byte. Not a good client: servers meet others too.
//! Invariant: a request has an answer or the end of its connection within a minute.

use crate::instance::WAIT;
use serde_json::Value;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answered {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends `text` and reads until the connection ends; `None` when it ends without an answer.
pub(crate) async fn say(address: SocketAddr, text: &str) -> Option<Answered> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    read(&mut stream).await
}

pub(crate) async fn read(stream: &mut TcpStream) -> Option<Answered> {
    let mut bytes = Vec::new();
    let all = tokio::time::timeout(WAIT, stream.read_to_end(&mut bytes)).await;
    // A connection that is reset has ended too.
    drop(all.expect("an answer within a minute"));
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().unwrap();
    Some(Answered {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// A GET of `path`.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answered {
    get_with(address, path, "").await
}

/// A GET with headers, each ended by a line break.
pub(crate) async fn get_with(address: SocketAddr, path: &str, headers: &str) -> Answered {
    let text = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{headers}\r\n");
    say(address, &text).await.expect("an answer")
}

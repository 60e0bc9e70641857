//! A look at one other process's endpoint, for as long as that process is there. Not the judgement what to do when it is not.
//! Invariant: dead is only who was greeted by before, and then refused a connection or let another process answer.

use super::{
    Line,
    endpoint::{BYE, greeting},
};
use crate::settings::address::Address;
use std::{io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

const CONNECT_MS_MAX: u64 = 3_000;
const GREETING_MS_MAX: u64 = 3_000;
/// ms before another try at an endpoint that did not answer as it should; doubled up to the second.
const RETRY_MS: u64 = 5;
const RETRY_MS_MAX: u64 = 5_000;
/// How often a byte is sent, so that a machine that was switched off and on again answers with a reset.
const PING_EVERY: Duration = Duration::from_secs(5);

/// How a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It said goodbye.
    Left,
    /// It broke off and takes no connection any more.
    Dead,
}

/// What one try at a connection showed.
enum Try {
    Greeted(TcpStream),
    /// Nobody listens there.
    Refused,
    /// Somebody else does.
    Another,
    Unclear,
}

/// Watches until the process has left or died.
pub(super) async fn watch(process: &str, address: &Address, line: &Line) -> Fate {
    let mut was_there = false;
    let mut wait_ms = RETRY_MS;
    loop {
        match greet(process, address).await {
            Try::Greeted(stream) => {
                was_there = true;
                wait_ms = RETRY_MS;
                if follow(stream, line).await {
                    return Fate::Left;
                }
                continue;
            }
            Try::Refused | Try::Another if was_there => return Fate::Dead,
            Try::Refused | Try::Another | Try::Unclear => {}
        }
        sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (2 * wait_ms).min(RETRY_MS_MAX);
    }
}

async fn greet(process: &str, address: &Address) -> Try {
    let connecting = TcpStream::connect((address.host.as_str(), address.port));
    let connected = timeout(Duration::from_millis(CONNECT_MS_MAX), connecting).await;
    let mut stream = match connected {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Try::Refused,
        _ => return Try::Unclear,
    };
    let wanted = greeting(process);
    let mut heard = vec![0; wanted.len()];
    let reading = stream.read_exact(&mut heard);
    match timeout(Duration::from_millis(GREETING_MS_MAX), reading).await {
        Ok(Ok(_)) if heard == wanted.as_bytes() => Try::Greeted(stream),
        Ok(Ok(_)) if is_greeting(&heard) => Try::Another,
        _ => Try::Unclear,
    }
}

fn is_greeting(heard: &[u8]) -> bool {
    let begin = greeting("");
    heard.starts_with(begin.trim_end().as_bytes()) && heard.ends_with(b"\n")
}

/// Hears news until the connection ends; true when that was a goodbye.
async fn follow(mut stream: TcpStream, line: &Line) -> bool {
    let mut bytes = [0; 16];
    let mut pinged = Instant::now();
    loop {
        let heard = timeout(PING_EVERY, stream.read(&mut bytes)).await;
        match heard {
            Ok(Ok(0) | Err(_)) => return false,
            Ok(Ok(length)) => {
                line.ring();
                if bytes[..length].contains(&BYE) {
                    return true;
                }
            }
            Err(_) => {}
        }
        if pinged.elapsed() >= PING_EVERY {
            pinged = Instant::now();
            // One that cannot be written to cannot be read from either.
            drop(timeout(PING_EVERY, stream.write_all(b" ")).await);
        }
    }
}

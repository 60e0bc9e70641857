//! One connection through the proxy: requests one way, answers the other, in the order of the requests. Not a place where faults are
//! planned. Invariant: when either side ends, both do.

use super::{Fault, Shared, Weather, sequences};
use crate::random::Random;
use anyhow::{Result, ensure};
use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

/// As many requests as may wait for their answers on one connection.
const ANSWERS_WAITING_MAX: usize = 1_024;

/// More than the largest request that a broker takes by default.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// By then a broker has taken up a request that lies in its socket.
const BEGUN_WITHIN: Duration = Duration::from_millis(500);

/// What the answer to a request meets.
enum Answer {
    Whole { after_ms: u64 },
    Cut { after_bytes: u64 },
}

/// Starts the two directions.
pub(super) fn open(client: TcpStream, broker: TcpStream, shared: &Arc<Shared>) -> Result<()> {
    client.set_nodelay(true)?;
    broker.set_nodelay(true)?;
    let (up, down) = sequences(shared);
    {
        let mut plan = shared.plan();
        // Those that ended are let go of here, so that the list stays as short as what is open.
        plan.open.retain(|stream| stream.peer_addr().is_ok());
        plan.open.push(client.try_clone()?);
        plan.open.push(broker.try_clone()?);
    }
    let (sender, receiver) = sync_channel(ANSWERS_WAITING_MAX);
    let requests = Requests {
        client: client.try_clone()?,
        broker: broker.try_clone()?,
        shared: Arc::clone(shared),
        random: up,
        answers: sender,
    };
    let answers = Answers {
        client,
        broker,
        shared: Arc::clone(shared),
        random: down,
        planned: receiver,
    };
    thread::spawn(move || requests.run());
    thread::spawn(move || answers.run());
    Ok(())
}

struct Requests {
    client: TcpStream,
    broker: TcpStream,
    shared: Arc<Shared>,
    random: Random,
    answers: SyncSender<Answer>,
}

impl Requests {
    fn run(mut self) {
        // An error is the end of the connection, whoever caused it.
        let _ = self.pass_all();
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.broker.shutdown(Shutdown::Both);
    }

    fn pass_all(&mut self) -> Result<()> {
        while let Some(message) = read_message(&mut self.client)? {
            ensure!(message.len() >= 8, "a request has a header");
            self.shared.requests.fetch_add(1, Ordering::Relaxed);
            let api_key = i16::from_be_bytes([message[4], message[5]]);
            match self.shared.fault_of(api_key) {
                Some(fault) => {
                    if !self.spoil(&message, fault)? {
                        return Ok(());
                    }
                }
                None => {
                    let weather = self.shared.plan().weather;
                    if !self.pass(&message, weather)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// False when the connection is over.
    fn spoil(&mut self, message: &[u8], fault: Fault) -> Result<bool> {
        match fault {
            Fault::LoseRequest => return Ok(false),
            Fault::LoseAnswer => {
                self.answers.send(Answer::Cut { after_bytes: 0 })?;
                self.broker.write_all(message)?;
            }
            Fault::DeliverLate { ms } => {
                self.client.shutdown(Shutdown::Both)?;
                thread::sleep(Duration::from_millis(ms));
                self.answers.send(Answer::Cut { after_bytes: 0 })?;
                self.broker.write_all(message)?;
                // The broker drops what it has not begun when the other side has gone.
                thread::sleep(BEGUN_WITHIN);
                return Ok(false);
            }
            Fault::DelayAnswer { ms } => {
                self.answers.send(Answer::Whole { after_ms: ms })?;
                self.broker.write_all(message)?;
            }
        }
        Ok(true)
    }

    fn pass(&mut self, message: &[u8], weather: Weather) -> Result<bool> {
        thread::sleep(Duration::from_millis(
            self.random.up_to(weather.delay_ms_max),
        ));
        let is_cut = self.random.per_mille(weather.cuts_per_mille);
        let kind = self.random.up_to(3);
        if !is_cut {
            let after_ms = self.random.up_to(weather.delay_ms_max);
            self.answers.send(Answer::Whole { after_ms })?;
            write_in_pieces(&mut self.broker, message, weather, &mut self.random)?;
            return Ok(true);
        }
        self.shared.cuts.fetch_add(1, Ordering::Relaxed);
        match kind {
            0 => Ok(false),
            1 => {
                let part = usize::try_from(self.random.up_to(message.len() as u64 - 1))?;
                self.broker.write_all(&message[..part])?;
                Ok(false)
            }
            _ => {
                let after_bytes = match kind {
                    2 => 0,
                    _ => self.random.up_to(64),
                };
                self.answers.send(Answer::Cut { after_bytes })?;
                self.broker.write_all(message)?;
                Ok(true)
            }
        }
    }
}

struct Answers {
    client: TcpStream,
    broker: TcpStream,
    shared: Arc<Shared>,
    random: Random,
    planned: Receiver<Answer>,
}

impl Answers {
    fn run(mut self) {
        let _ = self.pass_all();
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.broker.shutdown(Shutdown::Both);
    }

    fn pass_all(&mut self) -> Result<()> {
        while let Some(message) = read_message(&mut self.broker)? {
            // Answers come in the order of the requests, so the next plan is this answer's.
            match self.planned.recv()? {
                Answer::Whole { after_ms } => {
                    thread::sleep(Duration::from_millis(after_ms));
                    let weather = self.shared.plan().weather;
                    write_in_pieces(&mut self.client, &message, weather, &mut self.random)?;
                }
                Answer::Cut { after_bytes } => {
                    let part = usize::try_from(after_bytes)?.min(message.len() - 1);
                    self.client.write_all(&message[..part])?;
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// The next message with its length before it; `None` at the end of the connection.
fn read_message(from: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    if let Err(error) = from.read_exact(&mut length) {
        return match error.kind() {
            ErrorKind::UnexpectedEof => Ok(None),
            _ => Err(error.into()),
        };
    }
    let bytes = usize::try_from(i32::from_be_bytes(length))?;
    ensure!(bytes <= MESSAGE_BYTES_MAX, "a message of {bytes} bytes");
    let mut message = length.to_vec();
    message.resize(4 + bytes, 0);
    from.read_exact(&mut message[4..])?;
    Ok(Some(message))
}

fn write_in_pieces(
    to: &mut TcpStream,
    message: &[u8],
    weather: Weather,
    random: &mut Random,
) -> Result<()> {
    let mut rest = message;
    // A large message in small pieces would take minutes: only its beginning is cut up.
    const PIECES_MAX: usize = 50;
    for _ in 0..PIECES_MAX {
        if weather.piece_bytes_max == 0 || rest.is_empty() {
            break;
        }
        let piece = 1 + random.up_to(weather.piece_bytes_max - 1);
        let (now, later) = rest.split_at(usize::try_from(piece)?.min(rest.len()));
        to.write_all(now)?;
        rest = later;
        // Long enough for the other side to read what is there.
        thread::sleep(Duration::from_micros(200));
    }
    to.write_all(rest)?;
    Ok(())
}

//! One connection to one broker: framing, version negotiation, TLS, SASL, requests in order.
//! Not a choice of broker. Invariant: each request ends once, by its deadline.
//!
//! ```text
//! call --gate--> writer task --> broker --> reader task --> the oldest request in flight
//! ```
//! A broker answers one connection's requests in their order, so answers need no lookup; one that does not come in time ends the
//! connection, since everything behind it would wait too.

mod authentication;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod frame;
mod lent;
pub(crate) mod outgoing;
pub(crate) mod sasl;
mod stream;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod versions;

pub(crate) use error::{OpenError, RequestError};
pub(crate) use versions::Versions;

use crate::protocol::{
    ErrorCode, Reader, Request, Response,
    api_versions::{ApiVersionsRequest, ApiVersionsResponse},
    produce::ProduceResponse,
    put_request_header, take_response_header,
};
use crate::settings::{Settings, address::Address};
use bytes::Bytes;
use frame::{FrameError, FrameReader};
use headwater_world::World;
use outgoing::{Outgoing, Parts};
use rustls::ClientConfig;
use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};
use stream::{ReadHalf, WriteHalf};
use tokio::{
    io::AsyncWriteExt,
    sync::{Mutex, mpsc, oneshot},
    task::{AbortHandle, spawn_local},
    time::{Instant, sleep_until, timeout, timeout_at},
};

/// Requests that wait for the socket; callers beyond it wait in turn.
const FRAMES_QUEUED_MAX: usize = 64;
/// Answers besides a fetch's bytes; a fetch may bring one batch beyond its limit, and brokers' batches may be large.
const ANSWER_BYTES_MAX: usize = 100 << 20;
/// A broker never asks for a longer pause than its quota window; a longer one is a mistake.
const THROTTLE_MAX: Duration = Duration::from_secs(60);
/// The broker's log shows who is asking.
const SOFTWARE_NAME: &str = "headwater";

/// What all connections of one client share.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) client_id: String,
    pub(crate) tls: Option<Arc<ClientConfig>>,
    pub(crate) world: World,
}

/// A handle; the last one dropped closes the connection.
#[derive(Clone)]
pub(crate) struct Connection(Rc<Inner>);

struct Inner {
    address: Address,
    context: Rc<Context>,
    versions: RefCell<Rc<Versions>>,
    /// Requests are put in line under it, so their order is the callers' order; re-authentication holds it throughout.
    gate: Mutex<()>,
    frames: mpsc::Sender<Parts>,
    in_flight: RefCell<VecDeque<InFlight>>,
    next_correlation_id: Cell<i32>,
    closed: RefCell<Option<RequestError>>,
    last_used: Cell<Instant>,
    muted_until: Cell<Option<Instant>>,
    /// Answers beyond the handshake's; while there is none, a closed connection may mean the wrong kind of port.
    answers: Cell<u64>,
    tasks: RefCell<Vec<AbortHandle>>,
}

struct InFlight {
    correlation_id: i32,
    answer: oneshot::Sender<Result<Bytes, RequestError>>,
}

impl Connection {
    /// Connects, negotiates versions and authenticates, within `setup` all together.
    pub(crate) async fn open(
        address: &Address,
        context: &Rc<Context>,
        setup: Duration,
    ) -> Result<Self, OpenError> {
        let phase = Cell::new("connecting");
        match timeout(setup, Self::open_in_phases(address, context, &phase)).await {
            Ok(opened) => opened,
            Err(_) => Err(OpenError::Away(format!(
                "{address}: no answer within {} ms while {}",
                setup.as_millis(),
                phase.get()
            ))),
        }
    }

    async fn open_in_phases(
        address: &Address,
        context: &Rc<Context>,
        phase: &Cell<&'static str>,
    ) -> Result<Self, OpenError> {
        if context.tls.is_some() {
            phase.set(
                "connecting with TLS; does the broker speak TLS on this port (security.protocol)?",
            );
        }
        let halves = stream::open(address, &context.settings, context.tls.as_ref()).await?;
        phase.set("asking for the broker's versions; does the port speak this security.protocol?");
        let connection = Self::over(halves, address, context);
        let setup = async {
            connection.negotiate().await?;
            if context.settings.security.protocol.is_sasl() {
                phase.set("authenticating");
                authentication::begin(&connection).await?;
            }
            Ok(())
        };
        match setup.await {
            Ok(()) => Ok(connection),
            Err(RequestError::Authentication(what)) => {
                Err(OpenError::Authentication(format!("{address}: {what}")))
            }
            Err(RequestError::Unsupported(what)) => {
                Err(OpenError::Unsupported(format!("{address}: {what}")))
            }
            Err(RequestError::Disconnected(what)) => Err(OpenError::Mismatch(what)),
            Err(other) => Err(OpenError::Away(format!("{address}: {other}"))),
        }
    }

    /// A connection over halves of a stream that is ready.
    pub(crate) fn over(
        (read, write): (ReadHalf, WriteHalf),
        address: &Address,
        context: &Rc<Context>,
    ) -> Self {
        let (frames, queued) = mpsc::channel(FRAMES_QUEUED_MAX);
        let inner = Rc::new(Inner {
            address: address.clone(),
            context: context.clone(),
            versions: RefCell::default(),
            gate: Mutex::new(()),
            frames,
            in_flight: RefCell::default(),
            next_correlation_id: Cell::new(0),
            closed: RefCell::default(),
            last_used: Cell::new(Instant::now()),
            muted_until: Cell::new(None),
            answers: Cell::new(0),
            tasks: RefCell::default(),
        });
        let fetch_bytes = usize::try_from(context.settings.fetch_max_bytes).unwrap_or(0);
        let reader = FrameReader::new(read, ANSWER_BYTES_MAX + fetch_bytes);
        let reading = spawn_local(read_answers(Rc::downgrade(&inner), reader));
        let writing = spawn_local(write_frames(Rc::downgrade(&inner), write, queued));
        inner
            .tasks
            .borrow_mut()
            .extend([reading.abort_handle(), writing.abort_handle()]);
        Self(inner)
    }

    /// What the broker speaks.
    pub(crate) fn versions(&self) -> Rc<Versions> {
        self.0.versions.borrow().clone()
    }

    /// Why it ended, once it has.
    pub(crate) fn closed(&self) -> Option<RequestError> {
        self.0.closed.borrow().clone()
    }

    /// Never answered anything but the handshake.
    pub(crate) fn is_unproven(&self) -> bool {
        self.0.answers.get() == 0
    }

    /// How long nothing was sent and nothing is awaited.
    pub(crate) fn idle(&self) -> Duration {
        if self.0.in_flight.borrow().is_empty() {
            self.0.last_used.get().elapsed()
        } else {
            Duration::ZERO
        }
    }

    /// Ends it; requests in flight end with `reason`.
    pub(crate) fn close(&self, reason: RequestError) {
        self.0.close(reason);
    }

    /// Sends `request` in the highest version both sides speak, at most `version_max`, and waits for its answer.
    pub(crate) async fn call<R: Request>(
        &self,
        request: &R,
        version_max: i16,
        deadline: Instant,
    ) -> Result<R::Response, RequestError> {
        let version = self.versions().choose::<R>(version_max)?;
        let sent = async {
            let _turn = self.0.gate.lock().await;
            if let Some(until) = self.0.muted_until.take() {
                sleep_until(until).await;
            }
            self.send(request, version).await
        };
        let Ok(answer) = timeout_at(deadline, sent).await else {
            return Err(RequestError::NotSent(format!(
                "{}: {} waited for its turn until its deadline",
                self.0.address,
                R::NAME
            )));
        };
        let response = self.receive::<R>(answer?, version, deadline).await?;
        self.0.answers.set(self.0.answers.get() + 1);
        Ok(response)
    }

    /// Puts a request in line for the socket.
    async fn send<R: Request>(
        &self,
        request: &R,
        version: i16,
    ) -> Result<oneshot::Receiver<Result<Bytes, RequestError>>, RequestError> {
        let inner = &self.0;
        let ended = || inner.closed.borrow().as_ref().map(not_sent);
        if let Some(reason) = ended() {
            return Err(reason);
        }
        let correlation_id = inner.next_correlation_id.get();
        inner
            .next_correlation_id
            .set(correlation_id.wrapping_add(1) & i32::MAX);
        let mut frame = Outgoing::new();
        put_request_header::<R>(
            version,
            correlation_id,
            &inner.context.client_id,
            &mut frame,
        );
        request.encode(version, &mut frame);
        let frame = frame.finish(R::NAME)?;
        let Ok(permit) = inner.frames.reserve().await else {
            return Err(ended().unwrap_or(RequestError::NotSent("the connection has ended".into())));
        };
        // In line for its answer before the frame can leave: the answer may be there at once.
        let (answer, receiver) = oneshot::channel();
        inner.in_flight.borrow_mut().push_back(InFlight {
            correlation_id,
            answer,
        });
        permit.send(frame);
        inner.last_used.set(Instant::now());
        Ok(receiver)
    }

    async fn receive<R: Request>(
        &self,
        answer: oneshot::Receiver<Result<Bytes, RequestError>>,
        version: i16,
        deadline: Instant,
    ) -> Result<R::Response, RequestError> {
        let address = &self.0.address;
        let bytes = match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer?,
            Ok(Err(_)) => {
                return Err(RequestError::Disconnected(format!(
                    "{address}: the connection has ended"
                )));
            }
            Err(_) => {
                let what = format!("{address}: no answer to {} in time", R::NAME);
                self.close(RequestError::Disconnected(what.clone()));
                return Err(RequestError::TimedOut(what));
            }
        };
        self.0.last_used.set(Instant::now());
        let mut input = Reader::new(bytes.clone());
        let read = take_response_header::<R>(version, &mut input).and_then(|_| {
            let body = bytes.slice(input.position()..);
            Ok((R::Response::decode(version, &mut input)?, body))
        });
        match read {
            Ok((response, body)) => {
                self.mute(throttle::<R>(&response, &body));
                Ok(response)
            }
            Err(malformed) => {
                let what = format!("{address}: {} version {version}: {}", R::NAME, malformed.0);
                self.close(RequestError::Malformed(what.clone()));
                Err(RequestError::Malformed(what))
            }
        }
    }

    /// Sends nothing for a while, as the broker asks when a quota is used up (KIP-219).
    fn mute(&self, pause: Duration) {
        if !pause.is_zero() {
            self.0
                .muted_until
                .set(Some(Instant::now() + pause.min(THROTTLE_MAX)));
        }
    }

    /// Asks which versions the broker speaks. One that does not know ours answers in version 0, with what it knows.
    async fn negotiate(&self) -> Result<(), RequestError> {
        let deadline = Instant::now() + self.0.context.settings.request_timeout;
        let request = ApiVersionsRequest {
            client_software_name: SOFTWARE_NAME.into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let newest = *ApiVersionsRequest::VERSIONS.end();
        let answer = self.send(&request, newest).await?;
        let Ok(Ok(bytes)) = timeout_at(deadline, answer).await else {
            return Err(RequestError::TimedOut("no answer to ApiVersions".into()));
        };
        let mut response = api_versions(bytes?, newest)?;
        if response.error_code == ErrorCode::UNSUPPORTED_VERSION {
            let known = response
                .api_keys
                .iter()
                .find(|api| api.api_key == ApiVersionsRequest::KEY);
            let older = known.map_or(0, |api| api.max_version.clamp(0, newest));
            let answer = self.send(&request, older).await?;
            response = self
                .receive::<ApiVersionsRequest>(answer, older, deadline)
                .await?;
        }
        if !response.error_code.is_ok() {
            let what = format!("ApiVersions: {}", response.error_code);
            return Err(RequestError::Unsupported(what));
        }
        *self.0.versions.borrow_mut() = Rc::new(Versions::new(&response));
        Ok(())
    }
}

/// The same reason, for a request that did not leave.
fn not_sent(reason: &RequestError) -> RequestError {
    match reason {
        RequestError::Authentication(_) | RequestError::Unsupported(_) => reason.clone(),
        other => RequestError::NotSent(other.to_string()),
    }
}

/// Reads an answer to ApiVersions: in version 0 when it says that ours is unknown, whatever we asked in.
fn api_versions(bytes: Bytes, version: i16) -> Result<ApiVersionsResponse, RequestError> {
    let is_refusal = bytes.get(4..6) == Some(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes()[..]);
    let version = if is_refusal { 0 } else { version };
    let mut input = Reader::new(bytes);
    take_response_header::<ApiVersionsRequest>(version, &mut input)?;
    Ok(ApiVersionsResponse::decode(version, &mut input)?)
}

/// `throttle_time_ms` of an answer. It stands first in every answer but those to Produce and ApiVersions and SASL's.
fn throttle<R: Request>(response: &R::Response, body: &Bytes) -> Duration {
    const WITHOUT: [&str; 3] = ["ApiVersions", "SaslHandshake", "SaslAuthenticate"];
    let response: &dyn Any = response;
    let ms = if let Some(produced) = response.downcast_ref::<ProduceResponse>() {
        produced.throttle_time_ms
    } else if WITHOUT.contains(&R::NAME) || body.len() < 4 {
        0
    } else {
        i32::from_be_bytes([body[0], body[1], body[2], body[3]])
    };
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

impl Inner {
    fn close(&self, reason: RequestError) {
        if self.closed.borrow().is_some() {
            return;
        }
        *self.closed.borrow_mut() = Some(reason.clone());
        for waiting in self.in_flight.take() {
            // A caller that gave up is not there any more.
            let _ = waiting.answer.send(Err(reason.clone()));
        }
        for task in self.tasks.take() {
            task.abort();
        }
    }

    /// The answer belongs to the oldest request, or the connection is of no use.
    fn answer(&self, frame: Bytes) -> Result<(), RequestError> {
        let malformed = |what: String| RequestError::Malformed(format!("{}: {what}", self.address));
        let Some(waiting) = self.in_flight.borrow_mut().pop_front() else {
            return Err(malformed("an answer to nothing".into()));
        };
        let id = i32::from_be_bytes([frame[0], frame[1], frame[2], frame[3]]);
        if id != waiting.correlation_id {
            let error = malformed(format!(
                "answer {id} where {} is due",
                waiting.correlation_id
            ));
            let _ = waiting.answer.send(Err(error.clone()));
            return Err(error);
        }
        let _ = waiting.answer.send(Ok(frame));
        Ok(())
    }

    fn ended(&self, error: FrameError) -> RequestError {
        let address = &self.address;
        let plain = self.context.tls.is_none();
        match error {
            FrameError::Closed if self.answers.get() == 0 => RequestError::Disconnected(format!(
                "{address}: the broker closed the connection before its first answer; is security.protocol ({}) what this port speaks?",
                self.context.settings.security.protocol.name()
            )),
            FrameError::Closed => {
                RequestError::Disconnected(format!("{address}: the broker closed the connection"))
            }
            FrameError::Io(error) => match stream::tls_cause(&error) {
                Some(cause) => RequestError::Authentication(tls::explain(cause, &address.host)),
                None => RequestError::Disconnected(format!("{address}: {error}")),
            },
            // A TLS record of an alert: 0x15, version 3.
            FrameError::Length([0x15, 3, ..]) if plain => RequestError::Authentication(
                "the port speaks TLS; set security.protocol to SSL or SASL_SSL".into(),
            ),
            FrameError::Length(bytes) => RequestError::Malformed(format!(
                "{address}: an answer of {} bytes announced",
                i32::from_be_bytes(bytes)
            )),
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in self.tasks.take() {
            task.abort();
        }
    }
}

async fn read_answers(inner: Weak<Inner>, mut frames: FrameReader<ReadHalf>) {
    loop {
        let frame = frames.next().await;
        let Some(inner) = inner.upgrade() else { return };
        let done = match frame {
            Ok(frame) => inner.answer(frame),
            Err(error) => Err(inner.ended(error)),
        };
        if let Err(reason) = done {
            inner.close(reason);
            return;
        }
    }
}

async fn write_frames(inner: Weak<Inner>, mut write: WriteHalf, mut queued: mpsc::Receiver<Parts>) {
    while let Some(mut frame) = queued.recv().await {
        let mut written = write.write_all_buf(&mut frame).await;
        while let Ok(mut next) = queued.try_recv() {
            if written.is_err() {
                break;
            }
            written = write.write_all_buf(&mut next).await;
        }
        if written.is_ok() {
            written = write.flush().await;
        }
        if let Err(error) = written {
            if let Some(inner) = inner.upgrade() {
                inner.close(inner.ended(FrameError::Io(error)));
            }
            return;
        }
    }
}

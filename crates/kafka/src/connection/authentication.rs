//! SASL over a connection: the handshake, the mechanism's messages, and once more before the session ends (KIP-368).
//! Not the mechanisms. Invariant: while a session is renewed no other request is sent on its connection.

use super::{Connection, Inner, RequestError, sasl, tls};
use crate::protocol::{
    ErrorCode, Request,
    sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse},
    sasl_handshake::SaslHandshakeRequest,
};
use std::{rc::Weak, time::Duration};
use tokio::{
    task::spawn_local,
    time::{Instant, sleep},
};

/// Mechanisms need two or three messages; a broker that goes on is not one.
const STEPS_MAX: usize = 8;

/// Authenticates a connection that is not in use yet, and keeps its session alive from then on.
pub(super) async fn begin(connection: &Connection) -> Result<(), RequestError> {
    let lifetime = authenticate(connection).await?;
    if let Some(lifetime) = lifetime {
        let renewing = spawn_local(renew(std::rc::Rc::downgrade(&connection.0), lifetime));
        connection
            .0
            .tasks
            .borrow_mut()
            .push(renewing.abort_handle());
    }
    Ok(())
}

/// Renews the session before each of its ends.
async fn renew(inner: Weak<Inner>, mut lifetime: Duration) {
    loop {
        // Java: a random point in the window from 85 to 95 % of the lifetime.
        sleep(lifetime.mul_f64(0.85)).await;
        let Some(inner) = inner.upgrade() else { return };
        let connection = Connection(inner);
        let _turn = connection.0.gate.lock().await;
        match authenticate(&connection).await {
            Ok(Some(next)) => lifetime = next,
            Ok(None) => return,
            Err(reason) => {
                connection.close(reason);
                return;
            }
        }
    }
}

/// One conversation; returns how long the session lasts, if it ends at all.
async fn authenticate(connection: &Connection) -> Result<Option<Duration>, RequestError> {
    let context = &connection.0.context;
    let security = &context.settings.security;
    let disk = &*context.world.disk;
    let outside = sasl::Outside {
        random: &tls::random,
        now_ms: context.world.clock.now_ms(),
        read: &|path| tls::read(disk, path),
    };
    let mut mechanism =
        sasl::Mechanism::new(security, &outside).map_err(RequestError::Authentication)?;
    let name = security.mechanism.map_or("", |mechanism| mechanism.name());
    let handshake = SaslHandshakeRequest {
        mechanism: name.into(),
    };
    let answer = exchange(connection, &handshake).await?;
    if !answer.error_code.is_ok() {
        return Err(RequestError::Authentication(format!(
            "the broker does not accept sasl.mechanism {name} ({}); it accepts {}",
            answer.error_code,
            answer.mechanisms.join(", ")
        )));
    }
    let mut message = mechanism.first();
    for _ in 0..STEPS_MAX {
        let request = SaslAuthenticateRequest {
            auth_bytes: message.into(),
        };
        let answer = exchange(connection, &request).await?;
        check(&answer, name)?;
        match mechanism.next(&answer.auth_bytes) {
            Ok(sasl::Step::Send(next)) => message = next,
            Ok(sasl::Step::Done) => {
                let lifetime_ms = u64::try_from(answer.session_lifetime_ms).unwrap_or(0);
                return Ok((lifetime_ms > 0).then(|| Duration::from_millis(lifetime_ms)));
            }
            Err(why) => return Err(RequestError::Authentication(why)),
        }
    }
    Err(RequestError::Authentication(format!(
        "{name}: no end after {STEPS_MAX} messages"
    )))
}

/// Sends past the gate, which the caller holds or which nobody waits at yet.
async fn exchange<R: Request>(
    connection: &Connection,
    request: &R,
) -> Result<R::Response, RequestError> {
    let deadline = Instant::now() + connection.0.context.settings.request_timeout;
    let version = connection.versions().choose::<R>(i16::MAX)?;
    let answer = connection.send(request, version).await?;
    connection.receive::<R>(answer, version, deadline).await
}

fn check(answer: &SaslAuthenticateResponse, name: &str) -> Result<(), RequestError> {
    if answer.error_code.is_ok() {
        return Ok(());
    }
    let said = answer.error_message.as_deref().unwrap_or_default();
    let advice = match answer.error_code {
        ErrorCode::SASL_AUTHENTICATION_FAILED => "; check the credentials in sasl.jaas.config",
        _ => "",
    };
    Err(RequestError::Authentication(format!(
        "{name}: the broker refused the login ({}): {said}{advice}",
        answer.error_code
    )))
}

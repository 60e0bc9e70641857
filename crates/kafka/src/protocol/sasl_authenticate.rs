//! One step of a SASL exchange.
//! Not a mechanism: the bytes are opaque here. Invariant: only after a handshake on the same connection.
//! Source: `SaslAuthenticateRequest.json` and `SaslAuthenticateResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};
use bytes::Bytes;

request!(36, "SaslAuthenticate", SaslAuthenticateRequest => SaslAuthenticateResponse, 2..=2, 2);

message! {
    struct SaslAuthenticateRequest {
        auth_bytes: Bytes,
    }

    struct SaslAuthenticateResponse {
        error_code: ErrorCode,
        error_message: Option<String>,
        auth_bytes: Bytes,
        session_lifetime_ms: i64,
    }
}

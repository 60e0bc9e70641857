//! The SASL mechanism a connection is to use.
//! Not the exchange itself. Invariant: never flexible, in no version.
//! Source: `SaslHandshakeRequest.json` and `SaslHandshakeResponse.json` of Apache Kafka 4.3.1.

use super::{ErrorCode, message, request};

request!(17, "SaslHandshake", SaslHandshakeRequest => SaslHandshakeResponse, 1..=1, i16::MAX);

message! {
    struct SaslHandshakeRequest {
        mechanism: String,
    }

    struct SaslHandshakeResponse {
        error_code: ErrorCode,
        mechanisms: Vec<String>,
    }
}

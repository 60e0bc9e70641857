//! Who may ask: whoever knows a secret. Not users and their rights: a gateway in front knows those.
//! Invariant: the secret is in no log, and how long a comparison takes says nothing about it.

use super::Problem;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use std::fmt;
use subtle::ConstantTimeEq;

/// The fewest characters of a secret: 96 bits in base64.
const SECRET_CHARS_MIN: usize = 16;

/// A bearer token (RFC 6750) that requests must carry.
#[derive(Clone)]
pub struct Bearer(HeaderValue);

impl Bearer {
    /// The secret, as it stands behind `Bearer`: 16 characters or more, visible ASCII.
    pub fn new(secret: &str) -> Result<Self, String> {
        if secret.len() < SECRET_CHARS_MIN {
            return Err(format!(
                "a bearer token needs {SECRET_CHARS_MIN} characters or more; make one: openssl rand -base64 24"
            ));
        }
        if !secret.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a bearer token has visible ASCII characters only".into());
        }
        let value = HeaderValue::try_from(format!("Bearer {secret}"));
        let mut value = value.map_err(|_| "a bearer token that no header can carry".to_owned())?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    /// What a request carries.
    pub(super) fn value(&self) -> HeaderValue {
        self.0.clone()
    }

    /// Fails with 401 unless the request carries the secret.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let given = headers.get(header::AUTHORIZATION);
        let given = given.map_or(&b""[..], HeaderValue::as_bytes);
        match bool::from(given.ct_eq(self.0.as_bytes())) {
            true => Ok(()),
            false => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "this needs the header Authorization: Bearer <secret>",
            )),
        }
    }
}

impl fmt::Debug for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bearer(..)")
    }
}

//! Proofs of identity as the SASL mechanisms define them: what to send, and what to make of the answer.
//! Not a connection: bytes in, bytes out. Invariant: no error holds a password, a proof or a token.

mod oauth_bearer;
mod scram;
#[cfg(test)]
mod tests;

use crate::settings::security::{MechanismName, Security};
use oauth_bearer::OauthBearer;
use scram::{Hash, Scram};

/// One conversation of one mechanism.
pub(crate) enum Mechanism {
    Plain(Vec<u8>),
    Scram(Scram),
    OauthBearer(OauthBearer),
}

/// What follows an answer of the broker.
pub(crate) enum Step {
    /// Send this and wait for the next answer.
    Send(Vec<u8>),
    /// The mechanism is satisfied.
    Done,
}

/// What a conversation needs from outside.
pub(crate) struct Outside<'a> {
    /// Fills a buffer with bytes nobody can foresee.
    pub(crate) random: &'a dyn Fn(&mut [u8]) -> Result<(), String>,
    /// Ms since the epoch.
    pub(crate) now_ms: i64,
    /// Reads a file as text.
    pub(crate) read: &'a dyn Fn(&std::path::Path) -> Result<String, String>,
}

impl Mechanism {
    /// Begins a conversation with what `security` holds; [`Security::check`] has passed.
    pub(crate) fn new(security: &Security, outside: &Outside<'_>) -> Result<Self, String> {
        let option = |name: &str| {
            let jaas = security.jaas.as_ref();
            jaas.and_then(|jaas| jaas.option(name))
                .map_or("", |value| value.reveal())
        };
        let (user, password) = (option("username"), option("password"));
        let is_token = option("tokenauth").eq_ignore_ascii_case("true");
        let scram = |hash| Scram::new(hash, user, password, is_token, outside.random);
        Ok(match security.mechanism {
            None => return Err("sasl.mechanism is not set".into()),
            Some(MechanismName::Plain) => Self::Plain(plain(user, password)?),
            Some(MechanismName::ScramSha256) => Self::Scram(scram(Hash::Sha256)?),
            Some(MechanismName::ScramSha512) => Self::Scram(scram(Hash::Sha512)?),
            Some(MechanismName::OauthBearer) => {
                Self::OauthBearer(OauthBearer::new(security, outside)?)
            }
        })
    }

    /// The first bytes to send.
    pub(crate) fn first(&mut self) -> Vec<u8> {
        match self {
            Self::Plain(message) => std::mem::take(message),
            Self::Scram(scram) => scram.first(),
            Self::OauthBearer(bearer) => bearer.first(),
        }
    }

    /// Takes an answer of the broker.
    pub(crate) fn next(&mut self, challenge: &[u8]) -> Result<Step, String> {
        match self {
            Self::Plain(_) if challenge.is_empty() => Ok(Step::Done),
            Self::Plain(_) => Err("PLAIN: the broker sent a challenge where none belongs".into()),
            Self::Scram(scram) => scram.next(challenge),
            Self::OauthBearer(bearer) => bearer.next(challenge),
        }
    }
}

/// RFC 4616: no authorization id, then name and password, each after a zero byte.
fn plain(user: &str, password: &str) -> Result<Vec<u8>, String> {
    if user.contains('\0') || password.contains('\0') {
        return Err("PLAIN: neither username nor password may hold a zero byte".into());
    }
    Ok(format!("\0{user}\0{password}").into_bytes())
}

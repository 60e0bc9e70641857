//! SCRAM (RFC 5802, RFC 7677) without channel binding, as Kafka's brokers speak it: two messages each way.
//! Not SASLprep: Kafka takes names and passwords as UTF-8. Invariant: it is done only when the server has proved that it
//! knows the password too.

use super::Step;
use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

/// Kafka's own minimum; fewer rounds would make a stolen proof cheap to guess from.
const ITERATIONS_MIN: u32 = 4_096;
/// Above it a server could keep the client's network thread busy: this many rounds take about half a second.
const ITERATIONS_MAX: u32 = 1 << 20;
/// As many bits as Kafka's own clients draw.
const NONCE_BYTES: usize = 16;

/// The hash of the mechanism.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SCRAM-SHA-256",
            Self::Sha512 => "SCRAM-SHA-512",
        }
    }

    fn digest(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    fn mac(self, key: &[u8], bytes: &[u8]) -> Vec<u8> {
        const ANY: &str = "an HMAC takes a key of any length";
        match self {
            Self::Sha256 => {
                let mac = Hmac::<Sha256>::new_from_slice(key).expect(ANY);
                mac.chain_update(bytes).finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                let mac = Hmac::<Sha512>::new_from_slice(key).expect(ANY);
                mac.chain_update(bytes).finalize().into_bytes().to_vec()
            }
        }
    }

    fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        match self {
            Self::Sha256 => {
                pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, iterations).to_vec()
            }
            Self::Sha512 => {
                pbkdf2::pbkdf2_hmac_array::<Sha512, 64>(password, salt, iterations).to_vec()
            }
        }
    }
}

/// ```text
/// Start --first--> ServerFirst --client final--> ServerFinal --verified--> Done
/// ```
enum State {
    Start,
    ServerFirst,
    ServerFinal { server_signature: Vec<u8> },
    Done,
}

/// One conversation.
pub(crate) struct Scram {
    hash: Hash,
    password: Vec<u8>,
    nonce: String,
    /// The client's first message without its header.
    first_bare: String,
    state: State,
}

impl Scram {
    pub(crate) fn new(
        hash: Hash,
        user: &str,
        password: &str,
        is_token: bool,
        random: &dyn Fn(&mut [u8]) -> Result<(), String>,
    ) -> Result<Self, String> {
        let mut bytes = [0; NONCE_BYTES];
        random(&mut bytes)?;
        Ok(Self::with_nonce(
            hash,
            user,
            password,
            is_token,
            &BASE64.encode(bytes),
        ))
    }

    pub(crate) fn with_nonce(
        hash: Hash,
        user: &str,
        password: &str,
        is_token: bool,
        nonce: &str,
    ) -> Self {
        let name = user.replace('=', "=3D").replace(',', "=2C");
        // A delegation token (KIP-48) logs in by its id and HMAC and says so.
        let extension = if is_token { ",tokenauth=true" } else { "" };
        Self {
            hash,
            password: password.as_bytes().to_vec(),
            nonce: nonce.to_owned(),
            first_bare: format!("n={name},r={nonce}{extension}"),
            state: State::Start,
        }
    }

    pub(crate) fn first(&mut self) -> Vec<u8> {
        self.state = State::ServerFirst;
        format!("n,,{}", self.first_bare).into_bytes()
    }

    pub(crate) fn next(&mut self, challenge: &[u8]) -> Result<Step, String> {
        let text = std::str::from_utf8(challenge)
            .map_err(|_| self.wrong("the broker's message is not text"))?;
        if let Some(code) = field(text, "e") {
            // Codes of RFC 5802 are words; whatever else comes is not repeated.
            let code: String = code
                .chars()
                .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
                .take(40)
                .collect();
            return Err(self.wrong(&format!("the broker refused: {code}")));
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::ServerFirst => self.prove(text),
            State::ServerFinal { server_signature } => {
                let signature = field(text, "v").and_then(|v| BASE64.decode(v).ok());
                if !signature.is_some_and(|given| is_equal(&given, &server_signature)) {
                    return Err(self.wrong(
                        "the broker's signature is not that of a server that knows the password",
                    ));
                }
                Ok(Step::Done)
            }
            State::Start | State::Done => Err(self.wrong("the broker's message comes out of turn")),
        }
    }

    fn prove(&mut self, server_first: &str) -> Result<Step, String> {
        let nonce = field(server_first, "r").unwrap_or_default();
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(self.wrong("the broker's nonce does not extend ours"));
        }
        let salt = field(server_first, "s")
            .and_then(|s| BASE64.decode(s).ok())
            .filter(|salt| !salt.is_empty())
            .ok_or_else(|| self.wrong("the broker's first message has no salt"))?;
        let iterations = field(server_first, "i")
            .and_then(|i| i.parse::<u32>().ok())
            .ok_or_else(|| self.wrong("the broker's first message has no iteration count"))?;
        if !(ITERATIONS_MIN..=ITERATIONS_MAX).contains(&iterations) {
            return Err(self.wrong(&format!(
                "the broker asks for {iterations} iterations; from {ITERATIONS_MIN} to {ITERATIONS_MAX} are accepted"
            )));
        }
        let hash = self.hash;
        let salted = hash.salted(&self.password, &salt, iterations);
        // `biws` is the header `n,,` again, in base 64.
        let without_proof = format!("c=biws,r={nonce}");
        let all = format!("{},{server_first},{without_proof}", self.first_bare);
        let client_key = hash.mac(&salted, b"Client Key");
        let signature = hash.mac(&hash.digest(&client_key), all.as_bytes());
        let proof: Vec<u8> = client_key
            .iter()
            .zip(&signature)
            .map(|(a, b)| a ^ b)
            .collect();
        let server_key = hash.mac(&salted, b"Server Key");
        self.state = State::ServerFinal {
            server_signature: hash.mac(&server_key, all.as_bytes()),
        };
        let message = format!("{without_proof},p={}", BASE64.encode(proof));
        Ok(Step::Send(message.into_bytes()))
    }

    fn wrong(&self, what: &str) -> String {
        format!("{}: {what}", self.hash.name())
    }
}

/// The value of `name=` in a message of such fields separated by commas.
fn field<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    message
        .split(',')
        .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// Looks at every byte, so that the time says nothing about where they differ.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

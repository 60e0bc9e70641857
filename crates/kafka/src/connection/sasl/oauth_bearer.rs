//! OAUTHBEARER (RFC 7628): one message with a token. Tokens come from the application, a file, or are made without signature.
//! Not a client of token servers. Invariant: no error repeats the token.

use super::{Outside, Step};
use crate::settings::{jaas::Jaas, security::Security};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};

/// One conversation.
pub(crate) struct OauthBearer {
    message: Vec<u8>,
    /// What the broker said against the token; the conversation then ends with one more empty message.
    refusal: Option<String>,
}

impl OauthBearer {
    pub(crate) fn new(security: &Security, outside: &Outside<'_>) -> Result<Self, String> {
        let token = if let Some(source) = &security.token_source {
            source().map_err(|error| format!("OAUTHBEARER: no token: {error}"))?
        } else if let Some(path) = &security.token_file {
            (outside.read)(path)?
        } else if let Some(jaas) = &security.jaas {
            unsecured(jaas, outside.now_ms)?
        } else {
            return Err("OAUTHBEARER: no source of tokens".into());
        };
        let token = token.trim();
        let is_token = |c: char| c.is_ascii_alphanumeric() || "-_~+/.=".contains(c);
        if token.is_empty() || !token.chars().all(is_token) {
            return Err(
                "OAUTHBEARER: the token is empty or holds characters that no token has".into(),
            );
        }
        let mut message = format!("n,,\u{1}auth=Bearer {token}\u{1}");
        if let Some(jaas) = &security.jaas {
            for prefix in ["extension_", "unsecuredLoginExtension_"] {
                for (name, value) in jaas.options_of(prefix) {
                    message.push_str(&extension(name, value.reveal())?);
                }
            }
        }
        message.push('\u{1}');
        Ok(Self {
            message: message.into_bytes(),
            refusal: None,
        })
    }

    pub(crate) fn first(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.message)
    }

    pub(crate) fn next(&mut self, challenge: &[u8]) -> Result<Step, String> {
        if let Some(refusal) = &self.refusal {
            return Err(format!(
                "OAUTHBEARER: the broker refused the token: {refusal}"
            ));
        }
        if challenge.is_empty() {
            return Ok(Step::Done);
        }
        // A small JSON object with `status` and perhaps `scope`; it holds nothing of the token.
        let text = String::from_utf8_lossy(challenge);
        let shown = text.chars().filter(|c| !c.is_control()).take(200).collect();
        self.refusal = Some(shown);
        Ok(Step::Send(vec![1]))
    }
}

fn extension(name: &str, value: &str) -> Result<String, String> {
    let is_name =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic()) && name != "auth";
    let is_value = !value.is_empty()
        && value
            .chars()
            .all(|c| matches!(c, '\x21'..='\x7e' | ' ' | '\t' | '\r' | '\n'));
    if !is_name || !is_value {
        return Err(format!(
            "OAUTHBEARER: extension '{name}' has a name or value that RFC 7628 does not allow"
        ));
    }
    Ok(format!("{name}={value}\u{1}"))
}

/// A token without signature, from the same options as Kafka's `OAuthBearerUnsecuredLoginCallbackHandler`. For tests only:
/// whoever accepts it trusts everybody.
fn unsecured(jaas: &Jaas, now_ms: i64) -> Result<String, String> {
    let lifetime_s = match jaas.option("unsecuredLoginLifetimeSeconds") {
        None => 3_600,
        Some(value) => value.reveal().parse::<i64>().map_err(|_| {
            "OAUTHBEARER: unsecuredLoginLifetimeSeconds is not a whole number".to_owned()
        })?,
    };
    let mut claims = Vec::new();
    for (name, value) in jaas.options_of("unsecuredLoginStringClaim_") {
        claims.push(format!("{}:{}", quoted(name), quoted(value.reveal())));
    }
    for (name, value) in jaas.options_of("unsecuredLoginNumberClaim_") {
        let number: f64 = value
            .reveal()
            .parse()
            .ok()
            .filter(|number: &f64| number.is_finite())
            .ok_or_else(|| {
                format!("OAUTHBEARER: unsecuredLoginNumberClaim_{name} is not a number")
            })?;
        claims.push(format!("{}:{number}", quoted(name)));
    }
    for (name, value) in jaas.options_of("unsecuredLoginListClaim_") {
        // The first character separates the values.
        let text = value.reveal();
        let separator = text.chars().next().unwrap_or(',');
        let values: Vec<String> = text.split(separator).skip(1).map(quoted).collect();
        claims.push(format!("{}:[{}]", quoted(name), values.join(",")));
    }
    let seconds = |ms: i64| format!("{}.{:03}", ms.div_euclid(1_000), ms.rem_euclid(1_000));
    claims.push(format!("\"iat\":{}", seconds(now_ms)));
    claims.push(format!(
        "\"exp\":{}",
        seconds(now_ms + lifetime_s.saturating_mul(1_000))
    ));
    Ok(format!(
        "{}.{}.",
        BASE64.encode("{\"alg\":\"none\"}"),
        BASE64.encode(format!("{{{}}}", claims.join(",")))
    ))
}

fn quoted(text: &str) -> String {
    let mut json = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => json.extend(['\\', c]),
            c if c.is_control() => json.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => json.push(c),
        }
    }
    json.push('"');
    json
}

//! The values of honoured settings, read from text. Not the verdicts. Invariant: an error says what is expected and never
//! repeats a value that may be secret.

use super::{
    Backoff, EndpointChoice, EvictionChoice, GroupProtocol, IsolationLevel, Settings,
    address::Address,
    jaas::Jaas,
    secret::Secret,
    security::{MechanismName, Pem, Protocol},
};
use crate::compression::Codec;
use std::{str::FromStr, time::Duration};

type Read<T> = Result<T, String>;

/// Bytes of a `group.instance.id`: of the 249 that Kafka allows a worker's number takes some.
const INSTANCE_ID_BYTES_MAX: usize = 240;

impl Settings {
    /// Takes over a value; the error is what is expected.
    pub(super) fn honour(&mut self, name: &'static str, value: &str) -> Read<()> {
        if name.starts_with("ssl.") || name.starts_with("sasl.") || name == "security.protocol" {
            return self.honour_security(name, value);
        }
        if name.ends_with(".ms") {
            return self.honour_time(name, value);
        }
        match name {
            "acks" => only(value, &["all", "-1"]),
            "auto.offset.reset" => only(value, &["earliest"]),
            "enable.auto.commit" => only(value, &["false"]),
            "enable.idempotence" | "check.crcs" => only(value, &["true"]),
            "client.dns.lookup" => only(value, &["use_all_dns_ips"]),
            "bootstrap.servers" => Address::parse_list(value).map(|list| self.bootstrap = list),
            "client.id" => {
                self.client_id = (!value.is_empty()).then(|| value.to_owned());
                Ok(())
            }
            "group.instance.id" => instance_id(value).map(|id| self.group_instance_id = Some(id)),
            "compression.type" => compression(value).map(|codec| self.compression = codec),
            "compression.gzip.level" => {
                level(value, -1..=9).map(|level| self.compression_levels[0] = Some(level))
            }
            "compression.lz4.level" => {
                level(value, 1..=17).map(|level| self.compression_levels[1] = Some(level))
            }
            "compression.zstd.level" => {
                level(value, -131_072..=22).map(|level| self.compression_levels[2] = Some(level))
            }
            "send.buffer.bytes" => buffer(value).map(|bytes| self.send_buffer_bytes = bytes),
            "receive.buffer.bytes" => buffer(value).map(|bytes| self.receive_buffer_bytes = bytes),
            "replication.factor" => level(value, -1..=i32::from(i16::MAX))
                .map(|factor| self.replication_factor = i16::try_from(factor).unwrap_or(-1)),
            _ => self.honour_choice(name, value),
        }
    }

    fn honour_choice(&mut self, name: &str, value: &str) -> Read<()> {
        match name {
            "batch.size" => self.batch_bytes_max = number::<usize>(value)?.max(1),
            "max.request.size" => self.request_bytes_max = number::<usize>(value)?.max(1),
            "fetch.min.bytes" => self.fetch_min_bytes = positive(value)?,
            "fetch.max.bytes" => self.fetch_max_bytes = positive(value)?,
            "max.partition.fetch.bytes" => self.fetch_partition_max_bytes = positive(value)?,
            "isolation.level" => {
                self.isolation = Some(match value.to_ascii_lowercase().as_str() {
                    "read_committed" => IsolationLevel::ReadCommitted,
                    "read_uncommitted" => IsolationLevel::ReadUncommitted,
                    _ => return Err(expected(value, "read_committed or read_uncommitted")),
                });
            }
            "group.protocol" => {
                self.group_protocol = Some(match value.to_ascii_lowercase().as_str() {
                    "streams" => GroupProtocol::Streams,
                    "classic" => GroupProtocol::Classic,
                    _ => return Err(expected(value, "streams or classic")),
                });
            }
            "headwater.endpoint" => {
                self.endpoint = match value {
                    "auto" => EndpointChoice::Auto,
                    "off" => EndpointChoice::Off,
                    value => EndpointChoice::At(Address::parse_listener(value)?),
                };
            }
            "headwater.endpoint.advertised" => {
                self.endpoint_advertised = Some(Address::parse(value)?);
            }
            "headwater.eviction" => {
                self.eviction = match value {
                    "exactly_once" => EvictionChoice::ExactlyOnce,
                    "always" => EvictionChoice::Always,
                    "never" => EvictionChoice::Never,
                    _ => return Err(expected(value, "exactly_once, always or never")),
                };
            }
            "metadata.recovery.strategy" => match value {
                "rebootstrap" => self.rebootstraps = true,
                "none" => self.rebootstraps = false,
                _ => return Err(expected(value, "rebootstrap or none")),
            },
            _ => return Err("it is listed as honoured but nothing reads it".into()),
        }
        Ok(())
    }

    fn honour_time(&mut self, name: &str, value: &str) -> Read<()> {
        let time = Duration::from_millis(number(value)?);
        match name {
            "request.timeout.ms" => self.request_timeout = time,
            "default.api.timeout.ms" => self.api_timeout = time,
            "delivery.timeout.ms" => self.delivery_timeout = time,
            "transaction.timeout.ms" => self.transaction_timeout = Some(time),
            "retry.backoff.ms" => raise(&mut self.retry_backoff, time),
            "retry.backoff.max.ms" => self.retry_backoff.max = time,
            "reconnect.backoff.ms" => raise(&mut self.reconnect_backoff, time),
            "reconnect.backoff.max.ms" => self.reconnect_backoff.max = time,
            "socket.connection.setup.timeout.ms" => {
                raise(&mut self.connection_setup_timeout, time);
            }
            "socket.connection.setup.timeout.max.ms" => self.connection_setup_timeout.max = time,
            "connections.max.idle.ms" => self.connection_idle_max = time,
            "metadata.max.age.ms" => self.metadata_age_max = time,
            "fetch.max.wait.ms" => self.fetch_max_wait = time,
            _ => return Err("it is listed as honoured but nothing reads it".into()),
        }
        Ok(())
    }

    fn honour_security(&mut self, name: &str, value: &str) -> Read<()> {
        let security = &mut self.security;
        match name {
            "security.protocol" => {
                security.protocol = match value.to_ascii_uppercase().as_str() {
                    "PLAINTEXT" => Protocol::Plaintext,
                    "SSL" => Protocol::Ssl,
                    "SASL_PLAINTEXT" => Protocol::SaslPlaintext,
                    "SASL_SSL" => Protocol::SaslSsl,
                    _ => {
                        return Err(expected(
                            value,
                            "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL",
                        ));
                    }
                };
            }
            "sasl.mechanism" => security.mechanism = Some(mechanism(value)?),
            "sasl.jaas.config" => security.jaas = Some(Jaas::parse(value)?),
            "sasl.oauthbearer.token.endpoint.url" => {
                let path = value.strip_prefix("file://").ok_or(
                    "expected file:///path of a token; for a token server give Kafka::with_token",
                )?;
                security.token_file = Some(path.into());
            }
            "ssl.truststore.type" | "ssl.keystore.type" => pem_only(value)?,
            "ssl.truststore.location" => security.tls.trusted = Some(Pem::File(value.into())),
            "ssl.truststore.certificates" => security.tls.trusted = Some(pem_text(value)?),
            "ssl.keystore.location" => {
                security.tls.key = Some(Pem::File(value.into()));
                security.tls.chain = Some(Pem::File(value.into()));
            }
            "ssl.keystore.key" => security.tls.key = Some(pem_text(value)?),
            "ssl.keystore.certificate.chain" => security.tls.chain = Some(pem_text(value)?),
            "ssl.endpoint.identification.algorithm" => {
                security.tls.is_host_checked = match value.to_ascii_lowercase().as_str() {
                    "https" => true,
                    "" => false,
                    _ => return Err(expected(value, "https, or nothing to check no host name")),
                };
            }
            "ssl.enabled.protocols" => {
                let names: Vec<&str> = value.split(',').map(str::trim).collect();
                security.tls.is_1_2_allowed = names.contains(&"TLSv1.2");
                security.tls.is_1_3_allowed = names.contains(&"TLSv1.3");
                if let Some(other) = names
                    .iter()
                    .find(|name| !["TLSv1.2", "TLSv1.3"].contains(name))
                {
                    return Err(expected(other, "TLSv1.2 or TLSv1.3"));
                }
            }
            "ssl.protocol" => match value {
                "TLSv1.3" => {}
                "TLSv1.2" => security.tls.is_1_3_allowed = false,
                _ => return Err(expected(value, "TLSv1.2 or TLSv1.3")),
            },
            _ => return Err("it is listed as honoured but nothing reads it".into()),
        }
        Ok(())
    }
}

/// A first wait above the largest raises the largest.
fn raise(backoff: &mut Backoff, first: Duration) {
    backoff.first = first;
    backoff.max = backoff.max.max(first);
}

fn expected(value: &str, what: &str) -> String {
    format!("it is '{value}'; expected {what}")
}

/// As Kafka's clients allow: the characters of topics' names.
fn instance_id(value: &str) -> Read<String> {
    let is_allowed = |it: char| it.is_ascii_alphanumeric() || "._-".contains(it);
    match (1..=INSTANCE_ID_BYTES_MAX).contains(&value.len()) && value.chars().all(is_allowed) {
        true => Ok(value.to_owned()),
        false => Err(expected(
            value,
            &format!("1 to {INSTANCE_ID_BYTES_MAX} of the characters a-z, A-Z, 0-9, ., _ and -"),
        )),
    }
}

fn only(value: &str, allowed: &[&str]) -> Read<()> {
    if allowed.contains(&value.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err(expected(
        value,
        &format!("{}: nothing else is supported", allowed.join(" or ")),
    ))
}

fn number<T: FromStr>(value: &str) -> Read<T> {
    value
        .parse()
        .map_err(|_| expected(value, "a whole number that is not negative"))
}

fn positive(value: &str) -> Read<i32> {
    level(value, 0..=i32::MAX)
}

fn level(value: &str, range: std::ops::RangeInclusive<i32>) -> Read<i32> {
    match value.parse::<i32>() {
        Ok(level) if range.contains(&level) => Ok(level),
        _ => Err(expected(
            value,
            &format!("a whole number from {} to {}", range.start(), range.end()),
        )),
    }
}

/// -1 leaves the size to the system.
fn buffer(value: &str) -> Read<Option<u32>> {
    let bytes = level(value, -1..=i32::MAX)?;
    Ok(u32::try_from(bytes).ok().filter(|bytes| *bytes > 0))
}

fn compression(value: &str) -> Read<Codec> {
    Codec::named(value).ok_or_else(|| expected(value, "none, gzip, snappy, lz4 or zstd"))
}

fn mechanism(value: &str) -> Read<MechanismName> {
    match value {
        "PLAIN" => Ok(MechanismName::Plain),
        "SCRAM-SHA-256" => Ok(MechanismName::ScramSha256),
        "SCRAM-SHA-512" => Ok(MechanismName::ScramSha512),
        "OAUTHBEARER" => Ok(MechanismName::OauthBearer),
        "GSSAPI" => Err("GSSAPI (Kerberos) is not supported; PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER are".into()),
        _ => Err(expected(value, "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER")),
    }
}

fn pem_only(value: &str) -> Read<()> {
    if value.eq_ignore_ascii_case("PEM") {
        return Ok(());
    }
    Err(expected(
        value,
        "PEM; turn a JKS or PKCS12 store into it: keytool -importkeystore to PKCS12, then openssl pkcs12 -nodes -out store.pem",
    ))
}

fn pem_text(value: &str) -> Read<Pem> {
    if value.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") {
        return Err("the key is encrypted, which is not supported; decrypt it: openssl pkcs8 -in key.pem -out plain.pem".into());
    }
    if value.contains("-----BEGIN ") {
        return Ok(Pem::Text(Secret::new(value)));
    }
    Err("expected PEM text: -----BEGIN ..".into())
}

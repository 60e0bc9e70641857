//! The verdict on each name of Kafka's client settings: honoured, without effect, or refused.
//! Not the values. Invariant: a name that would change results and is not honoured is refused.

/// What happens to a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingVerdict {
    /// Taken over.
    Honoured,
    /// Changes nothing here; a notice says so.
    NoEffect,
    /// Would change results or security and is not supported: an error.
    Refused,
}

/// A known setting of a Kafka client.
#[derive(Clone, Copy, Debug)]
pub struct SettingName {
    /// Its name.
    pub name: &'static str,
    /// What happens to it.
    pub verdict: SettingVerdict,
    /// What it takes, or why it is not taken and what to do instead.
    pub note: &'static str,
}

const fn honoured(name: &'static str, note: &'static str) -> SettingName {
    SettingName {
        name,
        verdict: SettingVerdict::Honoured,
        note,
    }
}

const fn no_effect(name: &'static str, note: &'static str) -> SettingName {
    SettingName {
        name,
        verdict: SettingVerdict::NoEffect,
        note,
    }
}

const fn refused(name: &'static str, note: &'static str) -> SettingName {
    SettingName {
        name,
        verdict: SettingVerdict::Refused,
        note,
    }
}

const JVM: &str = "there is no JVM: TLS is rustls";
const COUNTERS: &str = "counters are read, not reported";
const TYPES: &str = "types have formats: impl Data, or Topic::keys and Topic::values";
const MEMBERS: &str = "the runtime joins the group, named by the application id";
const TOKENS: &str = "give the token as a file, sasl.oauthbearer.token.endpoint.url=file:///path, or by Kafka::with_token";
const KERBEROS: &str = "Kerberos is not supported";
const LOGIN: &str = "tokens are asked for at each login, not refreshed in the background";

#[rustfmt::skip]
const NAMES: &[SettingName] = &[
    honoured("acks", "`all` or `-1` only: less would lose committed records"),
    honoured("auto.offset.reset", "`earliest` only: sources say where they begin"),
    honoured("batch.size", "the largest batch, in bytes, before compression; default 1,048,576"),
    honoured("bootstrap.servers", "host:port,..; also the argument of Kafka::at"),
    honoured("check.crcs", "`true` only: CRCs are always checked"),
    honoured("client.dns.lookup", "`use_all_dns_ips` only"),
    honoured("client.id", "replaces the workers' names in requests"),
    honoured("compression.gzip.level", "1 to 9, or -1"),
    honoured("compression.lz4.level", "1 to 17"),
    honoured("compression.type", "none, gzip, snappy, lz4 or zstd"),
    honoured("compression.zstd.level", "-131072 to 22"),
    honoured("connections.max.idle.ms", "default 540,000"),
    honoured("default.api.timeout.ms", "how long a request for topics, offsets or groups is retried; default 25,000"),
    honoured("delivery.timeout.ms", "how long a batch is retried; default 120,000"),
    honoured("enable.auto.commit", "`false` only: offsets go with the commit"),
    honoured("enable.idempotence", "`true` only"),
    honoured("fetch.max.bytes", "default 52,428,800"),
    honoured("fetch.max.wait.ms", "default 500"),
    honoured("fetch.min.bytes", "default 1"),
    honoured("group.protocol", "streams or classic; without it, what the broker has"),
    honoured("isolation.level", "read_committed or read_uncommitted; without it, what the guarantee asks for"),
    honoured("max.partition.fetch.bytes", "default 1,048,576"),
    honoured("max.request.size", "the largest produce request, in bytes; default 1,048,576"),
    honoured("metadata.max.age.ms", "default 300,000"),
    honoured("metadata.recovery.rebootstrap.trigger.ms", "default 300,000"),
    honoured("metadata.recovery.strategy", "rebootstrap or none"),
    honoured("receive.buffer.bytes", "-1 leaves it to the system"),
    honoured("reconnect.backoff.max.ms", "default 1,000"),
    honoured("reconnect.backoff.ms", "default 50"),
    honoured("replication.factor", "of internal topics; default -1, the broker's"),
    honoured("request.timeout.ms", "default 30,000"),
    honoured("retry.backoff.max.ms", "default 1,000"),
    honoured("retry.backoff.ms", "default 100"),
    honoured("sasl.jaas.config", "the login module's options; of OAUTHBEARER the unsecured ones"),
    honoured("sasl.mechanism", "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER"),
    honoured("sasl.oauthbearer.token.endpoint.url", "file:///path of a token, read at each login"),
    honoured("security.protocol", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"),
    honoured("send.buffer.bytes", "-1 leaves it to the system"),
    honoured("socket.connection.setup.timeout.max.ms", "default 30,000"),
    honoured("socket.connection.setup.timeout.ms", "default 10,000"),
    honoured("ssl.enabled.protocols", "of TLSv1.2 and TLSv1.3"),
    honoured("ssl.endpoint.identification.algorithm", "https; empty does not check the host name"),
    honoured("ssl.keystore.certificate.chain", "PEM text"),
    honoured("ssl.keystore.key", "PEM text, PKCS#8, not encrypted"),
    honoured("ssl.keystore.location", "a PEM file with key and chain"),
    honoured("ssl.keystore.type", "PEM"),
    honoured("ssl.protocol", "TLSv1.2 or TLSv1.3, the highest allowed"),
    honoured("ssl.truststore.certificates", "PEM text"),
    honoured("ssl.truststore.location", "a PEM file"),
    honoured("ssl.truststore.type", "PEM"),
    honoured("transaction.timeout.ms", "default 10,000, as in Kafka Streams"),
    no_effect("allow.auto.create.topics", "topics are never created by asking for them"),
    no_effect("auto.commit.interval.ms", "offsets go with the commit: commit.interval.ms"),
    no_effect("auto.include.jmx.reporter", "there is no JMX"),
    no_effect("buffer.memory", "appended bytes are bounded for each worker"),
    no_effect("client.rack", "records are read from leaders"),
    no_effect("enable.metrics.push", "metrics are not pushed"),
    no_effect("exclude.internal.topics", "sources are named, not matched"),
    no_effect("heartbeat.interval.ms", "the broker says how often"),
    no_effect("linger.ms", "batches go out when they are full or at the commit"),
    no_effect("max.block.ms", "appending never blocks"),
    no_effect("max.in.flight.requests.per.connection", "it is 5, in order"),
    no_effect("max.poll.records", "records are processed by whole batches"),
    no_effect("metadata.max.idle.ms", "what a client asked for stays known"),
    no_effect("metric.reporters", COUNTERS),
    no_effect("metrics.num.samples", COUNTERS),
    no_effect("metrics.recording.level", COUNTERS),
    no_effect("metrics.sample.window.ms", COUNTERS),
    no_effect("retries", "retried until delivery.timeout.ms"),
    no_effect("sasl.login.connect.timeout.ms", LOGIN),
    no_effect("sasl.login.read.timeout.ms", LOGIN),
    no_effect("sasl.login.refresh.buffer.seconds", LOGIN),
    no_effect("sasl.login.refresh.min.period.seconds", LOGIN),
    no_effect("sasl.login.refresh.window.factor", LOGIN),
    no_effect("sasl.login.refresh.window.jitter", LOGIN),
    no_effect("sasl.login.retry.backoff.max.ms", LOGIN),
    no_effect("sasl.login.retry.backoff.ms", LOGIN),
    no_effect("ssl.keymanager.algorithm", JVM),
    no_effect("ssl.provider", JVM),
    no_effect("ssl.secure.random.implementation", JVM),
    no_effect("ssl.trustmanager.algorithm", JVM),
    refused("bootstrap.controllers", "clients speak to brokers: bootstrap.servers"),
    refused("config.providers", "give values, not references to a provider"),
    refused("group.id", MEMBERS),
    refused("group.instance.id", MEMBERS),
    refused("group.remote.assignor", MEMBERS),
    refused("interceptor.classes", "there are no interceptors"),
    refused("key.deserializer", TYPES),
    refused("key.serializer", TYPES),
    refused("max.poll.interval.ms", "a setting of the application: Settings::rebalance_timeout_ms"),
    refused("partition.assignment.strategy", MEMBERS),
    refused("partitioner.adaptive.partitioning.enable", "give a partitioner on the topic"),
    refused("partitioner.availability.timeout.ms", "give a partitioner on the topic"),
    refused("partitioner.class", "give a partitioner on the topic"),
    refused("partitioner.ignore.keys", "give a partitioner on the topic"),
    refused("rebalance.timeout.ms", "a setting of the application: Settings::rebalance_timeout_ms"),
    refused("sasl.client.callback.handler.class", "there are no classes to load; for OAUTHBEARER Kafka::with_token"),
    refused("sasl.kerberos.kinit.cmd", KERBEROS),
    refused("sasl.kerberos.min.time.before.relogin", KERBEROS),
    refused("sasl.kerberos.service.name", KERBEROS),
    refused("sasl.kerberos.ticket.renew.jitter", KERBEROS),
    refused("sasl.kerberos.ticket.renew.window.factor", KERBEROS),
    refused("sasl.login.callback.handler.class", TOKENS),
    refused("sasl.login.class", TOKENS),
    refused("sasl.oauthbearer.assertion.algorithm", TOKENS),
    refused("sasl.oauthbearer.assertion.file", TOKENS),
    refused("sasl.oauthbearer.assertion.private.key.file", TOKENS),
    refused("sasl.oauthbearer.client.credentials.client.id", TOKENS),
    refused("sasl.oauthbearer.client.credentials.client.secret", TOKENS),
    refused("sasl.oauthbearer.jwt.retriever.class", TOKENS),
    refused("sasl.oauthbearer.jwt.validator.class", TOKENS),
    refused("sasl.oauthbearer.scope", TOKENS),
    refused("sasl.oauthbearer.assertion.claim.aud", TOKENS),
    refused("sasl.oauthbearer.assertion.claim.exp.seconds", TOKENS),
    refused("sasl.oauthbearer.assertion.claim.iss", TOKENS),
    refused("sasl.oauthbearer.assertion.claim.jti.include", TOKENS),
    refused("sasl.oauthbearer.assertion.claim.nbf.seconds", TOKENS),
    refused("sasl.oauthbearer.assertion.claim.sub", TOKENS),
    refused("sasl.oauthbearer.assertion.private.key.passphrase", TOKENS),
    refused("sasl.oauthbearer.assertion.template.file", TOKENS),
    refused("sasl.oauthbearer.clock.skew.seconds", TOKENS),
    refused("sasl.oauthbearer.expected.audience", TOKENS),
    refused("sasl.oauthbearer.expected.issuer", TOKENS),
    refused("sasl.oauthbearer.header.urlencode", TOKENS),
    refused("sasl.oauthbearer.jwks.endpoint.refresh.ms", TOKENS),
    refused("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", TOKENS),
    refused("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", TOKENS),
    refused("sasl.oauthbearer.jwks.endpoint.url", TOKENS),
    refused("sasl.oauthbearer.scope.claim.name", TOKENS),
    refused("sasl.oauthbearer.sub.claim.name", TOKENS),
    refused("share.acknowledgement.mode", MEMBERS),
    refused("share.acquire.mode", MEMBERS),
    refused("security.providers", JVM),
    refused("session.timeout.ms", "a setting of the application: Settings::session_timeout_ms"),
    refused("ssl.cipher.suites", "suites are those of rustls"),
    refused("ssl.engine.factory.class", "there are no classes to load"),
    refused("ssl.key.password", "encrypted keys are not supported; decrypt it: openssl pkcs8 -in key.pem -out plain.pem"),
    refused("ssl.keystore.password", "PEM files have no password"),
    refused("ssl.truststore.password", "PEM files have no password"),
    refused("transaction.two.phase.commit.enable", "commits have one phase"),
    refused("transactional.id", "it is <application>-<process>-<n>"),
    refused("value.deserializer", TYPES),
    refused("value.serializer", TYPES),
];

/// Every known setting of a Kafka client, in no particular order.
pub fn setting_names() -> &'static [SettingName] {
    NAMES
}

pub(crate) fn lookup(name: &str) -> Option<&'static SettingName> {
    NAMES.iter().find(|known| known.name == name)
}

/// The known name closest to `name`.
pub(crate) fn nearest(name: &str) -> &'static str {
    NAMES
        .iter()
        .map(|known| known.name)
        .min_by_key(|known| distance(name, known))
        .unwrap_or("bootstrap.servers")
}

/// Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

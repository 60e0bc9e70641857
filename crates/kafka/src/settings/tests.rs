//! Settings from text: honoured, refused, misspelt, secret; and the page that lists them. Not what they do.
//! Invariant: no message holds a password.
#![allow(
    clippy::disallowed_methods,
    reason = "a test reads and writes a page of the repository"
)]

use super::{security::MechanismName, *};

fn given(pairs: &[(&str, &str)]) -> Result<Settings> {
    let mut settings = Settings::at("localhost:9092")?;
    for (name, value) in pairs {
        settings.set(name, value)?;
    }
    settings.check()?;
    Ok(settings)
}

#[track_caller]
fn check_error(pairs: &[(&str, &str)], expected: &str) {
    let error = given(pairs).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"alice\" password=\"a \\\"b\\\\ c;=\" ;";

#[test]
fn names_of_kafka_are_taken_over() {
    let settings = given(&[
        ("bootstrap.servers", "a:1, [::1]:2 ,SASL_SSL://c.example:3"),
        ("request.timeout.ms", "5000"),
        ("producer.compression.type", "lz4"),
        ("consumer.request.timeout.ms", "5000"),
        ("retry.backoff.ms", "3000"),
        ("isolation.level", "read_committed"),
        ("receive.buffer.bytes", "-1"),
    ])
    .unwrap();
    let addresses: Vec<String> = settings.bootstrap.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["a:1", "[::1]:2", "c.example:3"]);
    assert_eq!(settings.request_timeout, Duration::from_secs(5));
    assert_eq!(settings.compression, Codec::Lz4);
    assert_eq!(settings.retry_backoff.max, Duration::from_secs(3));
    assert_eq!(settings.isolation, Some(IsolationLevel::ReadCommitted));
    assert!(settings.notices.is_empty());
}

#[test]
fn what_cannot_be_honoured_is_said() {
    check_error(
        &[("requst.timeout.ms", "1")],
        "did you mean 'request.timeout.ms'?",
    );
    check_error(&[("acks", "1")], "it is '1'; expected all or -1");
    check_error(&[("group.id", "g")], "the application id");
    check_error(&[("ssl.truststore.type", "JKS")], "openssl pkcs12");
    check_error(&[("ssl.key.password", "x")], "openssl pkcs8");
    check_error(&[("sasl.mechanism", "GSSAPI")], "Kerberos");
    check_error(&[("bootstrap.servers", "localhost")], "expected host:port");
    check_error(
        &[
            ("consumer.request.timeout.ms", "50000"),
            ("producer.request.timeout.ms", "40000"),
        ],
        "one client does the work of all",
    );
    check_error(&[("delivery.timeout.ms", "10")], "request.timeout.ms");
    let settings = given(&[("linger.ms", "5")]).unwrap();
    assert_eq!(
        settings.notices,
        [
            "setting 'linger.ms' has no effect here: a setting of the application: Settings::linger_ms"
        ]
    );
}

#[test]
fn a_login_text_is_read_with_its_quotes_and_never_printed() {
    let settings = given(&[
        ("security.protocol", "SASL_PLAINTEXT"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.jaas.config", PLAIN),
    ])
    .unwrap();
    let jaas = settings.security.jaas.as_ref().unwrap();
    assert_eq!(jaas.module, "PlainLoginModule");
    assert_eq!(jaas.option("username").unwrap().reveal(), "alice");
    assert_eq!(jaas.option("password").unwrap().reveal(), "a \"b\\ c;=");
    assert_eq!(settings.security.mechanism, Some(MechanismName::Plain));
    let printed = format!("{settings:?}");
    assert!(
        !printed.contains("c;=") && !printed.contains("alice"),
        "{printed}"
    );
}

#[test]
fn a_login_that_cannot_work_is_told_before_the_first_connection() {
    let sasl = ("security.protocol", "SASL_SSL");
    check_error(&[sasl], "needs sasl.mechanism");
    check_error(
        &[sasl, ("sasl.mechanism", "PLAIN")],
        "needs sasl.jaas.config",
    );
    check_error(
        &[
            sasl,
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.jaas.config", PLAIN),
        ],
        "needs ScramLoginModule",
    );
    check_error(
        &[
            sasl,
            ("sasl.mechanism", "PLAIN"),
            (
                "sasl.jaas.config",
                "a.PlainLoginModule required username=\"x\";",
            ),
        ],
        "has no password",
    );
    check_error(&[sasl, ("sasl.mechanism", "OAUTHBEARER")], "needs a token");
    for broken in [
        "",
        "a.PlainLoginModule required",
        "PlainLoginModule;",
        "P required user;",
        "P required a=\"hush;",
    ] {
        let error = given(&[("sasl.jaas.config", broken)])
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("invalid request: setting 'sasl.jaas.config'"),
            "{error}"
        );
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn an_instance_id_is_named_as_a_topic_may_be_and_leaves_room_for_the_workers_number() {
    let long = "x".repeat(241);
    for broken in ["", "two words", "shop/1", &long] {
        check_error(
            &[("group.instance.id", broken)],
            "1 to 240 of the characters",
        );
    }
    let named = ("main.consumer.group.instance.id", "shop.eu_1-a");
    let settings = given(&[named, ("group.protocol", "classic")]).unwrap();
    assert_eq!(settings.group_instance_id.as_deref(), Some("shop.eu_1-a"));
    check_error(&[named], "needs group.protocol=classic");
    check_error(&[named, ("group.protocol", "streams")], "brokers refuse");
}

#[test]
fn every_name_does_as_its_verdict_says() {
    for known in setting_names() {
        let value = match known.name {
            "acks" => "all",
            "headwater.endpoint" | "headwater.endpoint.advertised" => "h:1",
            "auto.offset.reset" => "earliest",
            "bootstrap.servers" => "h:1",
            "check.crcs" | "enable.idempotence" => "true",
            "client.dns.lookup" => "use_all_dns_ips",
            "compression.type" => "zstd",
            "enable.auto.commit" => "false",
            "group.protocol" => "streams",
            "group.instance.id" => "shop-1",
            "headwater.eviction" => "always",
            "isolation.level" => "read_uncommitted",
            "metadata.recovery.strategy" => "none",
            "sasl.jaas.config" => PLAIN,
            "sasl.mechanism" => "SCRAM-SHA-512",
            "sasl.oauthbearer.token.endpoint.url" => "file:///token",
            "security.protocol" => "SSL",
            "ssl.enabled.protocols" => "TLSv1.2,TLSv1.3",
            "ssl.endpoint.identification.algorithm" => "",
            "ssl.keystore.key"
            | "ssl.keystore.certificate.chain"
            | "ssl.truststore.certificates" => "-----BEGIN CERTIFICATE-----",
            "ssl.keystore.type" | "ssl.truststore.type" => "PEM",
            "ssl.protocol" => "TLSv1.2",
            _ => "1",
        };
        let mut settings = Settings::at("h:1").unwrap();
        let done = settings.set(known.name, value);
        let is_as_said = match known.verdict {
            SettingVerdict::Honoured => done.is_ok() && settings.notices.is_empty(),
            SettingVerdict::NoEffect => done.is_ok() && settings.notices.len() == 1,
            SettingVerdict::Refused => done.is_err(),
        };
        assert!(is_as_said, "{}: {done:?}", known.name);
    }
}

const PAGE: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../docs/configuration-kafka.md"
);

fn page() -> String {
    let mut text = String::from(
        "# Configuration of the Kafka client\n\n\
         `Kafka::at(\"host:9092\")?.with(name, value)?` takes the names of Kafka's producer, consumer and admin clients, also with\n\
         Kafka Streams' prefixes (`producer.`, `consumer.`, `admin.`, ..), which must agree, since one client does the work of all.\n\
         Each name has one verdict; an unknown name is an error that suggests the nearest known one. Settings of the application are\n\
         in [configuration.md](configuration.md). This page is written by a test: `cargo xtask bless`.\n\n\
         | name | verdict | note |\n|---|---|---|\n",
    );
    let mut names = setting_names().to_vec();
    names.sort_by_key(|known| known.name);
    for known in names {
        let verdict = match known.verdict {
            SettingVerdict::Honoured => "honoured",
            SettingVerdict::NoEffect => "no effect, a notice says so",
            SettingVerdict::Refused => "refused",
        };
        text.push_str(&format!(
            "| `{}` | {verdict} | {} |\n",
            known.name, known.note
        ));
    }
    text
}

#[test]
fn the_page_lists_every_setting() {
    if std::env::var_os("HEADWATER_BLESS").is_some() {
        std::fs::write(PAGE, page()).unwrap();
    }
    let written = std::fs::read_to_string(PAGE).unwrap();
    assert_eq!(written, page(), "run `cargo xtask bless`");
}

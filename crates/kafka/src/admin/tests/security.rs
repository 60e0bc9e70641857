//! Every way in that a secured broker offers, and every way to get it wrong. Not the mechanisms' own rules.
//! Invariant: each mistake is told within ten seconds, in words that say what to change, and without a secret.
#![allow(
    clippy::disallowed_methods,
    reason = "the test reads the certificates of its broker"
)]

use super::*;
use headwater_broker::{Certificates, Cluster as Brokers, Listener, USERS};
use std::{path::PathBuf, time::Duration};
use tokio::{task::spawn_local, time::Instant};

const TOLD_WITHIN: Duration = Duration::from_secs(10);
const LISTENERS: [Listener; 6] = [
    Listener::Tls,
    Listener::MutualTls,
    Listener::SaslPlaintext,
    Listener::SaslTls,
    Listener::ExpiredTls,
    Listener::OtherHostTls,
];
const MECHANISMS: [&str; 4] = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"];

/// What a case ends with.
enum End {
    /// The broker answers.
    Served,
    /// An error with these words.
    Told(&'static [&'static str]),
}

struct Case {
    name: String,
    servers: String,
    settings: Vec<(&'static str, String)>,
    request: Request,
    end: End,
}

#[test]
fn every_way_in_works_and_every_mistake_is_told() {
    if !is_usable("security") {
        return;
    }
    let mut options = Options {
        acl: true,
        ..Options::default()
    };
    for listener in LISTENERS {
        options = options.listen(listener);
    }
    let brokers = Brokers::start(&options).unwrap();
    let cases = cases(&brokers, brokers.certificates().unwrap());
    run(async {
        let mut tasks = Vec::new();
        for case in cases {
            tasks.push(spawn_local(judge(case)));
        }
        let mut wrong = Vec::new();
        for task in tasks {
            wrong.extend(task.await.unwrap().err());
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    });
}

async fn judge(case: Case) -> Result<(), String> {
    let mut settings = Settings::at(&case.servers).unwrap();
    for (name, value) in &case.settings {
        settings.set(name, value).unwrap();
    }
    settings.check().unwrap();
    let cluster = Cluster::new(Rc::new(settings.clone()), "judge");
    let began = Instant::now();
    let answer = ask(&cluster, &settings, case.request).await;
    let elapsed = began.elapsed();
    let name = case.name;
    if elapsed > TOLD_WITHIN {
        return Err(format!("{name}: after {elapsed:?}: {answer:?}"));
    }
    match (case.end, answer) {
        (End::Served, Ok(_)) => Ok(()),
        (End::Told(words), Err(error)) => {
            let text = format!("{error} {error:?}");
            if let Some(secret) = ["secret", "hush", "eyJ"]
                .iter()
                .find(|it| text.contains(**it))
            {
                return Err(format!("{name}: holds '{secret}': {text}"));
            }
            match words.iter().find(|word| !text.contains(**word)) {
                Some(word) => Err(format!("{name}: no '{word}' in: {error}")),
                None => Ok(()),
            }
        }
        (_, answer) => Err(format!("{name}: {answer:?}")),
    }
}

type Pairs = Vec<(&'static str, String)>;

/// Where the cases are tried.
struct Site<'a> {
    brokers: &'a Brokers,
    certificates: &'a Certificates,
}

impl Site<'_> {
    fn case(&self, name: &str, listener: Listener, settings: Pairs, end: End) -> Case {
        Case {
            name: name.to_owned(),
            servers: self.brokers.bootstrap_of(listener),
            settings,
            request: Request::DescribeTopics(None),
            end,
        }
    }

    fn trusted(&self) -> Pairs {
        vec![
            ("security.protocol", "SSL".to_owned()),
            ("ssl.truststore.type", "PEM".to_owned()),
            (
                "ssl.truststore.location",
                file(self.certificates.authority()),
            ),
        ]
    }

    fn trusting(&self, path: PathBuf) -> Pairs {
        let mut settings = self.trusted();
        settings[2].1 = file(path);
        settings
    }

    fn with_our_certificate(&self) -> Pairs {
        let text = |path: PathBuf| String::from_utf8(std::fs::read(path).unwrap()).unwrap();
        let mut settings = self.trusted();
        settings.push(("ssl.keystore.key", text(self.certificates.client_key())));
        let chain = text(self.certificates.client_chain());
        settings.push(("ssl.keystore.certificate.chain", chain));
        settings
    }

    fn logged_in(&self, mechanism: &'static str, protocol: &str, password: &str) -> Pairs {
        let mut settings = login(mechanism, password);
        settings.push(("security.protocol", protocol.to_owned()));
        settings.push((
            "ssl.truststore.location",
            file(self.certificates.authority()),
        ));
        settings
    }

    fn certificates(&self) -> Vec<Case> {
        let any_host = || {
            let mut settings = self.trusted();
            settings.push(("ssl.endpoint.identification.algorithm", String::new()));
            settings
        };
        let other_host = &[
            "not for host '127.0.0.1'",
            "ssl.endpoint.identification.algorithm",
        ];
        let unknown = &["signed by nobody we trust", "ssl.truststore.location"];
        let unread = &["ssl.truststore.location", "/no/such/file.pem"];
        let without = &["TLS", "client certificate", "ssl.keystore"];
        let strange = self.trusting(self.certificates.strange_authority());
        let nowhere = self.trusting("/no/such/file.pem".into());
        vec![
            self.case("TLS", Listener::Tls, self.trusted(), End::Served),
            self.case(
                "TLS with our certificate",
                Listener::MutualTls,
                self.with_our_certificate(),
                End::Served,
            ),
            self.case(
                "TLS without our certificate",
                Listener::MutualTls,
                self.trusted(),
                End::Told(without),
            ),
            self.case(
                "expired",
                Listener::ExpiredTls,
                self.trusted(),
                End::Told(EXPIRED),
            ),
            self.case(
                "another host",
                Listener::OtherHostTls,
                self.trusted(),
                End::Told(other_host),
            ),
            self.case("any host", Listener::OtherHostTls, any_host(), End::Served),
            self.case(
                "expired, any host",
                Listener::ExpiredTls,
                any_host(),
                End::Told(EXPIRED),
            ),
            self.case(
                "an unknown authority",
                Listener::Tls,
                strange,
                End::Told(unknown),
            ),
            self.case(
                "a file that is not there",
                Listener::Tls,
                nowhere,
                End::Told(unread),
            ),
        ]
    }

    fn wrong_ports(&self) -> Vec<Case> {
        let login = self.logged_in("PLAIN", "SASL_PLAINTEXT", USERS[0].1);
        let told = End::Told;
        vec![
            self.case(
                "plain text to TLS",
                Listener::Tls,
                Pairs::new(),
                told(PROTOCOL),
            ),
            self.case(
                "TLS to plain text",
                Listener::Plaintext,
                self.trusted(),
                told(PROTOCOL),
            ),
            self.case(
                "no login to SASL",
                Listener::SaslPlaintext,
                Pairs::new(),
                told(PROTOCOL),
            ),
            self.case(
                "a login to a plain port",
                Listener::Plaintext,
                login,
                told(&["sasl.mechanism PLAIN"]),
            ),
        ]
    }

    fn logins(&self, mechanism: &'static str) -> Vec<Case> {
        let (_, password) = USERS[0];
        let plain = self.logged_in(mechanism, "SASL_PLAINTEXT", password);
        let tls = self.logged_in(mechanism, "SASL_SSL", password);
        let wrong = self.logged_in(mechanism, "SASL_SSL", "hush");
        let refused = End::Told(match mechanism {
            "OAUTHBEARER" => &["OAUTHBEARER", "refused"],
            _ => &["refused the login", "sasl.jaas.config"],
        });
        let name = |what: &str| format!("{mechanism}{what}");
        vec![
            self.case(mechanism, Listener::SaslPlaintext, plain, End::Served),
            self.case(&name(" over TLS"), Listener::SaslTls, tls, End::Served),
            self.case(&name(", wrong password"), Listener::SaslTls, wrong, refused),
        ]
    }

    /// The login is good and nothing is permitted.
    fn missing_rights(&self) -> Vec<Case> {
        let case = |request: Request, words| {
            let login = self.logged_in("PLAIN", "SASL_PLAINTEXT", USERS[0].1);
            let name = format!("a missing right: {request:?}");
            let end = End::Told(words);
            let case = self.case(&name, Listener::SaslPlaintext, login, end);
            Case { request, ..case }
        };
        let positions = Request::CommittedOffsets {
            group: "g".into(),
            partitions: None,
        };
        vec![
            case(
                Request::CreateTopics(vec![topic("t", 1, &[])]),
                &[
                    "AUTHORIZATION_FAILED",
                    "lacks the right Create",
                    "kafka-acls",
                ],
            ),
            case(
                positions,
                &["GROUP_AUTHORIZATION_FAILED", "lacks the right Describe"],
            ),
        ]
    }
}

const EXPIRED: &[&str] = &["certificate has expired"];
const PROTOCOL: &[&str] = &["security.protocol"];

fn file(path: PathBuf) -> String {
    path.display().to_string()
}

fn cases(brokers: &Brokers, certificates: &Certificates) -> Vec<Case> {
    let site = Site {
        brokers,
        certificates,
    };
    let mut all = site.certificates();
    all.extend(site.wrong_ports());
    all.extend(
        MECHANISMS
            .into_iter()
            .flat_map(|mechanism| site.logins(mechanism)),
    );
    all.extend(site.missing_rights());
    all
}

/// The first user's; a wrong password is a token that is over where there are none.
fn login(mechanism: &'static str, password: &str) -> Pairs {
    let (user, right) = USERS[0];
    let jaas = match mechanism {
        "OAUTHBEARER" => {
            let seconds = if password == right { 3_600 } else { -3_600 };
            format!(
                "x.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"{user}\" unsecuredLoginLifetimeSeconds=\"{seconds}\";"
            )
        }
        "PLAIN" => {
            format!("x.PlainLoginModule required username=\"{user}\" password=\"{password}\";")
        }
        _ => format!("x.ScramLoginModule required username=\"{user}\" password=\"{password}\";"),
    };
    vec![
        ("sasl.mechanism", mechanism.to_owned()),
        ("sasl.jaas.config", jaas),
    ]
}

//! A connection against a scripted broker that is slow, dribbles, cuts, lies or speaks something else.
//! Not against a real one. Invariant: no request hangs beyond its deadline, and none gets another's answer.

use super::fake::{Asked, Fake, Reply, run, versions};
use super::*;
use crate::protocol::{
    api_versions::ApiVersion,
    find_coordinator::{Coordinator, FindCoordinatorRequest, FindCoordinatorResponse},
    sasl_authenticate::{SaslAuthenticateRequest, SaslAuthenticateResponse},
    sasl_handshake::{SaslHandshakeRequest, SaslHandshakeResponse},
};

const SOON: Duration = Duration::from_secs(5);

fn context(pairs: &[(&str, &str)]) -> Rc<Context> {
    let mut settings = Settings::at("unused:1").unwrap();
    for (name, value) in pairs {
        settings.set(name, value).unwrap();
    }
    settings.check().unwrap();
    Rc::new(Context {
        settings,
        client_id: "tester".into(),
        tls: None,
        world: World::real(),
    })
}

async fn open(fake: &Fake, pairs: &[(&str, &str)]) -> Result<Connection, OpenError> {
    let address = Address::new("127.0.0.1", fake.address.port());
    Connection::open(&address, &context(pairs), SOON).await
}

async fn ask(connection: &Connection, key: &str) -> Result<String, RequestError> {
    ask_within(connection, key, SOON).await
}

async fn ask_within(
    connection: &Connection,
    key: &str,
    time: Duration,
) -> Result<String, RequestError> {
    let request = FindCoordinatorRequest {
        key_type: 0,
        coordinator_keys: vec![key.into()],
    };
    let answer = connection.call(&request, i16::MAX, Instant::now() + time);
    Ok(answer.await?.coordinators[0].key.clone())
}

/// Asks at once and in the order of the calls.
fn begin(
    connection: &Connection,
    key: &'static str,
    time: Duration,
) -> tokio::task::JoinHandle<Result<String, RequestError>> {
    let connection = connection.clone();
    spawn_local(async move { ask_within(&connection, key, time).await })
}

/// Names the key that was asked for.
fn echo(asked: &Asked, throttle_time_ms: i32) -> Reply {
    let key = asked.read::<FindCoordinatorRequest>().coordinator_keys[0].clone();
    asked.answer::<FindCoordinatorRequest>(&FindCoordinatorResponse {
        throttle_time_ms,
        coordinators: vec![Coordinator {
            key,
            ..Coordinator::default()
        }],
    })
}

/// Answers what a handshake asks; the rest is the test's.
fn scripted(rest: impl Fn(&Asked) -> Reply + 'static) -> impl Fn(&Asked) -> Reply + 'static {
    move |asked| match asked.key {
        18 => versions(asked, &[10, 17, 18, 36]),
        _ => rest(asked),
    }
}

#[test]
fn answers_that_come_late_and_byte_by_byte_are_whole_and_in_order() {
    run(async {
        let fake = Fake::start(|asked| match asked.key {
            18 => Reply::Dribbled(versions(asked, &[10]).body()),
            _ if echo_key(asked) == "b" => {
                Reply::Late(Duration::from_millis(50), echo(asked, 0).body())
            }
            _ => Reply::Dribbled(echo(asked, 0).body()),
        })
        .await;
        let connection = open(&fake, &[]).await.unwrap();
        let waiting = ["a", "b", "c"].map(|key| (key, begin(&connection, key, SOON)));
        for (key, answer) in waiting {
            assert_eq!(answer.await.unwrap().unwrap(), key);
        }
        assert_eq!(fake.connections.get(), 1);
        assert!(
            fake.asked
                .borrow()
                .iter()
                .all(|asked| asked.client_id == "tester")
        );
    });
}

#[test]
fn a_broker_that_falls_silent_ends_each_request_by_its_deadline() {
    run(async {
        let fake = Fake::start(scripted(|asked| match echo_key(asked).as_str() {
            "good" => echo(asked, 0),
            _ => Reply::Silence,
        }))
        .await;
        let connection = open(&fake, &[]).await.unwrap();
        ask(&connection, "good").await.unwrap();
        let began = Instant::now();
        let short = Duration::from_millis(100);
        let first = begin(&connection, "bad", short);
        let second = begin(&connection, "behind it", SOON);
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        assert!(matches!(first, Err(RequestError::TimedOut(_))), "{first:?}");
        assert!(
            matches!(second, Err(RequestError::Disconnected(_))),
            "{second:?}"
        );
        assert!(began.elapsed() < Duration::from_secs(2));
        let after = ask(&connection, "after").await;
        assert!(matches!(after, Err(RequestError::NotSent(_))), "{after:?}");
    });
}

fn echo_key(asked: &Asked) -> String {
    asked.read::<FindCoordinatorRequest>().coordinator_keys[0].clone()
}

#[test]
fn what_is_no_answer_ends_the_connection_with_its_reason() {
    const BIG: [u8; 7] = [0x7f, 0xff, 0xff, 0xff, 1, 2, 3];
    const ALERT: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 0x46];
    for (bad, expected) in [
        (Reply::Cut as fn(Vec<u8>) -> Reply, "127.0.0.1"),
        (Reply::WrongId, "answer 8 where 1 is due"),
        (|_| Reply::Close, "closed the connection"),
        (
            |_| Reply::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".into()),
            "1213486160 bytes",
        ),
        (move |_| Reply::Raw(BIG.into()), "2147483647 bytes"),
        (move |_| Reply::Raw(vec![0xff; 8]), "-1 bytes"),
        (
            move |_| Reply::Raw(ALERT.into()),
            "set security.protocol to SSL",
        ),
        (
            |_| Reply::Answer(vec![0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f]),
            "FindCoordinator version",
        ),
        (|_| Reply::Answer(Vec::new()), "FindCoordinator version"),
    ] {
        run(async move {
            let fake = Fake::start(scripted(move |asked| bad(echo(asked, 0).body()))).await;
            let connection = open(&fake, &[]).await.unwrap();
            let error = ask(&connection, "a").await.unwrap_err();
            assert!(error.to_string().contains(expected), "{error:?}");
            assert!(connection.closed().is_some());
        });
    }
}

#[test]
fn an_older_broker_is_asked_again_in_its_version_of_api_versions() {
    run(async {
        let fake = Fake::start(|asked| match (asked.key, asked.version) {
            (18, 4) => {
                let refusal = ApiVersionsResponse {
                    error_code: ErrorCode::UNSUPPORTED_VERSION,
                    api_keys: vec![ApiVersion {
                        api_key: 18,
                        min_version: 0,
                        max_version: 3,
                    }],
                    ..ApiVersionsResponse::default()
                };
                let mut body = Vec::new();
                refusal.encode(0, &mut body);
                Reply::Answer(body)
            }
            (18, 3) => versions(asked, &[10]),
            _ => echo(asked, 0),
        })
        .await;
        let connection = open(&fake, &[]).await.unwrap();
        assert_eq!(ask(&connection, "a").await.unwrap(), "a");
        let request = SaslHandshakeRequest::default();
        let error = connection
            .call(&request, i16::MAX, Instant::now() + SOON)
            .await;
        let error = error.unwrap_err();
        assert_eq!(
            error,
            RequestError::Unsupported("the broker does not know SaslHandshake requests".into())
        );
    });
}

#[test]
fn a_broker_that_throttles_is_left_alone_for_as_long() {
    run(async {
        let fake = Fake::start(scripted(|asked| match echo_key(asked).as_str() {
            "first" => echo(asked, 300),
            _ => echo(asked, 0),
        }))
        .await;
        let connection = open(&fake, &[]).await.unwrap();
        ask(&connection, "first").await.unwrap();
        let began = Instant::now();
        ask(&connection, "second").await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(290));
    });
}

const PLAIN: [(&str, &str); 3] = [
    ("security.protocol", "SASL_PLAINTEXT"),
    ("sasl.mechanism", "PLAIN"),
    (
        "sasl.jaas.config",
        "x.PlainLoginModule required username=\"al\" password=\"hush\";",
    ),
];

fn sasl(asked: &Asked, answer: SaslAuthenticateResponse) -> Reply {
    match asked.key {
        17 => asked.answer::<SaslHandshakeRequest>(&SaslHandshakeResponse::default()),
        36 => {
            let sent = asked.read::<SaslAuthenticateRequest>().auth_bytes;
            assert_eq!(&sent[..], b"\0al\0hush");
            asked.answer::<SaslAuthenticateRequest>(&answer)
        }
        _ => echo(asked, 0),
    }
}

#[test]
fn a_refused_login_is_told_without_its_password() {
    run(async {
        let fake = Fake::start(scripted(|asked| {
            let refusal = SaslAuthenticateResponse {
                error_code: ErrorCode::SASL_AUTHENTICATION_FAILED,
                error_message: Some("Authentication failed: Invalid username or password".into()),
                ..SaslAuthenticateResponse::default()
            };
            sasl(asked, refusal)
        }))
        .await;
        let error = open(&fake, &PLAIN).await.err().unwrap();
        let OpenError::Authentication(message) = &error else {
            panic!("{error:?}")
        };
        assert!(
            message.contains("Invalid username or password"),
            "{message}"
        );
        assert!(!message.contains("hush"), "{message}");
    });
}

#[test]
fn a_mechanism_the_broker_does_not_know_is_answered_with_those_it_does() {
    run(async {
        let fake = Fake::start(scripted(|asked| {
            asked.answer::<SaslHandshakeRequest>(&SaslHandshakeResponse {
                error_code: ErrorCode::UNSUPPORTED_SASL_MECHANISM,
                mechanisms: vec!["SCRAM-SHA-256".into(), "OAUTHBEARER".into()],
            })
        }))
        .await;
        let error = open(&fake, &PLAIN).await.err().unwrap();
        assert!(
            matches!(&error, OpenError::Authentication(message) if message.contains("it accepts SCRAM-SHA-256, OAUTHBEARER")),
            "{error:?}"
        );
    });
}

#[test]
fn a_session_is_renewed_before_it_ends_while_requests_go_on() {
    run(async {
        let fake = Fake::start(scripted(|asked| {
            let session = SaslAuthenticateResponse {
                session_lifetime_ms: 200,
                ..SaslAuthenticateResponse::default()
            };
            sasl(asked, session)
        }))
        .await;
        let connection = open(&fake, &PLAIN).await.unwrap();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(700) {
            ask(&connection, "a").await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(fake.count::<SaslAuthenticateRequest>() >= 3);
        assert_eq!(fake.connections.get(), 1);
        // A renewal is one conversation: nothing else comes between its two requests.
        let asked = fake.asked.borrow();
        for pair in asked.windows(2).filter(|pair| pair[0].key == 17) {
            assert_eq!(pair[1].key, 36);
        }
    });
}

#[test]
fn a_port_that_closes_at_once_and_one_that_nobody_listens_at_are_told_apart() {
    run(async {
        let fake = Fake::start(|_| Reply::Close).await;
        let error = open(&fake, &[]).await.err().unwrap();
        assert!(
            matches!(&error, OpenError::Mismatch(why) if why.contains("security.protocol")),
            "{error:?}"
        );
        let silent = Fake::start(|_| Reply::Silence).await;
        let address = Address::new("127.0.0.1", silent.address.port());
        let setup = Duration::from_millis(100);
        let error = Connection::open(&address, &context(&[]), setup)
            .await
            .err()
            .unwrap();
        assert!(
            matches!(&error, OpenError::Away(why) if why.contains("versions")),
            "{error:?}"
        );
        let nobody = Address::new("127.0.0.1", 1);
        let error = Connection::open(&nobody, &context(&[]), SOON)
            .await
            .err()
            .unwrap();
        assert!(
            matches!(&error, OpenError::Away(why) if why.contains("cannot connect")),
            "{error:?}"
        );
    });
}

//! The mechanisms against published and independently computed conversations. Not against a broker.
//! Invariant: a server that does not know the password is not believed.

use super::{
    scram::{Hash, Scram},
    *,
};
use crate::settings::Settings;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

fn check_scram(mut scram: Scram, messages: [&str; 4]) {
    assert_eq!(String::from_utf8(scram.first()).unwrap(), messages[0]);
    let Step::Send(last) = scram.next(messages[1].as_bytes()).unwrap() else {
        panic!("a proof follows the first message");
    };
    assert_eq!(String::from_utf8(last).unwrap(), messages[2]);
    assert!(matches!(scram.next(messages[3].as_bytes()), Ok(Step::Done)));
}

#[test]
fn the_conversation_of_rfc_7677_is_held() {
    check_scram(
        Scram::with_nonce(
            Hash::Sha256,
            "user",
            "pencil",
            false,
            "rOprNGfwEbeRWgbNEkqO",
        ),
        [
            "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
            "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
            "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
        ],
    );
}

#[test]
fn sha_512_and_escaped_names_agree_with_another_implementation() {
    // Computed with Python's hashlib and hmac.
    check_scram(
        Scram::with_nonce(
            Hash::Sha512,
            "a,b=",
            "p\u{e4}ss",
            false,
            "fyko+d2lbbFgONRv9qkxdawL",
        ),
        [
            "n,,n=a=2Cb=3D,r=fyko+d2lbbFgONRv9qkxdawL",
            "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=MDEyMzQ1Njc4OWFiY2RlZg==,i=8192",
            "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=+EdSNKoyR+UDIgKzV6LqU3WrRH6F/Mo5K/xF+8eD8ZwFB75EAhNSPmoC6BZIhKZzZymRdeXGt+NxHXbtZV71Qg==",
            "v=iAhkKbbqTzPzqNg+BPg4bU+gVDVKlZncwpcpfq8FVZBjRO8eDwP78/nOi+1xMkU61EqesrR898/ib5HF8XCpRA==",
        ],
    );
}

#[test]
fn a_server_that_cheats_is_not_believed() {
    let begun = || {
        let mut scram = Scram::with_nonce(Hash::Sha256, "user", "hush", false, "abc");
        scram.first();
        scram
    };
    for (challenge, expected) in [
        (
            "r=xyz,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "does not extend ours",
        ),
        (
            "r=abc,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
            "does not extend ours",
        ),
        ("r=abcd,s=,i=4096", "no salt"),
        ("r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=100", "100 iterations"),
        (
            "r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=99999999",
            "99999999 iterations",
        ),
        ("e=other-error", "other-error"),
        ("", "does not extend ours"),
    ] {
        let error = begun().next(challenge.as_bytes()).err().unwrap();
        assert!(
            error.contains(expected) && !error.contains("hush"),
            "{error}"
        );
    }
    let mut scram = begun();
    scram
        .next(b"r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
        .unwrap();
    let error = scram
        .next(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
        .err()
        .unwrap();
    assert!(error.contains("signature"), "{error}");
    let error = scram.next(b"v=AAAA").err().unwrap();
    assert!(error.contains("out of turn"), "{error}");
}

fn mechanism(pairs: &[(&str, &str)]) -> Result<Mechanism, String> {
    let mut settings = Settings::at("h:1").unwrap();
    for (name, value) in pairs {
        settings.set(name, value).unwrap();
    }
    let outside = Outside {
        random: &|bytes| {
            bytes.fill(7);
            Ok(())
        },
        now_ms: 1_700_000_000_123,
        read: &|path| {
            Ok(format!(
                "token-of.{}\n",
                path.display().to_string().replace('/', "")
            ))
        },
    };
    Mechanism::new(&settings.security, &outside)
}

#[test]
fn plain_says_name_and_password_and_expects_nothing() {
    let jaas = "x.PlainLoginModule required username=\"al\" password=\"pw\";";
    let mut plain = mechanism(&[("sasl.mechanism", "PLAIN"), ("sasl.jaas.config", jaas)]).unwrap();
    assert_eq!(plain.first(), b"\0al\0pw");
    assert!(matches!(plain.next(b""), Ok(Step::Done)));
    assert!(plain.next(b"more").is_err());
}

#[test]
fn a_token_comes_from_a_file_or_is_made_without_signature() {
    let bearer = ("sasl.mechanism", "OAUTHBEARER");
    let mut from_file =
        mechanism(&[bearer, ("sasl.oauthbearer.token.endpoint.url", "file:///t")]).unwrap();
    assert_eq!(from_file.first(), b"n,,\x01auth=Bearer token-of.t\x01\x01");
    assert!(matches!(from_file.next(b""), Ok(Step::Done)));

    let jaas = "x.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"alice\" \
                unsecuredLoginListClaim_scope=\",a,b\" unsecuredLoginExtension_tier=\"gold\";";
    let mut made = mechanism(&[bearer, ("sasl.jaas.config", jaas)]).unwrap();
    let text = String::from_utf8(made.first()).unwrap();
    let token = text.strip_prefix("n,,\u{1}auth=Bearer ").unwrap();
    let (token, rest) = token.split_once('\u{1}').unwrap();
    assert_eq!(rest, "tier=gold\u{1}\u{1}");
    let parts: Vec<String> = token
        .split('.')
        .map(|part| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
        .collect();
    assert_eq!(
        parts,
        [
            "{\"alg\":\"none\"}",
            "{\"sub\":\"alice\",\"scope\":[\"a\",\"b\"],\"iat\":1700000000.123,\"exp\":1700003600.123}",
            ""
        ]
    );
}

#[test]
fn a_refused_token_ends_the_conversation_with_the_brokers_reason() {
    let mut bearer = mechanism(&[
        ("sasl.mechanism", "OAUTHBEARER"),
        ("sasl.oauthbearer.token.endpoint.url", "file:///t"),
    ])
    .unwrap();
    bearer.first();
    assert!(
        matches!(bearer.next(b"{\"status\":\"invalid_token\"}"), Ok(Step::Send(one)) if one == [1])
    );
    let error = bearer.next(b"").err().unwrap();
    assert!(error.contains("invalid_token"), "{error}");
}

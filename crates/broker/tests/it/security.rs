//! Every listener takes Kafka's own client, and turns away who it should. Not tests of our client.
//! Invariant: the judge is Java's admin client.

use headwater_broker::{Cluster, Listener, Mechanism, Options, is_usable};
use std::{fmt::Write as _, path::Path};

/// Lists topics through a listener with these client settings.
fn lists(cluster: &Cluster, folder: &Path, listener: Listener, settings: &str) -> bool {
    let file = folder.join("client.properties");
    std::fs::write(
        &file,
        format!("request.timeout.ms=8000\ndefault.api.timeout.ms=8000\n{settings}"),
    )
    .unwrap();
    let class_path = headwater_broker::class_path("4.3.1").unwrap();
    let mut topics = headwater_broker::tool(&class_path, "topics").unwrap();
    topics.args([
        "--list",
        "--bootstrap-server",
        &cluster.bootstrap_of(listener),
    ]);
    topics.arg("--command-config").arg(&file);
    let output = topics.output().unwrap();
    // Shown when the test fails.
    print!("{listener:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.status.success()
}

fn login(mechanism: Mechanism, user: &str, password: &str) -> String {
    let module = match mechanism {
        Mechanism::Plain => "plain.PlainLoginModule",
        Mechanism::Scram256 | Mechanism::Scram512 => "scram.ScramLoginModule",
        Mechanism::OauthBearer => "oauthbearer.OAuthBearerLoginModule",
    };
    let who = match mechanism {
        Mechanism::OauthBearer => format!("unsecuredLoginStringClaim_sub=\"{user}\""),
        _ => format!("username=\"{user}\" password=\"{password}\""),
    };
    format!(
        "sasl.mechanism={}\nsasl.jaas.config=org.apache.kafka.common.security.{module} required {who};\n",
        mechanism.name()
    )
}

#[test]
fn each_listener_takes_who_it_should_and_nobody_else() {
    if !is_usable("listeners with TLS and SASL") {
        return;
    }
    let options = Options::default()
        .listen(Listener::Tls)
        .listen(Listener::MutualTls)
        .listen(Listener::SaslPlaintext)
        .listen(Listener::SaslTls)
        .listen(Listener::ExpiredTls)
        .listen(Listener::OtherHostTls);
    let cluster = Cluster::start(&options).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let lists = |listener, settings: &str| lists(&cluster, folder.path(), listener, settings);
    let certificates = cluster.certificates().unwrap();
    let trust = format!(
        "ssl.truststore.type=PEM\nssl.truststore.location={}\n",
        certificates.authority().display()
    );
    let tls = format!("security.protocol=SSL\n{trust}");
    assert!(lists(Listener::Tls, &tls));
    assert!(!lists(Listener::ExpiredTls, &tls));
    assert!(!lists(Listener::OtherHostTls, &tls));
    assert!(!lists(Listener::MutualTls, &tls));
    let mut store = std::fs::read_to_string(certificates.client_key()).unwrap();
    store.push_str(&std::fs::read_to_string(certificates.client_chain()).unwrap());
    let path = folder.path().join("client.store.pem");
    std::fs::write(&path, store).unwrap();
    let mut mutual = tls.clone();
    writeln!(
        mutual,
        "ssl.keystore.type=PEM\nssl.keystore.location={}",
        path.display()
    )
    .unwrap();
    assert!(lists(Listener::MutualTls, &mutual));
    for mechanism in Mechanism::ALL {
        let login = login(*mechanism, "alice", "alice-secret");
        let plain = format!("security.protocol=SASL_PLAINTEXT\n{login}");
        assert!(lists(Listener::SaslPlaintext, &plain), "{mechanism:?}");
    }
    let wrong = login(Mechanism::Scram512, "alice", "bob-secret");
    let wrong = format!("security.protocol=SASL_PLAINTEXT\n{wrong}");
    assert!(!lists(Listener::SaslPlaintext, &wrong));
    let right = login(Mechanism::Plain, "bob", "bob-secret");
    let right = format!("security.protocol=SASL_SSL\n{trust}{right}");
    assert!(lists(Listener::SaslTls, &right));
}

//! A node's `server.properties`: small, quick and without surprises by time. Not tuned for throughput.
//! Invariant: two nodes of one cluster differ in nothing but id, ports and folders.

use crate::{
    USERS,
    certificate::Certificates,
    listener::{CONTROLLER_PLACE, Listener, Mechanism},
};
use std::{fmt::Write as _, path::Path};

/// Where a cluster's nodes are: the first port of each.
pub(crate) struct Shape<'a> {
    pub(crate) first_ports: &'a [u16],
    pub(crate) listeners: &'a [Listener],
    pub(crate) certificates: Option<&'a Certificates>,
    pub(crate) mechanisms: &'a [Mechanism],
    pub(crate) acl: bool,
    /// Kafka's settings by name; they come last and so win.
    pub(crate) settings: &'a [(String, String)],
}

/// Those that hold for every test cluster, with what would happen without them.
const SETTINGS: &str = "\
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
# Topics come when they are asked for, or not at all: a name misspelt in a test is an error.
auto.create.topics.enable=false
# Tests wait for nothing but their own members.
group.initial.rebalance.delay.ms=0
group.streams.initial.rebalance.delay.ms=0
# A dead owner's transaction ends soon after its time is over, not up to 10 s later.
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# Retention goes by record time: records with old timestamps would vanish while a test reads them.
log.retention.ms=-1
# The default takes 128 MB of the heap at the start.
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=4
";

/// The text of node `index` (from 0; Kafka's ids begin with 1).
pub(crate) fn text(shape: &Shape<'_>, index: usize, data: &Path) -> String {
    let first = shape.first_ports[index];
    let nodes = shape.first_ports.len();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        writeln!(text, "{name}={value}").expect("a String takes every line");
    };
    let voters = shape.first_ports.iter().enumerate();
    let voters = voters.map(|(node, port)| format!("{}@{}", node + 1, at(*port, CONTROLLER_PLACE)));
    line("process.roles", "broker,controller");
    line("node.id", &(index + 1).to_string());
    line("controller.quorum.voters", &joined(voters));
    let listeners = shape.listeners.iter();
    let bound = listeners
        .clone()
        .map(|one| format!("{}://{}", one.name(), at(first, one.place())));
    let controller = format!("CONTROLLER://{}", at(first, CONTROLLER_PLACE));
    line("listeners", &joined(bound.chain([controller])));
    let told = listeners
        .clone()
        .map(|one| format!("{}://{}", one.name(), at(first, one.advertised_place())));
    line("advertised.listeners", &joined(told));
    let protocols = listeners.map(|one| format!("{}:{}", one.name(), one.protocol()));
    let protocols = joined(protocols.chain(["CONTROLLER:PLAINTEXT".to_owned()]));
    line("listener.security.protocol.map", &protocols);
    line("log.dirs", &data.display().to_string());
    let replicas = nodes.min(3).to_string();
    let in_sync = nodes.min(2).to_string();
    line("default.replication.factor", &replicas);
    line("min.insync.replicas", &in_sync);
    line("offsets.topic.replication.factor", &replicas);
    line("transaction.state.log.replication.factor", &replicas);
    line("transaction.state.log.min.isr", &in_sync);
    text.push_str(SETTINGS);
    for listener in shape.listeners {
        secure(&mut text, *listener, shape);
    }
    if shape.acl {
        text.push_str(
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n",
        );
        // Whoever comes through the plain listener; the brokers do.
        text.push_str("super.users=User:ANONYMOUS\n");
    }
    for (name, value) in shape.settings {
        text.push_str(&format!("{name}={value}\n"));
    }
    text
}

fn at(first: u16, place: u16) -> String {
    format!("127.0.0.1:{}", first + place)
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    parts.collect::<Vec<_>>().join(",")
}

fn secure(text: &mut String, listener: Listener, shape: &Shape<'_>) {
    let prefix = format!("listener.name.{}", listener.name().to_lowercase());
    if let Some(certificates) = shape.certificates.filter(|_| listener.is_tls()) {
        let auth = match listener {
            Listener::MutualTls => "required",
            _ => "none",
        };
        text.push_str(&format!(
            "{prefix}.ssl.keystore.type=PEM
{prefix}.ssl.keystore.location={}
{prefix}.ssl.truststore.type=PEM
{prefix}.ssl.truststore.location={}
{prefix}.ssl.client.auth={auth}
",
            certificates.store_of(listener).display(),
            certificates.authority().display(),
        ));
    }
    if listener.is_sasl() {
        let names = shape.mechanisms.iter().map(|one| one.name().to_owned());
        text.push_str(&format!(
            "{prefix}.sasl.enabled.mechanisms={}\n",
            joined(names)
        ));
        for mechanism in shape.mechanisms {
            let name = mechanism.name().to_lowercase();
            let module = login_module(*mechanism);
            text.push_str(&format!("{prefix}.{name}.sasl.jaas.config={module}\n"));
        }
    }
}

fn login_module(mechanism: Mechanism) -> String {
    const PACKAGE: &str = "org.apache.kafka.common.security";
    match mechanism {
        Mechanism::Plain => {
            let users = USERS.iter();
            let users = users.map(|(name, password)| format!(" user_{name}=\"{password}\""));
            let users: String = users.collect();
            format!("{PACKAGE}.plain.PlainLoginModule required{users};")
        }
        Mechanism::Scram256 | Mechanism::Scram512 => {
            format!("{PACKAGE}.scram.ScramLoginModule required;")
        }
        Mechanism::OauthBearer => {
            format!(
                "{PACKAGE}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\";"
            )
        }
    }
}

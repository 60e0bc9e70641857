//! `cargo xtask kafka`: local Apache Kafka brokers that live on after the command, for trials and comparisons.
//! Not for production: everything is on the loopback interface, on this machine's disk.
//! Invariant: only a process whose id is in our pid file, and whose command line is ours, is ever ended.

use crate::{process, root};
use anyhow::{Context, Result, bail, ensure};
use headwater_broker::{Cluster, Listener, Mechanism, Options, USERS, VERSIONS};
use std::path::{Path, PathBuf};

const USAGE: &str = "\
cargo xtask kafka COMMAND        (Apache Kafka; needs Java 17 or newer, and Maven the first time)

  up   [--brokers N] [--port P] [--dir D] [--version V] [--tls] [--sasl [MECH[,MECH ..]]] [--acl]
       [--set NAME=VALUE ..]
                                 format, start brokers, wait until they are ready
  down [--port P] [--dir D]      end them; their data stays
  cli [--version V] TOOL [ARGS]  run a tool: a short name (below) or a class name

P is 19092; each broker takes ten ports: P plain text, P+1 the controller, P+2 TLS, P+3 TLS with a client certificate,
P+4 SASL, P+5 SASL over TLS; the next broker's begin at P+10. D is target/kafka/P; its node-*/node-*.log is the brokers' output,
its certificates/ what clients need for TLS. MECH is what the SASL listeners take: PLAIN, SCRAM-SHA-256,
SCRAM-SHA-512 or OAUTHBEARER; all of them without it.
With --acl who comes through the plain listener may do all, the others what they are permitted.";

const PORT: u16 = 19092;

/// MB; these brokers are compared with and measured against.
const HEAP_MB: u32 = 1_024;

/// `cargo xtask kafka ..`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let Some((command, rest)) = arguments.split_first() else {
        bail!("which command?\n\n{}", usage());
    };
    match command.as_str() {
        "up" => up(&Chosen::of(rest)?),
        "down" => down(&Chosen::of(rest)?.folder()),
        "cli" => cli(rest),
        other => bail!("no command `kafka {other}`\n\n{}", usage()),
    }
}

fn up(chosen: &Chosen) -> Result<()> {
    let folder = chosen.folder();
    let mut options = chosen.options.clone();
    options.folder = Some(folder.clone());
    options.first_port = Some(chosen.port);
    let cluster = Cluster::start(&options)?;
    println!(
        "kafka {}: ready at {} ({})",
        options.version,
        cluster.bootstrap(),
        folder.display()
    );
    for listener in &options.listeners {
        println!("  {listener:?}: {}", cluster.bootstrap_of(*listener));
    }
    if options.listeners.contains(&Listener::SaslPlaintext) {
        let names = options.mechanisms.iter().map(|one| one.name());
        println!("  SASL by {}", names.collect::<Vec<_>>().join(", "));
        for (name, password) in USERS {
            println!("  user {name}, password {password}");
        }
    }
    cluster.detach()
}

fn down(folder: &Path) -> Result<()> {
    let pids = headwater_broker::end_recorded(folder)?;
    match pids.is_empty() {
        true => println!("kafka: no broker runs in {}", folder.display()),
        false => println!("kafka: ended {pids:?}"),
    }
    Ok(())
}

fn cli(arguments: &[String]) -> Result<()> {
    let (version, arguments) = match arguments {
        [flag, version, rest @ ..] if flag == "--version" => (version.as_str(), rest),
        rest => (VERSIONS[0], rest),
    };
    let Some((tool, rest)) = arguments.split_first() else {
        bail!("which tool?\n\n{}", headwater_broker::listing());
    };
    let class_path = headwater_broker::class_path(version)?;
    process::run(headwater_broker::tool(&class_path, tool)?.args(rest))
}

fn usage() -> String {
    format!("{USAGE}\n\n{}", headwater_broker::listing())
}

struct Chosen {
    port: u16,
    folder: Option<PathBuf>,
    options: Options,
}

impl Chosen {
    fn of(arguments: &[String]) -> Result<Self> {
        let mut options = Options {
            heap_mb: HEAP_MB,
            ..Options::default()
        }
        .set("auto.create.topics.enable", true);
        let (mut port, mut folder) = (PORT, None);
        let mut words = arguments.iter().peekable();
        while let Some(name) = words.next() {
            let mut value = || words.next().with_context(|| format!("{name} what?"));
            match name.as_str() {
                "--port" => port = value()?.parse().context("--port is no port")?,
                "--dir" => folder = Some(std::path::absolute(value()?)?),
                "--brokers" => {
                    options.nodes = value()?.parse().context("--brokers is no number")?
                }
                "--version" => options.version = value()?.clone(),
                "--tls" => options
                    .listeners
                    .extend([Listener::Tls, Listener::MutualTls]),
                "--sasl" => {
                    options.listeners.push(Listener::SaslPlaintext);
                    if let Some(names) = words.next_if(|word| !word.starts_with("--")) {
                        options.mechanisms = mechanisms(names)?;
                    }
                }
                "--acl" => options.acl = true,
                "--set" => {
                    let pair = value()?;
                    let pair = pair.split_once('=').context("--set wants NAME=VALUE")?;
                    options = options.set(pair.0, pair.1);
                }
                other => bail!("no option `{other}`\n\n{}", usage()),
            }
        }
        let both = [Listener::Tls, Listener::SaslPlaintext];
        if both.iter().all(|one| options.listeners.contains(one)) {
            options.listeners.push(Listener::SaslTls);
        }
        ensure!(port < u16::MAX - 100, "there is no room above port {port}");
        Ok(Self {
            port,
            folder,
            options,
        })
    }

    fn folder(&self) -> PathBuf {
        let default = || root().join("target/kafka").join(self.port.to_string());
        self.folder.clone().unwrap_or_else(default)
    }
}

/// Names of SASL mechanisms with commas between them, each once.
fn mechanisms(names: &str) -> Result<Vec<Mechanism>> {
    let mut chosen = Vec::new();
    for name in names.split(',') {
        let Some(mechanism) = Mechanism::ALL.iter().find(|one| one.name() == name) else {
            let known = Mechanism::ALL.iter().map(|one| one.name());
            let known = known.collect::<Vec<_>>().join(", ");
            bail!("no SASL mechanism `{name}`; there are {known}");
        };
        if !chosen.contains(mechanism) {
            chosen.push(*mechanism);
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(words: &[&str]) -> Result<Chosen> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Chosen::of(&words)
    }

    #[track_caller]
    fn check(words: &[&str], listeners: &[Listener], mechanisms: &[Mechanism]) {
        let options = chosen(words).unwrap().options;
        assert_eq!(options.listeners, listeners);
        assert_eq!(options.mechanisms, mechanisms);
    }

    #[test]
    fn sasl_takes_the_mechanisms_that_it_names_and_all_where_it_names_none() {
        use Listener::{MutualTls, SaslPlaintext, SaslTls, Tls};
        use Mechanism::{OauthBearer, Plain, Scram256, Scram512};
        check(&[], &[], Mechanism::ALL);
        check(&["--sasl"], &[SaslPlaintext], Mechanism::ALL);
        check(&["--sasl", "--acl"], &[SaslPlaintext], Mechanism::ALL);
        check(&["--sasl", "PLAIN"], &[SaslPlaintext], &[Plain]);
        check(
            &["--sasl", "SCRAM-SHA-512,OAUTHBEARER,SCRAM-SHA-512", "--acl"],
            &[SaslPlaintext],
            &[Scram512, OauthBearer],
        );
        check(
            &["--sasl", "SCRAM-SHA-256", "--tls"],
            &[SaslPlaintext, Tls, MutualTls, SaslTls],
            &[Scram256],
        );
    }

    #[test]
    fn a_mechanism_that_does_not_exist_is_told_those_that_do() {
        for names in ["SCRAM", "PLAIN,GSSAPI", "plain", "PLAIN,"] {
            let error = chosen(&["--sasl", names]).err().unwrap().to_string();
            let wrong = names.rsplit(',').next().unwrap();
            let expected = format!(
                "no SASL mechanism `{wrong}`; there are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER"
            );
            assert_eq!(error, expected);
        }
    }
}

//! One to a few nodes that form a cluster. Not a supervisor: what a test kills stays dead until the test starts it again.
//! Invariant: a cluster that goes out of scope leaves no process, and no file unless the test failed or named the folder.

use crate::{
    Proxy, USERS,
    certificate::Certificates,
    jars,
    listener::{Listener, Mechanism},
    node::{Launch, Node},
    port::Block,
    process, settings, tool,
};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// 22 characters of URL-safe base64, as Kafka wants it; every local cluster has the same.
const CLUSTER_ID: &str = "headwater-local-testsA";

/// What a cluster is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// One of [`crate::VERSIONS`], or another that Maven Central has.
    pub version: String,
    /// Brokers, each also a controller.
    pub nodes: usize,
    /// Where data and output lie and stay; `None` is a folder that goes with the cluster.
    pub folder: Option<PathBuf>,
    /// The first node's first port; each node takes ten. `None` finds free ones.
    pub first_port: Option<u16>,
    /// Ways in besides [`Listener::Plaintext`].
    pub listeners: Vec<Listener>,
    /// What the SASL listeners take.
    pub mechanisms: Vec<Mechanism>,
    /// Whether those who come through other listeners than the plain ones need permissions.
    pub acl: bool,
    /// Kafka's settings by name, over ours.
    pub settings: Vec<(String, String)>,
    /// MB of heap for each node.
    pub heap_mb: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            version: jars::version(),
            nodes: 1,
            folder: None,
            first_port: None,
            listeners: Vec::new(),
            mechanisms: Mechanism::ALL.to_vec(),
            acl: false,
            settings: Vec::new(),
            heap_mb: 512,
        }
    }
}

impl Options {
    /// So many nodes of the reference version.
    #[must_use]
    pub fn nodes(nodes: usize) -> Self {
        Self {
            nodes,
            ..Self::default()
        }
    }

    /// Of another version than the default, whatever the environment names.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// With one more way in.
    #[must_use]
    pub fn listen(mut self, listener: Listener) -> Self {
        self.listeners.push(listener);
        self
    }

    /// With one of Kafka's settings.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.push((name.to_owned(), value.to_string()));
        self
    }
}

/// Running brokers. Nodes are numbered from 0; Kafka's ids are one more.
#[derive(Debug)]
pub struct Cluster {
    class_path: String,
    heap_mb: u32,
    folder: PathBuf,
    keep: PathBuf,
    is_temporary: bool,
    ports: Vec<Block>,
    nodes: Vec<Mutex<Node>>,
    certificates: Option<Certificates>,
}

impl Cluster {
    /// Formats what is not formatted, starts all nodes and waits until each is ready.
    pub fn start(options: &Options) -> Result<Self> {
        ensure!(options.nodes > 0, "a cluster has a node at least");
        let class_path = jars::class_path(&options.version)?;
        let name = name_of_this_program();
        let folder = match &options.folder {
            Some(folder) => std::path::absolute(folder)?,
            None => tempfile::Builder::new()
                .prefix(&format!("headwater-{name}-"))
                .tempdir()?
                .keep(),
        };
        let ports = (0..options.nodes).map(|node| match options.first_port {
            Some(first) => Block::at(first + u16::try_from(10 * node)?),
            None => Block::free(),
        });
        let nodes = (1..=options.nodes).map(|id| Node::new(folder.join(format!("node-{id}"))));
        let this = Self {
            class_path,
            heap_mb: options.heap_mb,
            keep: std::env::temp_dir()
                .join("headwater-broker-logs")
                .join(name),
            is_temporary: options.folder.is_none(),
            ports: ports.collect::<Result<_>>()?,
            nodes: nodes.map(Mutex::new).collect(),
            certificates: match options.listeners.iter().any(|one| one.is_tls()) {
                true => Some(Certificates::make(&folder.join("certificates"))?),
                false => None,
            },
            folder,
        };
        this.format(options)?;
        for index in 0..options.nodes {
            this.node(index).start(&this.launch())?;
        }
        for index in 0..options.nodes {
            this.node(index).wait_until_ready()?;
        }
        Ok(this)
    }

    /// Where clients begin: the plain listeners of all nodes.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.bootstrap_of(Listener::Plaintext)
    }

    /// As [`Cluster::bootstrap`], of another listener, at the addresses that clients are told.
    #[must_use]
    pub fn bootstrap_of(&self, listener: Listener) -> String {
        let nodes = 0..self.ports.len();
        let addresses = nodes.map(|node| self.at(node, listener.advertised_place()).to_string());
        addresses.collect::<Vec<_>>().join(",")
    }

    /// A proxy before each node's [`Listener::Proxied`], at the address that clients are told.
    pub fn proxies(&self, seed: u64) -> Result<Vec<Proxy>> {
        let nodes = 0..self.ports.len();
        let proxy = |node| {
            let listen = self.at(node, Listener::Proxied.advertised_place());
            let to = self.at(node, Listener::Proxied.place());
            Proxy::start(listen, to, seed.wrapping_add(node as u64))
        };
        nodes.map(proxy).collect()
    }

    /// The certificates, of a cluster with a TLS listener.
    #[must_use]
    pub fn certificates(&self) -> Option<&Certificates> {
        self.certificates.as_ref()
    }

    /// How many nodes there are, running or not.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// `kill -9`. Nothing happens to a node that does not run.
    pub fn kill(&self, node: usize) -> Result<()> {
        self.node(node).kill()
    }

    /// An orderly shutdown, with hand-over of leaderships.
    pub fn stop(&self, node: usize) -> Result<()> {
        self.node(node).stop()
    }

    /// The node stops where it stands; its connections stay open and silent.
    pub fn freeze(&self, node: usize) -> Result<()> {
        self.node(node).signal("STOP")
    }

    /// Ends [`Cluster::freeze`].
    pub fn thaw(&self, node: usize) -> Result<()> {
        self.node(node).signal("CONT")
    }

    /// Starts an ended node on its data, and waits until it is ready.
    pub fn restart(&self, node: usize) -> Result<()> {
        let mut node = self.node(node);
        node.start(&self.launch())?;
        node.wait_until_ready()
    }

    /// The process id of a running node.
    #[must_use]
    pub fn pid(&self, node: usize) -> Option<u32> {
        self.node(node).pid()
    }

    /// Runs one of Kafka's tools (see [`crate::listing`]) and returns what it printed. `--bootstrap-server` is added.
    pub fn tool(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut command = tool::tool(&self.class_path, name)?;
        command.args(["--bootstrap-server", &self.bootstrap()]);
        command.args(arguments);
        let output = process::output(&mut command)?;
        Ok(String::from_utf8(output)?)
    }

    /// A Java program on this version's class path with more before it.
    #[must_use]
    pub fn java(&self, class_path_before: &str) -> Command {
        tool::java(&format!("{class_path_before}:{}", self.class_path))
    }

    /// Lets the nodes live on after this process; [`end_recorded`] ends them. Only for a cluster with a folder of its own.
    pub fn detach(self) -> Result<()> {
        ensure!(
            !self.is_temporary,
            "a cluster without a folder cannot outlive its process: nobody would find it"
        );
        for index in 0..self.nodes.len() {
            self.node(index).detach();
        }
        Ok(())
    }

    fn format(&self, options: &Options) -> Result<()> {
        let first_ports: Vec<_> = self.ports.iter().map(|block| block.first).collect();
        let mut listeners = vec![Listener::Plaintext];
        listeners.extend(&options.listeners);
        let shape = settings::Shape {
            first_ports: &first_ports,
            listeners: &listeners,
            certificates: self.certificates.as_ref(),
            mechanisms: &options.mechanisms,
            acl: options.acl,
            settings: &options.settings,
        };
        // Java starts slowly, so all nodes are formatted at once.
        std::thread::scope(|scope| {
            let format = |index: usize| {
                let shape = &shape;
                scope.spawn(move || format_node(&self.node(index), &self.class_path, shape, index))
            };
            let running: Vec<_> = (0..self.nodes.len()).map(format).collect();
            running.into_iter().try_for_each(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })
        .context("Java 17 or newer is needed (apt-get install openjdk-17-jre-headless)")
    }

    fn launch(&self) -> Launch<'_> {
        Launch {
            class_path: &self.class_path,
            heap_mb: self.heap_mb,
            is_temporary: self.is_temporary,
            keep: &self.keep,
        }
    }

    fn at(&self, node: usize, place: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[node].first + place))
    }

    fn node(&self, node: usize) -> MutexGuard<'_, Node> {
        // A test that panicked while it held a node must not keep us from ending the process.
        self.nodes[node]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for index in 0..self.nodes.len() {
            if let Err(error) = self.node(index).kill() {
                eprintln!("broker: {error:#}");
            }
        }
        match (self.is_temporary, std::thread::panicking()) {
            (true, false) => {
                let _ = fs::remove_dir_all(&self.folder);
            }
            (true, true) => eprintln!("broker: output and data stay in {}", self.folder.display()),
            (false, _) => {}
        }
    }
}

/// Ends the detached nodes of a folder; their pids.
pub fn end_recorded(folder: &Path) -> Result<Vec<u32>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut pids = Vec::new();
    for entry in entries {
        // As it was when the broker was started: its command line names the folder.
        let path = std::path::absolute(entry?.path())?;
        pids.extend(Node::new(path).end_recorded()?);
    }
    Ok(pids)
}

fn format_node(
    node: &Node,
    class_path: &str,
    shape: &settings::Shape<'_>,
    index: usize,
) -> Result<()> {
    fs::create_dir_all(&node.folder)?;
    fs::write(
        node.settings_path(),
        settings::text(shape, index, &node.data_path()),
    )?;
    if node.data_path().join("meta.properties").exists() {
        return Ok(());
    }
    let mut format = tool::java(class_path);
    format.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
    format.arg(node.settings_path());
    if shape.listeners.iter().any(|one| one.is_sasl()) {
        for (name, password) in USERS {
            for hash in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                format.arg("--add-scram");
                format.arg(format!("{hash}=[name={name},password={password}]"));
            }
        }
    }
    process::output(&mut format).map(drop)
}

/// The test binary's name without the hash that Cargo adds.
fn name_of_this_program() -> String {
    let program = std::env::current_exe().unwrap_or_default();
    let name = program.file_stem().unwrap_or_default().to_string_lossy();
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    let name = name.split('-').next().unwrap_or("broker");
    match package.is_empty() {
        true => name.to_owned(),
        false => format!("{package}-{name}"),
    }
}

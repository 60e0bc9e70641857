//! The Java program of `crates/oracle/java`: compiled once for each state of its sources, then one machine that does what it is asked,
//! several things at a time. Not what it is asked for. Invariant: it ends when this process does, for it reads until its input ends.

use headwater_broker::Cluster;
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// Longer than anything that is asked for may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(200);

const MAIN: &str = "headwater.Takeover";

/// Whether the program is compiled or can be. If not, it says `SKIPPED`; under `CI=true` it panics instead.
pub(crate) fn is_usable(what: &str) -> bool {
    let runs = |name: &str| {
        let mut command = Command::new(name);
        let command = command.arg("-version").stdout(Stdio::null());
        let status = command.stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    if folder_of_classes().exists() || runs("mvn") && runs("javac") {
        return true;
    }
    let reason =
        "Maven or a Java compiler is missing (apt-get install maven openjdk-17-jdk-headless)";
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{what} cannot run: {reason}"
    );
    eprintln!("SKIPPED: {what}: {reason}");
    false
}

/// The folder of its classes. Maven and a compiler are needed the first time only.
pub(crate) fn classes() -> PathBuf {
    let classes = folder_of_classes();
    let folder = classes.parent().expect("a folder in the target folder");
    fs::create_dir_all(folder).expect("a folder for what tests build");
    // Test binaries run side by side: one compiles, the others wait.
    let lock = fs::File::create(folder.join("takeover.lock")).expect("a lock");
    lock.lock().expect("a lock");
    if !classes.exists() {
        compile(&classes);
    }
    classes
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("java")
}

/// Its name goes by the sources, so that a change of them is followed without anyone cleaning up.
fn folder_of_classes() -> PathBuf {
    let java = sources().join("src/main/java/headwater");
    let java = fs::read_dir(java).expect("the program");
    let mut files: Vec<_> = java
        .map(|entry| entry.expect("a readable folder").path())
        .collect();
    files.push(sources().join("pom.xml"));
    files.sort();
    let mut hash = DefaultHasher::new();
    for file in &files {
        fs::read(file).expect("a source").hash(&mut hash);
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    folder.join(format!("takeover-{:016x}", hash.finish()))
}

fn compile(classes: &Path) {
    let sources = sources();
    let fresh = tempfile::tempdir_in(classes.parent().expect("a folder")).expect("a folder");
    let copy = Command::new("cp")
        .arg("-r")
        .args([sources.join("pom.xml"), sources.join("src")])
        .arg(fresh.path())
        .status();
    assert!(copy.expect("cp").success(), "the program can be copied");
    let output = Command::new("mvn")
        .args(["-q", "-B", "-f"])
        .arg(fresh.path().join("pom.xml"))
        .arg("compile")
        .output()
        .expect("Maven starts");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "Maven could not compile: {said}");
    // It appears under its final name only when it is complete.
    fs::rename(fresh.path().join("target/classes"), classes).expect("a free name");
}

/// The program in a machine of its own, which can be killed.
pub(crate) fn alone(cluster: &Cluster, classes: &Path) -> Command {
    let mut java = cluster.java(&classes.display().to_string());
    java.arg(MAIN);
    java
}

type Answers = Arc<(Mutex<BTreeMap<u64, String>>, Condvar)>;

/// The machine that answers.
pub(super) struct Java {
    child: Child,
    input: Mutex<(ChildStdin, u64)>,
    answers: Answers,
}

impl Java {
    pub(super) fn start(cluster: &Cluster, classes: &Path, errors: &Path) -> Self {
        let errors = fs::File::create(errors).expect("a file for errors");
        let mut java = alone(cluster, classes);
        java.arg("serve").stderr(errors);
        java.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = java.spawn().expect("Java starts");
        let input = child.stdin.take().expect("it was asked for");
        let output = child.stdout.take().expect("it was asked for");
        let answers = Answers::default();
        let read_into = Arc::clone(&answers);
        std::thread::spawn(move || read(output, &read_into));
        Self {
            child,
            input: Mutex::new((input, 0)),
            answers,
        }
    }

    /// Asks and waits; the answer's text.
    pub(super) fn ask(&self, words: &[&str]) -> Result<String, String> {
        let number = {
            let mut input = self.input.lock().expect("nobody panics with it");
            input.1 += 1;
            let number = input.1;
            writeln!(input.0, "{number}\t{}", words.join("\t")).expect("Java reads");
            number
        };
        let (answers, news) = &*self.answers;
        let answers = answers.lock().expect("nobody panics with it");
        let waited = news
            .wait_timeout_while(answers, ANSWER_DEADLINE, |all| !all.contains_key(&number))
            .expect("nobody panics with it");
        let answer = waited.0.get(&number).cloned();
        let answer = answer.ok_or_else(|| format!("no answer to {words:?}"))?;
        match answer.split_once('\t') {
            Some(("ok", text)) => Ok(text.to_owned()),
            _ => Err(format!("{words:?}: {answer}")),
        }
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(output: ChildStdout, answers: &Answers) {
    for line in BufReader::new(output).lines() {
        let Ok(line) = line else {
            return;
        };
        // What is no answer is a library's chatter.
        let answer = line.split_once('\t');
        let answer = answer.and_then(|(number, text)| Some((number.parse().ok()?, text)));
        if let Some((number, text)) = answer {
            let mut all = answers.0.lock().expect("nobody panics with it");
            all.insert(number, text.to_owned());
            answers.1.notify_all();
        }
    }
}

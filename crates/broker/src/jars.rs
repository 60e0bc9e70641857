//! The jars of Apache Kafka, copied once per version from Maven Central. Not a package manager: one pom, one folder a version.
//! Invariant: a folder appears under its final name only when it is complete, so an interrupted copy is done again.

use crate::process;
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The versions that the pom has been tried with, the reference first.
pub const VERSIONS: &[&str] = &["4.3.1", "4.0.2", "3.9.2"];

/// The logger's binding, of the version that the pom names.
const LOGGER: &str = "slf4j-simple-1.7.36.jar";

/// Names the version that clusters have unless they ask for one: a whole suite can be run on older brokers.
const VERSION: &str = "HEADWATER_KAFKA_VERSION";

/// The version of clusters that do not ask for one.
pub(crate) fn version() -> String {
    std::env::var(VERSION).unwrap_or_else(|_| VERSIONS[0].to_owned())
}

const POM: &str = include_str!("../pom.xml");

/// The class path of a version's broker, tools and Streams; downloads it first where needed (about 130 MB).
pub fn class_path(version: &str) -> Result<String> {
    let folder = folder_of_all()?;
    let jars = folder.join(version);
    let mark = jars.join(".complete");
    fs::create_dir_all(&folder)?;
    // Test binaries run side by side: one downloads, the others wait.
    let lock = fs::File::create(folder.join(format!("{version}.lock")))?;
    lock.lock()?;
    // The mark holds the pom it was made from: a changed pom is followed without anyone cleaning up.
    if fs::read_to_string(&mark).ok().as_deref() != Some(POM) {
        download(version, &folder, &jars)?;
        fs::write(&mark, POM)?;
    }
    // Brokers up to 3.9 bring a second binding of the logger, and the first on the path is taken: theirs would print nothing, and it is
    // by what a broker prints that it is known to be ready.
    let logger = jars.join(LOGGER);
    Ok(format!("{}:{}/*", logger.display(), jars.display()))
}

/// Whether brokers can be started here. Without Java, or without Maven and jars, it says `SKIPPED` on standard error;
/// under `CI=true` it panics instead, for there a test that does not run is a test that failed.
#[must_use]
pub fn is_usable(what: &str) -> bool {
    let reason = match (runs("java"), runs("mvn") || has_jars()) {
        (true, true) => return true,
        (false, _) => "there is no Java (apt-get install openjdk-17-jre-headless)",
        (true, false) => "there is no Maven (apt-get install maven)",
    };
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{what} cannot run: {reason}"
    );
    eprintln!("SKIPPED: {what}: {reason}");
    false
}

/// Whether brokers have streams groups (KIP-1071): all from 4.1 on, unless an older version was asked for. Then it says `SKIPPED` on
/// standard error, also under `CI=true`: whoever asks for an old broker asks for what there is on it.
#[must_use]
pub fn has_streams_groups(what: &str) -> bool {
    let version = version();
    let has = knows_streams_groups(&version);
    if !has {
        eprintln!("SKIPPED: {what}: {VERSION} is {version}, which has no streams groups");
    }
    has
}

/// 4.0 knows them as an early version that speaks otherwise.
fn knows_streams_groups(version: &str) -> bool {
    let mut numbers = version.split('.').map(|it| it.parse().unwrap_or(0));
    let mut number = || numbers.next().unwrap_or(0u32);
    (number(), number()) >= (4, 1)
}

fn runs(program: &str) -> bool {
    let mut command = Command::new(program);
    let status = command
        .arg("-version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn has_jars() -> bool {
    folder_of_all().is_ok_and(|folder| folder.join(VERSIONS[0]).join(".complete").exists())
}

/// `HEADWATER_KAFKA_JARS`, else `~/.cache/headwater/kafka`: shared by every checkout on the machine.
fn folder_of_all() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("HEADWATER_KAFKA_JARS") {
        return Ok(PathBuf::from(folder));
    }
    let home = std::env::var_os("HOME").context("no HOME: set HEADWATER_KAFKA_JARS")?;
    Ok(Path::new(&home).join(".cache/headwater/kafka"))
}

fn download(version: &str, folder: &Path, jars: &Path) -> Result<()> {
    eprintln!("kafka: copying jars to {} (about 130 MB)", jars.display());
    // Jars of another version on the same class path would be picked at random.
    let fresh = tempfile::tempdir_in(folder)?;
    let pom = fresh.path().join("pom.xml");
    fs::write(&pom, POM)?;
    let copy = fresh.path().join("lib");
    let mut maven = Command::new("mvn");
    maven
        .args(["-q", "-B", "-f"])
        .arg(&pom)
        .arg("dependency:copy-dependencies");
    maven.arg(format!("-Dkafka={version}"));
    maven.arg(format!("-DoutputDirectory={}", copy.display()));
    process::output(&mut maven)
        .context("Maven is needed to fetch Kafka (apt-get install maven)")?;
    if jars.exists() {
        fs::remove_dir_all(jars)?;
    }
    fs::rename(&copy, jars)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_from_4_1_on_have_streams_groups() {
        for version in ["4.1.0", "4.10.0", "5.0.0", VERSIONS[0]] {
            assert!(knows_streams_groups(version), "{version}");
        }
        for version in ["3.10.0", "3.9.2", "4.0.2"] {
            assert!(!knows_streams_groups(version), "{version}");
        }
    }
}

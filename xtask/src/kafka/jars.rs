//! The jars of Apache Kafka, copied once from Maven Central. Not a package manager: one pom, one folder.
//! Invariant: `.complete` is written last, so an interrupted copy is done again.

use super::folder_of_all;
use crate::{process, root};
use anyhow::{Context, Result};
use std::{fs, path::PathBuf, process::Command};

/// The class path of everything; downloads it first where needed.
pub(super) fn ready() -> Result<String> {
    let folder = folder_of_all().join("lib");
    let pom = root().join("xtask/kafka/pom.xml");
    let wanted =
        fs::read_to_string(&pom).with_context(|| format!("cannot read {}", pom.display()))?;
    // Holds the pom it was made from: a changed version is fetched without anyone cleaning up.
    let mark = folder.join(".complete");
    if fs::read_to_string(&mark).ok().as_deref() != Some(wanted.as_str()) {
        download(&pom, &folder)?;
        fs::write(&mark, wanted)?;
    }
    Ok(format!("{}/*", folder.display()))
}

fn download(pom: &PathBuf, folder: &PathBuf) -> Result<()> {
    eprintln!("kafka: copying jars to {} (about 130 MB)", folder.display());
    // Jars of another version on the same class path would be picked at random.
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let mut maven = Command::new("mvn");
    maven
        .args(["-q", "-B", "-f"])
        .arg(pom)
        .arg("dependency:copy-dependencies");
    maven.arg(format!("-DoutputDirectory={}", folder.display()));
    process::run(&mut maven).context("Maven is needed to fetch Kafka (apt-get install maven)")
}

//! The packages of the workspace and all they depend on, as `cargo metadata` tells it.
//! Not a resolver: versions and features are cargo's choice, with every feature on.
//! Invariant: indices in `linked` point into `Graph::packages`.

use crate::process;
use anyhow::{Context, Result};
use serde_json::Value;
use std::{collections::HashMap, path::Path};

/// One package at one version.
#[derive(Clone, Debug, Default)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The licence expression of its manifest.
    pub(crate) licence: Option<String>,
    /// Where it lies below the workspace root; `None` for packages of others.
    pub(crate) folder: Option<String>,
    /// The names its manifest asks for, whatever the kind: normal, build, dev, optional, per target.
    pub(crate) declared: Vec<String>,
    /// What is linked into it or runs while it is built; tests do not count.
    pub(crate) linked: Vec<usize>,
}

/// The whole dependency graph.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) packages: Vec<Package>,
}

impl Graph {
    /// Asks cargo.
    pub(crate) fn load(root: &Path) -> Result<Self> {
        let mut command = process::cargo(&["metadata", "--format-version", "1", "--all-features"]);
        let bytes = process::output(command.current_dir(root))?;
        let metadata: Value =
            serde_json::from_slice(&bytes).context("cargo metadata is not JSON")?;
        Self::from_metadata(&metadata, root)
    }

    /// The workspace package of this name.
    pub(crate) fn ours(&self, name: &str) -> Option<&Package> {
        self.members().find(|package| package.name == name)
    }

    /// The packages of the workspace.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|package| package.folder.is_some())
    }

    fn from_metadata(metadata: &Value, root: &Path) -> Result<Self> {
        let members: Vec<&str> = array(metadata, "workspace_members")?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut packages = Vec::new();
        let mut index_of = HashMap::new();
        for json in array(metadata, "packages")? {
            let id = text(json, "id")?;
            index_of.insert(id, packages.len());
            packages.push(package(json, root, members.contains(&id))?);
        }
        for node in array(&metadata["resolve"], "nodes")? {
            let mut linked = Vec::new();
            for dependency in array(node, "deps")? {
                let kinds = array(dependency, "dep_kinds")?;
                if kinds
                    .iter()
                    .any(|kind| kind["kind"].as_str() != Some("dev"))
                {
                    linked.push(index_of[text(dependency, "pkg")?]);
                }
            }
            packages[index_of[text(node, "id")?]].linked = linked;
        }
        Ok(Self { packages })
    }
}

fn package(json: &Value, root: &Path, ours: bool) -> Result<Package> {
    let manifest = Path::new(text(json, "manifest_path")?);
    let folder = manifest
        .parent()
        .and_then(|folder| folder.strip_prefix(root).ok());
    let declared = array(json, "dependencies")?
        .iter()
        .map(|dependency| text(dependency, "name"));
    Ok(Package {
        name: text(json, "name")?.to_owned(),
        version: text(json, "version")?.to_owned(),
        licence: json["license"].as_str().map(str::to_owned),
        folder: folder
            .filter(|_| ours)
            .map(|folder| folder.to_string_lossy().into_owned()),
        declared: declared
            .map(|name| name.map(str::to_owned))
            .collect::<Result<_>>()?,
        linked: Vec::new(),
    })
}

fn array<'a>(json: &'a Value, field: &str) -> Result<&'a Vec<Value>> {
    json[field]
        .as_array()
        .with_context(|| format!("cargo metadata has no list `{field}`"))
}

fn text<'a>(json: &'a Value, field: &str) -> Result<&'a str> {
    json[field]
        .as_str()
        .with_context(|| format!("cargo metadata has no text `{field}`"))
}

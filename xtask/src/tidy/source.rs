//! Rules on the text of a source file: how it opens, what it must not contain. Not on its size.
//! Invariant: every `.rs` file of the workspace is read, wherever it lies.

use super::{files, read};
use anyhow::Result;
use std::path::Path;

/// Where source files live.
const FOLDERS: &[&str] = &["bench", "crates", "examples", "tests", "xtask"];

/// Split, so that this file does not trip over its own rule.
const MARKS_REFUSED: &[&str] = &[concat!("FIX", "ME"), concat!("TO", "DO")];

/// One file of Rust.
pub(super) struct Source {
    /// Relative to the workspace root.
    pub(super) path: String,
    pub(super) text: String,
}

/// Every Rust file of the workspace.
pub(super) fn read_all(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for folder in FOLDERS {
        for path in files(root, folder, ".rs")? {
            let text = read(root, &path)?;
            sources.push(Source { path, text });
        }
    }
    Ok(sources)
}

/// Heads and marks.
pub(super) fn check(sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for Source { path, text } in sources {
        if !text.starts_with("//!") {
            findings.push(format!(
                "{path}:1: open with `//!`: what the file is, what it is not, one invariant"
            ));
        }
        for (index, line) in text.lines().enumerate() {
            for mark in MARKS_REFUSED.iter().filter(|mark| has_word(line, mark)) {
                findings.push(format!(
                    "{path}:{}: {mark}: do it now, or write an issue",
                    index + 1
                ));
            }
        }
    }
    findings
}

/// True when `word` stands in `line` with no letter, digit or underscore on either side.
fn has_word(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(part_of_word) && !line[at + word.len()..].starts_with(part_of_word)
    })
}

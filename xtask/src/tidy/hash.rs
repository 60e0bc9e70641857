//! Pages that describe a file byte by byte carry the hash of that file, so that neither changes alone.
//! Not a security measure: FNV-1a only notices edits.
//! Invariant: a hash line names one file below the workspace root, and a line that cannot be read is a finding.

use super::{files, read};
use anyhow::Result;
use std::{fs, path::Path};

const OPEN: &str = "<!-- hash of ";
const CLOSE: &str = " -->";

/// Hash lines of `docs/` that do not match.
pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for page in files(root, "docs", ".md")? {
        for (index, line) in read(root, &page)?.lines().enumerate() {
            // At the start of the line only: an indented one is an example of a hash line.
            if !line.starts_with(OPEN) {
                continue;
            }
            let place = format!("{page}:{}", index + 1);
            findings.extend(mismatch(root, line).map(|why| format!("{place}: {why}")));
        }
    }
    Ok(findings)
}

fn mismatch(root: &Path, line: &str) -> Option<String> {
    let Some((file, hash)) = parse(line) else {
        return Some(format!("a hash line reads `{OPEN}FILE: HEX{CLOSE}`"));
    };
    match fs::read(root.join(file)) {
        Err(error) => Some(format!("{file}: {error}")),
        Ok(bytes) if fnv1a(&bytes) == hash => None,
        Ok(_) => Some(format!(
            "{file} has changed: bring the page up to date, then run `cargo xtask tidy --bless-hashes`"
        )),
    }
}

/// Writes the present hash into every hash line whose file exists.
pub(super) fn bless(root: &Path) -> Result<()> {
    for page in files(root, "docs", ".md")? {
        let old = read(root, &page)?;
        let new: String = old
            .split_inclusive('\n')
            .map(|line| blessed(root, line))
            .collect();
        if new != old {
            fs::write(root.join(&page), new)?;
            eprintln!("tidy: {page}: hashes rewritten");
        }
    }
    Ok(())
}

fn blessed(root: &Path, line: &str) -> String {
    let file = line
        .strip_prefix(OPEN)
        .and_then(|rest| rest.split_once(':'))
        .map(|(file, _)| file);
    match file.and_then(|file| Some((file, fs::read(root.join(file)).ok()?))) {
        Some((file, bytes)) => format!("{OPEN}{file}: {:016x}{CLOSE}\n", fnv1a(&bytes)),
        None => line.to_owned(),
    }
}

fn parse(line: &str) -> Option<(&str, u64)> {
    let (file, hash) = line
        .strip_prefix(OPEN)?
        .strip_suffix(CLOSE)?
        .split_once(": ")?;
    Some((file, u64::from_str_radix(hash, 16).ok()?))
}

/// FNV-1a, 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

//! Recorded cases: a case and the judge's result a line, compressed, for machines that have no judge. Not the corpus.
//! Invariant: a result in the file is the judge's own.

use anyhow::{Context, Result};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::{BufRead, BufReader, Write},
    path::Path,
};

/// Writes cases with their results.
///
/// # Errors
/// If the file cannot be written.
pub fn write(file: &Path, cases: &[(Value, Value)]) -> Result<()> {
    let out = File::create(file).with_context(|| file.display().to_string())?;
    let mut encoder = GzEncoder::new(out, Compression::best());
    for (case, result) in cases {
        writeln!(encoder, "{}", json!({"case": case, "result": result}))?;
    }
    encoder.finish()?.sync_all()?;
    Ok(())
}

/// Reads them again.
///
/// # Errors
/// If the file cannot be read or a line is no JSON.
pub fn read(file: &Path) -> Result<Vec<(Value, Value)>> {
    let input = File::open(file).with_context(|| file.display().to_string())?;
    let mut cases = Vec::new();
    for line in BufReader::new(GzDecoder::new(input)).lines() {
        let mut line: Value = serde_json::from_str(&line?)?;
        cases.push((line["case"].take(), line["result"].take()));
    }
    Ok(cases)
}

//! Brings a text file into topic "lines", keyed by the file's name. Not the counting.
//! Invariant: the position is the number of bytes read, and commits with the lines up to it.

use anyhow::{Context, Result, bail, ensure};
use headwater::{Settings, SourceWriter, log::Log};
use std::{fs, path::Path, time::UNIX_EPOCH};

/// Partitions of "lines" and "counts".
const PARTITIONS: u32 = 4;
/// Lines in one commit.
const COMMIT_LINES: usize = 10_000;

/// Appends what `file` has beyond what earlier runs appended of it.
pub(crate) fn append(log: &dyn Log, file: &Path) -> Result<()> {
    let cannot = || format!("cannot read {}", file.display());
    // The whole path tells files of the same name apart.
    let path = file.canonicalize().with_context(cannot)?;
    let text = fs::read_to_string(&path).with_context(cannot)?;
    let modified = fs::metadata(&path)?
        .modified()?
        .duration_since(UNIX_EPOCH)?;
    let Some(name) = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
    else {
        bail!("{} is no file", path.display());
    };
    let mut writer = SourceWriter::open(
        log,
        "word-count",
        &path.to_string_lossy(),
        &Settings::default(),
    )?;
    writer.ensure_topic("lines", PARTITIONS)?;
    writer.ensure_topic("counts", PARTITIONS)?;
    let position = writer.position() as usize;
    ensure!(
        text.is_char_boundary(position),
        "{} has changed: {position} bytes of it were counted before, and it no longer has them; count it over another --data",
        path.display()
    );
    let lines: Vec<&str> = text[position..].split_inclusive('\n').collect();
    for chunk in lines.chunks(COMMIT_LINES) {
        append_chunk(&mut writer, &name, chunk, modified.as_millis() as i64)?;
    }
    Ok(())
}

fn append_chunk(
    writer: &mut SourceWriter,
    name: &String,
    lines: &[&str],
    timestamp: i64,
) -> Result<()> {
    let mut position = writer.position();
    for line in lines {
        position += line.len() as u64;
        let line = line.trim_end_matches(['\n', '\r']).to_owned();
        writer.append("lines", name, &line, timestamp)?;
    }
    Ok(writer.commit(position)?)
}

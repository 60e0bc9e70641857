//! The commit journal: files of checksummed entries, one write and one sync each. Not their meaning: see [`super::entry`].
//! Invariant: sequence numbers are contiguous across files, and an entry is written only after the one before it is durable;
//! so only the last entry can be torn.

use super::wire::Take;
use crate::{Error, Result};
use headwater_world::{Disk, File, OpenMode};
use std::path::{Path, PathBuf};

pub(super) const FILE_MAGIC: [u8; 8] = *b"HWJOURNL";
pub(super) const FORMAT_VERSION: u32 = 1;
/// Bytes before the first entry.
pub(super) const FILE_HEADER_LEN: usize = 32;
pub(super) const ENTRY_MAGIC: [u8; 4] = *b"HWE1";
/// Bytes before an entry's payload.
pub(super) const ENTRY_HEADER_LEN: usize = 24;
/// Bytes of the write buffer that are kept between entries; a larger one is given back.
const BUFFER_KEPT_BYTES_MAX: usize = 32 << 20;

/// The open end of the journal.
pub(super) struct Journal {
    dir: PathBuf,
    log_id: u64,
    file: Box<dyn File>,
    path: PathBuf,
    len: u64,
    /// The sequence number of the next entry.
    next: u64,
    buffer: Vec<u8>,
}

impl Journal {
    /// Creates the file that begins with `first`, durably, and opens it for appending.
    pub(super) fn create(disk: &dyn Disk, dir: &Path, log_id: u64, first: u64) -> Result<Self> {
        let path = dir.join(file_name(first));
        let io = |tried: &str, error: &std::io::Error| Error::io(&path, tried, error);
        // Truncated, not refused: a crash may have left a file of this name that nothing refers to yet.
        let file = disk
            .open(&path, OpenMode::ReadWrite)
            .map_err(|error| io("create a journal file", &error))?;
        file.set_len(0)
            .and_then(|()| file.write_all_at(&file_header(log_id, first), 0))
            .and_then(|()| file.sync())
            .map_err(|error| io("write a journal header", &error))?;
        disk.sync_dir(dir)
            .map_err(|error| Error::io(dir, "sync the journal directory", &error))?;
        Ok(Self {
            dir: dir.to_owned(),
            log_id,
            file,
            path,
            len: FILE_HEADER_LEN as u64,
            next: first,
            buffer: Vec::new(),
        })
    }

    /// Opens the last file of a scanned journal for appending.
    pub(super) fn reopen(disk: &dyn Disk, dir: &Path, log_id: u64, last: &Scanned) -> Result<Self> {
        let path = last.path.clone();
        let file = disk
            .open(&path, OpenMode::ReadWrite)
            .map_err(|error| Error::io(&path, "open the journal", &error))?;
        // A killed process may have left the file or its name in the page cache only.
        file.sync()
            .and_then(|()| disk.sync_dir(dir))
            .map_err(|error| Error::io(&path, "sync the journal", &error))?;
        Ok(Self {
            dir: dir.to_owned(),
            log_id,
            file,
            path,
            len: last.end,
            next: last.next,
            buffer: Vec::new(),
        })
    }

    /// The sequence number of the last entry written.
    pub(super) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Bytes in the open file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// True when the open file holds no entry.
    pub(super) fn is_empty(&self) -> bool {
        self.len == FILE_HEADER_LEN as u64
    }

    /// An empty payload to be filled and given to [`Journal::write`]: behind room for the header.
    pub(super) fn payload(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.resize(ENTRY_HEADER_LEN, 0);
        buffer
    }

    /// Gives a buffer back for reuse.
    pub(super) fn recycle(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() <= BUFFER_KEPT_BYTES_MAX {
            self.buffer = buffer;
        }
    }

    /// Writes the entry in `buffer` with one write and one sync. After an error the journal must not be written again:
    /// a failed sync may have dropped the pages, and a second one would report success.
    pub(super) fn write(&mut self, buffer: &mut [u8]) -> Result<()> {
        seal(buffer, self.log_id, self.next)?;
        self.file
            .write_all_at(buffer, self.len)
            .map_err(|error| Error::io(&self.path, "write a journal entry", &error))?;
        self.file
            .sync()
            .map_err(|error| Error::io(&self.path, "sync the journal", &error))?;
        self.len += buffer.len() as u64;
        self.next += 1;
        Ok(())
    }

    /// Creates the file that follows an entry yet to be written: the entry's `Rotate` promises that it exists.
    pub(super) fn create_following(&self, disk: &dyn Disk) -> Result<Journal> {
        Self::create(disk, &self.dir, self.log_id, self.next + 1)
    }
}

/// The name of the file whose first entry is `first`.
pub(super) fn file_name(first: u64) -> String {
    format!("{first:020}.journal")
}

fn file_header(log_id: u64, first: u64) -> [u8; FILE_HEADER_LEN] {
    let mut header = [0; FILE_HEADER_LEN];
    header[0..8].copy_from_slice(&FILE_MAGIC);
    header[8..12].copy_from_slice(&FORMAT_VERSION.to_be_bytes());
    header[12..20].copy_from_slice(&log_id.to_be_bytes());
    header[20..28].copy_from_slice(&first.to_be_bytes());
    let crc = crc32c::crc32c(&header[..28]);
    header[28..32].copy_from_slice(&crc.to_be_bytes());
    header
}

/// Completes the header of an entry whose payload begins at [`ENTRY_HEADER_LEN`].
fn seal(buffer: &mut [u8], log_id: u64, sequence: u64) -> Result<()> {
    let payload = buffer.len() - ENTRY_HEADER_LEN;
    let Ok(length) = u32::try_from(payload) else {
        return Err(Error::TooLarge(format!(
            "a journal entry of {payload} bytes; at most {} fit: commit less at once",
            u32::MAX
        )));
    };
    let payload_crc = crc32c::crc32c(&buffer[ENTRY_HEADER_LEN..]);
    buffer[0..4].copy_from_slice(&ENTRY_MAGIC);
    buffer[4..8].copy_from_slice(&length.to_be_bytes());
    buffer[8..16].copy_from_slice(&sequence.to_be_bytes());
    buffer[16..20].copy_from_slice(&payload_crc.to_be_bytes());
    let header_crc = header_crc(log_id, &buffer[..20]);
    buffer[20..24].copy_from_slice(&header_crc.to_be_bytes());
    Ok(())
}

/// Salted with the log's id: a record whose value is a piece of another journal is no entry of this one.
fn header_crc(log_id: u64, header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&log_id.to_be_bytes()), header)
}

/// A sound entry header.
struct Head {
    length: usize,
    sequence: u64,
    payload_crc: u32,
}

fn head(bytes: &[u8], log_id: u64) -> Option<Head> {
    let header = bytes.get(..ENTRY_HEADER_LEN)?;
    let mut take = Take::new(header);
    let magic = take.slice(4)?;
    let (length, sequence) = (take.u32()? as usize, take.u64()?);
    let (payload_crc, stored) = (take.u32()?, take.u32()?);
    (magic == ENTRY_MAGIC && stored == header_crc(log_id, &header[..20])).then_some(Head {
        length,
        sequence,
        payload_crc,
    })
}

/// One journal file as found.
pub(super) struct Scanned {
    pub(super) path: PathBuf,
    /// The first sequence number it may hold.
    pub(super) first: u64,
    /// The byte after the last sound entry.
    pub(super) end: u64,
    /// The sequence number after the last sound entry.
    pub(super) next: u64,
    /// Bytes after `end` that are no entry, and why.
    pub(super) tail: Option<(u64, String)>,
    /// False when even the file's header is not sound.
    pub(super) header: bool,
}

/// Reads one journal file and shows every sound entry to `each`. An unsound one ends the walk, or is refused when a sound one follows.
pub(super) fn scan_file(
    disk: &dyn Disk,
    path: &Path,
    first: u64,
    log_id: u64,
    each: &mut dyn FnMut(u64, &[u8]) -> Result<()>,
) -> Result<Scanned> {
    let io = |tried: &str, error: std::io::Error| Error::io(path, tried, &error);
    let file = disk
        .open(path, OpenMode::Read)
        .map_err(|error| io("open the journal", error))?;
    let len = file
        .len()
        .map_err(|error| io("measure the journal", error))?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    file.read_exact_at(&mut bytes, 0)
        .map_err(|error| io("read the journal", error))?;
    let mut scanned = Scanned {
        path: path.to_owned(),
        first,
        end: FILE_HEADER_LEN as u64,
        next: first,
        tail: None,
        header: bytes.get(..FILE_HEADER_LEN) == Some(&file_header(log_id, first)),
    };
    let mut at = FILE_HEADER_LEN;
    if !scanned.header {
        let why = "the file header is not this log's".to_owned();
        refuse_if_followed(path, 0, &bytes, 0, log_id, first, &why)?;
        scanned.tail = Some((len, why));
        scanned.end = 0;
        return Ok(scanned);
    }
    while at < bytes.len() {
        match sound(&bytes[at..], log_id, scanned.next) {
            Ok(payload) => {
                each(scanned.next, payload)?;
                at += ENTRY_HEADER_LEN + payload.len();
                scanned.next += 1;
                scanned.end = at as u64;
            }
            Err(why) => {
                refuse_if_followed(path, at, &bytes, at + 1, log_id, scanned.next, &why)?;
                scanned.tail = Some(((bytes.len() - at) as u64, why));
                break;
            }
        }
    }
    Ok(scanned)
}

/// The payload of the entry at the start of `bytes`, or what is wrong with it.
fn sound(bytes: &[u8], log_id: u64, sequence: u64) -> Result<&[u8], String> {
    let Some(head) = head(bytes, log_id) else {
        return Err("no sound entry header".into());
    };
    if head.sequence != sequence {
        return Err(format!("entry {} where {sequence} is due", head.sequence));
    }
    let end = ENTRY_HEADER_LEN + head.length;
    let Some(payload) = bytes.get(ENTRY_HEADER_LEN..end) else {
        return Err(format!(
            "entry {sequence} has {} of {end} bytes",
            bytes.len()
        ));
    };
    let crc = crc32c::crc32c(payload);
    if crc != head.payload_crc {
        return Err(format!(
            "entry {sequence}: CRC {crc:08x} instead of {:08x}",
            head.payload_crc
        ));
    }
    Ok(payload)
}

/// An unsound entry at `at` with a later one behind it was durable once: that is damage, not a torn write.
fn refuse_if_followed(
    path: &Path,
    at: usize,
    bytes: &[u8],
    from: usize,
    log_id: u64,
    sequence: u64,
    why: &str,
) -> Result<()> {
    let rest = bytes.get(from..).unwrap_or_default();
    let followed = rest
        .windows(ENTRY_MAGIC.len())
        .enumerate()
        .filter(|(_, window)| *window == ENTRY_MAGIC)
        .find_map(|(offset, _)| head(&rest[offset..], log_id).map(|head| (offset, head)));
    match followed {
        Some((offset, head)) if head.sequence >= sequence => Err(Error::Corrupt {
            path: path.to_owned(),
            position: at as u64,
            message: format!(
                "{why}; entry {} follows at byte {}, so this is no torn write: restore the directory from a backup",
                head.sequence,
                from + offset
            ),
        }),
        _ => Ok(()),
    }
}

/// The journal files of `dir` with their first sequence numbers, in order.
pub(super) fn files(disk: &dyn Disk, dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let names = disk
        .list(dir)
        .map_err(|error| Error::io(dir, "list the journal", &error))?;
    let mut files: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let first = name.to_str()?.strip_suffix(".journal")?.parse().ok()?;
            Some((first, dir.join(name)))
        })
        .collect();
    files.sort();
    Ok(files)
}

//! Snappy as Java's clients frame it (snappy-java's `SnappyOutputStream`): a header, then blocks with their lengths.
//! Not the framing of snappy's own file format, which Kafka does not use. Invariant: no block is unpacked before the length it
//! states has been held against the limit.

use std::io;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// Magic, then version 1 and the oldest version that can read it, also 1.
const HEADER_LEN: usize = 16;
/// Bytes of one block before compression, as snappy-java writes them by default.
const BLOCK_BYTES: usize = 32 * 1024;

pub(super) fn compress(bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in bytes.chunks(BLOCK_BYTES) {
        let packed = encoder.compress_vec(block)?;
        out.extend_from_slice(&(packed.len() as i32).to_be_bytes());
        out.extend_from_slice(&packed);
    }
    Ok(())
}

/// Appends what `bytes` unpack to, at most `bytes_max` bytes: the limit is an error here.
pub(super) fn decompress(bytes: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let mut room = bytes_max;
    // Clients of other languages send one bare block.
    if !bytes.starts_with(&MAGIC) {
        return block(bytes, &mut room, out);
    }
    let mut rest = bytes.get(HEADER_LEN..).ok_or_else(cut)?;
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = usize::try_from(i32::from_be_bytes(*length)).map_err(io::Error::other)?;
        let (packed, after) = after.split_at_checked(length).ok_or_else(cut)?;
        block(packed, &mut room, out)?;
        rest = after;
    }
    Ok(())
}

fn block(packed: &[u8], room: &mut usize, out: &mut Vec<u8>) -> io::Result<()> {
    let length = snap::raw::decompress_len(packed)?;
    *room = room.checked_sub(length).ok_or_else(|| {
        io::Error::other(format!("{length} bytes where {room} are left of the limit"))
    })?;
    let start = out.len();
    out.resize(start + length, 0);
    snap::raw::Decoder::new().decompress(packed, &mut out[start..])?;
    Ok(())
}

fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "a block is cut off")
}

//! Record batches packed and unpacked: gzip, snappy, lz4, zstd, in the framings that Java's clients write and read.
//! Not a reader of records, and not of batches older than format v2. Invariant: a batch is unpacked only when its CRC holds, and
//! never into more bytes than the limit given, whatever it claims.

mod snappy;
#[cfg(test)]
mod tests;

use flate2::{Compression as Level, read::MultiGzDecoder, write::GzEncoder};
use headwater_log::batch::{BatchView, Damage, HEADER_LEN, PREFIX_LEN};
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::{self, Read, Write};

/// The three bits of a batch's attributes that name its codec.
const CODEC_MASK: u8 = 0x07;
/// Where the low byte of the attributes stands.
const ATTRIBUTES_LOW: usize = 22;
const CRC: std::ops::Range<usize> = 17..21;

/// `compression.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Codec {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// By its name in `compression.type`.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "gzip" => Self::Gzip,
            "snappy" => Self::Snappy,
            "lz4" => Self::Lz4,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    fn numbered(number: u8) -> Option<Self> {
        [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd]
            .get(usize::from(number))
            .copied()
    }
}

/// How batches are packed before they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Compression {
    pub(crate) codec: Codec,
    /// `compression.gzip.level` or `compression.zstd.level`; `None` is the codec's default. Snappy has none, lz4 one only.
    pub(crate) level: Option<i32>,
}

/// The packed form of a finished, uncompressed batch, its CRC included. A batch that would not become smaller stays as it is.
pub(crate) fn pack(batch: Vec<u8>, compression: Compression) -> io::Result<Vec<u8>> {
    if compression.codec == Codec::None || batch.len() <= HEADER_LEN {
        return Ok(batch);
    }
    let (header, records) = batch.split_at(HEADER_LEN);
    let mut packed = Vec::with_capacity(batch.len());
    packed.extend_from_slice(header);
    let mut packed = compress(compression, records, packed)?;
    if packed.len() >= batch.len() {
        return Ok(batch);
    }
    relabel(&mut packed, compression.codec as u8);
    let crc = crc32c::crc32c(&packed[CRC.end..]);
    packed[CRC].copy_from_slice(&crc.to_be_bytes());
    Ok(packed)
}

/// Appends `batch`, one whole batch whose CRC is checked here, to `out` in uncompressed form: the same header but for the length
/// and the codec, hence a CRC that no longer holds. At most `bytes_max` bytes of records.
pub(crate) fn unpack(batch: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), Damage> {
    let view = BatchView::check(batch)?;
    let batch = view.bytes();
    let codec = Codec::numbered(view.compression()).ok_or_else(|| {
        Damage::Wrong(format!(
            "compression codec {} is not known",
            view.compression()
        ))
    })?;
    let start = out.len();
    if codec == Codec::None {
        out.extend_from_slice(batch);
        return Ok(());
    }
    out.extend_from_slice(&batch[..HEADER_LEN]);
    let unpacked = decompress(codec, &batch[HEADER_LEN..], bytes_max, out);
    if unpacked.is_ok() && out.len() - start - HEADER_LEN <= bytes_max {
        relabel(&mut out[start..], 0);
        return Ok(());
    }
    out.truncate(start);
    Err(Damage::Wrong(match unpacked {
        Ok(()) => format!("a {codec:?} batch of more than {bytes_max} unpacked bytes"),
        Err(error) => format!("a {codec:?} batch that cannot be unpacked: {error}"),
    }))
}

/// Writes length and codec of a batch whose records have changed.
fn relabel(batch: &mut [u8], codec: u8) {
    let length = (batch.len() - PREFIX_LEN) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[ATTRIBUTES_LOW] = batch[ATTRIBUTES_LOW] & !CODEC_MASK | codec;
}

fn compress(compression: Compression, records: &[u8], mut out: Vec<u8>) -> io::Result<Vec<u8>> {
    match compression.codec {
        Codec::None => {
            out.extend_from_slice(records);
            Ok(out)
        }
        Codec::Gzip => {
            let level = compression
                .level
                .and_then(|level| u32::try_from(level).ok());
            let level = level.map_or_else(Level::default, Level::new);
            let mut encoder = GzEncoder::new(out, level);
            encoder.write_all(records)?;
            encoder.finish()
        }
        Codec::Snappy => {
            snappy::compress(records, &mut out)?;
            Ok(out)
        }
        Codec::Lz4 => {
            // Java reads independent blocks only.
            let info = FrameInfo::new()
                .block_mode(BlockMode::Independent)
                .block_size(BlockSize::Max64KB);
            let mut encoder = FrameEncoder::with_frame_info(info, out);
            encoder.write_all(records)?;
            encoder.finish().map_err(io::Error::other)
        }
        Codec::Zstd => {
            let level = compression.level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
            let mut encoder = zstd::stream::write::Encoder::new(out, level)?;
            encoder.write_all(records)?;
            encoder.finish()
        }
    }
}

/// Appends the records; stops one byte past the limit, so that the caller sees that it was passed.
fn decompress(codec: Codec, records: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let limit = bytes_max as u64 + 1;
    match codec {
        Codec::None => out.extend_from_slice(records),
        Codec::Gzip => drop(MultiGzDecoder::new(records).take(limit).read_to_end(out)?),
        Codec::Snappy => snappy::decompress(records, bytes_max, out)?,
        Codec::Lz4 => drop(FrameDecoder::new(records).take(limit).read_to_end(out)?),
        Codec::Zstd => {
            let decoder = zstd::stream::read::Decoder::with_buffer(records)?;
            decoder.take(limit).read_to_end(out)?;
        }
    }
    Ok(())
}

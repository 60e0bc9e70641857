//! Record batches packed and unpacked: gzip, snappy, lz4, zstd.
//! Not a reader of records. Invariant: an unpacked batch never exceeds the limit given.

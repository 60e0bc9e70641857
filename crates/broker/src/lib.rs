//! Real Apache Kafka brokers as child processes, for `cargo xtask kafka`, tests and benches.
//! Not for production. Invariant: only processes started here are ever ended.
#![forbid(unsafe_code)]

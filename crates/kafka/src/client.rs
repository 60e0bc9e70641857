//! The `Client` of Apache Kafka: the side the worker sees.
//! Not the network: a background thread does that. Invariant: nothing here blocks.

//! A client's settings by Kafka's names.
//! Not the settings of a stream application. Invariant: every name is honoured, refused or warned of.

//! The messages of the Kafka protocol that this client speaks, in the versions it speaks.
//! Not a connection: bytes in, bytes out. Invariant: a message written in a version is read back equal in that version.

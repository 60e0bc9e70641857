//! Records read ahead from the leaders of the partitions asked for.
//! Not a decoder of records. Invariant: chunks of a partition come in offset order, without gap or repetition.

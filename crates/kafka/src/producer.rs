//! Batches on their way to their leaders, in order, idempotent or in a transaction.
//! Not the open batches of the worker. Invariant: per partition, batches are acknowledged in the order they were handed over.

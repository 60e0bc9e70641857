//! Typed programs over logs and stores.

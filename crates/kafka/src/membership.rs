//! A member of a streams group (KIP-1071) as a state machine over heartbeats.
//! Not a network client: it says what to send and takes what came. Invariant: a task is told away before the broker hears that it was given up.

//! Which broker leads or coordinates what, and the connections to them.
//! Not a place where requests are built. Invariant: a stale leader is asked for anew, never trusted twice.

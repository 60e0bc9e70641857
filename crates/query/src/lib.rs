//! Asks the state of a running application: from any instance, committed, as new as a token demands, and with waits that need no
//! thread. Not HTTP, and not a connection: what leaves the process is handed to a [`Peer`].
//! Invariant: an answer is of committed state, from the partition's owner unless the reader allows what is old, and never from a store
//! that is still being restored; what cannot be had before the deadline is an error that says so.
#![forbid(unsafe_code)]

mod blob;
mod derive;
mod error;
mod feed;
mod follow;
pub mod http;
mod joined;
mod kept;
mod local;
mod merge;
mod page;
mod peer;
mod queries;
mod read;
mod route;
mod step;
mod table;
mod token;
mod versions;
mod watch;
mod watched;
mod windows;
pub mod wire;

pub use blob::Blob;
pub use error::{Error, Result};
pub use joined::Joined;
pub use page::{ENTRIES_MAX, Page, Scan};
pub use peer::{Alone, Peer, PeerAnswer};
pub use queries::Queries;
pub use read::{Read, Staleness};
pub use table::Table;
pub use token::Token;
pub use versions::Version;
pub use watch::{WATCHES_MAX, Watch};
pub use watched::{Change, Watched};

//! The questions of this crate over HTTP/1.1 and HTTP/2: a server with limits, routes for stores that an application shows, and the way
//! between instances. Not a framework: the routes are an [`axum::Router`] that fits into one's own.
//! Invariant: whatever a client sends, it gets a status, in time, or its connection is closed; nobody else notices.

mod access;
mod around;
mod ask;
mod connection;
mod desk;
mod events;
mod gate;
mod metrics;
mod openapi;
mod operations;
mod remote;
mod server;
mod shown;
mod socket;
mod status;
mod stopping;
mod stores;
mod tls;

pub use access::Bearer;
pub use ask::instance_routes;
pub use gate::{Gate, Turn};
pub use metrics::Metrics;
pub use operations::operation_routes;
pub use remote::Remote;
pub use server::{Limits, Server};
pub use shown::{KeyText, Stores};
pub use status::Problem;
pub use stopping::Stopping;
pub use stores::{TOKEN_HEADER, store_routes};
pub use tls::{ClientTls, ServerTls};

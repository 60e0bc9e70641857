//! The Orders shop: a REST service and the services that check its orders, each a program of its own that knows the others by
//! topics only. Not a library for others: everything here reaches Headwater by its facade.
//! Invariant: every order comes to one verdict.
#![forbid(unsafe_code)]

pub mod details;
pub mod email;
pub mod feed;
pub mod fraud;
pub mod inventory;
pub mod load;
pub mod model;
mod page;
pub mod producer;
pub mod rest;
pub mod service;
pub mod store;
pub mod topics;
pub mod validations;
pub mod view;

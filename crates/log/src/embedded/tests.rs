//! Tests of the embedded log on a real and on a simulated disk. What every log does is in the conformance suite.
//! Invariant: each test owns its directory or its simulated disk.

mod basic;
mod crash;
mod damage;
mod group;
mod kafka_tools;
mod kill;
mod kit;
mod model;
mod speed;
mod upkeep;

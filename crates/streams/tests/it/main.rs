//! The tests of streams through its public face: one binary, a module per kind of test.
//! Not unit tests: those lie beside what they test. Invariant: what Kafka Streams defines is compared with files it wrote.
#![allow(
    clippy::disallowed_methods,
    reason = "tests read and rewrite their expected results"
)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod allocation;
mod changelog;
mod compile;
mod dead_letter;
mod delayed_join;
mod example;
mod globals;
mod golden;
mod joined_caches;
mod map_async;
mod multicast;
mod oracle;
mod pattern;
mod positions;
mod processors;
mod property;
mod repartition;
mod rows;
mod scenario;
mod several_values;
mod sliding;
mod stream_join;
mod suppress;
mod table;
mod table_window;
mod task;
mod time_to_live;
mod timers;
mod versioned_table;
mod window_close;

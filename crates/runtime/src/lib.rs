//! Runs a topology on a log: workers, assignment, restore, commit, views of the state, and the reset of an application.
//! Not async and not blocking: [`Worker::step`] turns the crank, a thread or a simulator calls it again.
//! Invariant: input positions, state changes and output of a task commit together, in order, by its one owner.
#![forbid(unsafe_code)]

mod assignment;
mod checkpoint_turns;
mod chunks;
mod commit;
mod config;
mod counts;
mod crank;
mod error;
mod global_note;
mod global_task;
mod globals;
mod hosts;
mod internal_topics;
mod listener;
mod output;
mod patterns;
mod positions;
mod process;
mod reset;
mod restore;
mod running;
mod settings;
mod source_writer;
mod state;
mod state_dir;
mod task_slot;
mod task_status;
mod threads;
mod uncaught;
mod view;
mod views;
mod waiter;
mod watches;
mod worker;

pub use config::config_names;
pub use error::{Error, Result};
pub use hosts::Hosts;
pub use listener::{Committed, Listener, Quiet, RestoreProgress};
pub use reset::{Reset, ResetPlan, ResetTo, reset};
pub use running::{Running, run, run_to_end, start};
pub use settings::Settings;
pub use source_writer::SourceWriter;
pub use state::{State, StorePlace};
pub use task_slot::Role;
pub use task_status::TaskStatus;
pub use uncaught::{UncaughtHandler, UncaughtResponse};
pub use view::View;
pub use views::{Follower, Views};
pub use waiter::{Rung, Waiter};
pub use watches::{Interest, WAITERS_MAX, Watches};
pub use worker::{Step, Worker};

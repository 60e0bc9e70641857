//! What a node's id stands for: one of the DSL's handles. Not the DSL. Invariant: a stream or table whose static key type is
//! windowed is of `Windowed<Val>`, all others are of `Val`.

use super::cogroup::Cogroup;
use super::window::AnyWindows;
use crate::value::Val;
use headwater::streams::GlobalKTable;
use headwater::{
    KGroupedStream, KGroupedTable, KSessionStream, KStream, KTable, KWindowedStream, Windowed,
};

/// A handle of the DSL.
#[derive(Clone)]
pub(crate) enum Handle<'a> {
    Stream(KStream<'a, Val, Val>),
    WindowedStream(KStream<'a, Windowed<Val>, Val>),
    Table(KTable<'a, Val, Val>),
    WindowedTable(KTable<'a, Windowed<Val>, Val>),
    Grouped(KGroupedStream<'a, Val, Val>),
    WindowedGrouped(KGroupedStream<'a, Windowed<Val>, Val>),
    GroupedTable(KGroupedTable<'a, Val, Val>),
    WindowedGroupedTable(KGroupedTable<'a, Windowed<Val>, Val>),
    Windowed(KWindowedStream<'a, Val, Val, AnyWindows>),
    Sessions(KSessionStream<'a, Val, Val>),
    Cogroup(Cogroup<'a>),
    GlobalTable(GlobalKTable<'a, Val, Val>),
}

/// Runs `$body` with the stream of a node, whatever its keys; a node that is no stream is left to another family.
macro_rules! on_stream {
    ($node:expr, $stream:ident => $body:expr) => {
        match $node.handle {
            Handle::Stream($stream) => $body,
            Handle::WindowedStream($stream) => $body,
            _ => return Ok(false),
        }
    };
}

/// Runs `$body` with the table of a node, whatever its keys; a node that is no table is left to another family.
macro_rules! on_table {
    ($node:expr, $table:ident => $body:expr) => {
        match $node.handle {
            Handle::Table($table) => $body,
            Handle::WindowedTable($table) => $body,
            _ => return Ok(false),
        }
    };
}

/// Runs `$body` with `$key` the Rust type of keys of a static type.
macro_rules! by_type {
    ($ty:expr, $key:ident => $body:expr) => {
        if $ty.is_windowed() {
            type $key = headwater::Windowed<crate::value::Val>;
            $body
        } else {
            type $key = crate::value::Val;
            $body
        }
    };
}

pub(super) use {by_type, on_stream, on_table};

//! Windows and sessions, and their aggregations. Not suppression.
//! Invariant: the result's key is windowed, and its size is that of the windows.

use super::group::{counted, store_of, zero};
use super::{Graph, Handle, Node};
use crate::Refusal;
use crate::case::Spec;
use crate::combine::{Aggregator, Reducer, initial};
use crate::store::Family;
use crate::value::{Key, Ty, Val, present, seen};
use headwater::streams::WindowsKind;
use headwater::{
    EmitStrategy, KSessionStream, KWindowedStream, SessionWindows, SlidingWindows, TimeWindows,
    UnlimitedWindows, Windowing,
};
use std::time::Duration;

/// Windows of time of any kind.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AnyWindows {
    Time(TimeWindows),
    Sliding(SlidingWindows),
    Unlimited(UnlimitedWindows),
}

impl Windowing for AnyWindows {
    fn size_ms(&self) -> i64 {
        match self {
            Self::Time(windows) => windows.size_ms(),
            Self::Sliding(windows) => windows.size_ms(),
            Self::Unlimited(windows) => windows.size_ms(),
        }
    }

    fn grace_ms(&self) -> i64 {
        match self {
            Self::Time(windows) => windows.grace_ms(),
            Self::Sliding(windows) => windows.grace_ms(),
            Self::Unlimited(windows) => windows.grace_ms(),
        }
    }

    fn starts(&self, timestamp: i64) -> impl Iterator<Item = i64> {
        let (time, unlimited) = match self {
            Self::Time(windows) => (Some(windows.starts(timestamp)), None),
            Self::Unlimited(windows) => (None, Some(windows.starts(timestamp))),
            // Their operator knows them better.
            Self::Sliding(_) => (None, None),
        };
        let unlimited = unlimited.into_iter().flatten();
        time.into_iter().flatten().chain(unlimited)
    }

    fn kind(&self) -> WindowsKind {
        match self {
            Self::Time(windows) => windows.kind(),
            Self::Sliding(windows) => windows.kind(),
            Self::Unlimited(windows) => windows.kind(),
        }
    }

    fn problem(&self) -> Option<String> {
        match self {
            Self::Time(windows) => windows.problem(),
            Self::Sliding(windows) => windows.problem(),
            Self::Unlimited(windows) => windows.problem(),
        }
    }
}

/// The windows of a node.
pub(super) enum WindowsOf {
    Time(AnyWindows),
    Session(SessionWindows),
}

pub(super) fn add(graph: &mut Graph<'_>, node: &Spec) -> Result<bool, Refusal> {
    let from = || graph.input(node, "from");
    match node.op() {
        "windowed_by" => {
            let from = from()?;
            windowed_by(graph, node, from)
        }
        "count" | "reduce" | "aggregate" => {
            let from = from()?;
            match from.handle.clone() {
                Handle::Windowed(windowed) => aggregate(graph, node, &from, windowed)?,
                Handle::Sessions(sessions) => aggregate_sessions(graph, node, &from, sessions)?,
                _ => return Ok(false),
            }
            Ok(true)
        }
        _ => Ok(false),
    }
}

fn windowed_by<'a>(graph: &mut Graph<'a>, node: &Spec, from: Node<'a>) -> Result<bool, Refusal> {
    let Handle::Grouped(grouped) = from.handle else {
        return Ok(false);
    };
    let emit = match node.text("emit") {
        Some("on_window_close") => EmitStrategy::OnWindowClose,
        _ => EmitStrategy::OnWindowUpdate,
    };
    let handle = match windows(node)? {
        WindowsOf::Time(windows) => {
            Handle::Windowed(grouped.windowed_by(windows).emit_strategy(emit))
        }
        WindowsOf::Session(windows) => {
            Handle::Sessions(grouped.windowed_by(windows).emit_strategy(emit))
        }
    };
    graph.put(node, handle, from.key, from.value);
    Ok(true)
}

/// The windows of a `windowed_by`.
pub(super) fn windows(node: &Spec) -> Result<WindowsOf, Refusal> {
    let spec = node.required_object("window")?;
    let field = |name| duration(spec.required_long(name)?);
    let grace = duration(spec.long("grace_ms").unwrap_or(0))?;
    Ok(WindowsOf::Time(match spec.required("type")? {
        "tumbling" => AnyWindows::Time(TimeWindows::of(field("size_ms")?).grace(grace)),
        "hopping" => {
            let windows = TimeWindows::of(field("size_ms")?).grace(grace);
            AnyWindows::Time(windows.advance_by(field("advance_ms")?))
        }
        "sliding" => AnyWindows::Sliding(SlidingWindows::of(field("difference_ms")?).grace(grace)),
        "unlimited" => {
            let start = duration(spec.long("start_ms").unwrap_or(0))?;
            AnyWindows::Unlimited(UnlimitedWindows::of().start_on(start))
        }
        "session" => {
            let windows = SessionWindows::of(field("gap_ms")?).grace(grace);
            return Ok(WindowsOf::Session(windows));
        }
        kind => return Err(Refusal::Unsupported(format!("window {kind}"))),
    }))
}

fn duration(ms: i64) -> Result<Duration, Refusal> {
    let ms = u64::try_from(ms);
    let ms =
        ms.map_err(|_| Refusal::Inexpressible(format!("a duration is never negative: {ms:?}")))?;
    Ok(Duration::from_millis(ms))
}

fn aggregate<'a>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    windowed: KWindowedStream<'a, Val, Val, AnyWindows>,
) -> Result<(), Refusal> {
    let size_ms = windowed.windows().size_ms();
    let windowed = match node.text("name") {
        Some(name) => windowed.named(name),
        None => windowed,
    };
    let (ty, table) = match node.op() {
        "count" => {
            let store = store_of(node, from.key, Ty::Long, Family::Window)?;
            (Ty::Long, windowed.count_as(zero, counted, store))
        }
        "reduce" => {
            let store = store_of(node, from.key, from.value, Family::Window)?;
            let reduce = reducer(node)?;
            (from.value, windowed.with_nulls().reduce(reduce, store))
        }
        _ => {
            let (ty, row) = initial(node);
            let store = store_of(node, from.key, ty, Family::Window)?;
            let add = aggregator(node.required("aggregator")?)?;
            let first = move || present(row.clone());
            (ty, windowed.with_nulls().aggregate(first, add, store))
        }
    };
    let key = Ty::TimeWindowed { size_ms };
    graph.put(node, Key::table(table), key, ty);
    Ok(())
}

fn aggregate_sessions<'a>(
    graph: &mut Graph<'a>,
    node: &Spec,
    from: &Node<'a>,
    sessions: KSessionStream<'a, Val, Val>,
) -> Result<(), Refusal> {
    let sessions = match node.text("name") {
        Some(name) => sessions.named(name),
        None => sessions,
    };
    let (ty, table) = match node.op() {
        "count" => {
            let store = store_of(node, from.key, Ty::Long, Family::Window)?;
            let plus = |one: Val, two: Val| Val::Long(one.number().wrapping_add(two.number()));
            (Ty::Long, sessions.count_as(zero, counted, plus, store))
        }
        "reduce" => {
            let store = store_of(node, from.key, from.value, Family::Window)?;
            let reduce = reducer(node)?;
            (from.value, sessions.with_nulls().reduce(reduce, store))
        }
        _ => {
            let (ty, row) = initial(node);
            let store = store_of(node, from.key, ty, Family::Window)?;
            let add = aggregator(node.required("aggregator")?)?;
            let merge = merger(node)?;
            let first = move || present(row.clone());
            let table = sessions.with_nulls().aggregate(first, add, merge, store);
            (ty, table)
        }
    };
    graph.put(node, Key::table(table), Ty::SessionWindowed, ty);
    Ok(())
}

fn reducer(node: &Spec) -> Result<impl Fn(Val, Option<Val>) -> Option<Val> + use<>, Refusal> {
    let reducer = Reducer::parse(node.required("reducer")?)?;
    Ok(move |old: Val, new: Option<Val>| present(reducer.call(&old, &seen(new))))
}

#[expect(
    clippy::type_complexity,
    reason = "an alias cannot name the closure that a function returns"
)]
pub(super) fn aggregator(
    spec: &str,
) -> Result<impl Fn(&Val, Option<Val>, Option<Val>) -> Option<Val> + use<>, Refusal> {
    let aggregator = Aggregator::parse(spec)?;
    Ok(move |key: &Val, value: Option<Val>, row: Option<Val>| {
        present(aggregator.call(key, &seen(value), &seen(row)))
    })
}

#[expect(
    clippy::type_complexity,
    reason = "an alias cannot name the closure that a function returns"
)]
pub(super) fn merger(
    node: &Spec,
) -> Result<impl Fn(&Val, Option<Val>, Option<Val>) -> Option<Val> + use<>, Refusal> {
    let merger = Reducer::parse(node.required("merger")?)?;
    Ok(move |_: &Val, one: Option<Val>, two: Option<Val>| {
        present(merger.call(&seen(one), &seen(two)))
    })
}

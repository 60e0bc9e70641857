//! What brings values together: joiners, reducers, aggregators with their initial values. Not functions of one record.
//! Invariant: null in and out is `Val::Null`; who calls turns it into an absent value.

use crate::Refusal;
use crate::case::Spec;
use crate::function::{long, needed, split};
use crate::value::{Ty, Val};
use serde_json::Value;
use std::cmp::Ordering;
use std::sync::Arc;

type Call3 = Arc<dyn Fn(&Val, &Val, &Val) -> Val + Send + Sync>;
type Call2 = Arc<dyn Fn(&Val, &Val) -> Val + Send + Sync>;

/// A joiner of key, left and right value.
#[derive(Clone)]
pub(crate) struct Joiner {
    pub(crate) ty: Ty,
    call: Call3,
}

impl Joiner {
    /// The node's joiner for values of these types.
    pub(crate) fn of(node: &Spec, left: Ty, right: Ty) -> Result<Self, Refusal> {
        let spec = node.text("joiner").unwrap_or("concat");
        let (name, argument) = split(spec);
        let (ty, call): (Ty, Call3) = match name {
            "concat" => {
                let between = argument.unwrap_or(",").to_owned();
                let concat = move |_: &Val, l: &Val, r: &Val| str(l.text() + &between + &r.text());
                (Ty::Str, Arc::new(concat))
            }
            "key_concat" => {
                let concat =
                    |k: &Val, l: &Val, r: &Val| str(format!("{}:{}", k.text(), both(l, r)));
                (Ty::Str, Arc::new(concat))
            }
            "left" => (left, Arc::new(|_, l, _| l.clone())),
            "right" => (right, Arc::new(|_, _, r| r.clone())),
            "sum" => {
                let sum = |_: &Val, l: &Val, r: &Val| l.number().wrapping_add(r.number());
                (Ty::Long, Arc::new(move |k, l, r| Val::Long(sum(k, l, r))))
            }
            "null_if" => {
                let null = needed(argument, spec)?.to_owned();
                let join = move |_: &Val, l: &Val, r: &Val| match both(l, r) {
                    text if text == null => Val::Null,
                    text => str(text),
                };
                (Ty::Str, Arc::new(join))
            }
            "fail_if" => {
                let bad = needed(argument, spec)?.to_owned();
                let join = move |_: &Val, l: &Val, r: &Val| {
                    let text = both(l, r);
                    assert!(text != bad, "failed on {bad}");
                    str(text)
                };
                (Ty::Str, Arc::new(join))
            }
            _ => return Err(Refusal::Case(format!("unknown joiner {spec}"))),
        };
        Ok(Self { ty, call })
    }

    pub(crate) fn call(&self, key: &Val, left: &Val, right: &Val) -> Val {
        (self.call)(key, left, right)
    }
}

fn both(left: &Val, right: &Val) -> String {
    format!("{},{}", left.text(), right.text())
}

fn str(text: String) -> Val {
    Val::Str(text)
}

/// A reducer of old and new value, also a subtractor and a merger of sessions.
#[derive(Clone)]
pub(crate) struct Reducer(Call2);

impl Reducer {
    pub(crate) fn parse(spec: &str) -> Result<Self, Refusal> {
        let (name, argument) = split(spec);
        let call: Call2 = match name {
            "concat" => {
                let between = argument.unwrap_or("+").to_owned();
                Arc::new(move |a, b| str(a.text() + &between + &b.text()))
            }
            "first" => Arc::new(|a, _| a.clone()),
            "last" => Arc::new(|_, b| b.clone()),
            "sum" => Arc::new(|a, b| Val::Long(a.number().wrapping_add(b.number()))),
            "diff" => Arc::new(|a, b| Val::Long(a.number().wrapping_sub(b.number()))),
            "max" => Arc::new(|a, b| {
                if order(a, b).is_ge() {
                    a.clone()
                } else {
                    b.clone()
                }
            }),
            "min" => Arc::new(|a, b| {
                if order(a, b).is_le() {
                    a.clone()
                } else {
                    b.clone()
                }
            }),
            "null_if" => {
                let null = needed(argument, spec)?.to_owned();
                Arc::new(move |a, b| match b.text() {
                    text if text == null => Val::Null,
                    text => str(format!("{}+{text}", a.text())),
                })
            }
            _ => return Err(Refusal::Case(format!("unknown reducer {spec}"))),
        };
        Ok(Self(call))
    }

    pub(crate) fn call(&self, old: &Val, new: &Val) -> Val {
        (self.0)(old, new)
    }
}

fn order(a: &Val, b: &Val) -> Ordering {
    match (a, b) {
        (Val::Long(a), Val::Long(b)) => a.cmp(b),
        _ => a.text().cmp(&b.text()),
    }
}

/// An aggregator of key, value and aggregate, also a subtractor.
#[derive(Clone)]
pub(crate) struct Aggregator(Call3);

impl Aggregator {
    pub(crate) fn parse(spec: &str) -> Result<Self, Refusal> {
        let (name, argument) = split(spec);
        let longs = |of: fn(i64, i64) -> i64| -> Call3 {
            Arc::new(move |_, v, row| Val::Long(of(row.number(), v.number())))
        };
        let call: Call3 = match name {
            "concat" => {
                let between = argument.unwrap_or("+").to_owned();
                Arc::new(move |_, v, row| str(row.text() + &between + &v.text()))
            }
            "key_concat" => {
                Arc::new(|k, v, row| str(format!("{}+{}:{}", row.text(), k.text(), v.text())))
            }
            "last" => Arc::new(|_, v, _| v.clone()),
            "sum" => longs(i64::wrapping_add),
            "diff" => longs(i64::wrapping_sub),
            "count" => longs(|row, _| row.wrapping_add(1)),
            "uncount" => longs(|row, _| row.wrapping_sub(1)),
            "max" => longs(i64::max),
            "min" => longs(i64::min),
            "null_if" => {
                let null = needed(argument, spec)?.to_owned();
                Arc::new(move |_, v, row| match v.text() {
                    text if text == null => Val::Null,
                    text => str(format!("{}+{text}", row.text())),
                })
            }
            "null_at" => {
                let null = long(argument, spec)?;
                Arc::new(move |_, _, row| match row.number().wrapping_add(1) {
                    n if n == null => Val::Null,
                    n => Val::Long(n),
                })
            }
            _ => return Err(Refusal::Case(format!("unknown aggregator {spec}"))),
        };
        Ok(Self(call))
    }

    pub(crate) fn call(&self, key: &Val, value: &Val, row: &Val) -> Val {
        (self.0)(key, value, row)
    }
}

/// The initial value of an aggregation with the type of its rows.
pub(crate) fn initial(node: &Spec) -> (Ty, Val) {
    match node.get("init") {
        Some(Value::Number(number)) => (Ty::Long, Val::Long(number.as_i64().unwrap_or_default())),
        Some(Value::String(text)) => (Ty::Str, str(text.clone())),
        _ => (Ty::Str, Val::Null),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(text: &str) -> Val {
        Val::Str(text.into())
    }

    #[test]
    fn joiners_see_null_as_text() {
        let join = |spec: &str| {
            let node = Spec::of(&json!({ "joiner": spec })).expect("a node");
            let joiner = Joiner::of(&node, Ty::Long, Ty::Str).expect("a joiner");
            (
                joiner.ty,
                joiner.call(&text("k"), &Val::Long(4), &Val::Null),
            )
        };
        assert_eq!(join("concat"), (Ty::Str, text("4,null")));
        assert_eq!(join("concat:"), (Ty::Str, text("4null")));
        assert_eq!(join("key_concat"), (Ty::Str, text("k:4,null")));
        assert_eq!(join("left"), (Ty::Long, Val::Long(4)));
        assert_eq!(join("right"), (Ty::Str, Val::Null));
        assert_eq!(join("sum"), (Ty::Long, Val::Long(4)));
        assert_eq!(join("null_if:4,null"), (Ty::Str, Val::Null));
    }

    #[test]
    fn the_old_value_wins_a_tie() {
        let reduce = |spec: &str, old: &Val, new: &Val| {
            let reducer = Reducer::parse(spec).expect("a reducer");
            reducer.call(old, new)
        };
        assert_eq!(reduce("max", &text("7"), &Val::Long(7)), text("7"));
        assert_eq!(reduce("min", &text("é"), &text("z")), text("z"));
        assert_eq!(reduce("max", &Val::Long(9), &Val::Long(10)), Val::Long(10));
        assert_eq!(reduce("null_if:b", &text("a"), &text("b")), Val::Null);
        assert_eq!(reduce("diff", &text("5"), &text("abc")), Val::Long(2));
    }

    #[test]
    fn aggregators_take_the_row_last() {
        let add = |spec: &str| {
            let aggregator = Aggregator::parse(spec).expect("an aggregator");
            aggregator.call(&text("k"), &text("3"), &Val::Long(5))
        };
        assert_eq!(add("concat"), text("5+3"));
        assert_eq!(add("key_concat"), text("5+k:3"));
        assert_eq!(add("diff"), Val::Long(2));
        assert_eq!(add("uncount"), Val::Long(4));
        assert_eq!(add("null_at:6"), Val::Null);
        assert_eq!(add("null_at:7"), Val::Long(6));
    }
}

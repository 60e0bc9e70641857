//! Functions of a case: pipelines over key and value, list functions, tests. Not joiners and aggregators: those are in `combine`.
//! Invariant: a function is compiled once; a spec that is wrong is refused then, not while records flow.

use crate::Refusal;
use crate::value::{Ty, Val, parse_long};
use std::sync::Arc;

type Call<T> = Arc<dyn Fn(&Val, &Val) -> T + Send + Sync>;

/// A function of key and value with the type of its result.
#[derive(Clone)]
pub(crate) struct Function {
    pub(crate) ty: Ty,
    call: Call<Val>,
}

/// A function of key and value that gives any number of items.
#[derive(Clone)]
pub(crate) struct ListFunction {
    pub(crate) ty: Ty,
    call: Call<Vec<Val>>,
}

/// A predicate of key and value.
#[derive(Clone)]
pub(crate) struct Test(Call<bool>);

impl Function {
    /// Compiles a pipeline over keys and values of these types.
    pub(crate) fn parse(spec: &str, key: Ty, value: Ty) -> Result<Self, Refusal> {
        Self::pipeline(spec.split('|').collect(), key, value)
    }

    pub(crate) fn call(&self, key: &Val, value: &Val) -> Val {
        (self.call)(key, value)
    }

    fn new(ty: Ty, call: impl Fn(&Val, &Val) -> Val + Send + Sync + 'static) -> Self {
        let call = Arc::new(call);
        Self { ty, call }
    }

    fn pipeline(mut segments: Vec<&str>, key: Ty, value: Ty) -> Result<Self, Refusal> {
        let start = match segments.first() {
            Some(&"key") => Some(Self::new(key, |key, _| key.clone())),
            Some(&"value") => Some(Self::value(value)),
            Some(&"kv") => Some(Self::new(Ty::Str, |key, value| {
                Val::Str(format!("{}:{}", key.text(), value.text()))
            })),
            _ => None,
        };
        if start.is_some() {
            segments.remove(0);
        }
        let start = start.unwrap_or_else(|| Self::value(value));
        segments.into_iter().try_fold(start, Self::then)
    }

    fn value(ty: Ty) -> Self {
        Self::new(ty, |_, value| value.clone())
    }

    fn then(self, segment: &str) -> Result<Self, Refusal> {
        if let Some(sees_null) = self.then_seeing_null(segment)? {
            return Ok(sees_null);
        }
        let (ty, apply) = self.step(segment)?;
        Ok(Self::new(ty, move |key, value| {
            match self.call(key, value) {
                Val::Null => Val::Null,
                other => apply(other),
            }
        }))
    }

    fn then_seeing_null(&self, segment: &str) -> Result<Option<Self>, Refusal> {
        let (name, argument) = split(segment);
        Ok(Some(match name {
            "const" => {
                let text = Val::Str(needed(argument, segment)?.into());
                Self::new(Ty::Str, move |_, _| text.clone())
            }
            "const_long" => {
                let long = Val::Long(long(argument, segment)?);
                Self::new(Ty::Long, move |_, _| long.clone())
            }
            "if_null" => {
                let (text, call) = (needed(argument, segment)?.to_owned(), self.call.clone());
                Self::new(Ty::Str, move |key, value| match call(key, value) {
                    Val::Null => Val::Str(text.clone()),
                    other => Val::Str(other.text()),
                })
            }
            _ => return Ok(None),
        }))
    }

    /// What a segment does to a value that is not null.
    fn step(&self, segment: &str) -> Result<(Ty, Step), Refusal> {
        let (name, argument) = split(segment);
        let same = self.ty;
        Ok(match name {
            "identity" => (same, Box::new(|x| x)),
            "null" => (same, Box::new(|_| Val::Null)),
            "null_if" => {
                let null = needed(argument, segment)?.to_owned();
                let apply = move |x: Val| if x.text() == null { Val::Null } else { x };
                (same, Box::new(apply))
            }
            "fail_if" => {
                let bad = needed(argument, segment)?.to_owned();
                let apply = move |x: Val| {
                    assert!(x.text() != bad, "failed on {bad}");
                    x
                };
                (same, Box::new(apply))
            }
            "window_key" => (Ty::Str, windowed(|window| Val::Str(window.key.text()))),
            "window_start" => (Ty::Long, windowed(|window| Val::Long(window.start))),
            "window_end" => (Ty::Long, windowed(|window| Val::Long(window.end))),
            "length" => (
                Ty::Long,
                Box::new(|x| Val::Long(x.text().chars().count() as i64)),
            ),
            "parse_long" => {
                let parse = |x: Val| parse_long(&x.text()).map_or(Val::Null, Val::Long);
                (Ty::Long, Box::new(parse))
            }
            "add" => {
                let n = long(argument, segment)?;
                (
                    Ty::Long,
                    Box::new(move |x| Val::Long(x.number().wrapping_add(n))),
                )
            }
            "mod" => {
                let n = long(argument, segment)?;
                if n == 0 {
                    return Err(Refusal::Case(format!("{segment} divides by zero")));
                }
                (
                    Ty::Long,
                    Box::new(move |x| Val::Long(floor_mod(x.number(), n))),
                )
            }
            _ => (Ty::Str, text_step(name, argument, segment)?),
        })
    }
}

type Step = Box<dyn Fn(Val) -> Val + Send + Sync>;

/// Segments from text to text; `None` of `edit` is null.
fn text_step(name: &str, argument: Option<&str>, segment: &str) -> Result<Step, Refusal> {
    let needed = || needed(argument, segment).map(str::to_owned);
    let text = |edit: Box<dyn Fn(&str) -> String + Send + Sync>| -> Step {
        Box::new(move |x| Val::Str(edit(&x.text())))
    };
    Ok(match name {
        "to_string" => text(Box::new(str::to_owned)),
        "upper" => text(Box::new(str::to_ascii_uppercase)),
        "lower" => text(Box::new(str::to_ascii_lowercase)),
        "reverse" => text(Box::new(|x| x.chars().rev().collect())),
        "append" => {
            let end = needed()?;
            text(Box::new(move |x| format!("{x}{end}")))
        }
        "prepend" => {
            let start = needed()?;
            text(Box::new(move |x| format!("{start}{x}")))
        }
        "prefix" => {
            let n = usize::try_from(long(argument, segment)?)
                .map_err(|_| Refusal::Case(format!("{segment} takes no negative number")))?;
            text(Box::new(move |x| x.chars().take(n).collect()))
        }
        "first_word" => text(Box::new(|x| before(x, " "))),
        "before" => {
            let end = needed()?;
            text(Box::new(move |x| before(x, &end)))
        }
        "after" => {
            let start = needed()?;
            Box::new(move |x| match x.text().split_once(start.as_str()) {
                Some((_, after)) => Val::Str(after.into()),
                None => Val::Null,
            })
        }
        _ => return Err(Refusal::Case(format!("unknown function {segment}"))),
    })
}

fn before(text: &str, end: &str) -> String {
    text.split_once(end)
        .map_or(text, |(before, _)| before)
        .into()
}

fn windowed(of: fn(&headwater::Windowed<Val>) -> Val) -> Step {
    Box::new(move |x| match &x {
        Val::Windowed(window) => of(window),
        // `ClassCastException` in Java.
        other => panic!("{other:?} has no window"),
    })
}

/// `Math.floorMod`.
fn floor_mod(x: i64, n: i64) -> i64 {
    let rest = x.wrapping_rem(n);
    if rest != 0 && (rest < 0) != (n < 0) {
        rest + n
    } else {
        rest
    }
}

impl ListFunction {
    pub(crate) fn parse(spec: &str, key: Ty, value: Ty) -> Result<Self, Refusal> {
        let (before, last) = last(spec, key, value)?;
        let (name, argument) = split(last);
        let (ty, items): (_, Box<dyn Fn(Val) -> Vec<Val> + Send + Sync>) = match name {
            "split_words" => {
                let words = |x: Val| {
                    let text = x.text();
                    let words = text.split(' ').filter(|word| !word.is_empty());
                    words.map(|word| Val::Str(word.into())).collect()
                };
                (Ty::Str, Box::new(words))
            }
            "chars" => {
                let chars = |x: Val| x.text().chars().map(|c| Val::Str(c.into())).collect();
                (Ty::Str, Box::new(chars))
            }
            "repeat" => {
                let n = usize::try_from(long(argument, last)?)
                    .map_err(|_| Refusal::Case(format!("{last} takes no negative number")))?;
                (before.ty, Box::new(move |x| vec![x; n]))
            }
            _ => return Err(Refusal::Case(format!("unknown list function {last}"))),
        };
        let call = Arc::new(
            move |key: &Val, value: &Val| match before.call(key, value) {
                Val::Null => Vec::new(),
                other => items(other),
            },
        );
        Ok(Self { ty, call })
    }

    pub(crate) fn call(&self, key: &Val, value: &Val) -> Vec<Val> {
        (self.call)(key, value)
    }
}

impl Test {
    pub(crate) fn parse(spec: &str, key: Ty, value: Ty) -> Result<Self, Refusal> {
        let (before, last) = last(spec, key, value)?;
        let (name, argument) = split(last);
        let text = || needed(argument, last).map(str::to_owned);
        let holds: Box<dyn Fn(&Val) -> bool + Send + Sync> = match name {
            // Java does not run what stands before these two.
            "always" => return Ok(Self(Arc::new(|_, _| true))),
            "never" => return Ok(Self(Arc::new(|_, _| false))),
            "is_null" => Box::new(|x| *x == Val::Null),
            "not_null" => Box::new(|x| *x != Val::Null),
            "eq" => {
                let text = text()?;
                not_null(move |x| x.text() == text)
            }
            "contains" => {
                let text = text()?;
                not_null(move |x| x.text().contains(&text))
            }
            "starts_with" => {
                let text = text()?;
                not_null(move |x| x.text().starts_with(&text))
            }
            "gt" => {
                let n = long(argument, last)?;
                not_null(move |x| x.number() > n)
            }
            "lt" => {
                let n = long(argument, last)?;
                not_null(move |x| x.number() < n)
            }
            "even" => not_null(|x| x.number() % 2 == 0),
            _ => return Err(Refusal::Case(format!("unknown test {last}"))),
        };
        Ok(Self(Arc::new(move |key, value| {
            holds(&before.call(key, value))
        })))
    }

    pub(crate) fn holds(&self, key: &Val, value: &Val) -> bool {
        (self.0)(key, value)
    }
}

fn not_null(
    holds: impl Fn(&Val) -> bool + Send + Sync + 'static,
) -> Box<dyn Fn(&Val) -> bool + Send + Sync> {
    Box::new(move |x| *x != Val::Null && holds(x))
}

/// The pipeline up to the last segment, and the last segment.
fn last(spec: &str, key: Ty, value: Ty) -> Result<(Function, &str), Refusal> {
    match spec.rsplit_once('|') {
        Some((before, last)) => Ok((Function::parse(before, key, value)?, last)),
        None => Ok((Function::value(value), spec)),
    }
}

/// A segment's name and its argument.
pub(crate) fn split(segment: &str) -> (&str, Option<&str>) {
    match segment.split_once(':') {
        Some((name, argument)) => (name, Some(argument)),
        None => (segment, None),
    }
}

pub(crate) fn needed<'a>(argument: Option<&'a str>, segment: &str) -> Result<&'a str, Refusal> {
    argument.ok_or_else(|| Refusal::Case(format!("function needs an argument: {segment}")))
}

pub(crate) fn long(argument: Option<&str>, segment: &str) -> Result<i64, Refusal> {
    let text = needed(argument, segment)?;
    let parsed = text.parse();
    parsed.map_err(|_| Refusal::Case(format!("{segment}: {text} is no number")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spec: &str, key: Val, value: Val, expected: Val) {
        let ty = |val: &Val| match val {
            Val::Long(_) => Ty::Long,
            _ => Ty::Str,
        };
        let function = Function::parse(spec, ty(&key), ty(&value)).expect("a function");
        assert_eq!(function.call(&key, &value), expected, "{spec}");
        if expected != Val::Null {
            assert_eq!(function.ty, ty(&expected), "{spec}");
        }
    }

    fn text(text: &str) -> Val {
        Val::Str(text.into())
    }

    #[test]
    fn segments_are_those_of_the_judge() {
        let key = || text("k");
        let cases = [
            ("identity", text("v"), text("v")),
            ("key", text("v"), text("k")),
            ("kv", Val::Null, text("k:null")),
            ("upper", text("straße"), text("STRAßE")),
            ("reverse", text("añ😀"), text("😀ña")),
            ("append:|prefix:1", text("ab"), text("a")),
            ("before::", text("a:b:c"), text("a")),
            ("before:x", text("a"), text("a")),
            ("after::", text("a:b:c"), text("b:c")),
            ("after:x", text("a"), Val::Null),
            ("first_word", text("two words"), text("two")),
            ("length", text("😀"), Val::Long(1)),
            ("parse_long", text("+12"), Val::Long(12)),
            ("parse_long", text("1234567890123456789"), Val::Null),
            ("add:1", text("word"), Val::Long(5)),
            ("add:1", Val::Long(i64::MAX), Val::Long(i64::MIN)),
            ("mod:3", Val::Long(-1), Val::Long(2)),
            ("null_if:v", text("v"), Val::Null),
            ("null|if_null:n", text("v"), text("n")),
            ("null|const:c", text("v"), text("c")),
            ("null|upper", text("v"), Val::Null),
            ("to_string", Val::Long(-7), text("-7")),
        ];
        for (spec, value, expected) in cases {
            check(spec, key(), value, expected);
        }
    }

    #[test]
    #[should_panic(expected = "failed on bad")]
    fn a_value_to_fail_on_panics() {
        check("fail_if:bad", Val::Null, text("bad"), Val::Null);
    }

    #[test]
    fn a_wrong_function_is_refused_when_it_is_read() {
        for spec in [
            "nonsense",
            "append",
            "add:x",
            "prefix:-1",
            "mod:0",
            "value|value",
        ] {
            assert!(Function::parse(spec, Ty::Str, Ty::Str).is_err(), "{spec}");
        }
    }

    #[test]
    fn null_fails_every_test_but_two() {
        for (spec, expected) in [
            ("always", true),
            ("is_null", true),
            ("never", false),
            ("not_null", false),
            ("eq:null", false),
            ("contains:", false),
            ("lt:1", false),
            ("even", false),
            ("if_null:x|eq:x", true),
        ] {
            let test = Test::parse(spec, Ty::Str, Ty::Str).expect("a test");
            assert_eq!(test.holds(&Val::Null, &Val::Null), expected, "{spec}");
        }
    }

    #[test]
    fn lists_of_null_are_empty() {
        let call = |spec: &str, value: Val| {
            let list = ListFunction::parse(spec, Ty::Str, Ty::Str).expect("a list function");
            list.call(&text("k"), &value)
        };
        assert_eq!(call("split_words", text(" a  b ")), [text("a"), text("b")]);
        assert_eq!(call("chars", text("aé")), [text("a"), text("é")]);
        assert_eq!(call("key|repeat:2", Val::Null), [text("k"), text("k")]);
        assert_eq!(call("repeat:2", Val::Null), []);
    }
}

//! Joins of streams as Kafka Streams 4.3.1 printed them. Not the corpus of the judge. Invariant: as in `golden`.

use super::check;
use headwater_streams::{App, JoinWindows, KStream};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

fn streams(app: &App) -> [KStream<'_, String, String>; 2] {
    [app.stream("l"), app.stream("r")]
}

fn with_grace() -> JoinWindows {
    JoinWindows::of(SECOND).grace(Duration::from_millis(500))
}

fn or_null(text: Option<&String>) -> &str {
    text.map_or("null", String::as_str)
}

#[test]
fn stream_join_inner() {
    check("stream_join_inner", |app| {
        let [left, right] = streams(app);
        left.join(right.within(with_grace()), |l, r| format!("{l}+{r}"))
            .to("out");
    });
}

#[test]
fn stream_join_left() {
    check("stream_join_left", |app| {
        let [left, right] = streams(app);
        let join = |l: &String, r: Option<&String>| format!("{l}+{}", or_null(r));
        left.left_join(right.within(with_grace()), join).to("out");
    });
}

#[test]
fn stream_join_outer() {
    check("stream_join_outer", |app| {
        let [left, right] = streams(app);
        let join =
            |l: Option<&String>, r: Option<&String>| format!("{}+{}", or_null(l), or_null(r));
        left.outer_join(right.within(with_grace()), join).to("out");
    });
}

#[test]
fn stream_join_outer_named() {
    check("stream_join_outer_named", |app| {
        let [left, right] = streams(app);
        let right = right.within(SECOND).stores_named("st");
        let join =
            |l: Option<&String>, r: Option<&String>| format!("{}+{}", or_null(l), or_null(r));
        left.named("nm").outer_join(right, join).to("out");
    });
}

#[test]
fn stream_join_rekeyed() {
    check("stream_join_rekeyed", |app| {
        let left = app
            .stream::<String, String>("l")
            .select_key(|_, value| value.clone());
        let right = app
            .stream::<String, String>("r")
            .map(|key, value| (value, key));
        left.join(right.within(SECOND), |l, r| format!("{l}+{r}"))
            .to("out");
    });
}

#[test]
fn self_join_optimized() {
    check("self_join_optimized", |app| {
        app.set("topology.optimization", "all")
            .expect("a setting of topologies");
        let left = app.stream::<String, String>("l");
        left.join(left.within(SECOND), |l, r| format!("{l}+{r}"))
            .to("out");
    });
}

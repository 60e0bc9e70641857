//! Sources that read all topics whose names match a pattern: what is refused, and what they become where the topics are known.
//! Not the runtime, which asks the log. Invariant: a topic is read by one source.

use headwater_streams::{App, Data, Topic, Topology};

fn orders(app: &App, pattern: &str) {
    let topic = Topic::<String, String>::matching(pattern)
        .keys(String::format())
        .values(String::format());
    app.stream(topic).to("all");
}

fn built(build: impl Fn(&App)) -> Result<Topology, String> {
    let app = App::new("app");
    build(&app);
    app.build().map_err(|error| error.to_string())
}

#[test]
fn a_pattern_becomes_the_topics_that_match_it_whole() {
    let topology = built(|app| orders(app, "orders-[a-z]+")).unwrap();
    assert!(topology.has_patterns() && topology.membership().is_empty());
    let text = topology.describe();
    let topics = ["orders-b", "orders-a", "my-orders-a", "orders-1", "other"];
    let topology = topology.resolve_patterns(topics).unwrap();
    assert!(!topology.has_patterns());
    assert_eq!(topology.describe(), text);
    assert_eq!(
        topology.membership()[0].source_topics,
        ["orders-a", "orders-b"]
    );
}

#[test]
fn what_is_the_brokers_or_the_applications_own_matches_no_pattern() {
    let topology = built(|app| {
        let topic = Topic::<String, String>::matching(".*")
            .keys(String::format())
            .values(String::format());
        app.stream(topic).group_by_key().count("n");
    });
    let topics = ["__consumer_offsets", "app-n-changelog", "in"];
    let topology = topology.unwrap().resolve_patterns(topics).unwrap();
    assert_eq!(topology.membership()[0].source_topics, ["in"]);
}

#[track_caller]
fn check_refused(result: Result<Topology, String>, parts: &[&str]) {
    let error = result.unwrap_err();
    for part in parts {
        assert!(error.contains(part), "{part} is missing in: {error}");
    }
}

#[test]
fn what_cannot_be_read_is_refused() {
    check_refused(built(|app| orders(app, "a(")), &["KSTREAM-SOURCE", "'a('"]);
    let both = |app: &App| {
        orders(app, "in-.*");
        app.stream::<String, String>("in-1").to("other");
    };
    check_refused(built(both), &["'in-1'", "'in-.*'"]);
    let table = |app: &App| {
        let topic = Topic::<String, String>::matching("in-.*")
            .keys(String::format())
            .values(String::format());
        let _table = app.table(topic);
    };
    check_refused(built(table), &["KStream::to_table"]);
    let resolve = |build: &dyn Fn(&App), topics: &[&str]| {
        let topology = built(build)?;
        let topics = topics.iter().copied();
        let resolved = topology.resolve_patterns(topics);
        resolved.map_err(|error| error.to_string())
    };
    check_refused(
        resolve(&|app| orders(app, "in-.*"), &["out"]),
        &["no topic matches the pattern 'in-.*'"],
    );
    let two = |app: &App| {
        orders(app, "in-.*");
        orders(app, ".*-1");
    };
    check_refused(resolve(&two, &["in-1", "x-1"]), &["'in-1'", "two sources"]);
}

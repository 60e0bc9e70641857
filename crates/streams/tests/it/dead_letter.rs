//! Dead letters: what they say of a record that failed on its way out of a record cache, of one that a processor made, of a call
//! without a record. Not the policies themselves. Invariant: a letter never has the bytes of another record.

use crate::task::Bench;
use headwater_streams::{
    App, OnError, Processor, ProcessorContext, Punctuation, PunctuationKind, Record, Result, Store,
    Suppress, TestDriver, TestRecord, TimeWindows, TopologySettings,
};
use std::time::Duration;

fn with_letters(app: &App) {
    app.configure(TopologySettings {
        on_error: OnError::DeadLetter("letters".into()),
        ..TopologySettings::default()
    });
}

/// Counts by key, and fails on the counts of `a`, and then on all records of the value `bad`.
fn counting(app: &App) {
    with_letters(app);
    let words = app.stream::<String, String>("words");
    words
        .group_by_key()
        .count("counts")
        .to_stream()
        .peek(|key, _| assert_ne!(key, "a", "no a"))
        .to("out");
    words.peek(|_, value| assert_ne!(value, "bad", "it is bad"));
}

fn letters(bench: &mut Bench) -> Vec<String> {
    let mut written = bench.written();
    written.retain(|line| line.starts_with("letters") || line.starts_with("any letters"));
    written
}

#[test]
fn a_letter_of_a_flush_has_the_source_record_of_the_update() {
    let mut bench = Bench::new(counting, &[]);
    bench.feed(
        0,
        &[("a", "x", 1), ("b", "y", 2), ("a", "z", 3), ("b", "bad", 4)],
    );
    assert_eq!(bench.process(9), (4, false));
    let at_hand = ["letters b bad @4 from words 2 3"];
    assert_eq!(letters(&mut bench), at_hand);
    bench.flush();
    assert_eq!(letters(&mut bench), ["letters a z @3 from words 2 2"]);
}

#[test]
fn a_letter_of_an_eviction_is_not_of_the_record_at_hand_and_the_next_one_is() {
    let mut bench = Bench::new(counting, &[]);
    // Room for one entry.
    bench.resize_cache(100);
    bench.feed(0, &[("a", "x", 1), ("b", "bad", 2)]);
    assert_eq!(bench.process(9), (2, false));
    let both = [
        "letters a x @1 from words 2 0",
        "letters b bad @2 from words 2 1",
    ];
    assert_eq!(letters(&mut bench), both);
}

/// A letter: key, value, and the headers that say where it is from.
type Letter = (Option<String>, Option<String>, Vec<Option<String>>);

fn shown(letter: &TestRecord) -> Letter {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let place = ["topic", "partition", "offset"].map(|part| {
        let name = format!("__streams.errors.{part}");
        let found = letter.headers.last(&name).expect("each letter says where");
        found.map(text)
    });
    (
        letter.key.as_deref().map(text),
        letter.value.as_deref().map(text),
        place.to_vec(),
    )
}

fn place(topic: &str, offset: &str) -> Vec<Option<String>> {
    [topic, "0", offset]
        .map(|part| Some(part.to_owned()))
        .to_vec()
}

/// Makes each record anew with a header, and one at each punctuation.
struct Anew;

impl Processor for Anew {
    type KeyIn = String;
    type ValueIn = String;
    type KeyOut = String;
    type ValueOut = String;

    fn open(&mut self, ctx: &mut ProcessorContext<'_, '_, String, String>) -> Result<()> {
        ctx.schedule(Duration::from_millis(10), PunctuationKind::WallClock);
        Ok(())
    }

    fn process(
        &mut self,
        record: Record<String, String>,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        let mut made = Record::new("made".to_owned(), record.value, 70);
        made.headers.add("by", Some(b"me"));
        ctx.forward(made)
    }

    fn punctuate(
        &mut self,
        punctuation: Punctuation,
        ctx: &mut ProcessorContext<'_, '_, String, String>,
    ) -> Result<()> {
        let time = punctuation.time;
        ctx.forward(Record::new("called".to_owned(), Some("bad".into()), time))
    }
}

#[test]
fn a_record_that_a_processor_made_comes_from_the_record_at_hand_or_from_nowhere() -> Result<()> {
    let app = App::new("app");
    with_letters(&app);
    app.stream::<String, String>("in")
        .process((), || Anew)
        .peek(|_, value| assert_ne!(value, "bad", "it is bad"))
        .to("out");
    let mut driver = TestDriver::new(app.build()?)?;
    driver.pipe("in", "k".to_owned(), "good".to_owned(), 1)?;
    driver.pipe("in", "k".to_owned(), "bad".to_owned(), 2)?;
    driver.advance_wall_clock(10)?;
    let letters = driver.read_raw("letters");
    let some = |text: &str| Some(text.to_owned());
    let nowhere = vec![None, some("-1"), some("-1")];
    let found: Vec<_> = letters.iter().map(shown).collect();
    let wanted = [
        (some("k"), some("bad"), place("in", "1")),
        (None, None, nowhere),
    ];
    assert_eq!(found, wanted);
    let times: Vec<_> = letters.iter().map(|letter| letter.timestamp).collect();
    assert_eq!(times, [70, 10], "as the records that failed");
    assert_eq!(letters[0].headers.last("by"), Some(Some(&b"me"[..])));
    Ok(())
}

#[test]
fn a_letter_behind_a_suppression_says_where_the_held_record_was_read() -> Result<()> {
    let app = App::new("app");
    with_letters(&app);
    let windows = TimeWindows::of(Duration::from_millis(10));
    app.stream::<String, String>("in")
        .group_by_key()
        .windowed_by(windows)
        .count(Store::from("counts").without_cache())
        .suppress(Suppress::until_window_closes())
        .to_stream()
        .peek(|_, count| assert_ne!(*count, 2, "two is one too many"))
        .map(|key, count| (key.key, count))
        .to("out");
    let mut driver = TestDriver::new(app.build()?)?;
    for (value, time) in [("x", 1), ("y", 2), ("z", 30)] {
        driver.pipe("in", "k".to_owned(), value.to_owned(), time)?;
    }
    let letters = driver.read_raw("letters");
    let found: Vec<_> = letters.iter().map(shown).collect();
    assert_eq!(found, [(None, None, place("in", "1"))]);
    Ok(())
}

//! One record that becomes several, whatever the iterator says of how many are left.
//! Not what that costs: see `allocation`. Invariant: each value goes on under the key, in order.

use headwater_streams::{App, TestDriver, Topology};
use std::sync::{Arc, Mutex};

/// Counts down from `left`, and says that at most `upper` are left.
struct Said {
    left: u64,
    upper: fn(u64) -> Option<usize>,
}

impl Iterator for Said {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        Some(self.left)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, (self.upper)(self.left))
    }
}

#[track_caller]
fn check(upper: fn(u64) -> Option<usize>) {
    check_values(values(upper));
    check_values(pairs(upper));
}

fn values(upper: fn(u64) -> Option<usize>) -> Topology {
    let app = App::new("app");
    app.stream::<String, u64>("in")
        .flat_map_values(move |left| Said { left, upper })
        .to("out");
    app.build().unwrap()
}

fn pairs(upper: fn(u64) -> Option<usize>) -> Topology {
    let app = App::new("app");
    app.stream::<String, u64>("in")
        .flat_map(move |key, left| Said { left, upper }.map(move |value| (key.clone(), value)))
        .to("out");
    app.build().unwrap()
}

#[track_caller]
fn check_values(topology: Topology) {
    let mut driver = TestDriver::new(topology).unwrap();
    for (time, left) in [(1, 0_u64), (2, 1), (3, 3)] {
        driver.pipe("in", "k".to_owned(), left, time).unwrap();
    }
    let found = driver.read::<String, u64>("out").unwrap();
    let expected = [(0, 2), (2, 3), (1, 3), (0, 3)];
    let expected = expected.map(|(value, time)| ("k".to_owned(), Some(value), time));
    assert_eq!(found, expected);
}

#[test]
fn an_iterator_may_know_how_many_are_left() {
    check(|left| Some(left as usize));
}

#[test]
fn an_iterator_may_not_know_how_many_are_left() {
    check(|_| None);
    check(|left| Some(left as usize + 1));
}

#[test]
fn an_iterator_that_is_wrong_about_its_end_loses_nothing() {
    check(|_| Some(0));
}

#[test]
fn a_value_goes_on_before_the_next_one_is_asked_for() {
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let (asked, sent) = (seen.clone(), seen.clone());
    let app = App::new("app");
    app.stream::<String, u64>("in")
        .flat_map_values(move |left| {
            let asked = asked.clone();
            let said = Said {
                left,
                upper: |left| Some(left as usize),
            };
            said.inspect(move |value| asked.lock().unwrap().push(format!("asked {value}")))
        })
        .for_each(move |_, value| sent.lock().unwrap().push(format!("sent {value}")));
    let mut driver = TestDriver::new(app.build().unwrap()).unwrap();
    driver.pipe("in", "k".to_owned(), 2_u64, 1).unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(*seen, ["asked 1", "sent 1", "asked 0", "sent 0"]);
}

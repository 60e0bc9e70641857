//! Where Kafka Streams itself breaks, so that there is nothing to be equal to. Not a list of our own shortcomings.
//! Invariant: each entry is recognised by what the judge said, never by what we did.

use serde_json::Value;

/// Words of the judge's error, and what is wrong there.
const FAULTS: &[(&str, &str)] = &[
    (
        "cannot contain regex pattern for input record topic",
        "the test driver takes a dot in a topic's name for a regular expression",
    ),
    (
        "Found a null keyChangingChild node",
        "merging repartition topics does not find the node that changes the key",
    ),
    (
        "because \"next.value\" is null",
        "a reversed range over a store in the record cache shows a deletion",
    ),
];

/// The fault of Kafka Streams that a result shows, if any.
pub(crate) fn of(expected: &Value) -> Option<&'static str> {
    let error = &expected["error"];
    let says = |field: &str, words: &str| {
        error[field]
            .as_str()
            .is_some_and(|text| text.contains(words))
    };
    FAULTS
        .iter()
        .find(|(words, _)| says("message", words) || says("cause", words))
        .map(|(_, fault)| *fault)
}

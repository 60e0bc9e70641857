//! Case files as they are kept: one node and one input a line, as a person would write them. Not the judge's layout of results.
//! Invariant: reading what was written gives the same JSON value.

use serde_json::Value;

/// Fields that come first in a node or input, in this order; the others follow by name.
const FIRST: &[&str] = &[
    "id", "op", "from", "left", "right", "topic", "topics", "key", "value",
];

/// The text of a case file.
#[must_use]
pub fn text(case: &Value) -> String {
    let mut lines = Vec::new();
    for field in ["name", "note", "config"] {
        if let Some(value) = case.get(field) {
            lines.push(format!(" \"{field}\": {value}"));
        }
    }
    for field in ["nodes", "input"] {
        let items = case[field].as_array().map_or(&[][..], Vec::as_slice);
        let rows: Vec<String> = items
            .iter()
            .map(|item| format!("  {}", row(item)))
            .collect();
        let separator = if rows.is_empty() { "" } else { "\n" };
        lines.push(format!(
            " \"{field}\": [{separator}{}{separator} ]",
            rows.join(",\n")
        ));
    }
    format!("{{\n{}\n}}\n", lines.join(",\n"))
}

fn row(item: &Value) -> String {
    let Some(object) = item.as_object() else {
        return item.to_string();
    };
    let first = FIRST
        .iter()
        .filter_map(|field| object.get_key_value(*field));
    let others = object
        .iter()
        .filter(|(field, _)| !FIRST.contains(&field.as_str()));
    let fields: Vec<String> = first
        .chain(others)
        .map(|(field, value)| format!("\"{field}\": {value}"))
        .collect();
    format!("{{{}}}", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::case;

    #[test]
    fn what_is_written_reads_as_the_same_case() {
        for index in 0..100 {
            let case = case(2, index);
            let read: Value = serde_json::from_str(&text(&case)).expect("the text is JSON");
            assert_eq!(read, case);
        }
    }
}

//! A result as a trace for people. Not compared with anything. Invariant: every record stands below the input that caused it.

use serde_json::Value;
use std::fmt::Write;

/// The trace of `result`; `case` is the file that it is the result of.
pub fn show(case: &Value, result: &Value) -> String {
    let mut text = format!("== {}\n", result["name"].as_str().unwrap_or("?"));
    text += result["description"].as_str().unwrap_or_default();
    let mut shown = 0;
    // Writing to a String cannot fail.
    for record in result["records"].as_array().into_iter().flatten() {
        let step = record["step"].as_i64().unwrap_or(-1);
        while i64::try_from(shown).is_ok_and(|shown| shown <= step) {
            let _ = writeln!(text, "[{shown}] {}", case["input"][shown]);
            shown += 1;
        }
        let topic = record["topic"].as_str().unwrap_or("?");
        let (key, value) = (readable(&record["key"]), readable(&record["value"]));
        let _ = write!(text, "      {topic}  {key} = {value} @{}", record["ts"]);
        let _ = match record["headers"].as_array() {
            Some(headers) if !headers.is_empty() => writeln!(text, " {}", record["headers"]),
            _ => writeln!(text),
        };
    }
    for (name, store) in result["stores"].as_object().into_iter().flatten() {
        let _ = writeln!(text, "store {name} {store}");
    }
    if !result["error"].is_null() {
        let _ = writeln!(text, "error {}", result["error"]);
    }
    text
}

/// Hexadecimal bytes with what is printable in clear; longer runs of zeros are a `~`.
fn readable(hex: &Value) -> String {
    let Some(hex) = hex.as_str() else {
        return "null".into();
    };
    let mut text = String::new();
    let mut zeros = 0;
    for at in (0..hex.len().saturating_sub(1)).step_by(2) {
        let digits = &hex[at..at + 2];
        if digits == "00" {
            zeros += 1;
            continue;
        }
        push_zeros(&mut text, std::mem::take(&mut zeros));
        match u8::from_str_radix(digits, 16) {
            Ok(byte @ 32..127) => text.push(char::from(byte)),
            _ => {
                text += "\\x";
                text += digits;
            }
        }
    }
    push_zeros(&mut text, zeros);
    text
}

fn push_zeros(text: &mut String, count: usize) {
    match count {
        0..3 => *text += &"\\x00".repeat(count),
        _ => text.push('~'),
    }
}

//! The bytes of a key, value or header as people and tools read them. Not a decoder of application types.
//! Invariant: every field is one line without control characters, whatever bytes it has.

use crate::args::Format;
use serde_json::{Value, json};

/// The JSON of a field. Bytes that are not of the format are an object that says so.
pub(crate) fn json(bytes: Option<&[u8]>, format: Format) -> Value {
    let Some(bytes) = bytes else {
        return Value::Null;
    };
    let wrong = || json!({ "not": name(format), "hex": hex(bytes) });
    decode(bytes, format).unwrap_or_else(wrong)
}

/// The text of a field.
pub(crate) fn text(bytes: Option<&[u8]>, format: Format) -> String {
    let Some(bytes) = bytes else {
        return "(null)".into();
    };
    match decode(bytes, format) {
        None => format!("(not {}) {}", name(format), hex(bytes)),
        Some(Value::String(text)) if text.is_empty() => "\"\"".into(),
        Some(Value::String(text)) if format != Format::Json => escape(&text),
        Some(value) => escape(&value.to_string()),
    }
}

fn decode(bytes: &[u8], format: Format) -> Option<Value> {
    let number: Option<[u8; 8]> = bytes.try_into().ok();
    match format {
        Format::Auto => Some(auto(bytes)),
        Format::Hex => Some(hex(bytes).into()),
        Format::String => std::str::from_utf8(bytes).ok().map(Value::from),
        Format::Json => serde_json::from_slice(bytes).ok(),
        Format::I64 => number.map(|bytes| i64::from_be_bytes(bytes).into()),
        Format::U64 => number.map(|bytes| u64::from_be_bytes(bytes).into()),
    }
}

fn auto(bytes: &[u8]) -> Value {
    if let Ok(text) = std::str::from_utf8(bytes)
        && text
            .chars()
            .all(|c| !c.is_control() || matches!(c, '\n' | '\r' | '\t'))
    {
        let structured = text.starts_with(['{', '[']);
        let parsed = structured.then(|| serde_json::from_str(text).ok());
        return parsed.flatten().unwrap_or_else(|| text.into());
    }
    match <[u8; 8]>::try_from(bytes) {
        Ok(bytes) => i64::from_be_bytes(bytes).into(),
        Err(_) => hex(bytes).into(),
    }
}

fn name(format: Format) -> &'static str {
    match format {
        Format::Auto => "text",
        Format::String => "UTF-8",
        Format::Json => "JSON",
        Format::I64 | Format::U64 => "8 bytes",
        Format::Hex => "hex",
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 + 2 * bytes.len());
    text.push_str("0x");
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Control characters as escapes: they would break the line, or the terminal.
fn escape(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if c.is_control() => line.extend(c.escape_default()),
            _ => line.push(c),
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::{Format, text};

    #[track_caller]
    fn check(bytes: &[u8], format: Format, expected: &str) {
        assert_eq!(text(Some(bytes), format), expected);
    }

    #[test]
    fn a_field_is_shown_as_what_it_is() {
        assert_eq!(text(None, Format::Auto), "(null)");
        check(b"", Format::Auto, "\"\"");
        check(b"word", Format::Auto, "word");
        check(b"lavender", Format::Auto, "lavender");
        check(b"two\nlines", Format::Auto, "two\\nlines");
        check("fünf".as_bytes(), Format::Auto, "fünf");
        check(b"{ \"a\": [1, 2] }", Format::Auto, r#"{"a":[1,2]}"#);
        check(b"{not json", Format::Auto, "{not json");
        check(&7i64.to_be_bytes(), Format::Auto, "7");
        check(&(-7i64).to_be_bytes(), Format::Auto, "-7");
        check(b"\x00\x01", Format::Auto, "0x0001");
        check(b"\xff\xfe", Format::Auto, "0xfffe");
    }

    #[test]
    fn a_field_that_is_not_of_its_format_is_shown_in_hex() {
        check(&u64::MAX.to_be_bytes(), Format::U64, "18446744073709551615");
        check(b"abc", Format::I64, "(not 8 bytes) 0x616263");
        check(b"\x1b[2J", Format::String, "\\u{1b}[2J");
        check(b"\xff", Format::String, "(not UTF-8) 0xff");
        check(b"word", Format::Json, "(not JSON) 0x776f7264");
        check(b"{\"not\": 1}", Format::Json, "{\"not\":1}");
        check(b"{\"not\": 1}", Format::Auto, "{\"not\":1}");
        check(b"word", Format::Hex, "0x776f7264");
    }
}

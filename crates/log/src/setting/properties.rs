//! A file of settings as Java writes them (`java.util.Properties`): `name=value`, `name: value`, comments, escapes, continued lines.
//! Not a check of the names. Invariant: values come back as Java's own reader gives them, in the order of the file.

use std::iter::Peekable;
use std::str::Chars;

/// Names with their values, in order; a name that comes twice is there twice.
///
/// # Errors
/// A sentence with the line, when an escape is no character.
pub fn parse_properties(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut properties = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut whole = line.to_owned();
        while is_continued(&whole) {
            whole.pop();
            let next = lines.next().map_or("", |(_, next)| next);
            whole.push_str(next.trim_start());
        }
        let property = property(&whole).map_err(|error| format!("line {}: {error}", number + 1))?;
        properties.push(property);
    }
    Ok(properties)
}

/// An odd number of backslashes at the end: an even number escapes itself.
fn is_continued(line: &str) -> bool {
    let rest = line.trim_end_matches('\\');
    (line.len() - rest.len()) % 2 == 1
}

fn property(line: &str) -> Result<(String, String), String> {
    let mut chars = line.chars().peekable();
    let mut name = String::new();
    while let Some(next) = chars.next_if(|next| !is_separator(*next)) {
        name.push(unescaped(next, &mut chars)?);
    }
    while chars.next_if(|next| is_blank(*next)).is_some() {}
    if chars.next_if(|next| matches!(next, '=' | ':')).is_some() {
        while chars.next_if(|next| is_blank(*next)).is_some() {}
    }
    let mut value = String::new();
    while let Some(next) = chars.next() {
        value.push(unescaped(next, &mut chars)?);
    }
    Ok((name, value))
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

fn is_separator(c: char) -> bool {
    is_blank(c) || matches!(c, '=' | ':')
}

fn unescaped(first: char, rest: &mut Peekable<Chars<'_>>) -> Result<char, String> {
    if first != '\\' {
        return Ok(first);
    }
    Ok(match rest.next() {
        Some('t') => '\t',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('f') => '\x0c',
        Some('u') => {
            let digits: String = rest.by_ref().take(4).collect();
            let code = u32::from_str_radix(&digits, 16).ok();
            let code = code.filter(|_| digits.len() == 4).and_then(char::from_u32);
            code.ok_or_else(|| format!("\\u{digits} is no character"))?
        }
        Some(other) => other,
        // A line that ends with one is continued before it comes here.
        None => return Err("a backslash that escapes nothing".into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[(&str, &str)]) {
        let found = parse_properties(text).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn properties_are_read_as_java_reads_them() {
        check(
            "a=1\n  b : 2 \nc 3\nd\n",
            &[("a", "1"), ("b", "2 "), ("c", "3"), ("d", "")],
        );
        check("# no\n! no\n\na\\=b=c=d\r\n", &[("a=b", "c=d")]);
        check(
            "a=one \\\n   two\\\\\nb=\\u00e4\\t",
            &[("a", "one two\\"), ("b", "\u{e4}\t")],
        );
        let jaas = "sasl.jaas.config=org.apache.kafka.Plain required \\\n  username=\"alice\" \\\n  password=\"x\";\n";
        let value = "org.apache.kafka.Plain required username=\"alice\" password=\"x\";";
        check(jaas, &[("sasl.jaas.config", value)]);
    }

    #[test]
    fn an_escape_that_is_no_character_is_named_with_its_line() {
        let error = parse_properties("a=1\nb=\\u12").unwrap_err();
        assert_eq!(error, "line 2: \\u12 is no character");
        assert!(parse_properties("a=\\").is_ok(), "continued by nothing");
    }
}

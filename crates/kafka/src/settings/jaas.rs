//! The text of `sasl.jaas.config`: a login module's class, a flag and `name="value"` options.
//! Not a login: what the options mean is the mechanism's. Invariant: no error repeats a value.

use super::secret::Secret;
use std::collections::BTreeMap;

/// One login module's entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Jaas {
    /// The class name's last part, e.g. `PlainLoginModule`.
    pub(crate) module: String,
    options: BTreeMap<String, Secret>,
}

impl Jaas {
    /// Reads `a.b.PlainLoginModule required username="u" password="p";`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let body = text.trim();
        let body = body
            .strip_suffix(';')
            .ok_or("the text must end with ';', e.g. `org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p\";`")?;
        let mut words = Words { rest: body };
        let class = words
            .plain()
            .ok_or("a login module's class name must come first")?;
        let flag = words
            .plain()
            .ok_or("the flag `required` must follow the class name")?;
        if !["required", "requisite", "sufficient", "optional"]
            .contains(&flag.to_ascii_lowercase().as_str())
        {
            return Err("the flag `required` must follow the class name".into());
        }
        let mut options = BTreeMap::new();
        while let Some((name, value)) = words.option()? {
            options.insert(name, Secret::new(value));
        }
        let module = class.rsplit('.').next().unwrap_or(&class).to_owned();
        Ok(Self { module, options })
    }

    /// An option's value.
    pub(crate) fn option(&self, name: &str) -> Option<&Secret> {
        self.options.get(name)
    }

    /// Options whose names begin with `prefix`, with the rest of the name.
    pub(crate) fn options_of<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a Secret)> {
        self.options
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value)))
    }
}

struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn plain(&mut self) -> Option<String> {
        let text = self.rest.trim_start();
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then(|| word.to_owned())
    }

    fn option(&mut self) -> Result<Option<(String, String)>, String> {
        let text = self.rest.trim_start();
        if text.is_empty() {
            return Ok(None);
        }
        let (name, value) = text
            .split_once('=')
            .ok_or("an option must read name=\"value\"")?;
        let (name, value) = (name.trim_end(), value.trim_start());
        if name.is_empty() || name.contains(char::is_whitespace) || name.contains('"') {
            return Err("an option must read name=\"value\"".into());
        }
        let (value, rest) = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted, name)?,
            None => {
                let end = value.find(char::is_whitespace).unwrap_or(value.len());
                (value[..end].to_owned(), &value[end..])
            }
        };
        self.rest = rest;
        Ok(Some((name.to_owned(), value)))
    }
}

/// The value up to its closing quote, with `\"` and `\\` taken as `"` and `\`, and what follows it.
fn unquote<'a>(text: &'a str, name: &str) -> Result<(String, &'a str), String> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    Err(format!("option '{name}' has no closing quote"))
}

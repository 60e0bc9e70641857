//! Our bytes against those of kacrab-protocol, which is generated from Kafka's schemas: for random values of every message in
//! every version, both must read the other's bytes, write the same, and agree on the value of each field by name.
//! Not a proof that a broker agrees; the suite on a real one is. Invariant: no message is left out.

use super::{Dice, Random, every_message};
use crate::protocol::{Reader, Request, Response, Uuid, wire};
use bytes::{Bytes, BytesMut};
use kacrab_protocol::generated as other;

const VALUES_PER_VERSION: u64 = 60;

macro_rules! judged {
    ($($module:ident $name:ident $other_module:ident $other_name:ident;)*) => {$(
        #[test]
        fn $other_module() {
            use crate::protocol::$module::$name as Ours;
            use other::$other_module::$other_name as Theirs;
            for version in Ours::VERSIONS {
                for seed in 0..VALUES_PER_VERSION {
                    let value = Ours::random(wire(version, Ours::FLEXIBLE_FROM), &mut Dice::new(seed));
                    let mut bytes = Vec::new();
                    value.encode(version, &mut bytes);
                    let place = format!("{} version {version}, seed {seed}: {value:?}", stringify!($name));

                    let theirs = Theirs::read(&mut Bytes::from(bytes.clone()), version)
                        .unwrap_or_else(|error| panic!("{place}: {error}"));
                    assert!(agree(&pairs(&format!("{value:?}")), &pairs(&format!("{theirs:?}"))), "{place}: {theirs:?}");
                    let mut written = BytesMut::new();
                    theirs.write(&mut written, version).unwrap_or_else(|error| panic!("{place}: {error}"));
                    assert!(written == bytes, "{place}");

                    let mut input = Reader::new(written.freeze());
                    assert_eq!(Ours::decode(version, &mut input).unwrap(), value, "{place}");
                }
            }
        }
    )*};
}
every_message!(judged);

/// The `name: value` pairs of a `Debug` in one notation: without the names of structs and error codes, and with the other
/// codec's strings and ids written as ours.
fn pairs(debug: &str) -> String {
    let mut text = debug.replace(", _unknown_tagged_fields: []", "");
    while let Some(start) = text.find("KafkaString { inner: b") {
        let open = start + "KafkaString { inner: b".len();
        let close = open + 1 + text[open + 1..].find('"').unwrap() + 1;
        let string = text[open..close].to_owned();
        text.replace_range(start..close + " }".len(), &string);
    }
    while let Some(start) = text.find("KafkaUuid(") {
        let close = start + text[start..].find(')').unwrap();
        let digits = text[start + "KafkaUuid(".len()..close].replace('-', "");
        let uuid = Uuid(u128::from_str_radix(&digits, 16).unwrap());
        text.replace_range(start..=close, &uuid.to_string());
    }
    let words: Vec<&str> = text.split(' ').collect();
    let mut kept = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let next = words.get(index + 1).copied().unwrap_or("");
        let name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        if next == "{" {
            kept.push(word.trim_end_matches(name).to_owned());
        } else if next.starts_with('(') && word.chars().all(name) || *word == "error" {
            // An error code prints as `NAME (3)` or `error 3`.
        } else if word.starts_with('(') {
            kept.push(word.replace(['(', ')'], ""));
        } else {
            kept.push((*word).to_owned());
        }
    }
    kept.join(" ")
}

/// Every name and value of ours is in the other's, in the same order; the other also has the fields of versions we do not speak.
fn agree(ours: &str, theirs: &str) -> bool {
    let words = |text: &str| -> Vec<String> {
        let words = text
            .split(' ')
            .map(|word| word.trim_end_matches([',', ')', ']', '}']));
        words.map(str::to_owned).collect()
    };
    let mut theirs = words(theirs).into_iter();
    words(ours)
        .into_iter()
        .filter(|word| !word.is_empty())
        .all(|word| theirs.any(|other| other == word))
}

#[test]
fn agreement_means_the_same_names_values_and_order() {
    let theirs = " { a: 1, b: None, c: [ { d: 2 }] }";
    assert!(agree(" { a: 1, c: [ { d: 2 }] }", theirs));
    for other in [
        "{ a: 2, c: [ { d: 2 }] }",
        "{ c: [ { d: 2 }], a: 1 }",
        "{ a: 1, e: [ { d: 2 }] }",
    ] {
        assert!(!agree(other, theirs), "{other}");
    }
}

#[test]
fn pairs_keep_every_value() {
    let ours = "R { code: NOT_LEADER (6), other: error 200, id: Some(\"x\"), sub: Some(S { a: 1 }), none: None }";
    let expected = " { code: 6, other: 200, id: Some(\"x\"), sub: Some( { a: 1 }), none: None }";
    assert_eq!(pairs(ours), expected);
}

//! `message!` turns a list of fields into a struct with its codec, `request!` ties a request to its answer.
//! Not a parser of Kafka's schemas: the lists are written as they are there, in the same order and names.
//! Invariant: encode and decode come from the one list, so they cannot differ.
//!
//! `name: Type [versions] = default`: without versions the field is in all that are spoken, without a default it is zero, empty
//! or null. `[tag 1, versions]` is a tagged field, written where it differs from its default. A field that its version does not
//! have is skipped, and read as its default.

macro_rules! message {
    ($(
        $(#[$meta:meta])*
        struct $name:ident {
            $( $(#[$field_meta:meta])* $field:ident : $type:ty $([$($rule:tt)*])? $(= $default:expr)? ),* $(,)?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct $name { $( $(#[$field_meta])* pub(crate) $field: $type, )* }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: message!(@default $($default)?), )* }
            }
        }

        impl $crate::protocol::wire::Field for $name {
            fn put(&self, wire: $crate::protocol::wire::Wire, out: &mut dyn $crate::protocol::wire::Sink) {
                $( message!(@put wire, out, self.$field, [$($($rule)*)?]); )*
                if wire.flexible {
                    let tagged = &mut $crate::protocol::wire::Tagged::default();
                    $( message!(@put_tagged wire, tagged, self.$field, [$($($rule)*)?], message!(@default $($default)?)); )*
                    tagged.put(out);
                }
            }

            fn take(
                wire: $crate::protocol::wire::Wire,
                input: &mut $crate::protocol::wire::Reader,
            ) -> Result<Self, $crate::protocol::Malformed> {
                let mut message = Self::default();
                $( message!(@take wire, input, message, $name, $field, [$($($rule)*)?]); )*
                if wire.flexible {
                    input.tagged_fields(|tag, input| {
                        $( message!(@take_tagged wire, tag, input, message, $name, $field, [$($($rule)*)?]); )*
                        let _ = (tag, input, &mut message);
                        Ok(())
                    })?;
                }
                Ok(message)
            }
        }

        #[cfg(test)]
        impl $crate::protocol::tests::Random for $name {
            fn random(wire: $crate::protocol::wire::Wire, dice: &mut $crate::protocol::tests::Dice) -> Self {
                let mut message = Self::default();
                $( message!(@random wire, dice, message.$field, [$($($rule)*)?]); )*
                let _ = (wire, dice, &mut message);
                message
            }
        }

        impl $crate::protocol::wire::Nullable for $name {
            fn put_nullable(value: Option<&Self>, wire: $crate::protocol::wire::Wire, out: &mut dyn $crate::protocol::wire::Sink) {
                use $crate::protocol::wire::Field;
                match value {
                    Some(value) => {
                        1i8.put(wire, out);
                        value.put(wire, out);
                    }
                    None => (-1i8).put(wire, out),
                }
            }
            fn take_nullable(
                wire: $crate::protocol::wire::Wire,
                input: &mut $crate::protocol::wire::Reader,
            ) -> Result<Option<Self>, $crate::protocol::Malformed> {
                use $crate::protocol::wire::Field;
                // Java writes 1 and takes whatever is not negative.
                if i8::take(wire, input)? < 0 { Ok(None) } else { Self::take(wire, input).map(Some) }
            }
        }
    )*};

    (@default) => { Default::default() };
    (@default $default:expr) => { $default };

    (@random $wire:ident, $dice:ident, $value:expr, [tag $tag:literal, $($versions:tt)*]) => {
        message!(@random $wire, $dice, $value, [$($versions)*]);
    };
    (@random $wire:ident, $dice:ident, $value:expr, []) => {
        $value = $crate::protocol::tests::Random::random($wire, $dice);
    };
    (@random $wire:ident, $dice:ident, $value:expr, [$($versions:tt)*]) => {
        if ($($versions)*).contains(&$wire.version) {
            $value = $crate::protocol::tests::Random::random($wire, $dice);
        }
    };

    (@put $wire:ident, $out:ident, $value:expr, [tag $($rule:tt)*]) => {};
    (@put $wire:ident, $out:ident, $value:expr, []) => {
        $crate::protocol::wire::Field::put(&$value, $wire, $out);
    };
    (@put $wire:ident, $out:ident, $value:expr, [$($versions:tt)*]) => {
        if ($($versions)*).contains(&$wire.version) {
            $crate::protocol::wire::Field::put(&$value, $wire, $out);
        }
    };

    (@put_tagged $wire:ident, $out:ident, $value:expr, [tag $tag:literal, $($versions:tt)*], $default:expr) => {
        if ($($versions)*).contains(&$wire.version) {
            $out.add($tag, &$value, &$default, $wire);
        }
    };
    (@put_tagged $wire:ident, $out:ident, $value:expr, [$($versions:tt)*], $default:expr) => {};

    (@take $wire:ident, $input:ident, $message:ident, $name:ident, $field:ident, [tag $($rule:tt)*]) => {};
    (@take $wire:ident, $input:ident, $message:ident, $name:ident, $field:ident, []) => {
        $message.$field = $crate::protocol::wire::Field::take($wire, $input)
            .map_err(|error| error.at(stringify!($name), stringify!($field)))?;
    };
    (@take $wire:ident, $input:ident, $message:ident, $name:ident, $field:ident, [$($versions:tt)*]) => {
        if ($($versions)*).contains(&$wire.version) {
            message!(@take $wire, $input, $message, $name, $field, []);
        }
    };

    (@take_tagged $wire:ident, $tag:ident, $input:ident, $message:ident, $name:ident, $field:ident, [tag $number:literal, $($versions:tt)*]) => {
        if $tag == $number && ($($versions)*).contains(&$wire.version) {
            message!(@take $wire, $input, $message, $name, $field, []);
        }
    };
    (@take_tagged $wire:ident, $tag:ident, $input:ident, $message:ident, $name:ident, $field:ident, [$($versions:tt)*]) => {};
}

/// `request!(key, "Name", Request => Response, versions, flexible from)`.
macro_rules! request {
    ($key:literal, $text:literal, $request:ident => $response:ident, $versions:expr, $flexible_from:expr) => {
        impl $crate::protocol::Request for $request {
            const KEY: i16 = $key;
            const NAME: &'static str = $text;
            const VERSIONS: std::ops::RangeInclusive<i16> = $versions;
            const FLEXIBLE_FROM: i16 = $flexible_from;
            type Response = $response;
        }
        impl $crate::protocol::Response for $response {
            const VERSIONS: std::ops::RangeInclusive<i16> = $versions;
            const FLEXIBLE_FROM: i16 = $flexible_from;
        }
    };
}

pub(crate) use {message, request};

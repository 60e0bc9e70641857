//! The verbs for closures that see and give nulls, as Kafka Streams' do: `stream.with_nulls().filter(..)`.
//! Not other operators: names, numbers and results are those of the plain verbs. Invariant: a value is `None` exactly where
//! Java's is null; keys say in their type whether they may be null.

use super::KStream;
use super::grouped::KGroupedStream;
use super::stream::{CHANGES_KEY, CHANGES_VALUE, defaults};
use crate::format::{Data, Formats};
use crate::topology::Role;

/// A stream, table or group whose next verb takes closures that see nulls.
#[derive(Clone, Copy, Debug)]
pub struct WithNulls<S>(pub(crate) S);

impl<'a, K: Clone + 'static, V: Clone + 'static> KStream<'a, K, V> {
    /// The next verb's closures see records without a value too, and may answer `None`.
    pub fn with_nulls(self) -> WithNulls<Self> {
        WithNulls(self)
    }
}

impl<'a, K: Clone + 'static, V: Clone + 'static> WithNulls<KStream<'a, K, V>> {
    /// As `KStream::filter`.
    pub fn filter(
        self,
        predicate: impl Fn(&K, Option<&V>) -> bool + Send + Sync + 'static,
    ) -> KStream<'a, K, V> {
        let stream = self.0;
        let role = Role::default();
        stream.then(
            role,
            "KSTREAM-FILTER-",
            stream.formats(),
            stream.rekeyed,
            move |ctx, out, key, value, meta| match predicate(&key, value.as_ref()) {
                true => out.pass(ctx, key, value, meta),
                false => Ok(()),
            },
        )
    }

    /// As `KStream::filter_not`.
    pub fn filter_not(
        self,
        predicate: impl Fn(&K, Option<&V>) -> bool + Send + Sync + 'static,
    ) -> KStream<'a, K, V> {
        self.filter(move |key, value| !predicate(key, value))
    }

    /// As `KStream::map_values_with_key`.
    pub fn map_values<V2: Clone + 'static>(
        self,
        map: impl Fn(&K, Option<V>) -> Option<V2> + Send + Sync + 'static,
    ) -> KStream<'a, K, V2> {
        let (stream, formats) = (self.0, self.0.key_format());
        stream.then(
            CHANGES_VALUE,
            "KSTREAM-MAPVALUES-",
            formats,
            stream.rekeyed,
            move |ctx, out, key, value, meta| {
                let value = map(&key, value);
                out.pass(ctx, key, value, meta)
            },
        )
    }

    /// As `KStream::flat_map_values`, with the key in view.
    pub fn flat_map_values<V2: Clone + 'static, I: IntoIterator<Item = Option<V2>>>(
        self,
        map: impl Fn(&K, Option<V>) -> I + Send + Sync + 'static,
    ) -> KStream<'a, K, V2> {
        let (stream, formats) = (self.0, self.0.key_format());
        stream.then(
            CHANGES_VALUE,
            "KSTREAM-FLATMAPVALUES-",
            formats,
            stream.rekeyed,
            move |ctx, out, key, value, meta| {
                let values = map(&key, value).into_iter();
                out.pass_each(ctx, key, values, meta)
            },
        )
    }

    /// As `KStream::map`.
    pub fn map<K2: Data, V2: Data>(
        self,
        map: impl Fn(K, Option<V>) -> (K2, Option<V2>) + Send + Sync + 'static,
    ) -> KStream<'a, K2, V2> {
        let prefix = "KSTREAM-MAP-";
        (self.0).then(
            CHANGES_KEY,
            prefix,
            defaults(),
            true,
            move |ctx, out, key, value, meta| {
                let (key, value) = map(key, value);
                out.pass(ctx, key, value, meta)
            },
        )
    }

    /// As `KStream::flat_map`.
    pub fn flat_map<K2: Data, V2: Data, I: IntoIterator<Item = (K2, Option<V2>)>>(
        self,
        map: impl Fn(K, Option<V>) -> I + Send + Sync + 'static,
    ) -> KStream<'a, K2, V2> {
        let prefix = "KSTREAM-FLATMAP-";
        (self.0).then(
            CHANGES_KEY,
            prefix,
            defaults(),
            true,
            move |ctx, out, key, value, meta| {
                out.pass_pairs(ctx, map(key, value).into_iter(), meta)
            },
        )
    }

    /// As `KStream::select_key`.
    pub fn select_key<K2: Data>(
        self,
        select: impl Fn(&K, Option<&V>) -> K2 + Send + Sync + 'static,
    ) -> KStream<'a, K2, V> {
        let formats = Formats {
            key: Some(K2::format()),
            value: self.0.formats().value,
        };
        let prefix = "KSTREAM-KEY-SELECT-";
        self.0.then(
            CHANGES_KEY,
            prefix,
            formats,
            true,
            move |ctx, out, key, value, meta| {
                let key = select(&key, value.as_ref());
                out.pass(ctx, key, value, meta)
            },
        )
    }

    /// As `KStream::peek`.
    pub fn peek(self, see: impl Fn(&K, Option<&V>) + Send + Sync + 'static) -> KStream<'a, K, V> {
        let (stream, role) = (self.0, Role::default());
        let formats = stream.formats();
        stream.then(
            role,
            "KSTREAM-PEEK-",
            formats,
            stream.rekeyed,
            move |ctx, out, key, value, meta| {
                see(&key, value.as_ref());
                out.pass(ctx, key, value, meta)
            },
        )
    }

    /// As `KStream::for_each`.
    pub fn for_each(self, act: impl Fn(&K, Option<&V>) + Send + Sync + 'static) {
        let role = Role::default();
        let prefix = "KSTREAM-FOREACH-";
        let rekeyed = self.0.rekeyed;
        self.0.then::<K, V>(
            role,
            prefix,
            Formats::UNKNOWN,
            rekeyed,
            move |_, _, key, value, _| {
                act(&key, value.as_ref());
                Ok(())
            },
        );
    }

    /// As `KStream::group_by`.
    pub fn group_by<K2: Data>(
        self,
        key: impl Fn(&K, Option<&V>) -> K2 + Send + Sync + 'static,
    ) -> KGroupedStream<'a, K2, V> {
        let stream = self.select_key(key);
        KGroupedStream::of(stream, Some(stream.node))
    }
}

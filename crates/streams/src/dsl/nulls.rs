//! The verbs for closures that see and give nulls, as Kafka Streams' do: `stream.with_nulls().filter(..)`.
//! Not other operators: names, numbers and results are those of the plain verbs. Invariant: a value is `None` exactly where
//! Java's is null; keys say in their type whether they may be null.

use super::KStream;
use super::grouped::KGroupedStream;
use super::stream::{CHANGES_KEY, CHANGES_VALUE, defaults};
use crate::Record;
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
        let apply = move |ctx: &mut crate::task::Context<'_>,
                          out: &crate::task::Outputs<K, V>,
                          record: Record<K, V>| {
            if predicate(&record.key, record.value.as_ref()) {
                out.send(ctx, record)
            } else {
                Ok(())
            }
        };
        stream.then(
            role,
            "KSTREAM-FILTER-",
            stream.formats(),
            stream.rekeyed,
            apply,
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
            move |ctx, out, mut record| {
                let value = map(&record.key, record.value.take());
                out.send(ctx, record.with_value(value))
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
            move |ctx, out, mut record| {
                let values = map(&record.key, record.value.take());
                for value in values {
                    let each = Record {
                        key: record.key.clone(),
                        value,
                        timestamp: record.timestamp,
                        headers: record.headers.clone(),
                        position: record.position,
                    };
                    out.send(ctx, each)?;
                }
                Ok(())
            },
        )
    }

    /// As `KStream::map`.
    pub fn map<K2: Data, V2: Data>(
        self,
        map: impl Fn(K, Option<V>) -> (K2, Option<V2>) + Send + Sync + 'static,
    ) -> KStream<'a, K2, V2> {
        self.flat(CHANGES_KEY, "KSTREAM-MAP-", move |key, value| {
            [map(key, value)]
        })
    }

    /// As `KStream::flat_map`.
    pub fn flat_map<K2: Data, V2: Data, I: IntoIterator<Item = (K2, Option<V2>)>>(
        self,
        map: impl Fn(K, Option<V>) -> I + Send + Sync + 'static,
    ) -> KStream<'a, K2, V2> {
        self.flat(CHANGES_KEY, "KSTREAM-FLATMAP-", map)
    }

    fn flat<K2: Data, V2: Data, I: IntoIterator<Item = (K2, Option<V2>)>>(
        self,
        role: Role,
        prefix: &str,
        map: impl Fn(K, Option<V>) -> I + Send + Sync + 'static,
    ) -> KStream<'a, K2, V2> {
        self.0
            .then(role, prefix, defaults(), true, move |ctx, out, record| {
                let Record {
                    key,
                    value,
                    timestamp,
                    headers,
                    position,
                } = record;
                for (key, value) in map(key, value) {
                    let record = Record {
                        key,
                        value,
                        timestamp,
                        headers: headers.clone(),
                        position,
                    };
                    out.send(ctx, record)?;
                }
                Ok(())
            })
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
            move |ctx, out, record| {
                let key = select(&record.key, record.value.as_ref());
                out.send(ctx, record.with_key(key))
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
            move |ctx, out, record| {
                see(&record.key, record.value.as_ref());
                out.send(ctx, record)
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
            move |_, _, record| {
                act(&record.key, record.value.as_ref());
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

//! What an aggregation of windows does with values: where a row begins, how a value is added, how two rows become one.
//! Not where rows are kept. Invariant: `None` is a row that is not there.

/// The closures of an aggregation.
pub(crate) trait Fold<K, V, A>: Send + Sync + 'static {
    /// The row before the first value.
    fn initial(&self) -> Option<A>;
    /// The row with one more value; `None` deletes it.
    fn add(&self, key: &K, value: Option<V>, row: Option<A>) -> Option<A>;
    /// One row of two, of sessions that have become one.
    fn merge(&self, key: &K, one: Option<A>, two: Option<A>) -> Option<A>;
}

/// A fold of three closures.
pub(crate) struct FoldOf<I, F, M> {
    pub(crate) initial: I,
    pub(crate) add: F,
    pub(crate) merge: M,
}

impl<K, V, A, I, F, M> Fold<K, V, A> for FoldOf<I, F, M>
where
    I: Fn() -> Option<A> + Send + Sync + 'static,
    F: Fn(&K, Option<V>, Option<A>) -> Option<A> + Send + Sync + 'static,
    M: Fn(&K, Option<A>, Option<A>) -> Option<A> + Send + Sync + 'static,
{
    fn initial(&self) -> Option<A> {
        (self.initial)()
    }

    fn add(&self, key: &K, value: Option<V>, row: Option<A>) -> Option<A> {
        (self.add)(key, value, row)
    }

    fn merge(&self, key: &K, one: Option<A>, two: Option<A>) -> Option<A> {
        (self.merge)(key, one, two)
    }
}

/// The fold of windows that never merge.
pub(crate) fn fold<K, V, A>(
    initial: impl Fn() -> Option<A> + Send + Sync + 'static,
    add: impl Fn(&K, Option<V>, Option<A>) -> Option<A> + Send + Sync + 'static,
) -> impl Fold<K, V, A> {
    FoldOf {
        initial,
        add,
        merge: |_: &K, one: Option<A>, _: Option<A>| one,
    }
}

//! `KStream::map_async`: a value mapped by a future. Not in Kafka Streams, where a call to the outside holds up its partition.
//! Invariant: keys stay, so nothing is repartitioned; see the operator for order and commits.

use super::KStream;
use super::app::processor;
use crate::operator::{Call, MapAsync};
use crate::task::{Awaiting, Wire, boxed_whole};
use crate::topology::Role;
use std::fmt::Display;
use std::future::Future;
use std::hash::Hash;
use std::rc::Rc;
use std::sync::Arc;

impl<'a, K: Clone + Eq + Hash + Send + 'static, V: Clone + 'static> KStream<'a, K, V> {
    /// Maps each value by a future, at most `running_max` of a task at a time and one of a key at a time, so that records of a
    /// key stay in order while keys overtake one another. A tombstone passes without a call.
    ///
    /// A commit waits for the calls of the records it covers; if they take longer than the worker's limit
    /// (`Settings::async_wait_ms_max`) the commit fails and the records are processed again, so a call must bear being repeated.
    /// An error or a panic follows the application's [`crate::OnError`].
    ///
    /// Futures run on the world's executor, which has no timers and no I/O of its own: await a handle of the async runtime
    /// that has, for example what `tokio::runtime::Handle::spawn` returns.
    pub fn map_async<V2, E, Fut>(
        self,
        running_max: usize,
        map: impl Fn(K, V) -> Fut + Send + Sync + 'static,
    ) -> KStream<'a, K, V2>
    where
        V2: Clone + Send + 'static,
        E: Display,
        Fut: Future<Output = Result<V2, E>> + Send + 'static,
    {
        let map = Arc::new(map);
        let wire: Wire = Box::new(move |wiring, node| {
            let map = map.clone();
            let apply = move |key: K, value: V| -> Call<V2> {
                let call = map(key, value);
                Box::pin(async move { call.await.map(Some).map_err(|error| error.to_string()) })
            };
            let operator = Rc::new(MapAsync::wire(wiring, node, apply, running_max));
            wiring.awaiting.push((node, operator.clone()));
            boxed_whole::<K, V>(wiring, node, Awaiting(operator))
        });
        let formats = self.key_format::<V2>();
        let mut graph = self.app.graph.borrow_mut();
        let name = graph.name("KSTREAM-MAPASYNC-", self.name);
        if running_max == 0 {
            graph.problem(format!(
                "{name}: it may run no call at all; give at least 1"
            ));
        }
        let role = Role {
            changes_value: true,
            ..Role::default()
        };
        let node = graph.add_as(role, processor(name, vec![self.node], wire, formats));
        drop(graph);
        KStream::at(self.app, node, self.rekeyed)
    }
}
